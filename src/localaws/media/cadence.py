"""Tells frame rate and regularity of a video track from its first time stamps and from what its container claims.

Never looks at a file. Containers round: Matroska to milliseconds; fragmented MP4 gives a wrong average for short clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import Final

STANDARD_RATES: Final = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "100", "120")
)
_REORDERED: Final = 16  # frames that may still come before the last ones of a sample cut in the middle


@dataclass(frozen=True)
class Cadence:
    """rate: frames/s; when `variable` the usual one, which is what stays smooth, not the average with its gaps."""

    rate: Fraction
    variable: bool


def cadence(
    ticks: Sequence[int], time_base: Fraction, *, average: Fraction | None, base: Fraction | None, complete: bool
) -> Cadence | None:
    """Judge a track's timing.

    ticks: presentation times of its first frames in any order, `time_base` s each; complete: there are no others.
    average, base: the container's average rate and ffmpeg's smallest common one, frames/s, None when not said.
    Returns None when nothing tells a rate.
    """
    times = sorted(set(ticks))
    if not complete and len(times) > 2 * _REORDERED:
        times = times[:-_REORDERED]
    steps = [after - before for before, after in pairwise(times)]
    if len(steps) < 2:
        claimed = average or base
        return Cadence(_tidy(claimed), variable=False) if claimed else None
    usual = median_low(steps)
    # A tick of rounding on each side is no irregularity; nor is a single gap, at the start or where a frame was lost.
    regular = [step for step in steps if abs(step - usual) <= max(2, usual // 10)]
    mean = 1 / (Fraction(sum(regular), len(regular)) * time_base)
    irregular = len(steps) - len(regular) > 1 + len(steps) // 50
    if irregular or (not complete and average and abs(average - mean) > mean / 20):
        return Cadence(_tidy(mean, tolerance=Fraction(2, 100)), variable=True)
    candidates = [rate for rate in (average, base) if rate and abs(rate - mean) <= mean / 200]
    return Cadence(_tidy(min(candidates, key=lambda rate: abs(rate - mean), default=mean)), variable=False)


def _tidy(rate: Fraction, tolerance: Fraction = Fraction(2, 1000)) -> Fraction:
    """Take the nearest standard rate within `tolerance`, else a rate that fits in a small fraction, at least 1."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(nearest - rate) <= rate * tolerance:
        return nearest
    if tolerance > Fraction(1, 100):  # variable: an odd average helps nobody
        return Fraction(max(1, round(rate)))
    return max(Fraction(1), rate.limit_denominator(1001))
