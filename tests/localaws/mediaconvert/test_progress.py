"""Percent of a conversion, from what ffmpeg says while it works."""

from __future__ import annotations

from fractions import Fraction

import pytest

from localaws.mediaconvert.progress import EncodeProgress, Progress


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
