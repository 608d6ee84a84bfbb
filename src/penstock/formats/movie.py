"""The head of an ISO BMFF file: its outer boxes, its `moov`, and what each track is. Of media bytes it reads none.

Reads through a `Readable`, so a film of any size costs its headers; never follows a reference to another file.
Source: ISO/IEC 14496-12 clauses 4.2 (boxes), 8 (moov); 14496-1 (esds); 14496-15 (avcC, hvcC); 23001-7 (encv, enca).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from penstock.errors import BoxError
from penstock.formats.isobmff import Box, boxes

MAX_MOOV_BYTES = 256 * 2**20
"""More than the sample tables of 24 hours at 60 frames/s."""
MAX_TRACKS = 64
MAX_OUTER_BOXES = 2_000_000

ENCRYPTED_ENTRIES = frozenset({"encv", "enca", "enct", "encs", "encm"})


class Readable(Protocol):
    """Bytes with random access."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer where it ends."""


@dataclass(frozen=True)
class Buffer:
    """Bytes in memory as a Readable."""

    content: bytes = field(repr=False)

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


@dataclass(frozen=True)
class Outer:
    """A box of a file's outermost level, its header read and nothing else."""

    type: str
    offset: int
    header_bytes: int
    size_bytes: int
    """Header included."""

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    def payload(self, source: Readable, limit_bytes: int) -> bytes:
        """Read what the header encloses. Raises BoxError when it has more than `limit_bytes`."""
        length = self.size_bytes - self.header_bytes
        if length > limit_bytes:
            raise BoxError(f"at byte {self.offset}: {self.type} has {length} bytes, at most {limit_bytes} are read")
        return source.read(self.offset + self.header_bytes, length)


def outer_boxes(source: Readable, start: int = 0, end: int | None = None) -> Iterator[Outer]:
    """Walk the outermost boxes from byte `start` up to `end` (excluded).

    Raises BoxError with the offset of a box that does not fit, which is also how a truncated file shows.
    """
    end = source.size_bytes if end is None else end
    offset = start
    for _ in range(MAX_OUTER_BOXES):
        if offset >= end:
            return
        head = source.read(offset, 16)
        header_bytes, size = 8, int.from_bytes(head[:4])
        if size == 1:
            header_bytes, size = 16, int.from_bytes(head[8:16])
        elif size == 0:
            size = end - offset  # to the end of the file
        if len(head) < 8 or size < header_bytes or not head[4:8].decode("latin-1").isprintable():
            raise BoxError(f"at byte {offset}: no box, so this is no MP4 file or a damaged one")
        if offset + size > end:
            raise BoxError(
                f"at byte {offset}: a box of {size} bytes, where {end - offset} are left; the file is cut off"
            )
        yield Outer(head[4:8].decode("latin-1"), offset, header_bytes, size)
        offset += size
    raise BoxError(f"more than {MAX_OUTER_BOXES} boxes")


@dataclass(frozen=True)
class Defaults:
    """What `trex` says of samples in fragments."""

    description: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(frozen=True)
class Entry:
    """One sample description. `codec` is its four characters, of an encrypted one those before encryption."""

    codec: str
    protected: bool
    box: bytes = field(repr=False)
    """The whole sample entry."""
    width_px: int = 0
    height_px: int = 0
    channels: int = 0
    sample_rate_hz: int = 0
    object_type: int | None = None
    """MPEG-4 objectTypeIndication of an mp4a entry: 0x40 is AAC."""


@dataclass(frozen=True)
class Track:
    """One `trak`. Times in ticks of `timescale` (ticks/s)."""

    track_id: int
    handler: str
    timescale: int
    duration_ticks: int
    language: str
    """RFC 5646 from `elng`, else ISO 639-2 from `mdhd`; `und` when not told."""
    entries: tuple[Entry, ...]
    media_start_ticks: int
    """Media time that is shown first (edit list)."""
    delay_s: tuple[int, int]
    """Empty edit before it, as (ticks, ticks/s)."""
    defaults: Defaults
    sample_table: dict[str, bytes] = field(repr=False)
    """Payloads of the boxes of `stbl` by type, `stsd` left out."""
    matrix: bytes = field(repr=False)
    """The 36 bytes of `tkhd` that turn the picture."""
    shown_size: tuple[int, int]
    """Width and height of `tkhd` in 1/65536 px."""

    @property
    def protected(self) -> bool:
        return any(entry.protected for entry in self.entries)

    @property
    def codec(self) -> str:
        return self.entries[0].codec


@dataclass(frozen=True)
class Movie:
    """A `moov`. `fragmented`: it has `mvex`, so samples are (also) in fragments."""

    tracks: tuple[Track, ...]
    fragmented: bool

    def of(self, *handlers: str) -> tuple[Track, ...]:
        return tuple(track for track in self.tracks if track.handler in handlers)


