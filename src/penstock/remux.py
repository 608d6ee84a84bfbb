"""Samples of fragmented, segmented or progressive MP4s -> one progressive MP4, byte for byte the same samples.

Reads boxes in code of its own and copies ranges of bytes; nothing is decoded or encoded, no foreign program runs. What
is kept in memory is numbers of samples, never media. Source: ISO/IEC 14496-12; 23009-1 (presentationTimeOffset).
"""

from __future__ import annotations

import os
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

from penstock.errors import BoxError, InvalidRequest, SourceRejected, Unavailable
from penstock.formats import samples
from penstock.formats.movie import Movie, Track, outer_boxes, read_movie
from penstock.formats.progressive import Layout, OutputTrack
from penstock.formats.samples import Run
from penstock.places import Piece, opened

MAX_MOOF_BYTES = 16 * 2**20
OPEN_FILES = 32
_COPY_BYTES = 2**20


@dataclass(frozen=True)
class Reel:
    """Local media of one rendition with one clock: an optional head, then pieces in order of time."""

    head: Piece | None
    pieces: Callable[[], Iterator[Piece]]
    start_s: Fraction
    """When it begins in the film."""
    length_s: Fraction | None
    """None: to its end. What is shown later is left out."""
    offset_s: Fraction
    """Media time that is shown at `start_s`."""


@dataclass
class Files:
    """Source files by number, a bounded number of them open."""

    paths: list[Path] = field(default_factory=list)
    _open: OrderedDict[int, int] = field(default_factory=OrderedDict)

    def number(self, path: Path) -> int:
        """Number of a file; the one added last is asked for most."""
        if not self.paths or self.paths[-1] != path:
            self.paths.append(path)
        return len(self.paths) - 1

    def descriptor(self, number: int) -> int:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        self._open[number] = os.open(self.paths[number], os.O_RDONLY | os.O_CLOEXEC)
        return self._open[number]

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


@dataclass(frozen=True)
class Gathered:
    """A track's tables. `zero_s`: media time, on the clock of the tables, at which the film begins."""

    track: OutputTrack
    zero_s: Fraction
    files: Files


def movie_of(piece: Piece) -> Movie:
    """Read the `moov` of a piece. Raises BoxError where there is none, SourceRejected where a track is encrypted."""
    with opened(piece.path) as window:
        movie = read_movie(window, piece.start, piece.end)
    for track in movie.tracks:
        if track.protected:
            entry = track.entries[0].box[4:8].decode("latin-1")
            told = f"the source is encrypted: its track {track.track_id} is {entry} ({track.codec})"
            raise SourceRejected(f"{told}. MediaPackage VOD takes clear sources only, and encrypts them itself")
    return movie


def gather(
    reels: Sequence[Reel], choose: Callable[[Movie], Track], files: Files, *, language: str, name: str = ""
) -> Gathered:
    """Collect the tables of one track over all reels.

    choose: picks the track in each reel's movie. Raises BoxError for what does not fit together, SourceRejected where a
    later reel has another codec or picture size than the first.
    """
    found: Gathered | None = None
    for index, reel in enumerate(reels):
        pieces = reel.pieces()
        first = reel.head or next(pieces, None)
        if first is None:
            raise BoxError("no segment is there")
        track = choose(movie_of(first))
        if found is None:
            output = OutputTrack(track, language=language, name=name)
            found = Gathered(output, zero_s(track), files)
        _refuse_change(found.track.like, track)
        last = index == len(reels) - 1
        adding = _Adding(found, track, reel, ends=not last)
        for number, piece in enumerate(pieces if reel.head else chain([first], pieces)):
            if number == 0:
                adding.add_tables(piece)
            adding.add_piece(piece)
    if found is None or not len(found.track):
        raise BoxError("a track has no samples")
    return found


def first_shown_s(reel: Reel, choose: Callable[[Movie], Track]) -> Fraction:
    """When the first sample of a reel is shown, in seconds of the media's own clock."""
    start = Reel(reel.head, lambda: islice(reel.pieces(), 1), Fraction(0), None, Fraction(0))
    gathered = gather([start], choose, Files(), language="und")
    return Fraction(gathered.track.first_shown(), gathered.track.like.timescale) - gathered.zero_s


def zero_s(track: Track) -> Fraction:
    """What the edit list of a source skips, less what it waits."""
    ticks, scale = track.delay_s
    return Fraction(track.media_start_ticks, track.timescale) - Fraction(ticks, scale)


def _refuse_change(first: Track, later: Track) -> None:
    mine, theirs = first.entries[0], later.entries[0]
    if (mine.codec, mine.width_px, mine.height_px) != (theirs.codec, theirs.width_px, theirs.height_px):
        before, after = (f"{entry.codec} {entry.width_px}x{entry.height_px}" for entry in (mine, theirs))
        told = f"a rendition changes from {before} to {after} on the way"
        raise SourceRejected(f"{told}; MediaPackage needs one form for the whole film")


