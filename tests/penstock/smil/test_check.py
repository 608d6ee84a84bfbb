"""penstock smil --check: each reason to refuse, with a real file that has it."""

import shutil
from pathlib import Path

import pytest

from ladder_media import GOP, SRT, by_packager, ffmpeg
from penstock import smil
from penstock.errors import NotFound


@pytest.fixture(scope="module")
def oddities(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that MediaPackage refuses, each for one reason, beside good ones."""
    folder = tmp_path_factory.mktemp("oddities")
    shutil.copy(films / "hi.mp4", folder / "good.mp4")
    ffmpeg("-i", films / "hi.mp4", "-map", "0", "-c:v", "libx264", "-preset", "ultrafast", *GOP, "-s", "160x90", "-c:a",
           "copy", folder / "low.mp4")  # fmt: skip
    encode = (
        "-i",
        films / "hi.mp4",
        "-map",
        "0",
        "-c:a",
        "copy",
        "-s",
        "64x36",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    )
    ffmpeg(
        "-i", films / "hi.mp4", "-map", "0", "-c", "copy", "-movflags", "frag_keyframe+empty_moov", folder / "frag.mp4"
    )
    ffmpeg(*encode, "-g", "25", "-keyint_min", "25", "-sc_threshold", "0", folder / "gop.mp4")
    ffmpeg(*encode, "-r", "30", "-g", "60", folder / "rate.mp4")
    ffmpeg("-i", films / "hi.mp4", "-map", "0:v", "-map", "0:a:0", "-c:v", "copy", "-ac", "1", folder / "mono.mp4")
    ffmpeg("-i", films / "hi.mp4", "-map", "0:v", "-c:v", "mpeg4", folder / "mpeg4.mp4")
    ffmpeg("-i", films / "hi.mp4", "-map", "0:v", "-map", "0:a:0", "-c:v", "copy", "-c:a", "mp3", folder / "mp3.mp4")
    ffmpeg("-i", films / "hi.mp4", "-map", "0:a", "-c", "copy", folder / "sound.mp4")
    many = [part for _ in range(11) for part in ("-map", "0:a:0")]
    ffmpeg("-i", films / "hi.mp4", "-map", "0:v", *many, "-c", "copy", folder / "many.mp4")
    keys = ("--enable_raw_key_encryption", "--keys", f"label=:key_id={'1' * 32}:key={'2' * 32}", "--clear_lead", "0")
    shutil.move(by_packager(films, folder / "enc", segments=False, more=keys).with_name("hi.mp4"), folder / "enc.mp4")
    (folder / "cut.mp4").write_bytes((folder / "good.mp4").read_bytes()[:-1000])
    (folder / "text.mp4").write_text("#EXTM3U\n# no film")
    (folder / "good.srt").write_text(SRT)
    (folder / "vtt.srt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nx\n")
    return folder


def findings(oddities, inside):
    path = oddities / "film.smil"
    path.write_text(f"<smil><body><switch>{inside}</switch></body></smil>")
    return [(finding.file, finding.found, finding.needed) for finding in smil.check(str(path))]


GOOD = '<video name="good.mp4" systemLanguage="eng,fra"/>'


def test_a_good_ladder_has_no_findings(oddities):
    text = '<textstream src="good.srt" systemLanguage="eng"/>'
    assert findings(oddities, f'{GOOD}<video src="low.mp4" language="eng,fra" includeAudio="false,false"/>{text}') == []


def test_sound_that_is_left_out_may_have_another_layout(oddities):
    assert findings(oddities, GOOD + '<video name="mono.mp4" systemLanguage="eng" includeAudio="false"/>') == []


@pytest.mark.parametrize(
    ("inside", "file", "found", "needed"),
    [
        ('<video name="frag.mp4"/>', "frag.mp4", "fragmented", "progressive"),
        ('<video name="enc.mp4"/>', "enc.mp4", "encrypted", "clear"),
        ('<video name="none.mp4"/>', "none.mp4", "missing", "every file"),
        ('<video name="gop.mp4" systemLanguage="eng,fra"/>', "gop.mp4", "first at 1.000 s", "GOPs"),
        (
            '<video name="rate.mp4" systemLanguage="eng,fra"/>',
            "rate.mp4",
            "30.000 frames/s, where good.mp4 has 25",
            "same",
        ),
        ('<video name="mono.mp4" systemLanguage="eng"/>', "mono.mp4", "AAC 1 ch", "same audio layout"),
        ('<video name="mpeg4.mp4"/>', "mpeg4.mp4", "video codec mp4v", "H.264"),
        ('<video name="mp3.mp4" systemLanguage="eng"/>', "mp3.mp4", "object type 0x6b", "AAC"),
        ('<video name="sound.mp4"/>', "sound.mp4", "0 video tracks", "exactly one"),
        ('<video name="many.mp4"/>', "many.mp4", "12 tracks", "at most 10"),
        ('<video name="cut.mp4"/>', "cut.mp4", "", "whole"),
        ('<video name="text.mp4"/>', "text.mp4", "no MP4 file", "readable MP4"),
        ('<video name="low.mp4" systemLanguage="eng"/>', "low.mp4", "1 languages for 2 audio tracks", "one language"),
        (
            '<video name="low.mp4" systemLanguage="a,b,c" audioName="A,B"/>',
            "low.mp4",
            "3 languages, 2 audioName",
            "adds up",
        ),
        (
            '<video name="low.mp4" systemLanguage="eng,fra" includeAudio="true"/>',
            "low.mp4",
            "1 includeAudio",
            "adds up",
        ),
        (
            '<video name="low.mp4" systemLanguage="eng,fra" includeAudio="yes,no"/>',
            "low.mp4",
            "true and false",
            "adds up",
        ),
        ('<video name="../good.mp4"/>', "../good.mp4", "not the path", "adds up"),
        ("<video/>", "", "not the path", "adds up"),
        (GOOD, "good.mp4", "named 2 times", "once"),
        ('<textstream src="vtt.srt" systemLanguage="eng"/>', "vtt.srt", "WebVTT", "SRT"),
        ('<textstream src="none.srt" systemLanguage="eng"/>', "none.srt", "missing", "every file"),
        ('<textstream src="good.srt"/>', "good.srt", "language code", "adds up"),
    ],
)
def test_each_reason_names_file_what_was_found_and_what_is_needed(inside, file, found, needed, oddities):
    listed = findings(oddities, GOOD + inside)
    assert [entry for entry in listed if entry[0] == file and found in entry[1] and needed in entry[2]], listed
    assert {entry[0] for entry in listed} == {file}


def test_everything_is_listed_at_once(oddities):
    listed = findings(oddities, GOOD + '<video name="frag.mp4"/><video name="none.mp4"/><video name="mono.mp4"/>')
    assert [entry[0] for entry in listed] == ["frag.mp4", "none.mp4", "mono.mp4"]


def test_too_many_streams(oddities):
    text = "".join(f'<textstream src="{n}.srt" systemLanguage="eng"/>' for n in range(20))
    assert ("", "21 files", "at most 20 streams in one asset") in findings(oddities, GOOD + text)


@pytest.mark.parametrize("document", ["", "<MPD/>", "<!DOCTYPE smil><smil/>", "<smil><body/></smil>"])
def test_what_is_no_smil_is_one_finding(document, oddities):
    path = oddities / "bad.smil"
    path.write_text(document)
    assert [finding.file for finding in smil.check(str(path))] == [""]


def test_a_link_out_of_the_folder_is_not_followed(oddities):
    (oddities / "link.mp4").unlink(missing_ok=True)
    (oddities / "link.mp4").symlink_to("/etc/hostname")
    [finding] = findings(oddities, '<video name="link.mp4"/>')
    assert "leads out of" in finding[1]


def test_a_missing_smil_is_an_error(tmp_path):
    with pytest.raises(NotFound, match=r"none\.smil is missing"):
        smil.check(str(tmp_path / "none.smil"))
