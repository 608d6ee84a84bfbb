"""How much a playback session looks like a download: what was observed -> a score from 0 to 100. Pure.

A score is a reason to look, not a proof. No signal alone reaches the threshold of 60 that the settings begin with. What
each is worth at most, who causes it honestly, and what is done about them:

| signal | most | honest causes |
|---|---|---|
| pace: media fetched beyond twice the time passed and 180 s more | 40 | seeks; ten minutes of surplus are all |
| refused: requests that the edge refused for pace | 40 | a hurried viewer; three are free, thirty more are all |
| silent: 20 segments and more without any heartbeat or CMCD | 25 | players of others that send neither |
| renditions: five or more fetched in one window | 20 | adaptive players move between two or three, and audio |
| places: more than two networks in one window | 30 | a phone changes network, a home has IPv4 and IPv6: two are free |
| repeats: each segment fetched three times or more | 10 | a scene watched again and again |
| overlay: the viewer's name was removed or hidden | 50 | extensions that tidy pages: one report counts half |

Twice the time is the fastest playback that players offer; 180 s are what a player buffers and a seek or two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

MOST_ADDRESSES = 32
"""Of those ever seen so many are remembered."""
_FREE_PACE, _FREE_MEDIA_S, _SURPLUS_S = 2.0, 180.0, 600.0
_ENOUGH_SEGMENTS = 20


@dataclass(frozen=True)
class Window:
    """What the edge saw of a session during some seconds."""

    window_s: float
    segments: int = 0
    """Requests for segments; of them `unique_segments` were different."""
    unique_segments: int = 0
    renditions: int = 0
    """Different ones, in this window."""
    media_s: float = 0.0
    """Length of the unique segments; renditions of the same time count once."""
    beacons: int = 0
    """Heartbeats, and requests with CMCD (CTA-5004)."""
    addresses: tuple[str, ...] = ()
    """Prefixes of the networks that asked."""
    refused_pace: int = 0


@dataclass(frozen=True)
class Observed:
    """What is known of a session's use so far."""

    began_s: float | None = None
    """When the first window began, in seconds since the epoch: between windows there are gaps."""
    elapsed_s: float = 0.0
    segments: int = 0
    unique_segments: int = 0
    renditions_at_once: int = 0
    media_s: float = 0.0
    beacons: int = 0
    addresses_at_once: int = 0
    addresses: tuple[str, ...] = ()
    refused_pace: int = 0
    tampered: int = 0
    """How often the player found its overlay removed or hidden."""

    def plus(self, window: Window, now_s: float) -> Observed:
        """With one more window, which ends about now."""
        began_s = now_s - window.window_s if self.began_s is None else self.began_s
        return Observed(
            began_s=began_s,
            elapsed_s=max(self.elapsed_s, now_s - began_s),
            segments=self.segments + window.segments,
            unique_segments=self.unique_segments + window.unique_segments,
            renditions_at_once=max(self.renditions_at_once, window.renditions),
            media_s=self.media_s + window.media_s,
            beacons=self.beacons + window.beacons,
            addresses_at_once=max(self.addresses_at_once, len(set(window.addresses))),
            addresses=tuple(dict.fromkeys([*self.addresses, *window.addresses]))[:MOST_ADDRESSES],
            refused_pace=self.refused_pace + window.refused_pace,
            tampered=self.tampered,
        )

    def tampered_with(self, times: int) -> Observed:
        return replace(self, tampered=self.tampered + times)

    def heard_of(self) -> Observed:
        """The session's player has sent a heartbeat to the API itself."""
        return replace(self, beacons=max(self.beacons, 1))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any] | None) -> Observed:
        """What `as_json` gave; what a later version may have added to it is left out."""
        known = {name: value for name, value in (stored or {}).items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "addresses": tuple(known.get("addresses", ()))})


@dataclass(frozen=True)
class Finding:
    """One signal that adds to a score."""

    signal: str
    points: int
    sentence: str


@dataclass(frozen=True)
class Assessment:
    score: int
    findings: tuple[Finding, ...]


def assess(observed: Observed) -> Assessment:
    found = tuple(finding for finding in _findings(observed) if finding.points > 0)
    return Assessment(min(100, sum(finding.points for finding in found)), found)


def _findings(observed: Observed) -> Iterable[Finding]:
    surplus_s = observed.media_s - _FREE_PACE * observed.elapsed_s - _FREE_MEDIA_S
    fetched = f"{observed.media_s:.0f} s of media in {observed.elapsed_s:.0f} s"
    yield Finding("pace", _grow(surplus_s, _SURPLUS_S, 40), fetched)
    yield Finding("refused", _grow(observed.refused_pace - 3, 30, 40), f"{observed.refused_pace} refused for pace")
    silent = observed.segments >= _ENOUGH_SEGMENTS and not observed.beacons
    yield Finding("silent", 25 if silent else 0, f"{observed.segments} segments and no sign of a player")
    renditions = observed.renditions_at_once
    yield Finding("renditions", _grow(renditions - 4, 2, 20), f"{renditions} renditions at once")
    places = observed.addresses_at_once
    yield Finding("places", _grow(places - 2, 3, 30), f"used from {places} networks at once")
    times = observed.segments / observed.unique_segments if observed.unique_segments else 0
    again = observed.segments >= 3 * _ENOUGH_SEGMENTS and times >= 3
    yield Finding("repeats", 10 if again else 0, f"each segment fetched {times:.0f} times")
    yield Finding(
        "overlay", _grow(observed.tampered, 2, 50), f"the overlay was tampered with {observed.tampered} times"
    )


def _grow(amount: float, full: float, most: int) -> int:
    """Points that grow with an amount, from none at 0 to the most at `full`."""
    return round(most * min(max(amount / full, 0.0), 1.0))
