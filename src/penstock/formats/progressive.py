"""Writes the head of a progressive MP4, `ftyp` and `moov`, for samples that lie in other files.

Keeps numbers only, some eight bytes a sample, and never a media byte: whoever copies asks for the order of the chunks.
The same tracks give the same bytes, whenever and wherever. Source: ISO/IEC 14496-12 clause 8.
"""

from __future__ import annotations

import heapq
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from penstock.errors import BoxError
from penstock.formats import languages
from penstock.formats.movie import Entry, Track
from penstock.formats.samples import MAX_SAMPLES, Run

MOVIE_TIMESCALE = 90_000
MAX_32 = 0xFFFFFFFF
IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def box(name: str, *payload: bytes) -> bytes:
    content = b"".join(payload)
    return struct.pack(">I4s", 8 + len(content), name.encode("latin-1")) + content


def full_box(name: str, version: int, flags: int, *payload: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *payload)


class OutputTrack:
    """The tables of one track while runs are added to it, in decoding order. Times in ticks of its timescale."""

    def __init__(self, like: Track, *, language: str, name: str = "") -> None:
        """like: the track of the first source; its timescale, kind and picture matrix hold for all of them."""
        self.like = like
        self.language = language
        self.name = name
        self.end = 0
        """Decoding time after the last sample, on the clock of the presentation."""
        self._first: int | None = None
        self._shown_end = -(1 << 62)
        self._entries: list[bytes] = []
        self._shown_size: tuple[int, int] | None = None
        """Of the description that is used, where the source has those of other sizes as well."""
        self._sizes = array("I")
        self._durations = _Folded("I")
        self._shifts = _Folded("i")
        self._all_shifts_zero = True
        self._syncs = array("I")
        self._files = array("I")
        self._offsets = array("Q")
        self._lengths = array("Q")
        self._counts = array("I")
        self._descriptions = array("I")
        self._times = array("q")

    def __len__(self) -> int:
        return len(self._sizes)

    def describe(self, entry: Entry) -> int:
        """Number of a sample description, from 1; the same one is kept once."""
        if entry.box not in self._entries:
            self._entries.append(entry.box)
            if not self._shown_size and entry.width_px and len(self.like.entries) > 1:
                self._shown_size = (entry.width_px << 16, entry.height_px << 16)
        return self._entries.index(entry.box) + 1

    def add(self, run: Run, file: int, start: int | None, description: int) -> None:
        """Append a run.

        file: whatever the copier knows its source file by. start: decoding time of its first sample; a gap before it
        lengthens the sample before, an overlap shortens it. None: right after the last.
        Raises BoxError for more samples than fit a film, and for a run that begins before the sample before it.
        """
        if not len(run.sizes):
            return
        if len(self) + len(run.sizes) > MAX_SAMPLES:
            raise BoxError(f"a track with more than {MAX_SAMPLES} samples")
        if self._first is None:
            self._first = self.end = start or 0
        elif start is not None and start != self.end:
            if not self._durations.stretch_last(start - self.end):
                raise BoxError(f"a fragment begins at {start} ticks, before the end of the one before it ({self.end})")
            self.end = start
        self._note_syncs(run)
        self._times.append(self.end)
        self._files.append(file)
        self._offsets.append(run.offset)
        self._lengths.append(run.size_bytes)
        self._counts.append(len(run.sizes))
        self._descriptions.append(description)
        self._sizes.extend(run.sizes)
        self._durations.extend(run.durations)
        self._shifts.extend(run.shifts if run.shifts is not None else array("i", [0]) * len(run.sizes))
        self._all_shifts_zero = self._all_shifts_zero and (run.shifts is None or not any(run.shifts))
        self.end += sum(run.durations)
        self._shown_end = max(self._shown_end, _shown_end(run, self.end))

    def _note_syncs(self, run: Run) -> None:
        before = len(self) + 1
        if run.not_sync is None:
            self._syncs.extend(range(before, before + len(run.sizes)))
            return
        at = run.not_sync.find(0)
        while at >= 0:
            self._syncs.append(before + at)
            at = run.not_sync.find(0, at + 1)

    @property
    def first(self) -> int:
        """Decoding time of the first sample, on the clock of the presentation."""
        return self._first or 0

    @property
    def duration(self) -> int:
        return self.end - self.first

    @property
    def first_sync(self) -> int:
        """Number of the first sample where a decoder can begin, 0 when there is none."""
        return self._syncs[0] if self._syncs else 0

    def first_shown(self) -> int:
        """Composition time of the first sample."""
        return self.first + (self._shifts.first() or 0)

    @property
    def shown_end_s(self) -> Fraction:
        """When the last picture or sound ends, in seconds of the track's clock."""
        return Fraction(self._shown_end, self.like.timescale)

    def chunks(self) -> Iterator[tuple[float, int]]:
        """Time in seconds and number of each chunk."""
        for number, time in enumerate(self._times):
            yield time / self.like.timescale, number

    def chunk(self, number: int) -> tuple[int, int, int]:
        """File, offset and bytes of a chunk."""
        return self._files[number], self._offsets[number], self._lengths[number]

    def trak(self, track_id: int, positions: array[int], zero_s: Fraction) -> bytes:
        """Write the `trak`. positions: of each chunk in the output. zero_s: media time at which the film begins."""
        scale = self.like.timescale
        shown = max(0, self._shown_end - max(self.first, round(zero_s * scale)))
        edits = _edit_list(self.first, scale, zero_s, shown)
        delayed = max(Fraction(0), Fraction(self.first, scale) - zero_s)
        total = round((delayed + Fraction(shown, scale)) * MOVIE_TIMESCALE)
        return box("trak", self._tkhd(track_id, total), edits, self._mdia(positions))

    def _tkhd(self, track_id: int, duration: int) -> bytes:
        sound = self.like.handler == "soun"
        times = header_times(duration, track_id, 0)
        version = 1 if duration > MAX_32 else 0
        layer = struct.pack(">8xhhHH", 0, 1 if sound else 0, 0x100 if sound else 0, 0)
        size = self._shown_size or self.like.shown_size
        return full_box("tkhd", version, 3, times, layer, self.like.matrix, struct.pack(">2I", *size))

    def _mdia(self, positions: array[int]) -> bytes:
        packed = 0
        for letter in languages.three_letters(self.language):
            packed = packed << 5 | ord(letter) - 0x60
        version = 1 if self.duration > MAX_32 else 0
        media_times = header_times(self.duration, self.like.timescale)
        mdhd = full_box("mdhd", version, 0, media_times, struct.pack(">HH", packed, 0))
        handler, kind, header = HANDLERS[self.like.handler]
        hdlr = full_box("hdlr", 0, 0, struct.pack(">4x4s12x", handler), (self.name or kind).encode() + b"\0")
        extended = b"" if self.language == languages.three_letters(self.language) else self._elng()
        data = box("dinf", full_box("dref", 0, 0, struct.pack(">I", 1), full_box("url ", 0, 1)))
        return box("mdia", mdhd, hdlr, extended, box("minf", header, data, self._stbl(positions)))

    def _elng(self) -> bytes:
        return full_box("elng", 0, 0, self.language.encode("ascii") + b"\0")

    def _stbl(self, positions: array[int]) -> bytes:
        tables = [counted("stsd", len(self._entries), b"".join(self._entries)), self._durations.box("stts")]
        if not self._all_shifts_zero:
            tables.append(self._shifts.box("ctts", version=1 if self._shifts.smallest < 0 else 0))
        if len(self._syncs) < len(self):
            tables.append(counted("stss", len(self._syncs), big_endian(self._syncs)))
        tables.append(self._stsc())
        tables.append(full_box("stsz", 0, 0, struct.pack(">2I", 0, len(self)), big_endian(self._sizes)))
        if len(positions) and positions[-1] > MAX_32:
            tables.append(counted("co64", len(positions), big_endian(positions)))
        else:
            tables.append(counted("stco", len(positions), big_endian(array("I", positions))))
        return box("stbl", *tables)

    def _stsc(self) -> bytes:
        rows = array("I")
        for number, (count, description) in enumerate(zip(self._counts, self._descriptions, strict=True), start=1):
            if not rows or (rows[-2], rows[-1]) != (count, description):
                rows.extend((number, count, description))
        return counted("stsc", len(rows) // 3, big_endian(rows))


def _shown_end(run: Run, end: int) -> int:
    """When the last of a run's samples to be shown ends. Reordering reaches over 16 pictures at most (H.264 A.3.1)."""
    if run.shifts is None:
        return end
    latest = time = end
    for index in range(len(run.sizes) - 1, max(-1, len(run.sizes) - 33), -1):
        latest = max(latest, time + run.shifts[index]) if index < len(run.sizes) - 1 else time + run.shifts[index]
        time -= run.durations[index]
    return latest


class _Folded:
    """Values in order, equal neighbours counted."""

    def __init__(self, kind: str) -> None:
        self._counts = array("I")
        self._values = array(kind)
        self.smallest = 0

    def extend(self, values: array[int]) -> None:
        if len(values) and values.count(values[0]) == len(values):
            self._append(values[0], len(values))
            return
        for value in values:
            self._append(value, 1)

    def _append(self, value: int, count: int) -> None:
        self.smallest = min(self.smallest, value)
        if self._counts and self._values[-1] == value:
            self._counts[-1] += count
        else:
            self._counts.append(count)
            self._values.append(value)

    def first(self) -> int | None:
        return self._values[0] if self._values else None

    def stretch_last(self, by: int) -> bool:
        """Make the last value longer or shorter; False when that would leave less than nothing."""
        value = self._values[-1] + by
        if not 0 <= value <= MAX_32:
            return False
        if self._counts[-1] == 1:
            self._counts.pop()
            self._values.pop()
        else:
            self._counts[-1] -= 1
        self._append(value, 1)
        return True

    def box(self, name: str, *, version: int = 0) -> bytes:
        rows = array(self._values.typecode)
        for count, value in zip(self._counts, self._values, strict=True):
            rows.append(count)
            rows.append(value)
        return full_box(name, version, 0, struct.pack(">I", len(self._counts)), big_endian(rows))


HANDLERS = {
    "vide": (b"vide", "VideoHandler", full_box("vmhd", 0, 1, bytes(8))),
    "soun": (b"soun", "SoundHandler", full_box("smhd", 0, 0, bytes(4))),
}


def counted(name: str, count: int, rows: bytes) -> bytes:
    return full_box(name, 0, 0, struct.pack(">I", count), rows)


def big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def header_times(duration: int, *before: int) -> bytes:
    """Creation and modification, always 0, then `before` and the duration, in the short form where they fit."""
    if duration > MAX_32:
        return struct.pack(f">2Q{len(before)}IQ", 0, 0, *before, duration)
    return struct.pack(f">2I{len(before)}II", 0, 0, *before, duration)


def _edit_list(first: int, timescale: int, zero_s: Fraction, shown: int) -> bytes:
    """Begin the film at `zero_s`: skip what comes before it, wait for what begins after it.

    A composition offset that the source's own edit list skips is part of zero_s.
    """
    zero = round(zero_s * timescale)
    duration = round(Fraction(shown, timescale) * MOVIE_TIMESCALE)
    edits = []
    if first > zero:
        edits.append((round((Fraction(first, timescale) - zero_s) * MOVIE_TIMESCALE), -1))
    edits.append((duration, max(0, zero - first)))
    if edits == [(duration, 0)]:
        return b""
    long_form = any(length > MAX_32 or time > 0x7FFFFFFF for length, time in edits)
    rows = b"".join(struct.pack(">QqI" if long_form else ">IiI", length, time, 0x10000) for length, time in edits)
    return box("edts", full_box("elst", int(long_form), 0, struct.pack(">I", len(edits)), rows))


class Layout:
    """Tracks in one progressive file: the bytes before the media, and the order in which chunks follow."""

    def __init__(self, tracks: Sequence[OutputTrack], zeros_s: Sequence[Fraction]) -> None:
        """zeros_s: for each track the media time at which the film begins.

        Raises BoxError for a track without samples.
        """
        for track in tracks:
            if not len(track):
                raise BoxError(f"a track ({track.like.handler}) has no samples")
        self._tracks = tracks
        self._zeros = zeros_s
        self._media_bytes = sum(track.chunk(n)[2] for track in tracks for _, n in track.chunks())
        ftyp = box("ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso4mp41")
        # Sizes of boxes do not depend on the positions in them, but on whether these fit 32 bits.
        probable = len(ftyp) + len(self._moov(self._positions(MAX_32 + 1))) + 16 + self._media_bytes
        offset = MAX_32 + 1 if probable > MAX_32 else 0
        length = len(self._moov(self._positions(offset)))
        media_header = self._media_header()
        start = len(ftyp) + length + len(media_header)
        moov = self._moov(self._positions(start))
        if len(moov) != length:  # near 4 GiB: positions of one track fit 32 bits, those of another do not
            start += len(moov) - length
            moov = self._moov(self._positions(start))
        self.head = ftyp + moov + media_header
        self.size_bytes = len(self.head) + self._media_bytes

    def chunks(self) -> Iterator[tuple[OutputTrack, tuple[int, int, int]]]:
        """Track, and file, offset and bytes, of every chunk, in the order in which they are written."""
        for track, number in self._order():
            yield self._tracks[track], self._tracks[track].chunk(number)

    def _order(self) -> Iterable[tuple[int, int]]:
        """By time, so that a player reads on in one place."""
        merged = heapq.merge(*(self._keyed(index) for index in range(len(self._tracks))))
        return ((index, number) for _, index, number in merged)

    def _keyed(self, index: int) -> Iterator[tuple[float, int, int]]:
        zero = float(self._zeros[index])
        return ((time - zero, index, number) for time, number in self._tracks[index].chunks())

    def _positions(self, start: int) -> list[array[int]]:
        found = [array("Q") for _ in self._tracks]
        for index, number in self._order():
            found[index].append(start)
            start += self._tracks[index].chunk(number)[2]
        return found

    def _media_header(self) -> bytes:
        if self._media_bytes + 8 > MAX_32:
            return struct.pack(">I4sQ", 1, b"mdat", self._media_bytes + 16)
        return struct.pack(">I4s", self._media_bytes + 8, b"mdat")

    def _moov(self, positions: list[array[int]]) -> bytes:
        traks = []
        longest = 0
        for number, (track, zero) in enumerate(zip(self._tracks, self._zeros, strict=True), start=1):
            traks.append(track.trak(number, positions[number - 1], zero))
            longest = max(longest, round((track.shown_end_s - zero) * MOVIE_TIMESCALE))
        version = 1 if longest > MAX_32 else 0
        rest = struct.pack(">IH10x", 0x10000, 0x100) + IDENTITY + struct.pack(">24xI", len(traks) + 1)
        return box("moov", full_box("mvhd", version, 0, header_times(longest, MOVIE_TIMESCALE), rest), *traks)
