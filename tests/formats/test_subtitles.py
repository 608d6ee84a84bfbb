import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, ManifestError
from penstock.formats import subtitles, ttml
from penstock.formats.progressive import box
from penstock.formats.subtitles import Cue


def cue(start, end, text):
    return Cue(Fraction(start), Fraction(end), text)


def test_webvtt_becomes_srt():
    vtt = b"""WEBVTT - a title

STYLE
::cue { color: red }

NOTE not shown

first
00:01.000 --> 00:02.500 line:0 align:start
<v Ann>One <i.loud>two</i> &amp; <00:01.500>three

01:00:00.000 --> 01:00:01.000
four
five
"""
    assert subtitles.build_srt(subtitles.parse_webvtt(vtt)).decode() == (
        "1\n00:00:01,000 --> 00:00:02,500\nOne <i>two</i> & three\n\n2\n01:00:00,000 --> 01:00:01,000\nfour\nfive\n"
    )


def test_a_timestamp_map_moves_cues_to_the_clock_of_the_media():
    segment = b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n00:01.000 --> 00:02.000\nx\n"
    assert subtitles.parse_webvtt(segment, clock_zero_s=Fraction(10)) == [cue(1, 2, "x")]


def test_times_of_ttml_nest_and_take_every_form():
    written = b"""<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
      ttp:frameRate="25"
      ttp:tickRate="1000"><head/><body begin="10s"><div>
      <p begin="00:00:01.5" end="00:00:02:05">One<br/>two <span>three</span></p>
      <p begin="5000t" dur="500ms">four</p><p><span begin="8s" end="9s">five</span></p></div></body></tt>"""
    assert ttml.parse_ttml(written) == [
        cue(Fraction(23, 2), Fraction(61, 5), "One\ntwo three"),
        cue(15, Fraction(31, 2), "four"),
        cue(18, 19, "five"),
    ]


def test_a_cue_that_segments_cut_apart_is_one_again():
    pieces = [cue(0, 2, "a"), cue(2, 3, "a"), cue(2, 3, "b"), cue(2, 3, "b"), cue(9, 10, "a"), cue(4, 4, "never")]
    assert subtitles.parse_srt(subtitles.build_srt(pieces)) == [cue(0, 3, "a"), cue(2, 3, "b"), cue(9, 10, "a")]


def test_text_cannot_break_out_of_its_cue():
    srt = subtitles.build_srt([cue(0, 1, "a\n\n2\n00:00:05,000 --> 00:00:06,000\r\nb\x00")])
    assert len(subtitles.parse_srt(srt)) == 1


def test_samples_of_wvtt():
    sample = box("vttc", box("sttg", b"line:0"), box("payl", b"one")) + box("vttc", box("payl", b"two"))
    assert [c.text for c in subtitles.wvtt_cues(sample, Fraction(0), Fraction(1))] == ["one", "two"]
    assert not list(subtitles.wvtt_cues(box("vtte"), Fraction(0), Fraction(1)))


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (subtitles.parse_srt, b"WEBVTT\n\n00:00.000 --> 00:01.000\nx"),
        (subtitles.parse_srt, b"1\n00:00:02,000 --> 00:00:01,000\nx\n"),
        (subtitles.parse_srt, b"hello"),
        (subtitles.parse_srt, b"\xff\xfe1\x00"),
        (subtitles.parse_webvtt, b"WEBVTTX\n"),
        (subtitles.parse_webvtt, b"WEBVTT\n\n0:1 --> 2\nx"),
        (subtitles.parse_webvtt, b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:x\n\n"),
        (ttml.parse_ttml, b"<html/>"),
        (ttml.parse_ttml, b'<tt><body><p begin="soon" end="2s">x</p></body></tt>'),
        (ttml.parse_ttml, b'<tt xmlns:p="x" p:frameRate="0"/>'),
        (ttml.parse_ttml, b'<!DOCTYPE tt [<!ENTITY a "b">]><tt/>'),
    ],
)
def test_what_is_no_subtitle_is_refused(read, content):
    with pytest.raises(ManifestError):
        read(content)


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).map(str.strip)
cues = st.builds(
    lambda start, length, text: cue(Fraction(start, 1000), Fraction(start + length, 1000), text),
    st.integers(0, 10**7),
    st.integers(1, 10**5),
    words.filter(bool).filter(lambda text: "-->" not in text and not text.isdigit()),
)


@given(st.lists(cues, max_size=8))
def test_what_is_written_as_srt_is_read_back(found):
    once = subtitles.build_srt(found)
    read = subtitles.parse_srt(once)
    assert subtitles.build_srt(read) == once
    assert {c.text for c in read} <= {c.text for c in found}


@given(st.sampled_from([subtitles.parse_srt, subtitles.parse_webvtt, ttml.parse_ttml]), st.binary(max_size=300))
def test_any_bytes_give_cues_or_a_refusal(read, content):
    for head in (b"", b"WEBVTT\n\n", b"1\n"):
        with contextlib.suppress(FormatError):
            read(head + content)
