"""The segment index of fragmented MP4 (`sidx`): how long and how large the stretches of a file are that follow it.

Source: ISO/IEC 14496-12, 8.16.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from penstock.errors import BoxError
from penstock.formats.progressive import full_box

REFERENCE_BYTES = 12
_LARGEST = 0x7FFFFFFF


@dataclass(frozen=True)
class Reference:
    """One stretch. `duration` in ticks of the index; `access` as the 32 bits on stream access points stand in it."""

    size_bytes: int
    duration: int
    access: int


@dataclass(frozen=True)
class SegmentIndex:
    """`first_offset` counts from the end of the index; times in ticks of `timescale`."""

    version: int
    reference_id: int
    timescale: int
    earliest: int
    first_offset: int
    references: tuple[Reference, ...]

    def build(self) -> bytes:
        """The whole box."""
        times = struct.pack(">QQ" if self.version else ">II", self.earliest, self.first_offset)
        head = struct.pack(">II", self.reference_id, self.timescale) + times + struct.pack(">HH", 0, self.count)
        body = b"".join(struct.pack(">III", one.size_bytes, one.duration, one.access) for one in self.references)
        return full_box("sidx", self.version, 0, head, body)

    @property
    def count(self) -> int:
        return len(self.references)

    def joined(self) -> SegmentIndex:
        """The index with its last two stretches as one. Raises BoxError where there are no two."""
        if self.count < 2:
            raise BoxError(f"an index of two stretches at least expected, got {self.count}")
        *kept, one, last = self.references
        both = Reference(one.size_bytes + last.size_bytes, one.duration + last.duration, one.access)
        if both.size_bytes > _LARGEST:
            raise BoxError(f"a stretch has {_LARGEST} bytes at most, got {both.size_bytes}")
        return replace(self, references=(*kept, both))


def parse(payload: bytes) -> SegmentIndex:
    """Read what a `sidx` box encloses. Raises BoxError for one that is cut off, or that refers to other indexes."""
    try:
        version = payload[0]
        reference_id, timescale = struct.unpack_from(">II", payload, 4)
        earliest, first_offset = struct.unpack_from(">QQ" if version else ">II", payload, 12)
        begins = 32 if version else 24
        (count,) = struct.unpack_from(">H", payload, begins - 2)
        references = tuple(
            Reference(*struct.unpack_from(">III", payload, begins + number * REFERENCE_BYTES))
            for number in range(count)
        )
    except (IndexError, struct.error) as exc:
        raise BoxError(f"sidx: cut off at {len(payload)} bytes") from exc
    if timescale == 0 or any(one.size_bytes > _LARGEST for one in references):
        raise BoxError("sidx: a time scale and stretches of media expected, got none, or references to other indexes")
    return SegmentIndex(version, reference_id, timescale, earliest, first_offset, references)
