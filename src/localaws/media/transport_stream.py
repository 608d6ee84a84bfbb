"""Reads the packets of an MPEG-2 transport stream that was just written, and finds its key frames.

Looks at packet headers alone and decodes nothing. Source: ISO/IEC 13818-1, 2.4.3 (packets, adaptation field, PES).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localaws.media.failures import INTERNAL, JobError

PACKET_BYTES = 188
_READ_BYTES = PACKET_BYTES * 4096
_TABLES = 0x1F
"""Below this PID are the tables of the standard: programs, conditional access, descriptions."""


@dataclass(frozen=True)
class KeyFrame:
    """Byte range of a key frame with the tables before it, which a decoder starts with; time in ticks of 90 kHz."""

    offset: int
    size_bytes: int
    time_ticks: int


def key_frames(path: Path, video_pid: int, pmt_pid: int) -> list[KeyFrame]:
    """The key frames of a file's video, in order. Raises JobError 1999 for what is no transport stream."""
    found: list[KeyFrame] = []
    begun: tuple[int, int] | None = None
    tables_at: int | None = None
    end = 0
    for offset, packet in packets(path):
        end = offset + PACKET_BYTES
        if pid(packet) <= _TABLES or pid(packet) == pmt_pid:
            tables_at = offset if tables_at is None else tables_at
            continue
        if pid(packet) == video_pid and starts(packet):
            frame_at = offset if tables_at is None else tables_at
            if begun is not None:
                found.append(KeyFrame(begun[0], frame_at - begun[0], begun[1]))
            begun = (frame_at, _time(packet)) if _random_access(packet) else None
        tables_at = None
    if begun is not None:
        found.append(KeyFrame(begun[0], end - begun[0], begun[1]))
    return found


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def starts(packet: bytes) -> bool:
    """payload_unit_start_indicator."""
    return bool(packet[1] & 0x40)


def payload(packet: bytes) -> bytes:
    """What follows header and adaptation field; empty where there is none."""
    if not packet[3] & 0x10:
        return b""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def packets(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every packet with its offset. Raises JobError 1999 for what is no transport stream."""
    offset = 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            for start in range(0, len(block), PACKET_BYTES):
                packet = block[start : start + PACKET_BYTES]
                if len(packet) < PACKET_BYTES or packet[0] != 0x47:
                    raise JobError(INTERNAL, f"{path.name} is no transport stream at byte {offset + start}")
                yield offset + start, packet
            offset += len(block)


def _random_access(packet: bytes) -> bool:
    """random_access_indicator of the adaptation field."""
    return bool(packet[3] & 0x20) and packet[4] > 0 and bool(packet[5] & 0x40)


def _time(packet: bytes) -> int:
    """PTS of the PES packet that begins in this one (2.4.3.6)."""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    field = packet[start + 9 : start + 14]
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15 | field[3] << 7 | field[4] >> 1
