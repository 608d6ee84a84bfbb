from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.media.cadence import STANDARD_RATES, Cadence, cadence

MILLISECOND = Fraction(1, 1000)


def judged(
    ticks: list[int], time_base: Fraction = MILLISECOND, average: str = "", base: str = "", complete: bool = True
) -> Cadence | None:
    claims = [Fraction(claim) if claim else None for claim in (average, base)]
    return cadence(ticks, time_base, average=claims[0], base=claims[1], complete=complete)


@pytest.mark.parametrize("rate", STANDARD_RATES)
@pytest.mark.parametrize("time_base", [MILLISECOND, Fraction(1, 12_800), Fraction(1, 90_000)])
def test_regular_frames_give_their_standard_rate_however_a_container_rounds(
    rate: Fraction, time_base: Fraction
) -> None:
    ticks = [round(number / rate / time_base) for number in range(200)]
    assert judged(ticks, time_base) == Cadence(rate, variable=False)


def test_order_and_repetition_of_time_stamps_do_not_matter() -> None:
    assert judged([120, 0, 40, 80, 40, 160]) == Cadence(Fraction(25), variable=False)


def test_wrong_average_of_a_short_fragmented_file_is_not_believed() -> None:
    ticks = [number * 512 for number in range(50)]
    found = judged(ticks, Fraction(1, 12_800), average="320000/12949", base="25")
    assert found == Cadence(Fraction(25), variable=False)


def test_single_gap_is_no_variable_rate() -> None:
    ticks = [0, *range(300, 4000, 40)]
    assert judged(ticks) == Cadence(Fraction(25), variable=False)


def test_frames_left_out_here_and_there_are_a_variable_rate() -> None:
    ticks = [number * 40 for number in range(200) if number % 7 not in (3, 4)]
    assert judged(ticks, average="18") == Cadence(Fraction(25), variable=True)


def test_start_that_differs_from_the_whole_is_a_variable_rate() -> None:
    ticks = [number * 40 for number in range(200)]
    assert judged(ticks, average="12", complete=False) == Cadence(Fraction(25), variable=True)


def test_frames_still_to_come_at_the_end_of_a_sample_are_no_gap() -> None:
    ticks = [number * 40 for number in range(100)] + [4080, 4160, 4320]
    assert judged(ticks, average="25", complete=False) == Cadence(Fraction(25), variable=False)


@pytest.mark.parametrize(
    ("average", "base", "expected"),
    [("25", "50", Cadence(Fraction(25), False)), ("", "50", Cadence(Fraction(50), False)), ("", "", None)],
)
def test_too_few_frames_leave_the_claims(average: str, base: str, expected: Cadence | None) -> None:
    assert judged([0], average=average, base=base) == expected


@given(st.lists(st.integers(-(10**12), 10**12), max_size=50), st.booleans())
def test_any_time_stamps_give_a_positive_rate_or_none(ticks: list[int], complete: bool) -> None:
    found = judged(ticks, complete=complete)
    assert found is None or found.rate > 0
