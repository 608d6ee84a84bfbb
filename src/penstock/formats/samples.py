"""Where a track's samples lie and when they are shown: from movie fragments (`moof`) and from sample tables (`stbl`).

Both give the same runs, so that whoever copies samples need not know which kind of file they come from.
Never touches a media byte. Source: ISO/IEC 14496-12 clauses 8.6 to 8.8.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.errors import BoxError
from penstock.formats.isobmff import boxes
from penstock.formats.movie import Track, inner, unpack

MAX_SAMPLES = 20_000_000
"""In one track: more than 24 hours of AAC at 192 kHz."""
MAX_RUN_SAMPLES = 1_000_000
"""In one run of a fragment; a box of twenty bytes can announce any number."""
NOT_SYNC = 0x10000
"""sample_is_non_sync_sample in sample flags."""


@dataclass
class Run:
    """Samples that lie one behind the other in a file, in decoding order. Times in ticks of the track's timescale."""

    offset: int
    """Of the first byte, in the file."""
    sizes: array[int]
    """bytes"""
    durations: array[int]
    shifts: array[int] | None
    """Composition time minus decoding time of each sample; None when all are 0."""
    not_sync: bytearray | None
    """1 where a decoder cannot begin; None when it can everywhere."""
    start: int | None = None
    """Decoding time of the first sample; None: right after what came before."""
    description: int = 1
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = sum(self.sizes)


def fragment_runs(moof: bytes, moof_offset: int, track: Track, *, origin: int = 0) -> Iterator[Run]:
    """Read the runs of one track from the payload of a `moof` whose header begins at `moof_offset`.

    origin: added to offsets that count from the start of the original file, of which this may be a part.
    Raises BoxError for tables that do not fit their box.
    """
    following = moof_offset  # without any offset told, data begins where those of the fragment before ended
    for box in boxes(moof):
        if box.type != "traf":
            continue
        reader = _TrackFragment(box.payload, moof_offset, following, track, origin)
        for run in reader.runs():
            following = run.offset + run.size_bytes
            if reader.track_id == track.track_id:
                yield run


class _TrackFragment:
    """One `traf`: `tfhd` with its defaults, `tfdt`, and the `trun`s."""

    def __init__(self, traf: bytes, moof_offset: int, following: int, track: Track, origin: int) -> None:
        self._traf = traf
        header = inner(traf, "tfhd")
        flags, self.track_id = unpack(">2I", header, 0, "tfhd")
        at = 8
        values = {"description": track.defaults.description, "duration": track.defaults.duration}
        values |= {"size": track.defaults.size, "flags": track.defaults.flags}
        # Without base-data-offset and default-base-is-moof, the first traf counts from the moof, others go on.
        self._base = moof_offset if flags & 0x20000 or following == moof_offset else following
        if flags & 1:
            self._base = unpack(">Q", header, at, "tfhd")[0] + origin
            at += 8
        for bit, name in ((2, "description"), (8, "duration"), (16, "size"), (32, "flags")):
            if flags & bit:
                [values[name]] = unpack(">I", header, at, "tfhd")
                at += 4
        self._values = values

    def runs(self) -> Iterator[Run]:
        start = self._decode_time()
        position = self._base
        for box in boxes(self._traf):
            if box.type == "trun":
                run = self._run(box.payload, position, start)
                position = run.offset + run.size_bytes
                start = None
                yield run

    def _decode_time(self) -> int | None:
        for box in boxes(self._traf):
            if box.type == "tfdt":
                return unpack(">Q" if box.payload[:1] == b"\1" else ">I", box.payload, 4, "tfdt")[0]
        return None

    def _run(self, trun: bytes, position: int, start: int | None) -> Run:
        version_flags, count = unpack(">2I", trun, 0, "trun")
        flags, at, first_flags = version_flags & 0xFFFFFF, 8, None
        if flags & 1:
            [relative] = unpack(">i", trun, at, "trun")
            position = self._base + relative
            at += 4
        if flags & 4:
            [first_flags] = unpack(">I", trun, at, "trun")
            at += 4
        columns = [name for bit, name in _COLUMNS if flags & bit]
        if count > MAX_RUN_SAMPLES or at + 4 * count * len(columns) > len(trun):
            raise BoxError(f"trun announces {count} samples and has {len(trun) - at} bytes for them")
        if position < 0:
            raise BoxError(f"trun: samples begin at byte {position}")
        table = {name: _column(trun, at, count, index, len(columns)) for index, name in enumerate(columns)}
        sample_flags = table.get("flags")
        return Run(
            offset=position,
            sizes=table["size"] if "size" in table else _constant(self._values["size"], count),
            durations=table["duration"] if "duration" in table else _constant(self._values["duration"], count),
            shifts=_signed(table["shift"], version_flags >> 24) if "shift" in table else None,
            not_sync=_not_sync(sample_flags, self._values["flags"], first_flags, count),
            start=start,
            description=self._values["description"],
        )


