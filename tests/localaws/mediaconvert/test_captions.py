"""Captions of a job: every format in, every format out, in every group that takes it."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from PIL import Image, ImageChops

import caption_media
import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import InputRejected, SettingRefused
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.text import captions as read
from localaws.mediaconvert.text import pgs
from localaws.mediaconvert.text import sources as caption_sources
from mediaconvert_speke import Speke
from penstock.formats import subtitles
from penstock.formats.cc_data import FIELD_1, Triplet
from sample_media import ffmpeg

Json = dict[str, Any]
Convert = Callable[..., Any]
FIRST, SECOND = (Fraction(1, 5), Fraction(1)), (Fraction(7, 5), Fraction(13, 5))


def selector(kind: str, **members: Any) -> Json:
    names = {
        "SMI": "smi",
        "SRT": "srt",
        "WEBVTT": "vtt",
        "SCC": "scc",
        "TTML": "ttml",
        "IMSC": "xml",
        "SMPTE_TT": "ttml",
    }
    file = {"SourceFile": f"s3://source/captions.{names[kind]}", **members}
    return {"SourceSettings": {"SourceType": kind, "FileSourceSettings": file}}


def described(kind: str, name: str = "said", language: str = "ENG", label: str = "English", **own: Any) -> Json:
    member = {"WEBVTT": "Webvtt", "SRT": "Srt", "TTML": "Ttml", "IMSC": "Imsc", "SCC": "Scc"}.get(kind)
    destination = {"DestinationType": kind, **({f"{member}DestinationSettings": own} if member else {})}
    return {
        "CaptionSelectorName": name,
        "LanguageCode": language,
        "LanguageDescription": label,
        "DestinationSettings": destination,
    }


def captions(modifier: str, kind: str, container: Json | None = None, **members: Any) -> Json:
    output: Json = {"NameModifier": modifier, "CaptionDescriptions": [described(kind, **members)]}
    return output if container is None else {**output, "ContainerSettings": container}


def job(*groups: Json, **selectors: Json) -> Json:
    return jobs.settings(*groups, CaptionSelectors=selectors or {"said": selector("SRT")}, TimecodeSource="ZEROBASED")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = "testsrc2=s=160x90:r=25:d=3"
    return ffmpeg(
        tmp_path_factory.mktemp("film") / "film.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p",
    )  # fmt: skip


@pytest.fixture
def text(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        path = tmp_path / "captions"
        path.write_text(content)
        return path

    return write


FILM = jobs.video("_v", container="MP4")


def times(cues: list[subtitles.Cue]) -> list[tuple[Fraction, Fraction]]:
    return [(cue.start_s, cue.end_s) for cue in cues]


@pytest.mark.parametrize("kind", ["SRT", "WEBVTT", "TTML", "IMSC", "SMPTE_TT", "SMI"])
def test_caption_files_of_every_format_are_read(
    film: Path, convert: Convert, text: Callable[[str], Path], kind: str
) -> None:
    contents = {"SRT": caption_media.SRT, "WEBVTT": caption_media.WEBVTT, "SMI": caption_media.SAMI}
    content = contents.get(kind, caption_media.TTML)
    settings = job(jobs.file(FILM, captions("_en", "SRT")), said=selector(kind))
    made = convert(film, settings, text(content)).text("f/film_en.srt")
    assert made == ("1\n00:00:00,200 --> 00:00:01,000\nOne & only\n\n2\n00:00:01,400 --> 00:00:02,600\nZwei\ndrei\n")


def test_scc_counts_from_the_timecode_of_its_input_and_in_its_frame_rate(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    rate = {"FramerateNumerator": 25, "FramerateDenominator": 1}
    settings = job(jobs.file(FILM, captions("_en", "SRT")), said=selector("SCC", Framerate=rate))
    settings["Inputs"][0] |= {"TimecodeSource": "SPECIFIEDSTART", "TimecodeStart": "01:00:00:00"}
    cues = subtitles.parse_srt(convert(film, settings, text(caption_media.SCC)).path("f/film_en.srt").read_bytes())
    assert [cue.text for cue in cues] == ["One"] and times(cues) == [(Fraction(6, 25), Fraction(1))]


def test_captions_are_moved_by_their_time_delta(film: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    moved = selector("SRT", TimeDelta=-1200, TimeDeltaUnits="MILLISECONDS")
    made = convert(film, job(jobs.file(FILM, captions("_en", "SRT")), said=moved), text(caption_media.SRT))
    assert times(subtitles.parse_srt(made.path("f/film_en.srt").read_bytes())) == [(Fraction(1, 5), Fraction(7, 5))]


def test_captions_follow_the_clips_of_their_input(film: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    settings = job(jobs.file(FILM, captions("_en", "SRT")))
    settings["Inputs"][0]["InputClippings"] = [
        {"StartTimecode": "00:00:02:00"},
        {"StartTimecode": "00:00:00:00", "EndTimecode": "00:00:00:24"},
    ]
    made = convert(film, settings, text(caption_media.SRT)).path("f/film_en.srt").read_bytes()
    assert [(cue.text, cue.start_s, cue.end_s) for cue in subtitles.parse_srt(made)] == [
        ("Zwei\ndrei", 0, Fraction(3, 5)),
        ("One & only", Fraction(6, 5), 2),
    ]


@pytest.mark.parametrize(("kind", "reader"), [("SCC", "scc"), ("SMI", "sami")])
def test_scc_and_smi_are_written_so_that_others_read_them(
    film: Path, convert: Convert, text: Callable[[str], Path], kind: str, reader: str
) -> None:
    later = selector("SRT", TimeDelta=1)
    own = {"Framerate": "FRAMERATE_29_97_DROPFRAME"} if kind == "SCC" else {}
    done = convert(film, job(jobs.file(FILM, captions("_en", kind, **own)), said=later), text(caption_media.SRT))
    path = done.path(f"f/film_en.{kind.lower()}")
    read = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-f", reader, "-i", str(path), "-c:s", "srt", "-f", "srt", "-"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    cues = subtitles.parse_srt(read)
    # ffmpeg leaves character references of SAMI as they are.
    words = [html.unescape(re.sub(r"<[^>]*>|\{[^}]*\}", "", cue.text)) for cue in cues]
    assert words == ["One & only", "Zwei\ndrei"]
    assert [round(float(cue.start_s), 1) for cue in cues] == [1.2, 2.4]
    assert ("00:00:01;" in path.read_text()) == (kind == "SCC")


def test_styles_pass_through_where_they_may(film: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    outputs = [
        captions("_srt", "SRT", StylePassthrough="ENABLED"),
        captions("_vtt", "WEBVTT", StylePassthrough="ENABLED"),
        captions("_plain", "WEBVTT"),
        captions("_imsc", "IMSC"),
        captions(
            "_ttml", "TTML", FontColor="YELLOW", FontWeight="BOLD", BackgroundColor="BLACK", BackgroundOpacity=128
        ),
    ]
    done = convert(film, job(jobs.file(FILM, *outputs)), text(caption_media.SRT))
    assert "One & <i>only</i>" in done.text("f/film_srt.srt")
    assert "One &amp; <i>only</i>" in done.text("f/film_vtt.vtt") and "One &amp; only" in done.text("f/film_plain.vtt")
    assert '<span tts:fontStyle="italic">only</span>' in done.text("f/film_imsc.xml")
    assert 'contentProfiles="http://www.w3.org/ns/ttml/profile/imsc1.1/text"' in done.text("f/film_imsc.xml")
    ttml = done.text("f/film_ttml.ttml")
    assert 'tts:color="#ffff00ff"' in ttml and 'tts:fontWeight="bold"' in ttml and "<span" not in ttml
    assert 'tts:backgroundColor="#00000080"' in ttml


def test_text_tracks_of_the_source_are_captions(
    film: Path, convert: Convert, text: Callable[[str], Path], tmp_path: Path
) -> None:
    said = text(caption_media.SRT)
    held = ffmpeg(
        tmp_path / "held.mp4", "-i", str(film), "-f", "srt", "-i", str(said), "-c:v", "copy", "-c:s", "mov_text"
    )
    track = {"SourceSettings": {"SourceType": "TT_3GPP", "TrackSourceSettings": {"TrackNumber": 1}}}
    made = convert(held, job(jobs.file(FILM, captions("_en", "SRT")), said=track)).path("f/film_en.srt").read_bytes()
    assert times(subtitles.parse_srt(made)) == [FIRST, SECOND]
    track["SourceSettings"]["TrackSourceSettings"] = {"TrackNumber": 2}
    with pytest.raises(InputRejected, match="the source has 1 caption tracks, number 2 is asked for"):
        convert(held, job(jobs.file(FILM, captions("_en", "SRT")), said=track))


def test_caption_bytes_are_read_across_the_lines_that_show_them() -> None:
    reader = caption_sources._CaptionBytes()
    # Five triplets and a byte in the first line: the next would be read askew if each line stood alone.
    reader.line("pts_time=1.500000")
    reader.line("00000000: fc94 20fd 8080 fa00 00fa 0000 fa00 00fc  .. .............")
    reader.line("00000010: 9425                                     .%")
    reader.line("pts_time=N/A")
    reader.line("00000000: fc94 2c                                  ..,")
    assert reader.triplets(Fraction(1)) == [
        Triplet(Fraction(1, 2), FIELD_1, 0x94, 0x20),
        Triplet(Fraction(1, 2), FIELD_1, 0x94, 0x25),
    ]


@pytest.mark.parametrize("kind", ["mp4", "ts"])
def test_captions_within_the_pictures_are_read(convert: Convert, tmp_path: Path, kind: str) -> None:
    words = caption_media.words
    first = [*caption_media.POP_ON, *words("HI "), caption_media.SHOW]
    held = caption_media.with_captions(tmp_path, {0: first, 25: [caption_media.ERASE], 30: [0x1429, *words("two ")]})
    held = ffmpeg(tmp_path / f"held.{kind}", "-i", str(held), "-c", "copy")
    embedded = {"SourceSettings": {"SourceType": "EMBEDDED", "EmbeddedSourceSettings": {"Source608ChannelNumber": 1}}}
    made = convert(held, job(jobs.file(FILM, captions("_en", "SRT")), said=embedded)).path("f/film_en.srt")
    cues = subtitles.parse_srt(made.read_bytes())
    assert (cues[0].text, *times(cues)[0]) == ("HI", Fraction(4, 25), Fraction(1))
    assert (cues[-1].text, cues[-1].end_s) == ("two", 2)


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("SRT", "no captions", "line 1: expected 00:00:00,000 -->"),
        ("WEBVTT", caption_media.SRT, "a WebVTT file starts with WEBVTT"),
        ("TTML", "<html/>", "expected tt"),
        ("SCC", "WEBVTT", "an SCC file starts with"),
    ],
)
def test_captions_that_cannot_be_read_end_with_1010_and_their_selector(
    film: Path, convert: Convert, text: Callable[[str], Path], kind: str, content: str, told: str
) -> None:
    with pytest.raises(InputRejected, match=rf"inputs\[0\].captionSelectors.said: .*{re.escape(told)}") as raised:
        convert(film, job(jobs.file(FILM, captions("_en", "SRT")), said=selector(kind)), text(content))
    assert raised.value.code == 1010


def test_an_hls_group_has_webvtt_segments(film: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    pictures = jobs.hls_output(jobs.video("_v", Height=90))
    group = jobs.hls(
        pictures,
        captions("_en", "WEBVTT"),
        captions("_de", "WEBVTT", language="DEU", label="Deutsch", Accessibility="ENABLED"),
        CaptionSegmentLengthControl="MATCH_VIDEO",
    )
    done = convert(film, job(group), text(caption_media.SRT))
    main = done.text("h/hls.m3u8")
    assert (
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,'
        'URI="hls_en.m3u8"'
    ) in main
    assert 'LANGUAGE="de",DEFAULT=NO' in main and 'CHARACTERISTICS="public.accessibility.transcribes' in main
    assert 'SUBTITLES="subs"' in main
    assert re.findall(r"#EXTINF:([0-9.]+),\n(\S+)", done.text("h/hls_en.m3u8")) == [
        ("2.000000", "hls_en_00001.vtt"),
        ("1.000000", "hls_en_00002.vtt"),
    ]
    first, second = (done.text(f"h/hls_en_0000{number}.vtt") for number in (1, 2))
    assert first.startswith("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:180000\n")
    assert "Zwei" in first and "Zwei" in second and "only" not in second


def test_large_caption_segments_are_the_default_of_hls(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    group = jobs.hls(jobs.hls_output(jobs.video("_v", Height=90)), captions("_en", "WEBVTT"))
    done = convert(film, job(group), text(caption_media.SRT))
    assert done.text("h/hls_en.m3u8").count("#EXTINF") == 1


def test_a_cmaf_group_has_captions_for_both_kinds_of_players(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    group = jobs.cmaf(
        jobs.video("_v", Height=90), captions("_en", "WEBVTT"), captions("_de", "IMSC", language="DEU", label="Deutsch")
    )
    done = convert(film, job(group), text(caption_media.SRT))
    main = done.text("a/main.m3u8")
    assert main.count("TYPE=SUBTITLES") == 2 and 'NAME="Deutsch"' in main and main.count('SUBTITLES="subs"') == 1
    assert "main_en_000000001.vtt" in done.text("a/main_en.m3u8")
    assert "main_deinit.cmft" in done.text("a/main_de.m3u8")
    found = texts(done.path("a/main.mpd"))
    assert [(one["lang"], one["codecs"], one["label"]) for one in found] == [
        ("en", "wvtt", "English"),
        ("de", "stpp", "Deutsch"),
    ]
    assert {f"a/main_{name}" for name in ("eninit.cmft", "en_000000001.cmft", "de_000000001.cmft")} <= set(done.files)


def test_captions_without_a_word_within_the_film_show_nothing(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    outputs = (jobs.video("_v", Height=90), captions("_en", "WEBVTT"), captions("_de", "IMSC"))
    late = text("1\n00:01:00,000 --> 00:01:02,000\nafter the end\n")
    done = convert(film, job(jobs.cmaf(*outputs)), late)
    assert [one["codecs"] for one in texts(done.path("a/main.mpd"))] == ["wvtt", "stpp"]
    said = {number: done.path(f"a/main_en_00000000{number}.cmft").read_bytes() for number in (1, 2)}
    assert all(segment.count(b"vtte") == 1 and b"vttc" not in segment for segment in said.values())
    assert b"<div/>" in done.path("a/main_de_000000001.cmft").read_bytes()
    assert "after" not in done.text("a/main_en_000000001.vtt")


def test_captions_of_an_encrypted_group_stay_in_the_clear(
    film: Path, convert: Convert, text: Callable[[str], Path], speke: Speke
) -> None:
    protection = jobs.encryption(speke.url, systems=("e2719d58-a985-b3c9-781a-b030af78d30e",))
    group = jobs.cmaf(
        jobs.video("_v", Height=90), captions("_en", "WEBVTT"), captions("_de", "IMSC"), Encryption=protection
    )
    done = convert(film, job(group), text(caption_media.SRT))
    mpd = done.text("a/main.mpd")
    assert mpd.count("<AdaptationSet") == 3 and mpd.count("mp4protection") == 1
    assert b"Zwei" in done.path("a/main_de_000000001.cmft").read_bytes()
    assert "#EXT-X-KEY" in done.text("a/main_v.m3u8")
    assert "#EXT-X-KEY" not in done.text("a/main_de.m3u8") + done.text("a/main_en.m3u8")


def test_captions_of_an_aes_128_group_stay_in_the_clear(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    pictures = jobs.hls_output(jobs.video("_v", Height=90))
    group = jobs.hls(pictures, captions("_en", "WEBVTT"), Encryption=jobs.static_key("https://keys.example.com/1"))
    done = convert(film, job(group), text(caption_media.SRT))
    assert "#EXT-X-KEY" in done.text("h/hls_v.m3u8") and "#EXT-X-KEY" not in done.text("h/hls_en.m3u8")
    assert done.text("h/hls_en_00001.vtt").startswith("WEBVTT")


def texts(mpd: Path) -> list[dict[str, Any]]:
    namespace = "{urn:mpeg:dash:schema:mpd:2011}"
    found = []
    for adaptation in etree.parse(mpd).iter(f"{namespace}AdaptationSet"):
        if adaptation.get("contentType") == "text":
            representation = adaptation.find(f"{namespace}Representation")
            found.append(
                {
                    "lang": adaptation.get("lang"),
                    "codecs": representation.get("codecs"),
                    "label": adaptation.findtext(f"{namespace}Label"),
                    "file": representation.findtext(f"{namespace}BaseURL"),
                    "type": representation.get("mimeType") or adaptation.get("mimeType"),
                    "roles": [one.get("value") for one in adaptation.findall(f"{namespace}Role")],
                    "accessible": [one.get("value") for one in adaptation.findall(f"{namespace}Accessibility")],
                }
            )
    return found


def test_a_dash_group_has_captions_beside_it_or_packed(
    film: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    packed = {"Container": "MPD", "MpdSettings": {"CaptionContainerType": "FRAGMENTED_MP4"}}
    group = jobs.dash(
        jobs.video("_v", container="MPD", Height=90),
        captions("_a", "WEBVTT"),
        captions("_b", "TTML"),
        captions("_c", "IMSC", Accessibility="ENABLED"),
        captions("_d", "TTML", packed),
        SegmentControl="SINGLE_FILE",
    )
    done = convert(film, job(group), text(caption_media.SRT))
    found = sorted(texts(done.path("d/dash.mpd")), key=lambda one: one["file"])
    assert [(one["file"], one["type"]) for one in found] == [
        ("dash_a.vtt", "text/vtt"),
        ("dash_b.ttml", "application/ttml+xml"),
        ("dash_c.xml", "application/ttml+xml"),
        ("dash_d.mp4", "application/mp4"),
    ]
    assert [one["roles"] for one in found] == [["subtitle"], ["subtitle"], [], ["subtitle"]]
    assert found[2]["accessible"] == ["caption"]
    assert {f"d/{one['file']}" for one in found} <= set(done.files)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (captions("_en", "SRT"), "a CMAF_GROUP takes WEBVTT or IMSC, got SRT"),
        (captions("_en", "WEBVTT", name="none"), "no input has a caption selector named 'none'"),
        (
            {**captions("_en", "WEBVTT"), "AudioDescriptions": [jobs.aac()]},
            "sidecar captions need an output of their own",
        ),
        (captions("_en", "WEBVTT", {"Container": "MP4"}), "MP4 does not hold captions of a CMAF_GROUP"),
    ],
)
def test_captions_that_a_group_cannot_hold_are_refused(output: Json, told: str) -> None:
    with pytest.raises(SettingRefused, match=re.escape(told)):
        request.read(job(jobs.cmaf(jobs.video("_v"), output)))


def test_captions_alone_are_no_group() -> None:
    with pytest.raises(SettingRefused, match="captions need pictures or sound in their group"):
        request.read(job(jobs.cmaf(captions("_en", "WEBVTT")), jobs.file(FILM)))


def burnt(**own: Any) -> Json:
    described = {
        "CaptionSelectorName": "said",
        "DestinationSettings": {"DestinationType": "BURN_IN", "BurninDestinationSettings": own},
    }
    return {**jobs.video("", container="MP4"), "CaptionDescriptions": [described]}


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = "color=gray:s=320x180:r=10:d=3"
    return ffmpeg(
        tmp_path_factory.mktemp("grey") / "grey.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p",
    )  # fmt: skip


def frames(path: Path) -> list[Image.Image]:
    shown = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    size = 320 * 180 * 3
    return [Image.frombytes("RGB", (320, 180), shown[at : at + size]) for at in range(0, len(shown), size)]


def drawn(frame: Image.Image) -> tuple[int, int, int, int] | None:
    """The box of what is not the grey of the film."""
    away = ImageChops.difference(frame.convert("L"), Image.new("L", frame.size, 128))
    return away.point([255 if value > 40 else 0 for value in range(256)]).getbbox()


def test_captions_are_burnt_into_the_pictures_while_they_are_said(
    grey: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    made = frames(convert(grey, job(jobs.file(burnt())), text(caption_media.SRT)).path("f/film.mp4"))
    seen = [drawn(frame) is not None for frame in made]
    assert seen == [2 <= number < 10 or 14 <= number < 26 for number in range(30)]
    left, top, right, bottom = drawn(made[5]) or (0, 0, 0, 0)
    assert top > 140 and bottom <= 172 and abs((left + right) / 2 - 160) < 3
    two_lines = drawn(made[20])
    assert two_lines is not None and bottom - top < two_lines[3] - two_lines[1]


def test_burnt_captions_look_as_the_job_says(grey: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    style = {
        "FontColor": "HEX", "HexFontColor": "FF0000", "OutlineSize": 0, "BackgroundColor": "WHITE",
        "BackgroundOpacity": 255, "FontSize": 24, "XPosition": 20, "YPosition": 30,
    }  # fmt: skip
    shown = frames(convert(grey, job(jobs.file(burnt(**style))), text(caption_media.SRT)).path("f/film.mp4"))[5]
    left, top, right, bottom = drawn(shown) or (0, 0, 0, 0)
    assert abs(left - 20) <= 2 and abs(top - 30) <= 2 and 24 < bottom - top < 48
    colours = {
        "red" if red > 180 and green < 90 else "white" if min(red, green, blue) > 220 else "other"
        for red, green, blue in (shown.getpixel((x, y)) for x in range(left, right) for y in range(top, bottom))
    }
    assert {"red", "white"} <= colours


def test_characters_that_cannot_be_shown_are_told() -> None:
    output = burnt()
    output["CaptionDescriptions"].append({"CaptionSelectorName": "said"})
    planned = jobs.planned(job(jobs.file({**output, "NameModifier": "_v"}, captions("_en", "SCC"))))
    cues = [subtitles.Cue(Fraction(1), Fraction(2), "Ä é ж 字幕 <i>♪</i>")]
    place = "outputGroups[0].outputs[0].captionDescriptions"
    assert read.lacking(planned, read.Spoken({(0, "said"): cues})) == [
        f"{place}[0]: the font has no 字幕; boxes are drawn for them",
        f"{place}[1]: EIA-608 has no ж字幕; ? is written for them",
        "outputGroups[0].outputs[1]: EIA-608 has no ж字幕; ? is written for them",
    ]


def bright(frame: Image.Image, box: tuple[int, int, int, int]) -> dict[str, int]:
    """How many pixels of a box are of which colour."""
    counts: dict[str, int] = {}
    for count, (red, green, blue) in frame.crop(box).getcolors(1 << 16) or []:
        named = {(True, False, False): "red", (True, True, False): "yellow", (True, True, True): "white",
                 (False, False, False): "black", (False, True, False): "green"}  # fmt: skip
        name = named.get((red > 170, green > 170, blue > 170), "other")
        if name != "black" or max(red, green, blue) < 60:
            counts[name] = counts.get(name, 0) + count
    return counts


def test_burnt_captions_cast_a_shadow(grey: Path, convert: Convert, text: Callable[[str], Path]) -> None:
    style = {"FontSize": 24, "OutlineSize": 0, "ShadowColor": "BLACK", "ShadowOpacity": 255, "ShadowXOffset": 60}
    shown = frames(convert(grey, job(jobs.file(burnt(**style))), text(caption_media.SRT)).path("f/film.mp4"))[5]
    left, top, right, bottom = drawn(shown) or (0, 0, 0, 0)
    ending = bright(shown, (right - 30, top, right, bottom))
    beginning = bright(shown, (left, top, left + 50, bottom))
    assert ending["black"] > 20 and "white" not in ending and beginning["white"] > 20 and "black" not in beginning


PLACED = """<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling"
  tts:extent="640px 360px">
