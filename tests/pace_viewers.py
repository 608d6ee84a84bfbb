"""Players and rippers as far as pace sees them: who asks for which segment when, on a clock that costs nothing.

The same ones go against the rule alone and over a running edge. Segments are 4 s of a film of ten minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

SEGMENT_S = 4
FILM_S = 600
COUNT = FILM_S // SEGMENT_S
TICK_S = 0.25

Ask = Callable[[float, str, int], float]
"""(moment, track, index) -> seconds until the segment comes, 0 for at once, more than DELAY_S for a refusal."""
DELAY_S = 3.0


@dataclass
class Outcome:
    refused: int = 0
    stalled_s: float = 0.0
    asked: int = 0


@dataclass
class Habits:
    """What a viewer does beside watching. Rates are per minute."""

    seeks: float = 0.0
    scrubs: tuple[float, ...] = ()
    """Moments at which the slider is drawn somewhere else."""
    switches: float = 0.0
    """Changes of rendition that throw the buffer away."""
    speed: float = 1.0
    buffer_s: float = 30.0
    begins_s: float = 0.0
    """Where in the film."""
    watches_s: float = 300.0
    seed: int = 0
    ways: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.ways = random.Random(self.seed)


def watch(ask: Ask, habits: Habits, starts: float = 0.0) -> Outcome:
    """Play with a buffer ahead, pictures and sound; a refused segment is asked for again after a second."""
    outcome, ways = Outcome(), habits.ways
    now, position, played_s = starts, habits.begins_s, 0.0
    had: set[tuple[str, int]] = set()
    busy_until, grace_until, rendition = now, now + 2.0, 0
    scrubs = list(habits.scrubs)
    while played_s < habits.watches_s and position < FILM_S - TICK_S:
        now += TICK_S
        scrubbed = bool(scrubs) and now - starts >= scrubs[0]
        if scrubbed:
            scrubs.pop(0)
        if scrubbed or ways.random() < habits.seeks * TICK_S / 60:
            position, grace_until = ways.uniform(0, FILM_S - 40), now + 2.0
            had.clear()
        here = int(position) // SEGMENT_S
        if ways.random() < habits.switches * TICK_S / 60:
            rendition = 1 - rendition
            had = {(track, index) for track, index in had if index <= here + 1}
        if now >= busy_until and (wanted := _wanted(position, habits.buffer_s, had)):
            kind, index = wanted
            wait_s = ask(now, f"v{rendition}" if kind == "v" else "a", index)
            outcome.asked += 1
            if wait_s > DELAY_S:
                outcome.refused += 1
                busy_until = now + 1.0
            else:
                had.add(wanted)
                busy_until = now + wait_s + 0.25
        if {("v", here), ("a", here)} <= had:
            position += TICK_S * habits.speed
            played_s += TICK_S * habits.speed
        elif now > grace_until:
            outcome.stalled_s += TICK_S
    return outcome


def _wanted(position: float, buffer_s: float, had: set[tuple[str, int]]) -> tuple[str, int] | None:
    last = min(COUNT - 1, int(position + buffer_s) // SEGMENT_S)
    for index in range(int(position) // SEGMENT_S, last + 1):
        for kind in ("v", "a"):
            if (kind, index) not in had:
                return kind, index
    return None


def rip(ask: Ask, order: Iterable[tuple[str, int]], at_once: int = 1) -> float:
    """Seconds until all segments are there, for a tool that asks as fast as it can with `at_once` sessions."""
    now, left = 0.0, list(order)
    left.reverse()
    while left:
        for _ in range(min(at_once, len(left))):
            wait_s = ask(now, *left[-1])
            if wait_s > DELAY_S:
                now += 0.25
                break
            left.pop()
            now += wait_s
        else:
            now += 0.15
    return now
