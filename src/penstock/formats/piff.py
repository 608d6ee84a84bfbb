"""Writes files and fragments of Smooth Streaming: the Protected Interoperable File Format and what servers answer with.

Samples stay as they are, encrypted or not; only boxes around them are written, and no box tells of a live stream. The
same samples give the same bytes. Source: [MS-SSTR] 2.2.4 (fragment response); PIFF 1.1 with the boxes of ISO/IEC
23001-7 beside its own, as PIFF 1.3 has them, so that readers of either find what they know; ISO/IEC 14496-12, 8.8.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from penstock.errors import BoxError
from penstock.formats import languages
from penstock.formats.isobmff import parse_pssh
from penstock.formats.movie import Entry, entry_boxes, inner
from penstock.formats.progressive import (
    HANDLERS,
    IDENTITY,
    MAX_32,
    big_endian,
    box,
    counted,
    full_box,
    header_times,
)
from penstock.formats.samples import NOT_SYNC, Run

TIMESCALE = 10_000_000
"""Ticks/s of manifests, files and fragments: the one that every player assumes."""

_SUBTITLES = (b"subt", "SubtitleHandler", full_box("sthd", 0, 0))
_TTML = b"http://www.w3.org/ns/ttml"
SAMPLE_ENCRYPTION = UUID("a2394f52-5a9b-4f14-a244-6c427c648df4")
TRACK_ENCRYPTION = UUID("8974dbce-7be7-4c51-84f9-7148f9882554")
PROTECTION_HEADER = UUID("d08a4f18-10f3-4a82-b6c8-32d8aba183d3")
_AES_CTR = 1
_FIRST, _FOLLOWS = 0x20, 0x10
"""sdtp: depends on no other sample, depends on others."""


@dataclass(frozen=True)
class FileTrack:
    """A track of a file. Language as in RFC 5646 or ISO 639; duration in ticks of TIMESCALE."""

    track_id: int
    handler: str
    language: str
    entry: Entry
    duration: int


def captions_track(track_id: int, language: str, duration: int) -> FileTrack:
    """A track of TTML documents, one to a fragment. Source: ISO/IEC 14496-12, 12.6; 14496-30, 5 (stpp)."""
    entry = Entry("stpp", protected=False, box=box("stpp", bytes(6) + b"\0\1" + _TTML + b"\0" + b"\0" + b"\0"))
    return FileTrack(track_id, "subt", language, entry, duration)


@dataclass(frozen=True)
class Auxiliary:
    """How a fragment's samples are encrypted: payloads of its `senc` and `saiz` boxes."""

    encryption: bytes
    sizes: bytes


@dataclass(frozen=True)
class Samples:
    """Samples of one fragment in decoding order, times in ticks of TIMESCALE."""

    start: int
    sizes: array[int]
    durations: array[int]
    shifts: array[int] | None
    not_sync: bytearray | None

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


def rescaled(runs: Sequence[Run], timescale: int, start: int, moved_s: Fraction, lowest_shift: int = 0) -> Samples:
    """The samples of a fragment on the clock of Smooth Streaming; rounding never adds up.

    start: decoding time of the first, in ticks of `timescale`. moved_s: added to all times. lowest_shift: what to take
    off composition offsets, in ticks, so that none is below zero, as version 0 of `trun` needs.
    Raises BoxError for samples that go back in time.
    """
    factor = Fraction(TIMESCALE, timescale)
    moved = moved_s * TIMESCALE
    sizes, durations, shifts, marks = array("I"), array("I"), array("I"), bytearray()
    time = start + lowest_shift
    first = before = round(time * factor + moved)
    for run in runs:
        sizes.extend(run.sizes)
        marks.extend(run.not_sync if run.not_sync is not None else bytes(len(run.sizes)))
        for index, duration in enumerate(run.durations):
            shift = (run.shifts[index] if run.shifts is not None else 0) - lowest_shift
            shown = round((time + shift) * factor + moved) - before
            time += duration
            end = round(time * factor + moved)
            if not (0 <= shown <= MAX_32 >> 1 and 0 <= end - before <= MAX_32):
                raise BoxError(f"a sample lasts {end - before} and is shown after {shown} ticks, which is no time")
            shifts.append(shown)
            durations.append(end - before)
            before = end
    if first < 0:
        raise BoxError(f"a fragment begins at {first} ticks, before the presentation")
    return Samples(first, sizes, durations, shifts if any(shifts) else None, marks if any(marks) else None)


