"""Writes a transport stream anew with the samples of some of its streams changed, in the order in which it was.

Keeps in memory what lies between the first and the last packet of one PES packet, about a second. Made for what ffmpeg
writes: clocks stand where a PES packet begins. Source: ISO/IEC 13818-1, 2.4.3 (packets, adaptation field, PES packet),
2.4.4.1 (pointer field).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from localaws.media import program_map, transport_stream
from localaws.media.transport_stream import PACKET_BYTES

_HEADER_BYTES = 4
_BODY_BYTES = PACKET_BYTES - _HEADER_BYTES
_STUFFING = 0xFF
_PCR_FLAG, _PCR_BYTES = 0x10, 6
_LONGEST_TOLD = 0xFFFF


@dataclass
class _Unit:
    """A PES packet or a table, as its packets bring it. `adaptation` is that of its first packet, without stuffing."""

    pid: int
    adaptation: bytes
    content: bytearray = field(default_factory=bytearray)
    whole: bool = False


class Remultiplexer:
    """Rewrites the files of one stream one after another, so that packets are counted on from file to file.

    stream_types: of the streams whose samples are changed.
    """

    def __init__(
        self,
        pmt_pid: int,
        stream_types: Container[int],
        describe: Callable[[program_map.Stream], program_map.Stream],
        change: Callable[[int, bytes], bytes],
    ) -> None:
        """describe: a stream as the new program map has it. change: stream type and samples -> other samples."""
        self._pmt_pid = pmt_pid
        self._wanted = stream_types
        self._describe = describe
        self._change = change
        self._counters: dict[int, int] = {}
        self._types: dict[int, int] = {}

    def rewrite(self, path: Path) -> Iterator[bytes]:
        """The packets of the file, rewritten."""
        waiting: deque[_Unit | bytes] = deque()
        begun: dict[int, _Unit] = {}
        for _, packet in transport_stream.packets(path):
            pid, body = transport_stream.pid(packet), transport_stream.payload(packet)
            if not body or not (pid == self._pmt_pid or pid in self._types):
                waiting.append(packet)
                continue
            if transport_stream.starts(packet):
                if pid in begun:
                    begun[pid].whole = True
                begun[pid] = _Unit(pid, _adaptation(packet))
                waiting.append(begun[pid])
            # What came before the first start belongs to no unit of this file.
            if pid in begun:
                begun[pid].content += body
                if pid == self._pmt_pid:
                    self._read_table(begun[pid])
            yield from self._ready(waiting)
        for unit in begun.values():
            unit.whole = True
        yield from self._ready(waiting)

    def _read_table(self, unit: _Unit) -> None:
        """A table is whole when its own length says so: what follows must be known by it."""
        section = bytes(unit.content[1 + unit.content[0] :])
        length = program_map.length(section)
        if length is not None and len(section) >= length and not unit.whole:
            found = program_map.streams(section[:length])
            self._types = {one.pid: one.stream_type for one in found if one.stream_type in self._wanted}
            unit.content[:] = b"\x00" + program_map.changed(section[:length], self._describe)
            unit.whole = True

    def _ready(self, waiting: deque[_Unit | bytes]) -> Iterator[bytes]:
        while waiting and (isinstance(waiting[0], bytes) or waiting[0].whole):
            one = waiting.popleft()
            if isinstance(one, bytes):
                yield self._counted(one)
            elif one.pid == self._pmt_pid:
                yield from self._packets(one, bytes(one.content), fill=True)
            else:
                yield from self._packets(one, self._changed(one))

    def _changed(self, unit: _Unit) -> bytes:
        """The PES packet with its samples changed; a length that no longer can be told is left open, as is allowed."""
        header_bytes = 9 + unit.content[8]
        header, samples = unit.content[:header_bytes], bytes(unit.content[header_bytes:])
        samples = self._change(self._types[unit.pid], samples)
        if header[4:6] != b"\x00\x00":
            told = len(header) - 6 + len(samples)
            header[4:6] = (told if told <= _LONGEST_TOLD else 0).to_bytes(2, "big")
        return bytes(header) + samples

    def _packets(self, unit: _Unit, content: bytes, *, fill: bool = False) -> Iterator[bytes]:
        """fill: the last packet with bytes that a table may end with, in place of an adaptation field."""
        position, start, adaptation = 0, 0x40, unit.adaptation
        while position < len(content):
            room = _BODY_BYTES - (len(adaptation) + 1 if adaptation else 0)
            body = content[position : position + room]
            position, missing = position + len(body), room - len(body)
            if fill:
                body += bytes([_STUFFING]) * missing
            elif missing:
                adaptation = _stuffed(adaptation, missing)
            has_adaptation = bool(adaptation) or (missing > 0 and not fill)
            header = bytes([0x47, start | unit.pid >> 8, unit.pid & 0xFF, 0x30 if has_adaptation else 0x10])
            if has_adaptation:
                header += bytes([len(adaptation)]) + adaptation
            yield self._counted(header + body)
            start, adaptation = 0, b""

    def _counted(self, packet: bytes) -> bytes:
        """The packet with the number that follows the last one of its stream; one without payload counts nothing."""
        pid, has_payload = transport_stream.pid(packet), bool(packet[3] & 0x10)
        last = self._counters.get(pid, (packet[3] - has_payload) & 0x0F)
        self._counters[pid] = (last + has_payload) & 0x0F
        return packet[:3] + bytes([packet[3] & 0xF0 | self._counters[pid]]) + packet[4:]


def _adaptation(packet: bytes) -> bytes:
    """Flags and clock of the adaptation field, without its length and stuffing; empty where it says nothing."""
    if not packet[3] & 0x20 or not packet[4]:
        return b""
    flags = packet[5]
    clock = packet[6 : 6 + _PCR_BYTES] if flags & _PCR_FLAG else b""
    kept = bytes([flags & (0xE0 | _PCR_FLAG)]) + clock
    return b"" if kept == b"\x00" else kept


def _stuffed(adaptation: bytes, missing: int) -> bytes:
    """An adaptation field that takes `missing` bytes more than this one, its length included where there was none."""
    if adaptation:
        return adaptation + bytes([_STUFFING]) * missing
    return b"\x00"[: missing - 1] + bytes([_STUFFING]) * (missing - 2)
