"""The program map section of a transport stream: its streams, and the same with other types and descriptors.

Pure. Source: ISO/IEC 13818-1, 2.4.4.8 (section), 2.6 (descriptors), annex A (CRC).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from localaws.media.failures import INTERNAL, JobError

_TABLE_ID = 2
_HEADER_BYTES = 3
_FIXED_BYTES = 12
_CRC_BYTES = 4


@dataclass(frozen=True)
class Stream:
    """One elementary stream. `descriptors` as they stand in the section."""

    stream_type: int
    pid: int
    descriptors: bytes


def descriptor(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def length(begun: bytes) -> int | None:
    """Bytes of the section that begins so; None where too little is there to say."""
    return None if len(begun) < _HEADER_BYTES else _HEADER_BYTES + _twelve_bits(begun, 1)


def streams(section: bytes) -> list[Stream]:
    """The streams in their order. Raises JobError 1999 for what is no program map section."""
    if section[:1] != bytes([_TABLE_ID]) or length(section) != len(section) or crc(section) != 0:
        raise JobError(INTERNAL, f"no program map section of a transport stream: {section[:8].hex()}")
    position, found = _FIXED_BYTES + _twelve_bits(section, 10), []
    while position < len(section) - _CRC_BYTES:
        begins = position + 5
        ends = begins + _twelve_bits(section, position + 3)
        pid = int.from_bytes(section[position + 1 : position + 3], "big") & 0x1FFF
        found.append(Stream(section[position], pid, section[begins:ends]))
        position = ends
    return found


def changed(section: bytes, change: Callable[[Stream], Stream]) -> bytes:
    """The section with every stream as `change` has it."""
    body = section[_HEADER_BYTES : _FIXED_BYTES + _twelve_bits(section, 10)]
    for stream in map(change, streams(section)):
        body += bytes([stream.stream_type]) + (0xE000 | stream.pid).to_bytes(2, "big")
        body += (0xF000 | len(stream.descriptors)).to_bytes(2, "big") + stream.descriptors
    told = (section[1] & 0xF0) << 8 | len(body) + _CRC_BYTES
    whole = section[:1] + told.to_bytes(2, "big") + body
    return whole + crc(whole).to_bytes(4, "big")


def signalled(stream: Stream, stream_type: int, *descriptors: bytes) -> Stream:
    """The stream as one of another type, with more descriptors."""
    return replace(stream, stream_type=stream_type, descriptors=stream.descriptors + b"".join(descriptors))


def crc(data: bytes) -> int:
    """CRC of annex A; 0 over a section with its own."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def _twelve_bits(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big") & 0xFFF