def fragment(track_id: int, number: int, samples: Samples, auxiliary: Auxiliary | None = None) -> bytes:
    """Write `moof` and the header of `mdat`; the bytes of the samples follow it.

    number: from 1, in order, over all fragments of a file or stream.
    """
    length = len(_moof(track_id, number, samples, auxiliary, 0, 0))
    media_header = struct.pack(">I4s", 8 + samples.size_bytes, b"mdat")
    if 8 + samples.size_bytes > MAX_32:
        media_header = struct.pack(">I4sQ", 1, b"mdat", 16 + samples.size_bytes)
    # The encryption box stands last; its entries come after version, flags and count.
    entries = length - len(auxiliary.encryption) + 8 if auxiliary is not None else 0
    return _moof(track_id, number, samples, auxiliary, length + len(media_header), entries) + media_header


def _moof(
    track_id: int, number: int, samples: Samples, auxiliary: Auxiliary | None, data_offset: int, entries_offset: int
) -> bytes:
    """Both offsets count from the first byte of the moof."""
    parts = [
        full_box("tfhd", 0, 0, struct.pack(">I", track_id)),
        full_box("tfdt", 1, 0, struct.pack(">Q", samples.start)),
        _trun(samples, data_offset),
    ]
    if samples.not_sync is not None:
        parts.append(full_box("sdtp", 0, 0, bytes(_FOLLOWS if mark else _FIRST for mark in samples.not_sync)))
    if auxiliary is not None:
        parts += [
            box("saiz", auxiliary.sizes),
            full_box("saio", 0, 0, struct.pack(">2I", 1, entries_offset)),
            _uuid_box(SAMPLE_ENCRYPTION, auxiliary.encryption),
        ]
    return box("moof", full_box("mfhd", 0, 0, struct.pack(">I", number)), box("traf", *parts))


def _trun(samples: Samples, data_offset: int) -> bytes:
    count = len(samples.sizes)
    marks = samples.not_sync if samples.not_sync is not None else bytes(count)
    # 0x02000000: sample_depends_on none; 0x01000000: on others.
    flags = array("I", (0x01000000 | NOT_SYNC if mark else 0x02000000 for mark in marks))
    columns = [samples.durations, samples.sizes, flags]
    if samples.shifts is not None:
        columns.append(samples.shifts)
    rows = array("I", bytes(4 * count * len(columns)))
    for index, column in enumerate(columns):
        rows[index :: len(columns)] = column
    present = 0x701 | (0x800 if samples.shifts is not None else 0)
    return full_box("trun", 0, present, struct.pack(">Ii", count, data_offset), big_endian(rows))


def header(tracks: Sequence[FileTrack], boxes_for_systems: Sequence[bytes] = ()) -> bytes:
    """Write `ftyp` and `moov` of a file whose samples are all in fragments.

    boxes_for_systems: whole `pssh` boxes. Raises BoxError for one that is none.
    """
    longest = max((track.duration for track in tracks), default=0)
    version = 1 if longest > MAX_32 else 0
    rest = struct.pack(">IH10x", 0x10000, 0x100) + IDENTITY + struct.pack(">24xI", len(tracks) + 1)
    extends = [full_box("trex", 0, 0, struct.pack(">5I", track.track_id, 1, 0, 0, 0)) for track in tracks]
    moov = box(
        "moov",
        full_box("mvhd", version, 0, header_times(longest, TIMESCALE), rest),
        *(_trak(track) for track in tracks),
        box("mvex", full_box("mehd", 1, 0, struct.pack(">Q", longest)), *extends),
        *boxes_for_systems,
        *(_protection_header(one) for one in boxes_for_systems),
    )
    return box("ftyp", b"isml", struct.pack(">I", 1), b"piffiso2isml") + moov


