"""Scores: what honest viewers do stays below the threshold, what a downloader does does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.anomaly import MOST_ADDRESSES, Observed, Window, assess
from penstock.settings import Settings

THRESHOLD = Settings.suspicious_score
HOME = ("192.0.2.0/24", "2001:db8::/48")


def watch(*windows: Window) -> Observed:
    observed, now_s = Observed(), 1.8e9
    for window in windows:
        now_s += window.window_s
        observed = observed.plus(window, now_s)
    return observed


def minutes(number: int, **different: object) -> list[Window]:
    """A player at its usual work, 4 s segments of video and audio."""
    usual = Window(60, 30, 30, 2, 60.0, 6, HOME[:1])
    return [replace(usual, **different)] * number  # type: ignore[arg-type] - fields by name


HONEST = {
    "linear": [Window(60, 45, 45, 2, 90.0, 6, HOME[:1]), *minutes(90)],
    "twice as fast": minutes(45, segments=60, unique_segments=60, media_s=120.0),
    "seeks through the film": [*minutes(5), Window(60, 80, 80, 3, 240.0, 6, HOME[:1], refused_pace=5), *minutes(20)],
    "adapts to a bad network": minutes(30, renditions=4, segments=50, unique_segments=45),
    "IPv4 and IPv6": minutes(30, addresses=HOME),
    "changes from home to phone": [*minutes(10), *minutes(1, addresses=(*HOME, "198.51.100.0/24")), *minutes(10)],
    "player of another, without beacons": minutes(90, beacons=0),
    "one scene again and again": minutes(60, unique_segments=5, media_s=10.0),
    "an extension hides the overlay once": minutes(30),
}
DOWNLOADS = {
    "everything at once, no player": [Window(60, 1800, 1800, 2, 3600.0, 0, HOME[:1])],
    "all renditions, by script": [Window(60, 900, 900, 7, 1200.0, 0, HOME[:1])],
    "held back by the edge, trying all the time": [Window(60, 30, 30, 2, 75.0, 0, HOME[:1], refused_pace=20)] * 5,
    "one link in a dozen places": [Window(60, 400, 30, 5, 60.0, 0, tuple(f"203.0.{n}.0/24" for n in range(12)))],
}


@pytest.mark.parametrize("how", HONEST)
def test_honest_viewers_are_not_suspicious(how: str) -> None:
    observed = watch(*HONEST[how]).tampered_with(how.startswith("an extension"))
    assert assess(observed).score < THRESHOLD, assess(observed)


@pytest.mark.parametrize("how", DOWNLOADS)
def test_downloads_are_suspicious(how: str) -> None:
    found = assess(watch(*DOWNLOADS[how]))
    assert found.score >= THRESHOLD, found
    assert found.score == min(100, sum(finding.points for finding in found.findings))


WORST = Observed(
    began_s=0.0,
    elapsed_s=1.0,
    segments=10**6,
    unique_segments=10**5,
    renditions_at_once=20,
    media_s=10**6,
    beacons=0,
    addresses_at_once=50,
    refused_pace=10**4,
    tampered=100,
)


def test_no_signal_alone_is_enough() -> None:
    worst = {finding.signal: finding.points for finding in assess(WORST).findings}
    assert set(worst) == {"pace", "refused", "silent", "renditions", "places", "repeats", "overlay"}
    assert max(worst.values()) < THRESHOLD
    assert assess(WORST).score == 100


@given(
    st.builds(
        Window,
        window_s=st.floats(0, 1e9),
        segments=st.integers(0, 10**9),
        unique_segments=st.integers(0, 10**9),
        renditions=st.integers(0, 10**9),
        media_s=st.floats(0, 1e9),
        beacons=st.integers(0, 10**9),
        addresses=st.lists(st.text(max_size=4), max_size=100).map(tuple),
        refused_pace=st.integers(0, 10**9),
    )
)
def test_any_window_has_a_score_and_survives_being_stored(window: Window) -> None:
    observed = Observed().plus(window, 1.8e9).plus(window, 1.8e9)
    assert 0 <= assess(observed).score <= 100
    assert Observed.of_json(observed.as_json()) == observed
    assert len(observed.addresses) <= MOST_ADDRESSES


def test_time_passes_between_windows_too() -> None:
    """A player with long segments is seen for a moment in every window."""
    observed = Observed()
    for number in range(180):
        observed = observed.plus(Window(1.0, 1, 1, 1, 10.0, 1), 1.8e9 + 10 * number)
    assert observed.elapsed_s == 1791
    assert assess(observed).score == 0


def test_what_a_later_version_stored_is_read() -> None:
    assert Observed.of_json({**Observed(segments=3).as_json(), "moons": 1}).segments == 3
    assert Observed.of_json(None) == Observed()