def read_movie(source: Readable, start: int = 0, end: int | None = None) -> Movie:
    """Find the `moov` between two offsets and read it. Raises BoxError when there is none or it is damaged."""
    for box in outer_boxes(source, start, end):
        if box.type == "moov":
            return parse_movie(box.payload(source, MAX_MOOV_BYTES))
    raise BoxError("the file has no moov box, so it says nothing about its tracks")


def parse_movie(moov: bytes) -> Movie:
    """Read the payload of a `moov`."""
    children = list(boxes(moov))
    extends = next((box.payload for box in children if box.type == "mvex"), None)
    defaults = dict(_trex(box.payload) for box in boxes(extends or b"") if box.type == "trex")
    movie_timescale = 1
    for box in children:
        if box.type == "mvhd":
            movie_timescale = _mvhd_timescale(box.payload)
    found = [box for box in children if box.type == "trak"]
    if len(found) > MAX_TRACKS:
        raise BoxError(f"{len(found)} tracks, at most {MAX_TRACKS} are read")
    tracks = tuple(_track(box.payload, movie_timescale, defaults) for box in found)
    if len({track.track_id for track in tracks}) != len(tracks):
        raise BoxError("two tracks have the same track_ID")
    return Movie(tracks, extends is not None)


def inner(payload: bytes, *path: str) -> bytes:
    """Descend to the payload of the first box at `path`. Raises BoxError naming the one that is missing."""
    for name in path:
        found = next((box.payload for box in boxes(payload) if box.type == name), None)
        if found is None:
            raise BoxError(f"box {name} is missing ({'/'.join(path)})")
        payload = found
    return payload


def unpack(layout: str, data: bytes, offset: int, where: str) -> tuple[int, ...]:
    """struct.unpack_from that raises BoxError naming the box."""
    try:
        return struct.unpack_from(layout, data, offset)
    except struct.error as exc:
        raise BoxError(f"{where} ends after {len(data)} bytes") from exc


def _mvhd_timescale(mvhd: bytes) -> int:
    [timescale] = unpack(">I", mvhd, 20 if mvhd[:1] == b"\1" else 12, "mvhd")
    if not timescale:
        raise BoxError("mvhd: the timescale is 0")
    return timescale


def _trex(trex: bytes) -> tuple[int, Defaults]:
    track_id, *values = unpack(">5I", trex, 4, "trex")
    return track_id, Defaults(*values)


def _track(trak: bytes, movie_timescale: int, defaults: dict[int, Defaults]) -> Track:
    header = inner(trak, "tkhd")
    long_form = header[:1] == b"\1"
    [track_id] = unpack(">I", header, 20 if long_form else 12, "tkhd")
    at = 52 if long_form else 40
    width, height = unpack(">2I", header, at + 36, "tkhd")
    media = inner(trak, "mdia")
    timescale, duration, language = _media_header(inner(media, "mdhd"))
    handler = inner(media, "hdlr")[8:12].decode("latin-1")
    table = inner(media, "minf", "stbl")
    start, delay = _edits(trak)
    return Track(
        track_id=track_id,
        handler=handler,
        timescale=timescale,
        duration_ticks=duration,
        language=_extended_language(media) or language,
        entries=_entries(inner(table, "stsd"), handler),
        media_start_ticks=start,
        delay_s=(delay, movie_timescale),
        defaults=defaults.get(track_id, Defaults()),
        sample_table={box.type: box.payload for box in boxes(table) if box.type != "stsd"},
        matrix=header[at : at + 36],
        shown_size=(width, height),
    )


def _media_header(mdhd: bytes) -> tuple[int, int, str]:
    if mdhd[:1] == b"\1":
        timescale, duration, packed = unpack(">IQH", mdhd, 20, "mdhd")
    else:
        timescale, duration, packed = unpack(">IIH", mdhd, 12, "mdhd")
    if not timescale:
        raise BoxError("mdhd: the timescale is 0")
    letters = "".join(chr(0x60 + (packed >> shift & 31)) for shift in (10, 5, 0))
    return timescale, duration, letters if letters.isalpha() and letters.islower() else "und"


def _extended_language(media: bytes) -> str:
    found = next((box.payload for box in boxes(media) if box.type == "elng"), b"")
    text = found[4:].split(b"\0")[0].decode("ascii", "ignore")
    return text if 2 <= len(text) <= 35 and text.replace("-", "").isalnum() else ""


