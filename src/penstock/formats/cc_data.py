"""Captions within pictures: EIA-608 pairs and 708 packets shared out among frames, as the user data of each.

Reads and writes triplets and never looks into a caption. Source: ATSC A/53 part 4, 6.2.3 (user data, cc_data); CTA-708
(600 triplets a second, of which EIA-608 has thirty pairs in each field); ITU-T T.35 (the country and provider before).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from penstock.formats.timecode import nominal

FIELD_1, FIELD_2, PACKET_DATA, PACKET_START = range(4)
"""cc_type: a pair of EIA-608 in field 1 or 2, two bytes of a 708 packet, the two that begin one."""

_PAIRS_PER_S, _TRIPLETS_PER_S, _MOST_TRIPLETS = 30, 600, 31
_MARKER, _VALID = 0xF8, 0x04
_T35 = b"\xb5\x00\x31" + b"GA94" + b"\x03"
# The same frame for times that were rounded on their way.
_HAIR = Fraction(1, 50)


@dataclass(frozen=True)
class Triplet:
    """Two bytes of captions and what they are, with the time of their frame."""

    time_s: Fraction
    kind: int
    first: int
    second: int


def pairs_per_s(frame_rate: Fraction) -> Fraction:
    """How many EIA-608 pairs a field carries: thirty in a nominal second, as far as the frames have room for them."""
    return frame_rate * _nominal_pairs(frame_rate) / nominal(frame_rate)


def _nominal_pairs(frame_rate: Fraction) -> int:
    """Both fields share what a frame can hold at most."""
    return min(_PAIRS_PER_S, _MOST_TRIPLETS // 2 * nominal(frame_rate))


def read(cc_data: bytes, time_s: Fraction) -> list[Triplet]:
    """Read the triplets of one frame that are valid and not empty."""
    found = []
    for at in range(0, len(cc_data) - 2, 3):
        kind, first, second = cc_data[at] & 0x03, cc_data[at + 1], cc_data[at + 2]
        empty = kind in (FIELD_1, FIELD_2) and not (first | second) & 0x7F
        if cc_data[at] & _VALID and not empty:
            found.append(Triplet(time_s, kind, first, second))
    return found


def share_out(triplets: Iterable[Triplet], frame_rate: Fraction) -> dict[int, list[Triplet]]:
    """Give each triplet the first frame from its time on that has room for it, in their order.

    Returns the triplets of each frame, by its number, EIA-608 first; frames without any are left out.
    """
    frames: dict[int, list[Triplet]] = defaultdict(list)
    fields = _Slots(pairs_per_s(frame_rate)), _Slots(pairs_per_s(frame_rate))
    packets = _Slots(frame_rate * _packets(frame_rate))
    for one in sorted(triplets, key=lambda triplet: triplet.time_s):
        if one.kind in (FIELD_1, FIELD_2):
            slot = fields[one.kind].take(one.time_s)
            frame = slot * nominal(frame_rate) // _nominal_pairs(frame_rate)
        else:
            frame = packets.take(one.time_s) // _packets(frame_rate)
        frames[frame].append(one)
    return {frame: sorted(found, key=lambda one: min(one.kind, PACKET_DATA)) for frame, found in frames.items()}


class _Slots:
    """Places for triplets at a constant rate, each taken once."""

    def __init__(self, per_s: Fraction) -> None:
        self._per_s = per_s
        self._free = 0

    def take(self, time_s: Fraction) -> int:
        slot = max(self._free, math.ceil(time_s * self._per_s - _HAIR))
        self._free = slot + 1
        return slot


def _pairs(frame: int, frame_rate: Fraction) -> int:
    """How many pairs of each field a frame carries: more than one below 30 frames a second, none in some above."""
    rate, pairs = nominal(frame_rate), _nominal_pairs(frame_rate)
    return -(-(frame + 1) * pairs // rate) + (-frame * pairs // rate)


def _count(frame_rate: Fraction) -> int:
    return min(_MOST_TRIPLETS, _TRIPLETS_PER_S // nominal(frame_rate))


def _packets(frame_rate: Fraction) -> int:
    """How many triplets of 708 packets every frame has room for."""
    return _count(frame_rate) - 2 * math.ceil(Fraction(_nominal_pairs(frame_rate), nominal(frame_rate)))


def user_data(frame: int, triplets: Sequence[Triplet], frame_rate: Fraction) -> bytes:
    """The ITU-T T.35 user data of a frame; room that no triplet takes is filled with padding."""
    parts = []
    for field in (FIELD_1, FIELD_2):
        pairs = [(one.first, one.second) for one in triplets if one.kind == field]
        pairs += [(0x80, 0x80)] * (_pairs(frame, frame_rate) - len(pairs))
        parts += [bytes((_MARKER | _VALID | field, *pair)) for pair in pairs]
    for one in triplets:
        if one.kind in (PACKET_DATA, PACKET_START):
            parts.append(bytes((_MARKER | _VALID | one.kind, one.first, one.second)))
    parts += [bytes((_MARKER | PACKET_DATA, 0, 0))] * (_count(frame_rate) - len(parts))
    return _T35 + bytes((0xC0 | len(parts), 0xFF)) + b"".join(parts) + b"\xff"