<head><styling><style xml:id="s" tts:color="red" tts:fontWeight="bold"/></styling><layout>
<region xml:id="r" tts:origin="40px 20px" tts:extent="400px 80px" tts:textAlign="left" tts:displayAlign="before"/>
</layout></head><body><div><p begin="0s" end="3s" region="r" style="s">Up <span tts:fontStyle="italic">here</span></p>
<p begin="0s" end="3s">down</p></div></body></tt>"""


@pytest.mark.parametrize(
    ("own", "upper", "lower"),
    [
        ({"StylePassthrough": "ENABLED"}, "red", "white"),
        ({"StylePassthrough": "ENABLED", "FontColor": "YELLOW"}, "red", "yellow"),
        ({"StylePassthrough": "ENABLED", "FontColor": "YELLOW", "ApplyFontColor": "ALL_TEXT"}, "yellow", "yellow"),
        ({}, None, "white"),
    ],
)
def test_burnt_captions_keep_their_own_place_and_colour_where_they_may(
    grey: Path, convert: Convert, text: Callable[[str], Path], own: Json, upper: str | None, lower: str
) -> None:
    settings = job(jobs.file(burnt(FontSize=20, OutlineSize=1, **own)), said=selector("TTML"))
    shown = frames(convert(grey, settings, text(PLACED)).path("f/film.mp4"))[5]
    above, below = (bright(shown, box) for box in ((0, 0, 320, 90), (0, 90, 320, 180)))
    if upper is None:
        assert drawn(shown.crop((0, 0, 320, 90))) is None or "white" not in above
    else:
        left, top, *_ = drawn(shown) or (0, 0, 0, 0)
        assert above[upper] > 10 and abs(left - 20) < 5 and abs(top - 10) < 12
    assert below[lower] > 10


def test_burnt_captions_keep_the_line_that_webvtt_gives_them(
    grey: Path, convert: Convert, text: Callable[[str], Path]
) -> None:
    content = "WEBVTT\n\n00:00.200 --> 00:02.000 line:10% align:left position:20%\nhigh\n"
    output = burnt(StylePassthrough="ENABLED", FontSize=16, OutlineSize=0)
    done = convert(grey, job(jobs.file(output), said=selector("WEBVTT")), text(content))
    left, top, _, bottom = drawn(frames(done.path("f/film.mp4"))[5]) or (0, 0, 0, 0)
    assert abs(left - 64) < 5 and 15 < top < 30 and bottom < 45


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({**burnt(), **captions("", "SRT")}, "SRT captions need an output of their own"),
        (burnt(FontColor="HEX"), "hexFontColor: is needed where fontColor is HEX"),
    ],
)
def test_captions_that_cannot_be_burnt_in_are_refused(output: Json, told: str) -> None:
    with pytest.raises(SettingRefused, match=told):
        request.read(job(jobs.file(output)))


@given(st.lists(st.binary(min_size=7, max_size=7), min_size=1, max_size=5))
def test_run_lengths_of_drawn_captions_are_whole(rows: list[bytes]) -> None:
    for row in rows:
        coded = pgs._coded(row * 30)
        assert coded.endswith(b"\x00\x00") and _decoded(coded) == row * 30


def _decoded(coded: bytes) -> bytes:
    made, at = b"", 0
    while coded[at : at + 2] != b"\x00\x00":
        if coded[at]:
            made, at = made + coded[at : at + 1], at + 1
            continue
        flags = coded[at + 1]
        length, at = (flags & 0x3F, at + 2) if not flags & 0x40 else ((flags & 0x3F) << 8 | coded[at + 2], at + 3)
        made += (coded[at : at + 1] if flags & 0x80 else b"\x00") * length
        at += 1 if flags & 0x80 else 0
    return made