def _edits(trak: bytes) -> tuple[int, int]:
    """Media time of the first edit that shows something, and the movie ticks of emptiness before it."""
    edits = next((box.payload for box in boxes(trak) if box.type == "edts"), b"")
    listed = next((box.payload for box in boxes(edits) if box.type == "elst"), None)
    if listed is None:
        return 0, 0
    layout, step = (">Qq", 20) if listed[:1] == b"\1" else (">Ii", 12)
    [count] = unpack(">I", listed, 4, "elst")
    delay = 0
    for index in range(min(count, 1000)):
        duration, media_time = unpack(layout, listed, 8 + index * step, "elst")
        if media_time >= 0:
            return media_time, delay
        delay += duration
    return 0, delay


def _entries(stsd: bytes, handler: str) -> tuple[Entry, ...]:
    found = tuple(_entry(stsd[8 + box.offset :], box, handler) for box in boxes(stsd[8:]))
    if not found:
        raise BoxError("stsd describes no samples")
    if len(found) > 256:
        raise BoxError(f"stsd has {len(found)} sample descriptions, at most 256 are read")
    return found


def _entry(data: bytes, box: Box, handler: str) -> Entry:
    whole = data[: int.from_bytes(data[:4]) or len(data)]
    body = box.payload
    deep = handler in ("vide", "soun") or box.type in ENCRYPTED_ENTRIES
    inside = list(_lenient_boxes(body[_entry_fields(body, handler) :])) if deep else []
    protection = next((child.payload for child in inside if child.type == "sinf"), None)
    codec = box.type
    if protection is not None:
        codec = next((c.payload[:4].decode("latin-1") for c in boxes(protection) if c.type == "frma"), codec)
    protected = box.type in ENCRYPTED_ENTRIES or protection is not None
    if handler == "vide":
        width, height = unpack(">2H", body, 24, box.type)
        return Entry(codec, protected, whole, width_px=width, height_px=height)
    if handler == "soun":
        channels, _, _, rate = unpack(">2HIH", body, 16, box.type)
        object_type, told = _audio_config(inside)
        return Entry(codec, protected, whole, 0, 0, told or channels, rate, object_type)
    return Entry(codec, protected, whole)


def _entry_fields(body: bytes, handler: str) -> int:
    """Bytes before a sample entry's boxes. QuickTime's versions 1 and 2 of a sound description carry more fields."""
    return {"vide": 78, "soun": {b"\0\1": 44, b"\0\2": 64}.get(body[8:10], 28)}.get(handler, 8)


def entry_boxes(entry: Entry, handler: str) -> tuple[bytes, list[Box]]:
    """A sample entry's fixed fields, and the boxes behind them."""
    body = entry.box[8:]
    fields = _entry_fields(body, handler)
    return body[:fields], list(_lenient_boxes(body[fields:]))


def configuration(entry: Entry, handler: str, name: str) -> bytes:
    """Payload of one of a sample entry's boxes, such as avcC; empty where it has none."""
    return next((box.payload for box in entry_boxes(entry, handler)[1] if box.type == name), b"")


def audio_specific_config(entry: Entry) -> bytes:
    """What an AAC decoder is set up with (ISO/IEC 14496-3, 1.6.2.1); empty where the entry has none."""
    elementary = _descriptor(configuration(entry, "soun", "esds")[4:], 0x03)
    return _descriptor(_descriptor(elementary[3:], 0x04)[13:], 0x05)


def _lenient_boxes(data: bytes) -> Iterator[Box]:
    """Boxes of a sample entry; some writers leave four zero bytes behind the last."""
    try:
        yield from boxes(data)
    except BoxError:
        return


def _audio_config(inside: list[Box]) -> tuple[int | None, int]:
    """objectTypeIndication and channels, from `esds`; the field of the sample entry is often a fixed 2.

    AudioSpecificConfig, ISO/IEC 14496-3 1.6.2.1: five bits of type, four of frequency, four of channels.
    """
    esds = next((box.payload for box in inside if box.type == "esds"), b"")[4:]
    decoder = _descriptor(_descriptor(esds, 0x03)[3:], 0x04)  # ES_ID and flags come before it
    if not decoder:
        return None, 0
    config = _descriptor(decoder[13:], 0x05)
    if len(config) < 2 or config[0] >> 3 >= 31 or (config[0] & 7) << 1 | config[1] >> 7 == 15:
        return decoder[0], 0
    return decoder[0], {7: 8}.get(config[1] >> 3 & 15, config[1] >> 3 & 15)


def _descriptor(data: bytes, tag: int) -> bytes:
    """Payload of an MPEG-4 descriptor at the start of `data`, empty when it is another."""
    if data[:1] != bytes([tag]):
        return b""
    length = 0
    for position in range(1, min(5, len(data))):
        length = length << 7 | data[position] & 0x7F
        if not data[position] & 0x80:
            return data[position + 1 : position + 1 + length]
    return b""