class _Adding:
    """Adds the runs of one reel to the tables."""

    def __init__(self, found: Gathered, track: Track, reel: Reel, *, ends: bool) -> None:
        self._track, self._found = track, found
        scale = found.track.like.timescale
        # A later reel's own edit list moves its clock against the first one's.
        self._shift_s = reel.start_s - reel.offset_s + found.zero_s - zero_s(track)
        self._scale, self._factor = scale, Fraction(scale, track.timescale)
        self._end: int | None = None
        if ends and reel.length_s is not None:
            self._end = round((reel.start_s + reel.length_s + found.zero_s) * scale)
        # Sound that only prepares the decoder would overlap what comes before; the pictures' own order forbids to cut.
        self._begin: int | None = None
        if len(found.track) and track.handler == "soun":
            self._begin = round((reel.start_s + found.zero_s) * scale)

    def add_tables(self, piece: Piece) -> None:
        """Samples that the `moov` itself describes."""
        if samples.sample_count(self._track):
            for run in samples.table_runs(self._track):
                run.offset += piece.origin
                self._add(run, piece)

    def add_piece(self, piece: Piece) -> None:
        with opened(piece.path) as window:
            for box in outer_boxes(window, piece.start, piece.end):
                if box.type == "moof":
                    moof = box.payload(window, MAX_MOOF_BYTES)
                    for run in samples.fragment_runs(moof, box.offset, self._track, origin=piece.origin):
                        self._add(run, piece)

    def _add(self, run: Run, piece: Piece) -> None:
        if run.offset < piece.start or run.offset + run.size_bytes > piece.end:
            end = run.offset + run.size_bytes
            raise BoxError(
                f"samples lie at bytes {run.offset} to {end}, their segment ends at {piece.end}: it is cut off"
            )
        # Some packagers keep those of all renditions in one initialization segment; only what is used goes along.
        entries = self._track.entries
        if not 1 <= run.description <= len(entries):
            raise BoxError(f"samples name description {run.description} of {len(entries)}")
        start = None
        if run.start is not None:
            start = round(run.start * self._factor + self._shift_s * self._scale)
        if self._factor != 1:
            _rescale(run, self._factor)
        if self._begin is not None and start is not None:
            start = _trim_head(run, start, self._begin)
        if self._end is not None:
            _trim(run, self._found.track.end if start is None else start, self._end)
        number = self._found.files.number(piece.path)
        self._found.track.add(run, number, start, self._found.track.describe(entries[run.description - 1]))


def _rescale(run: Run, factor: Fraction) -> None:
    """Other ticks; rounding never adds up."""
    durations = array("I")
    time = before = 0
    for duration in run.durations:
        time += duration
        durations.append(round(time * factor) - before)
        before += durations[-1]
    run.durations = durations
    if run.shifts is not None:
        run.shifts = array("i", (round(shift * factor) for shift in run.shifts))


def _trim_head(run: Run, start: int, begin: int) -> int:
    """Leave out the first samples, if each can be decoded alone, that end before `begin`; returns the new start."""
    count = 0
    while count < len(run.sizes) and run.not_sync is None and start + run.durations[count] <= begin:
        start += run.durations[count]
        run.offset += run.sizes[count]
        count += 1
    if count:
        run.sizes, run.durations = run.sizes[count:], run.durations[count:]
        run.shifts = run.shifts[count:] if run.shifts is not None else None
        run.size_bytes = sum(run.sizes)
    return start


def _trim(run: Run, start: int, end: int) -> None:
    """Leave out the last samples, in decoding order, that are shown when the period is over."""
    time = start + sum(run.durations)
    count = len(run.sizes)
    while count:
        time -= run.durations[count - 1]
        if time + (run.shifts[count - 1] if run.shifts is not None else 0) < end:
            break
        count -= 1
    if count < len(run.sizes):
        run.sizes, run.durations = run.sizes[:count], run.durations[:count]
        run.shifts = run.shifts[:count] if run.shifts is not None else None
        run.not_sync = run.not_sync[:count] if run.not_sync is not None else None
        run.size_bytes = sum(run.sizes)


def write(tracks: Sequence[Gathered], target: Path) -> int:
    """Write a progressive MP4 of the tracks; returns its bytes. It appears under its name when it is whole.

    Raises BoxError for tables that make no film, Unavailable when the disk is full.
    """
    layout = Layout([gathered.track for gathered in tracks], [gathered.zero_s for gathered in tracks])
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    # Chunks name files by numbers of each track's own table.
    sources = {id(gathered.track): gathered.files for gathered in tracks}
    try:
        with partial.open("wb") as file:
            file.write(layout.head)
            file.flush()
            for track, chunk in layout.chunks():
                number, offset, length = chunk
                _copy(sources[id(track)].descriptor(number), file.fileno(), offset, length)
        partial.replace(target)
    except OSError as exc:
        raise Unavailable(f"{target} cannot be written: {exc.strerror or exc}") from exc
    finally:
        partial.unlink(missing_ok=True)
        for gathered in tracks:
            gathered.files.close()
    return layout.size_bytes


def _copy(source: int, target: int, offset: int, length: int) -> None:
    end = offset + length
    if sys.platform == "linux":
        with suppress(OSError):  # some file systems cannot; the rest is read and written
            while offset < end and (sent := os.sendfile(target, source, offset, end - offset)):
                offset += sent
    while offset < end:
        data = os.pread(source, min(_COPY_BYTES, end - offset), offset)
        if not data:
            raise InvalidRequest("a source file became shorter while it was read")
        os.write(target, data)
        offset += len(data)
