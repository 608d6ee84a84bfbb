"""Percent of a conversion, from what ffmpeg says while it works."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.probe import probe
from localaws.mediaconvert import state_events
from localaws.mediaconvert.ffmpeg import encoding
from localaws.mediaconvert.planning import sources
from localaws.mediaconvert.progress import EncodeProgress, Progress
from probed_media import film


def heard(lines: list[str], first_rate: Fraction | None) -> list[float]:
    """The fractions of the transcoding phase that are told while ffmpeg says `lines` of a film of 10 s."""
    told: list[float] = []

    class Listener(Progress):
        def tell(self, phase: str, fraction: float) -> None:
            told.append(fraction)

    listener = Listener(lambda phase, percent: None, lambda *_: None, 60)
    encode = EncodeProgress(listener, 10, 1.0, first_rate)
    for line in lines:
        encode.line(line)
    return told


def test_frames_tell_it_while_an_output_that_captures_has_not_begun() -> None:
    lines = ["frame=60", "out_time_us=N/A", "progress=continue", "frame=120", "out_time_us=N/A"]
    assert heard(lines, Fraction(24)) == pytest.approx([0.25, 0.5])


def test_time_tells_it_where_frames_are_not_those_of_the_film() -> None:
    assert heard(["frame=1", "out_time_us=2500000", "frame=2", "out_time_us=N/A"], None) == pytest.approx([0.25])


def test_passes_before_the_last_one_are_told_as_well(tmp_path: Path) -> None:
    codec = jobs.h264(RateControlMode="VBR", Bitrate=200_000, QualityTuningLevel="MULTI_PASS_HQ")
    sound = {**jobs.aac(), "AudioNormalizationSettings": {"Algorithm": "ITU_BS_1770_2", "TargetLkfs": -23.0}}
    output = {**jobs.video("_v", container="MP4", codec=codec), "AudioDescriptions": [sound]}
    clip = film(tmp_path)
    of = sources.source_of(probe(clip, require_video=False))
    planned = jobs.planned(jobs.settings(jobs.file(output)), of)
    begun: list[tuple[float, float]] = []
    reports: list[int] = []

    def on_pass(start: float, end: float) -> None:
        begun.append((start, end))
        reports.append(0)

    def on_line(line: str) -> None:
        reports[-1] += line.startswith("out_time_us=")

    (tmp_path / "encoded").mkdir()
    encoding.run(
        planned,
        {clip: planned.files()[0]},
        tmp_path / "encoded",
        jail.Limits.for_encode(2),
        on_pass=on_pass,
        on_line=on_line,
    )
    assert begun == [(0, 0.05), (0.05, 0.35), (0.35, 1)] and min(reports) > 0


def test_a_pass_takes_its_part_of_the_percent() -> None:
    told: list[float] = []

    class Listener(Progress):
        def tell(self, phase: str, fraction: float) -> None:
            told.append(fraction)

    encode = EncodeProgress(Listener(lambda phase, percent: None, lambda *_: None, 60), 10, 1.0, Fraction(25))
    encode.begin(0.1, 0.5)
    for line in ("frame=125", "out_time_us=5000000", "out_time_us=20000000"):
        encode.line(line)
    encode.begin(0.5, 1)
    encode.line("frame=125")
    assert told == pytest.approx([0.3, 0.5, 0.75])


def test_percent_covers_the_job_and_updates_go_out_once_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    written: list[tuple[str, int]] = []
    announced: list[tuple[str, int, int, int]] = []
    progress = Progress(lambda *told: written.append(told), lambda *told: announced.append(told), 10)
    for phase, fraction in [("PROBING", 0), ("PROBING", 1), ("TRANSCODING", 0.5), ("UPLOADING", 0), ("UPLOADING", 1)]:
        now[0] += 4
        progress.tell(phase, fraction)
    assert written == [("PROBING", 0), ("PROBING", 5), ("TRANSCODING", 50), ("UPLOADING", 95), ("UPLOADING", 99)]
    # Over all phases: 12 s after the start, not at the end of each.
    assert announced == [("TRANSCODING", 50, 50, 0)]


def test_a_status_update_has_the_documented_fields() -> None:
    told = state_events.progress("TRANSCODING", 40, 41, frames=120, retries=1)
    assert told == {
        "framesDecoded": 120,
        "jobProgress": {
            "phaseProgress": {
                "PROBING": {"status": "COMPLETE", "percentComplete": 100},
                "TRANSCODING": {"status": "PROGRESSING", "percentComplete": 40},
                "UPLOADING": {"status": "PENDING", "percentComplete": 0},
            },
            "jobPercentComplete": 41,
            "currentPhase": "TRANSCODING",
            "retryCount": 1,
        },
    }