_COLUMNS = ((0x100, "duration"), (0x200, "size"), (0x400, "flags"), (0x800, "shift"))


def _column(data: bytes, offset: int, count: int, index: int, width: int) -> array[int]:
    return words(data[offset : offset + 4 * count * width])[index::width]


def words(data: bytes, kind: str = "I") -> array[int]:
    """Big-endian numbers as an array: `I` 32 bits, `i` 32 with sign, `Q` 64."""
    found: array[int] = array(kind)
    found.frombytes(data[: len(data) // found.itemsize * found.itemsize])
    if sys.byteorder == "little":
        found.byteswap()
    return found


def _constant(value: int, count: int) -> array[int]:
    if count > MAX_SAMPLES:
        raise BoxError(f"{count} samples, at most {MAX_SAMPLES} are read")
    return array("I", [value]) * count


def _signed(shifts: array[int], version: int) -> array[int]:
    """Version 0 has no sign by the letter, but writers put negative numbers there all the same."""
    found: array[int] = array("i")
    found.frombytes(shifts.tobytes())
    if version == 0 and any(value < -(1 << 30) for value in found):
        raise BoxError("trun: a composition offset beyond 2^31")
    return found


def _not_sync(flags: array[int] | None, default: int, first: int | None, count: int) -> bytearray | None:
    if flags is None:
        marks = bytearray([bool(default & NOT_SYNC)]) * count
    else:
        marks = bytearray(bool(value & NOT_SYNC) for value in flags)
    if first is not None and count and flags is None:
        marks[0] = bool(first & NOT_SYNC)
    return marks if any(marks) else None


def table_runs(track: Track) -> Iterator[Run]:
    """Read a track's sample table, one run a chunk, in order.

    Raises BoxError for tables that contradict each other.
    """
    table = track.sample_table
    sizes = _sizes(table)
    offsets = _chunk_offsets(table)
    durations = _expanded(table.get("stts", b""), "stts", len(sizes))
    shifts = _expanded(table["ctts"], "ctts", len(sizes), signed=True) if "ctts" in table else None
    marks = _sync_marks(table, len(sizes))
    first = 0
    time = 0
    for index, (count, description) in enumerate(_chunk_counts(table, len(offsets))):
        last = first + count
        if last > len(sizes):
            raise BoxError(f"stsc puts {last} samples into chunks, stsz has {len(sizes)}")
        yield Run(
            offset=offsets[index],
            sizes=sizes[first:last],
            durations=durations[first:last],
            shifts=shifts[first:last] if shifts is not None else None,
            not_sync=marks[first:last] if marks is not None else None,
            start=time,
            description=description,
        )
        time += sum(durations[first:last])
        first = last
    if first != len(sizes):
        raise BoxError(f"stsc puts {first} samples into chunks, stsz has {len(sizes)}")


def sample_count(track: Track) -> int:
    """Samples that the sample table itself describes; 0 for a track that is all in fragments."""
    table = track.sample_table
    if "stsz" in table:
        return unpack(">I", table["stsz"], 8, "stsz")[0]
    return unpack(">I", table["stz2"], 8, "stz2")[0] if "stz2" in table else 0


def durations_of(track: Track) -> array[int]:
    """Durations of a sample table in ticks, in decoding order."""
    return _expanded(track.sample_table.get("stts", b""), "stts", sample_count(track))


def sync_times(track: Track) -> array[int]:
    """Composition times, in ticks, of the samples of a sample table where a decoder can begin, in order."""
    count = sample_count(track)
    table = track.sample_table
    durations = durations_of(track)
    shifts = _expanded(table["ctts"], "ctts", count, signed=True) if "ctts" in table else None
    marks = _sync_marks(table, count)
    found: array[int] = array("q")
    time = 0
    for index, duration in enumerate(durations):
        if marks is None or not marks[index]:
            found.append(time + (shifts[index] if shifts is not None else 0))
        time += duration
    return found


def _sizes(table: dict[str, bytes]) -> array[int]:
    if "stz2" in table:
        field_bits, count = unpack(">2I", table["stz2"], 4, "stz2")
        body = table["stz2"][12:]
        if field_bits & 255 == 8 and len(body) >= count:
            return array("I", body[:count])
        if field_bits & 255 == 16 and len(body) >= 2 * count:
            return array("I", words(body[: 2 * count], "H"))
        raise BoxError("stz2 cannot be read; write the file with stsz")
    if "stsz" not in table:
        raise BoxError("box stsz is missing")
    constant, count = unpack(">2I", table["stsz"], 4, "stsz")
    if constant:
        return _constant(constant, count)
    body = table["stsz"][12:]
    if len(body) < 4 * count:
        raise BoxError(f"stsz announces {count} samples and has {len(body)} bytes for them")
    return words(body[: 4 * count])


def _chunk_offsets(table: dict[str, bytes]) -> array[int]:
    name, kind, width = ("co64", "Q", 8) if "co64" in table else ("stco", "I", 4)
    if name not in table:
        raise BoxError("boxes stco and co64 are missing")
    [count] = unpack(">I", table[name], 4, name)
    body = table[name][8:]
    if len(body) < width * count:
        raise BoxError(f"{name} announces {count} chunks and has {len(body)} bytes for them")
    return words(body[: width * count], kind)


def _chunk_counts(table: dict[str, bytes], chunks: int) -> Iterator[tuple[int, int]]:
    """Samples and sample description of each chunk."""
    stsc = table.get("stsc", b"\0" * 8)
    [count] = unpack(">I", stsc, 4, "stsc")
    rows = words(stsc[8 : 8 + 12 * count])
    if len(rows) != 3 * count or (chunks and not count):
        raise BoxError(f"stsc announces {count} rows and has {len(rows) // 3}")
    firsts = [*rows[0::3], chunks + 1]
    for index in range(count):
        if not firsts[index] < firsts[index + 1] and index + 1 < count:
            raise BoxError("stsc: chunk numbers do not rise")
        for _ in range(firsts[index], min(firsts[index + 1], chunks + 1)):
            yield rows[3 * index + 1], rows[3 * index + 2]


def _expanded(box: bytes, name: str, samples: int, *, signed: bool = False) -> array[int]:
    """Unfold runs of (count, value) into one value a sample."""
    [count] = unpack(">I", box or b"\0" * 8, 4, name)
    rows = words(box[8 : 8 + 8 * count])
    if len(rows) != 2 * count:
        raise BoxError(f"{name} announces {count} rows and has {len(rows) // 2}")
    values = words(box[8 : 8 + 8 * count], "i") if signed else rows
    if sum(rows[0::2]) != samples:
        raise BoxError(f"{name} has times for {sum(rows[0::2])} samples, stsz has {samples}")
    found: array[int] = array("i" if signed else "I")
    for index in range(count):
        found.extend(array(found.typecode, [values[2 * index + 1]]) * rows[2 * index])
    return found


def _sync_marks(table: dict[str, bytes], samples: int) -> bytearray | None:
    if "stss" not in table:
        return None
    [count] = unpack(">I", table["stss"], 4, "stss")
    marks = bytearray(b"\1") * samples
    for number in words(table["stss"][8 : 8 + 4 * count]):
        if not 1 <= number <= samples:
            raise BoxError(f"stss names sample {number} of {samples}")
        marks[number - 1] = 0
    return marks
