"""Timecodes count frames, and frames make timecodes, drop-frame too."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError
from penstock.formats import timecode

NTSC = Fraction(30000, 1001)


@given(
    st.integers(0, 24 * 3600 * 24 - 1),
    st.sampled_from([Fraction(24), Fraction(25), NTSC, Fraction(60000, 1001), Fraction(50)]),
    st.booleans(),
)
def test_every_frame_has_a_timecode_that_names_it(count: int, rate: Fraction, drop: bool) -> None:
    assert timecode.frames(timecode.text(count, rate, drop=drop), rate) == count


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "00:00:00;00"),
        (1799, "00:00:59;29"),
        (1800, "00:01:00;02"),
        (17_981, "00:09:59;29"),
        (17_982, "00:10:00;00"),
    ],
)
def test_drop_frame_leaves_out_two_numbers_a_minute_but_each_tenth(count: int, written: str) -> None:
    """SMPTE ST 12-1: nine of ten minutes begin with frame 2."""
    assert timecode.text(count, NTSC, drop=True) == written


@pytest.mark.parametrize(
    ("written", "shown_at", "count"),
    [
        ("00:00:01:00@25", "25", 25),
        ("00:00:01:00", "25", 25),
        ("00:00:01:12@24", "25", 38),
        ("00:01:00;02@29.97", "30000/1001", 1800),
        ("00:01:00;02@30000:1001", "30000/1001", 1800),
        ("01:00:00:00@23.976", "25", 90090),
    ],
)
def test_a_timecode_may_count_at_a_rate_of_its_own(written: str, shown_at: str, count: int) -> None:
    assert timecode.frames_shown(written, Fraction(shown_at)) == count


@pytest.mark.parametrize("written", ["00:00:01:00@0", "00:00:01:00@25:0", "00:00:01:00@", "00:00:01:26@25"])
def test_a_rate_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(FormatError):
        timecode.frames_shown(written, Fraction(25))


def test_a_day_has_twenty_four_hours() -> None:
    assert timecode.text(24 * 3600 * 25 + 1, Fraction(25)) == "00:00:00:01"
