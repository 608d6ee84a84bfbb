"""Files are named as MediaConvert names them."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.media import addresses
from localaws.media.addresses import AddressRefused
from localaws.mediaconvert import naming
from localaws.mediaconvert.naming import Facts, NameRefused

FACTS = Facts(
    started=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    input_stem="my film",
    extension="mp4",
    width=1280,
    height=720,
    frame_rate=Fraction(30000, 1001),
    video_bps=4_500_000,
    audio_bps=96_000,
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ""),
        ("_hd", "_hd"),
        ("$dt$", "20260304T050607"),
        ("$d$-$t$", "20260304-050607"),
        ("_$w$x$h$", "_1280x720"),
        ("$h%04$", "0720"),
        ("$f$", "29"),
        ("$rv$_$ra$_$rc$", "4500_96_4596"),
        ("$Bandwidth$", "4596000"),
        ("$fn$.$ex$", "my film.mp4"),
        ("$$w", "$w"),
        ("$$w$$", "$w$"),
        ("50%", "50%"),
    ],
)
def test_identifiers_are_expanded(text: str, named: str) -> None:
    assert naming.expand(text, FACTS) == named


@pytest.mark.parametrize("text", ["$Number$", "$Time$", "$nothing$", "$DT$"])
def test_an_identifier_that_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(NameRefused):
        naming.expand(text, FACTS)


@pytest.mark.parametrize(
    ("modifier", "value", "name", "template"),
    [
        ("_video_", 1, "_video__000000001.mp4", "film_video__$Number%09d$"),
        ("_video_$Number$", 1, "_video_1.mp4", "film_video_$Number$"),
        ("_$Number$_$h$", 12, "_12_720.mp4", "film_$Number$_720"),
        ("_$Number%05$", 7, "_00007.mp4", "film_$Number%05d$"),
        ("_video180_$Time$", 345_600, "_video180_345600.mp4", "film_video180_$Time$"),
        ("_$$Number$$", 3, "_$Number$_000000003.mp4", "film_$$Number$$_$Number%09d$"),
        ("_$Bandwidth$", 1, "_4596000_000000001.mp4", "film_4596000_$Number%09d$"),
    ],
)
def test_segments_have_their_number_where_the_modifier_says(
    modifier: str, value: int, name: str, template: str
) -> None:
    segments = naming.numbered(modifier, FACTS) or naming.segments(naming.expand(modifier, FACTS))
    assert segments.name("mp4", value) == name
    assert segments.template("folder/film") == template


def test_a_segment_has_one_number() -> None:
    with pytest.raises(NameRefused, match="more than one"):
        naming.numbered("$Number$_$Time$", FACTS)


def test_times_in_a_segment_modifier_are_those_of_the_segment() -> None:
    modifier = naming.SegmentModifier("_$t$-$h$", FACTS)
    assert modifier.at(datetime(2026, 3, 4, 5, 7, 9, tzinfo=UTC)) == "_050709-720"


def test_an_identifier_without_value_is_refused() -> None:
    with pytest.raises(NameRefused, match=r"\$w\$ has no value"):
        naming.expand("$w$", Facts(FACTS.started, "film"))


@pytest.mark.parametrize(
    ("uri", "bucket", "base"),
    [
        ("s3://media/out/main", "media", "out/main"),
        ("s3://media/out/", "media", "out/my film"),
        ("s3://media/", "media", "my film"),
        ("s3://media/$dt$/$fn$", "media", "20260304T050607/my film"),
        ("s3://media/a%20b+c/x", "media", "a%20b+c/x"),
    ],
)
def test_destination_gives_the_beginning_of_every_name(uri: str, bucket: str, base: str) -> None:
    assert naming.destination(uri, FACTS) == naming.Destination(bucket, base)


@pytest.mark.parametrize("uri", ["media/out", "s3://media", "s3:///x", "http://media/x", "s3://m/../x", "s3://m/a\nb"])
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(AddressRefused):
        addresses.object_address(uri)


def test_suffixes_are_those_of_real_outputs() -> None:
    assert naming.initialization("h264-video", "cmfv") == "h264-videoinit.cmfv"
    assert naming.segments("h264-video").name("cmfv", 1) == "h264-video_000000001.cmfv"
    assert naming.capture("", "jpg", 36) == ".0000036.jpg"
    assert naming.media_file("_hd", "mp4") == "_hd.mp4"
    assert naming.input_stem("inputs/a.b/c.d.mov") == "c.d"


def test_references_in_manifests_are_encoded_and_relative() -> None:
    assert naming.relative_reference("a/b c#?", "_1.m3u8") == "b%20c%23%3F_1.m3u8"
    assert naming.relative_reference("ünï", "init.cmfv") == "%C3%BCn%C3%AFinit.cmfv"


@given(st.text(max_size=64))
def test_expansion_never_fails_in_another_way(text: str) -> None:
    try:
        naming.expand(text, FACTS)
    except NameRefused:
        assert naming.identifiers(text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.mpd", "application/dash+xml"), ("x.cmfa", "audio/mp4"), ("a.b/x", "application/octet-stream")],
)
def test_content_types(name: str, kind: str) -> None:
    assert addresses.content_type(name) == kind
