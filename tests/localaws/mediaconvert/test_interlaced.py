"""Interlaced outputs: which field comes first is told, and fields hold the moments that they are to hold."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert.settings import request
from mediaconvert_jobs import planned, source
from probed_media import ENCODE, PICTURE, ffprobe, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
WIDTH, HEIGHT = 160, 96


def coded(modifier: str, container: str, codec: str, member: str, **members: Any) -> dict[str, Any]:
    return jobs.video(modifier, container=container, codec={"Codec": codec, member: members})


def h264(modifier: str, **members: Any) -> dict[str, Any]:
    sharp = {"QvbrSettings": {"QvbrQualityLevel": 10}, "MaxBitrate": 4_000_000}
    return jobs.video(modifier, container="MP4", codec=jobs.h264(**sharp, **members))


def made(convert: Convert, clip: Path, *outputs: dict[str, Any]) -> list[Path]:
    done = convert(clip, jobs.settings(jobs.file(*outputs)))
    return [done.encoded / output.work_file for output in done.plan.outputs()]


def moving(folder: Path, rate: int, *filters: str) -> Path:
    """A white bar that moves by four pixels each fiftieth of a second."""
    bar = (
        f"color=black:size={WIDTH}x{HEIGHT}:rate={rate}:duration=0.8,geq=lum=if(lt(mod(X-T*200\\,160)\\,40)\\,235\\,16)"
    )
    graph = ",".join([bar, *filters])
    return ffmpeg(folder / f"moving{rate}{len(filters)}.mp4", *PICTURE, graph, *ENCODE, "-crf", "5",
                  *(("-flags", "+ildct+ilme") if filters else ()))  # fmt: skip


def combing(path: Path) -> float:
    """How far apart the two fields of a frame are: the mean difference of a line and its neighbour."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf", "select=eq(n\\,8),format=gray"]
    raw = subprocess.run(
        [*command, "-frames:v", "1", "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=60
    ).stdout
    rows = [raw[start : start + WIDTH] for start in range(0, WIDTH * HEIGHT, WIDTH)]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return sum(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)) / (WIDTH * HEIGHT / 2)


def fields(path: Path) -> set[tuple[int, int]]:
    """Whether frames are interlaced, and whether their top field comes first."""
    frames = ffprobe(path, "-show_entries", "frame=interlaced_frame,top_field_first")["frames"]
    return {(frame["interlaced_frame"], frame["top_field_first"]) for frame in frames}


def test_every_codec_tells_which_field_comes_first(tmp_path: Path, convert: Convert) -> None:
    files = made(
        convert, moving(tmp_path, 25), h264("_a", InterlaceMode="TOP_FIELD"), h264("_b", InterlaceMode="BOTTOM_FIELD"),
        coded("_c", "MXF", "MPEG2", "Mpeg2Settings", Bitrate=3_000_000, InterlaceMode="TOP_FIELD",
              CodecProfile="PROFILE_422"),
        coded("_d", "M2TS", "MPEG2", "Mpeg2Settings", Bitrate=2_000_000, InterlaceMode="FOLLOW_BOTTOM_FIELD"),
        coded("_e", "MOV", "PRORES", "ProresSettings", InterlaceMode="TOP_FIELD"),
        h264("_f"),
    )  # fmt: skip
    assert [fields(path) for path in files] == [{(1, 1)}, {(1, 0)}, {(1, 1)}, {(1, 0)}, {(1, 1)}, {(0, 0)}]
    assert [stream(path)["r_frame_rate"] for path in files] == ["25/1"] * 6
    assert [stream(path)["field_order"] for path in files[:2]] == ["tt", "bb"]
    # Both fields of a frame are of one frame of the source.
    assert max(combing(path) for path in files) < 6


def test_fields_keep_their_own_moments(tmp_path: Path, convert: Convert) -> None:
    interlaced = moving(tmp_path, 50, "interlace=scan=bff:lowpass=off")
    followed, progressive = made(convert, interlaced, h264("_a", InterlaceMode="FOLLOW_TOP_FIELD"), h264("_b"))
    assert fields(followed) == {(1, 0)} and combing(followed) > 8 and stream(followed)["r_frame_rate"] == "25/1"
    assert fields(progressive) == {(0, 0)} and combing(progressive) < 6


def test_twice_as_many_frames_become_fields_or_every_other_is_left_out(tmp_path: Path, convert: Convert) -> None:
    rate = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 25, "FramerateDenominator": 1}
    asked = {**rate, "InterlaceMode": "TOP_FIELD"}
    basic, optimized, between = made(
        convert, moving(tmp_path, 50), h264("_a", **asked),
        h264("_b", **asked, ScanTypeConversionMode="INTERLACED_OPTIMIZE"),
        h264("_c", **asked | {"FramerateNumerator": 30}, FramerateConversionAlgorithm="INTERPOLATE"),
    )  # fmt: skip
    assert stream(between)["r_frame_rate"] == "30/1" and abs(int(stream(between)["nb_frames"]) - 24) <= 2
    assert fields(basic) == fields(optimized) == {(1, 1)}
    assert combing(basic) < 6 and combing(optimized) > 8


def test_film_is_telecined(tmp_path: Path, convert: Convert) -> None:
    film = ffmpeg(tmp_path / "film.mp4", *PICTURE, "testsrc2=size=160x96:rate=24000/1001:duration=0.8", *ENCODE)
    rate = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 30000, "FramerateDenominator": 1001}
    asked = {**rate, "InterlaceMode": "TOP_FIELD", "Telecine": "HARD"}
    (path,) = made(convert, film, h264("_a", **asked))
    assert stream(path)["r_frame_rate"] == "30000/1001" and fields(path) == {(1, 1)}
    assert abs(int(stream(path)["nb_frames"]) - 24) <= 1
    with pytest.raises(JobError, match=r"makes 29\.97 frames a second of 23\.976"):
        planned(jobs.settings(jobs.file(h264("_a", **asked))), source(rate=Fraction(25)))


def test_what_cannot_be_interlaced_is_refused() -> None:
    for members in ({"InterlaceMode": "TOP_FIELD", "CodecProfile": "BASELINE"}, {"Telecine": "HARD"}):
        with pytest.raises(SettingRefused, match=r"interlaceMode: the baseline|telecine: HARD needs"):
            request.read(jobs.settings(jobs.file(h264("_a", **members))))
    with pytest.raises(JobError, match="a height of whole fours, not 90"):
        odd = jobs.video("_a", container="MP4", Height=90, codec=jobs.h264(InterlaceMode="TOP_FIELD"))
        planned(jobs.settings(jobs.file(odd)))
    fuller = coded("_a", "MOV", "PRORES", "ProresSettings", InterlaceMode="TOP_FIELD")
    planned(jobs.settings(jobs.file({**fuller, "VideoDescription": {**fuller["VideoDescription"], "Height": 486}})))
