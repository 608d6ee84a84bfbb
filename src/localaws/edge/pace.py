"""Pace: how much media time a viewer gets of an asset by now. The rule, and what is remembered for it.

Allowed is 1.25 times the clock, and 90 s to begin with; each of the first four seeks adds 30 s. Media time is charged
once, whichever rendition or track it comes from, and may be fetched three times more. What exceeds the allowance by no
more than a short delay is let through after it; the rest is refused. Never knows sessions: a viewer who opens ten of
them for an asset has one allowance. Where the numbers come from: docs/decisions/0010.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

KEY_BYTES = 8
STATES = 200_000
"""Most (viewer, asset) pairs remembered: about 90 MB. The one that was idle longest makes room, and begins anew."""
IDLE_S = 6 * 3600
"""After so long without a request a viewer begins anew: with the 90 s of the beginning, without what was saved up."""

# started (s since the epoch), last seen (s after it), charged and repeated media time (s), slots had, last slot, seeks
_HEAD = struct.Struct("<dIffHhB")
_NOWHERE = -1


@dataclass(frozen=True)
class Rule:
    """rate: media seconds per second, at normal speed. free_repeats: of all media time had so far."""

    rate: float = 1.25
    burst_s: float = 90.0
    seek_s: float = 30.0
    seeks: int = 4
    free_repeats: int = 3
    delay_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Wish:
    """Media time that one request is for: slots `first` to `last` of `slot_s` each, `length_s` of them in fact.

    main: pictures, where the asset has any; only they tell seeks and repeats.
    """

    first: int
    last: int
    slot_s: float
    length_s: float
    main: bool


def begun(now: float) -> bytearray:
    """What is remembered of a viewer who begins at `now` (seconds since the epoch)."""
    return bytearray(_HEAD.pack(now, 0, 0.0, 0.0, 0, _NOWHERE, 0))


def ask(state: bytearray, rule: Rule, wish: Wish, now: float, speed: float = 1.0) -> float:
    """Seconds until the wish may be met, 0 for at once; charged to `state` where that is no more than `rule.delay_s`.

    speed: multiplies the rate, for viewers who may play faster or watch several streams.
    """
    started, _, charged_s, repeated_s, had, last_slot, seeks = _HEAD.unpack_from(state)
    new = [slot for slot in range(wish.first, wish.last + 1) if not _has(state, slot)]
    charge_s = len(new) * wish.slot_s
    free = not new and (not wish.main or repeated_s + wish.length_s <= rule.free_repeats * had * wish.slot_s)
    if free and wish.main:
        repeated_s += wish.length_s
    elif not free and not new:
        charge_s = wish.length_s
    if wish.main:
        jumped = last_slot != _NOWHERE and not last_slot <= wish.first <= last_slot + 1
        seeks = min(rule.seeks, seeks + jumped)
        last_slot = wish.last
    rate, elapsed_s = rule.rate * speed, max(0.0, now - started)
    over_s = charged_s + charge_s - (rate * elapsed_s + rule.burst_s + rule.seek_s * seeks)
    wait_s = 0.0 if free else max(0.0, over_s / rate)
    if wait_s <= rule.delay_s:
        for slot in new:
            _mark(state, slot)
        seen_s = min(int(elapsed_s), 0xFFFFFFFF)
        _HEAD.pack_into(state, 0, started, seen_s, charged_s + charge_s, repeated_s, had + len(new), last_slot, seeks)
    return wait_s


class Paces:
    """States by pacing key, least recently used out first."""

    def __init__(self, rule: Rule, *, most: int = STATES) -> None:
        self.rule = rule
        self._most = most
        self._states: OrderedDict[bytes, bytearray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def ask(self, key: bytes, wish: Wish, now: float, speed: float = 1.0) -> float:
        """As `ask`, for the viewer and asset that `key` stands for."""
        state = self._states.get(key)
        if state is None or now - _seen(state) > IDLE_S:
            if len(self._states) >= self._most:
                self._states.popitem(last=False)
            state = self._states[key] = begun(now)
        self._states.move_to_end(key)
        return ask(state, self.rule, wish, now, speed)

    def dump(self) -> Iterator[bytes]:
        """All states, oldest use first, for `load`."""
        for key, state in self._states.items():
            yield key + len(state).to_bytes(2, "little") + bytes(state)

    def load(self, stored: bytes) -> None:
        """Take up what `dump` wrote; ValueError for anything else, which changes nothing."""
        states: OrderedDict[bytes, bytearray] = OrderedDict()
        at = 0
        while at < len(stored):
            length = int.from_bytes(stored[at + KEY_BYTES : at + KEY_BYTES + 2], "little")
            end = at + KEY_BYTES + 2 + length
            if length < _HEAD.size or end > len(stored):
                raise ValueError("cut off, or not states of pace")
            states[stored[at : at + KEY_BYTES]] = bytearray(stored[end - length : end])
            at = end
        self._states = states


def _has(state: bytearray, slot: int) -> bool:
    at = _HEAD.size + (slot >> 3)
    return at < len(state) and bool(state[at] >> (slot & 7) & 1)


def _mark(state: bytearray, slot: int) -> None:
    at = _HEAD.size + (slot >> 3)
    if at >= len(state):
        state.extend(bytes(at + 1 - len(state)))
    state[at] |= 1 << (slot & 7)


def _seen(state: bytearray) -> float:
    started, seen_s, *_ = _HEAD.unpack_from(state)
    return float(started + seen_s)
