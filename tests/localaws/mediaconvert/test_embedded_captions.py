"""Captions within the pictures of outputs, read back by ffmpeg's decoder, and what manifests tell of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import caption_media
import mediaconvert_jobs as jobs
from caption_media import said
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.text import sources as caption_sources
from penstock.formats import cc_data, eia608
from probed_media import stream
from sample_media import ffmpeg

Json = dict[str, Any]
Convert = Callable[..., Any]
SRT = "1\n00:00:01,000 --> 00:00:01,600\nOne & <i>only</i>\n\n2\n00:00:02,000 --> 00:00:02,600\nZwei\ndrei\n"


def held(path: Path) -> list[cc_data.Triplet]:
    """The caption bytes of a file's pictures, as ffprobe shows them."""
    shown = subprocess.run(
        [str(jail.binary("ffprobe")), "-v", "error", "-f", "lavfi", "-i", f"movie={path}[out0+subcc]",
         "-select_streams", "s", "-show_entries", "packet=pts_time,data", "-show_data", "-of", "default=nk=0:nw=1"],
        capture_output=True, check=True, timeout=120, text=True,
    ).stdout  # fmt: skip
    reader = caption_sources._CaptionBytes()
    for line in shown.splitlines():
        reader.line(line)
    return sorted(reader.triplets(Fraction(0)), key=lambda one: one.time_s)


def embedded(name: str = "said", language: str = "ENG", **own: Any) -> Json:
    return {
        "CaptionSelectorName": name,
        "LanguageCode": language,
        "DestinationSettings": {"DestinationType": "EMBEDDED", "EmbeddedDestinationSettings": own},
    }


def pictures(modifier: str, *described: Json, container: str = "MP4", codec: Json | None = None, **own: Any) -> Json:
    return {**jobs.video(modifier, container=container, codec=codec, **own), "CaptionDescriptions": list(described)}


def file_selector(kind: str = "SRT", name: str = "captions", **own: Any) -> Json:
    return {"SourceSettings": {"SourceType": kind, "FileSourceSettings": {"SourceFile": f"s3://source/{name}", **own}}}


IN_PICTURES: Json = {"SourceSettings": {"SourceType": "EMBEDDED", "EmbeddedSourceSettings": {}}}


