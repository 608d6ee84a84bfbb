"""What COMPLETE events say of black: found in the film whatever its outputs are, and put where pictures are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.mediaconvert import state_events
from localaws.mediaconvert.planning.film import Opening, Scene
from probed_media import ENCODE, PICTURE, stream
from sample_media import ffmpeg

DEEP = {
    "Codec": "H_265",
    "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 400_000, "CodecProfile": "MAIN10_MAIN"},
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of black, two of a test picture, one of black, one more picture, four of black."""
    black, picture = "color=black:size=160x90", "testsrc2=size=160x90"
    parts = [(black, 3), (picture, 2), (black, 1), (picture, 1), (black, 4)]
    chains = [f"{source}:rate=25:duration={length_s}[p{number}]" for number, (source, length_s) in enumerate(parts)]
    graph = ";".join([*chains, "[p0][p1][p2][p3][p4]concat=n=5"])
    return ffmpeg(tmp_path_factory.mktemp("film") / "film.mp4", *PICTURE, graph, *ENCODE)


@pytest.mark.parametrize("codec", [jobs.h264(), DEEP], ids=["8 bits", "10 bits"])
def test_black_is_found_where_it_lasts_and_pictures_stay_as_they_are(
    convert: Callable[..., Any], film: Path, codec: dict[str, Any]
) -> None:
    done = convert(film, jobs.settings(jobs.file(jobs.video("_a", container="MP4", codec=codec, Height=90))))
    assert done.black == [pytest.approx((0, 3), abs=0.05), pytest.approx((7, 11), abs=0.1)]
    assert stream(done.encoded / "g0o0.mp4")["pix_fmt"] == ("yuv420p10le" if codec is DEEP else "yuv420p")
    assert not list(done.encoded.glob("black-*"))


def test_sound_alone_is_not_black(convert: Callable[..., Any], film: Path, tmp_path: Path) -> None:
    tone = ffmpeg(tmp_path / "tone.wav", *PICTURE, "sine=duration=1")
    assert convert(tone, jobs.settings(jobs.file(jobs.audio("_a", container="MP4")))).black == []


def test_events_count_in_seconds_and_whole_ones_have_no_point() -> None:
    told = state_events.film_details(jobs.planned(jobs.settings(jobs.file(jobs.video("_a", container="MP4")))),
                                     [(0.0, 3.0), (7.0, 10.96)])  # fmt: skip
    assert told == {
        "paddingInserted": 0,
        "blackVideoDetected": 6.96,
        "blackSegments": [{"start": 0, "end": 3}, {"start": 7, "end": 10.96}],
    }


@pytest.mark.parametrize(
    ("start_s", "length_s", "padding_s"),
    [
        (0, 10, 5),  # one second before pictures that last five, and four after them
        (2, 3, 0),
        (0, 3, 1),
        (7, 3, 3),
    ],
)
def test_padding_is_what_lies_before_and_after_the_pictures(start_s: int, length_s: int, padding_s: int) -> None:
    plan = jobs.planned(jobs.settings(jobs.file(jobs.video("_a", container="MP4"))))
    found = replace(plan.source, video=replace(plan.source.video, late_s=1.0, duration_s=5.0))
    scene = Scene(0, Fraction(length_s), Fraction(start_s), 0, pad_black=True)
    assert replace(plan, openings=(Opening("source", found),), scenes=(scene,)).padding_s == padding_s
    plain = replace(scene, pad_black=False)
    assert replace(plan, openings=(Opening("source", found),), scenes=(plain,)).padding_s == 0