def _trak(track: FileTrack) -> bytes:
    handler, kind, media_header = {**HANDLERS, "subt": _SUBTITLES}[track.handler]
    packed = 0
    for letter in languages.three_letters(track.language):
        packed = packed << 5 | ord(letter) - 0x60
    version = 1 if track.duration > MAX_32 else 0
    layer = struct.pack(">8xhhHH", 0, 0, 0x100 if track.handler == "soun" else 0, 0)
    size = struct.pack(">2I", track.entry.width_px << 16, track.entry.height_px << 16)
    tkhd = full_box("tkhd", version, 7, header_times(track.duration, track.track_id, 0), layer, IDENTITY, size)
    mdhd = full_box("mdhd", version, 0, header_times(track.duration, TIMESCALE), struct.pack(">HH", packed, 0))
    hdlr = full_box("hdlr", 0, 0, struct.pack(">4x4s12x", handler), kind.encode() + b"\0")
    data = box("dinf", full_box("dref", 0, 0, struct.pack(">I", 1), full_box("url ", 0, 1)))
    none = [counted(name, 0, b"") for name in ("stts", "stsc", "stco")]
    table = [counted("stsd", 1, _entry(track)), *none, full_box("stsz", 0, 0, bytes(8))]
    return box("trak", tkhd, box("mdia", mdhd, hdlr, box("minf", media_header, data, box("stbl", *table))))


def _entry(track: FileTrack) -> bytes:
    """The sample entry; how it is protected is said in PIFF's words, and in those of common encryption beside them."""
    if not track.entry.protected:
        return track.entry.box
    fields, inside = entry_boxes(track.entry, track.handler)
    kept = [box(one.type, one.payload) for one in inside if one.type != "sinf"]
    tenc = _track_encryption(track.entry, track.handler)
    own = _uuid_box(TRACK_ENCRYPTION, struct.pack(">IHBB", 0, 0, _AES_CTR, tenc[7]) + tenc[8:24])
    scheme = box(
        "sinf",
        box("frma", track.entry.codec.encode("latin-1")),
        full_box("schm", 0, 0, b"piff", struct.pack(">I", 0x10001)),
        box("schi", box("tenc", tenc), own),
    )
    return box(track.entry.box[4:8].decode("latin-1"), fields, *kept, scheme)


def _track_encryption(entry: Entry, handler: str) -> bytes:
    """Payload of a protected entry's `tenc`. Raises BoxError where it is missing, or no counter mode."""
    _, inside = entry_boxes(entry, handler)
    tenc = inner(b"".join(box(one.type, one.payload) for one in inside), "sinf", "schi", "tenc")
    if len(tenc) < 24 or tenc[7] not in (8, 16):
        raise BoxError("tenc has no initialization vector for each sample, which AES-CTR needs")
    return tenc


def _protection_header(pssh: bytes) -> bytes:
    read = parse_pssh(pssh)
    data = read.system_id.bytes + struct.pack(">I", len(read.data)) + read.data
    return _uuid_box(PROTECTION_HEADER, bytes(4) + data)


@dataclass(frozen=True)
class Access:
    """Where a fragment of a file begins: ticks of TIMESCALE, byte offset of its moof."""

    time: int
    offset: int


def index(tracks: Sequence[tuple[int, Sequence[Access]]]) -> bytes:
    """Write `mfra`, the last box of a file: the fragments of each track (track id, accesses)."""
    tables = []
    for track_id, accesses in tracks:
        rows = b"".join(struct.pack(">2Q3B", one.time, one.offset, 1, 1, 1) for one in accesses)
        tables.append(full_box("tfra", 1, 0, struct.pack(">3I", track_id, 0, len(accesses)), rows))
    length = 8 + sum(map(len, tables)) + 16
    return box("mfra", *tables, full_box("mfro", 0, 0, struct.pack(">I", length)))


def _uuid_box(kind: UUID, payload: bytes) -> bytes:
    return box("uuid", kind.bytes, payload)