def job(*groups: Json, **selectors: Json) -> Json:
    return jobs.settings(*groups, CaptionSelectors=selectors or {"said": file_selector()}, TimecodeSource="ZEROBASED")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    colours = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    return ffmpeg(
        tmp_path_factory.mktemp("film") / "film.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3", "-vf", colours,
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
    )  # fmt: skip


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions in the third row, which a passage through text would not keep."""
    first = [0x1420, 0x1240, *caption_media.words("HELLO"), caption_media.SHOW]
    return caption_media.with_captions(tmp_path_factory.mktemp("held"), {0: first, 25: [caption_media.ERASE]})


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "captions.srt"
    path.write_text(SRT)
    return path


def test_text_is_embedded_in_every_codec_and_size_at_its_time(film: Path, convert: Convert, text: Path) -> None:
    hevc = {
        "Codec": "H_265",
        "H265Settings": {**jobs.h264()["H264Settings"], "CodecProfile": "MAIN10_MAIN", "WriteMp4PackagingType": "HVC1"},
    }
    slow = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=24000, FramerateDenominator=1001)
    two_passes = jobs.h264(
        RateControlMode="VBR",
        Bitrate=300_000,
        QualityTuningLevel="MULTI_PASS_HQ",
        NumberBFramesBetweenReferenceFrames=2,
    )
    mpeg2 = {"Codec": "MPEG2", "Mpeg2Settings": {"Bitrate": 900_000, "MaxBitrate": 900_000}}
    group = jobs.file(
        pictures("_avc", embedded(), codec=two_passes, Height=72),
        pictures("_hevc", embedded(), codec=hevc),
        pictures("_slow", embedded(Destination608ChannelNumber=1), codec=slow),
        pictures("_ts", embedded(), container="M2TS"),
        pictures("_mpeg2", embedded(), container="M2TS", codec=mpeg2),
        pictures("_fields", embedded(), codec=jobs.h264(InterlaceMode="TOP_FIELD"), Height=72),
        jobs.video("_none", container="MP4"),
    )
    done = convert(film, job(group), text)
    for name in ("avc.mp4", "hevc.mp4", "slow.mp4", "ts.m2ts", "mpeg2.m2ts", "fields.mp4"):
        shown = said(done.path(f"f/film_{name}"))
        assert [one[0] for one in shown] == ["One & only", "Zwei\ndrei"], name
        for (_, start_s, end_s), due in zip(shown, ((1, 1.6), (2, 2.6)), strict=True):
            assert abs(start_s - due[0]) < 0.07 and abs(end_s - due[1]) < 0.07, name
    assert said(done.path("f/film_none.mp4")) == []
    assert stream(done.path("f/film_fields.mp4"))["field_order"] == "tt"


def test_pictures_and_their_colours_are_the_same_with_captions(film: Path, convert: Convert, text: Path) -> None:
    group = jobs.file(pictures("_with", embedded()), jobs.video("_without", container="MP4"))
    done = convert(film, job(group), text)
    shown = [
        subprocess.run(
            [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(done.path(f"f/film_{name}.mp4")),
             "-f", "framemd5", "-"],
            capture_output=True, check=True, timeout=60, text=True,
        ).stdout
        for name in ("with", "without")
    ]  # fmt: skip
    assert shown[0] == shown[1] and shown[0].count("\n0,") == 75
    told = stream(done.path("f/film_with.mp4"))
    colours = [told[name] for name in ("color_primaries", "color_transfer", "color_space", "color_range")]
    assert colours == ["bt709", "bt709", "bt709", "tv"]


def test_captions_in_the_sources_pictures_pass_as_they_are(captioned: Path, convert: Convert) -> None:
    fast = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=50, FramerateDenominator=1)
    group = jobs.file(
        pictures("_v", embedded()), pictures("_fast", embedded(), codec=fast), jobs.video("_none", container="MP4")
    )
    done = convert(captioned, job(group, said=IN_PICTURES))
    for name in ("v", "fast"):
        ((words, start_s, end_s),) = said(done.path(f"f/film_{name}.mp4"))
        assert words == "HELLO" and abs(start_s - 0.24) < 0.05 and abs(end_s - 1) < 0.05
    assert said(done.path("f/film_none.mp4")) == []
    carried = [one for one in held(done.path("f/film_v.mp4")) if one.kind == cc_data.FIELD_1]
    assert [(one.first & 0x7F, one.second & 0x7F) for one in carried[:2]] == [(0x14, 0x20), (0x12, 0x40)]


def test_captions_of_clips_end_with_their_clip(captioned: Path, convert: Convert) -> None:
    settings = job(jobs.file(pictures("_v", embedded())), said=IN_PICTURES)
    settings["Inputs"][0]["InputClippings"] = [
        {"StartTimecode": "00:00:00:00", "EndTimecode": "00:00:00:11"},
        {"StartTimecode": "00:00:01:10", "EndTimecode": "00:00:01:24"},
    ]
    ((words, start_s, end_s),) = said(convert(captioned, settings).path("f/film_v.mp4"))
    assert words == "HELLO" and abs(start_s - 0.24) < 0.05 and abs(end_s - 0.48) < 0.1


def test_two_languages_are_embedded_beside_one_that_is_burnt_in(film: Path, convert: Convert, tmp_path: Path) -> None:
    for name, words in (("en", "One"), ("es", "Uno")):
        (tmp_path / name).write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n")
    burnt = {"CaptionSelectorName": "en", "DestinationSettings": {"DestinationType": "BURN_IN"}}
    output = pictures("_v", embedded("es", "SPA", Destination608ChannelNumber=3), burnt, embedded("en"))
    settings = job(jobs.file(output), en=file_selector(name="en"), es=file_selector(name="es"))
    made = convert(film, settings, tmp_path / "en", tmp_path / "es").path("f/film_v.mp4")
    assert [one[0] for one in said(made)] == ["One"]
    pairs = [eia608.Pair(one.time_s, one.first, one.second) for one in held(made) if one.kind == cc_data.FIELD_2]
    assert [cue.text for cue in eia608.decode(pairs, channel=3)] == ["Uno"]


def test_hls_tells_of_embedded_captions(film: Path, convert: Convert, text: Path) -> None:
    mappings = [
        {"CaptionChannel": 1, "LanguageCode": "ENG", "LanguageDescription": "English"},
        {"CaptionChannel": 3, "CustomLanguageCode": "SPA", "LanguageDescription": "Español"},
    ]
    output = jobs.hls_output(pictures("_v", embedded(), container="M3U8", Height=90))
    inserted = jobs.hls(output, CaptionLanguageSetting="INSERT", CaptionLanguageMappings=mappings)
    none = jobs.hls(output, destination="s3://media/n/hls", CaptionLanguageSetting="NONE")
    done = convert(film, job(inserted, none), text)
    main = done.text("h/hls.m3u8")
    assert (
        '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,'
        'INSTREAM-ID="CC1"'
    ) in main
    assert 'NAME="Español",LANGUAGE="es",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID="CC3"' in main
    assert main.count('CLOSED-CAPTIONS="cc"') == 1
    assert "CLOSED-CAPTIONS=NONE" in done.text("n/hls.m3u8")
    assert [one[0] for one in said(done.path("h/hls_v_00001.ts"))] == ["One & only"]


def test_dash_tells_of_embedded_captions_where_it_is_to(film: Path, convert: Convert, text: Path) -> None:
    output = pictures("_v", embedded(language="DEU"), container="MPD", Height=90)
    output["ContainerSettings"]["MpdSettings"] = {"AccessibilityCaptionHints": "INCLUDE"}
    done = convert(film, job(jobs.dash(output, SegmentControl="SINGLE_FILE")), text)
    assert '<Accessibility schemeIdUri="urn:scte:dash:cc:cea-608:2015" value="CC1=deu"/>' in done.text("d/dash.mpd")
    assert [one[0] for one in said(done.path("d/dash_v.mp4"))] == ["One & only", "Zwei\ndrei"]


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (
            jobs.file(pictures("_v", embedded(), embedded(Destination608ChannelNumber=2))),
            "two tracks of captions need channels of different fields",
        ),
        (
            jobs.file(
                pictures("_v", embedded(), container="WEBM", codec={"Codec": "VP9", "Vp9Settings": {"Bitrate": 99_000}})
            ),
            "EMBEDDED captions need H_264, H_265 or MPEG2 pictures",
        ),
        (
            jobs.hls(jobs.hls_output(pictures("_v", embedded(), container="M3U8")), CaptionLanguageSetting="INSERT"),
            "captionLanguageMappings: is needed where captionLanguageSetting is INSERT",
        ),
    ],
)
def test_captions_that_pictures_cannot_hold_are_refused(group: Json, told: str) -> None:
    with pytest.raises(SettingRefused, match=re.escape(told)):
        request.read(job(group))
