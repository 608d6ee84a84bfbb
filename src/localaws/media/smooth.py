"""Turns what the packager fragmented, one track a file, into Smooth Streaming: .ismv files, or fragments alone.

Boxes are written anew, samples are copied as they are; in memory are numbers only. Starts no program.
Source: see `penstock.formats.piff` and `penstock.formats.smooth`.
"""

from __future__ import annotations

import base64
import binascii
import heapq
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from localaws.media.failures import ENCRYPTION, JobError
from localaws.media.files import OpenFile
from penstock.errors import BoxError
from penstock.formats import piff, smooth
from penstock.formats.caption_writers import build_ttml
from penstock.formats.cpix import DrmSystem
from penstock.formats.isobmff import boxes, parse_pssh
from penstock.formats.movie import Track, inner, outer_boxes, read_movie
from penstock.formats.piff import TIMESCALE, Access, Auxiliary, FileTrack, Samples
from penstock.formats.progressive import box
from penstock.formats.samples import Run, fragment_runs
from penstock.formats.subtitles import Cue

MAX_MOOF_BYTES = 16 * 2**20
_COPY_BYTES = 2**20


@dataclass(frozen=True)
class _Place:
    """A fragment in the packager's file: its moof, and its first decoding time in ticks of the track."""

    offset: int
    size_bytes: int
    start: int


@dataclass(frozen=True)
class Recording:
    """One track in a file of the packager's. `lowest_shift`: its lowest composition offset where that is below zero."""

    path: Path
    track: Track
    places: tuple[_Place, ...]
    lowest_shift: int
    end: int
    media_bytes: int

    @property
    def zero_s(self) -> Fraction:
        """Media time that is shown when the film begins."""
        ticks, scale = self.track.delay_s
        return Fraction(self.track.media_start_ticks, self.track.timescale) - Fraction(ticks, scale)

    @property
    def first_s(self) -> Fraction:
        """When decoding begins, on the clock of the film; before zero where pictures are reordered."""
        return Fraction(self.places[0].start + self.lowest_shift, self.track.timescale) - self.zero_s

    @property
    def bitrate_bps(self) -> int:
        """Average rate of its samples."""
        ticks = self.end - self.places[0].start
        return round(8 * self.media_bytes * self.track.timescale / ticks) if ticks else 0

    @property
    def encrypted(self) -> bool:
        return self.track.protected

    def chunks(self, lead_s: Fraction) -> tuple[smooth.Chunk, ...]:
        """Its fragments on the clock of the presentation, one behind the other."""
        moved = lead_s - self.zero_s
        edges = [
            round((Fraction(tick + self.lowest_shift, self.track.timescale) + moved) * TIMESCALE)
            for tick in [*(place.start for place in self.places), self.end]
        ]
        return tuple(smooth.Chunk(start, end - start) for start, end in pairwise(edges))


def survey(path: Path) -> Recording:
    """Read the headers of a fragmented file with one track. Raises BoxError for anything else."""
    with OpenFile(path) as source:
        movie = read_movie(source)
        if len(movie.tracks) != 1 or not movie.fragmented:
            raise BoxError(f"one track in fragments expected, got {len(movie.tracks)}")
        [track] = movie.tracks
        places: list[_Place] = []
        lowest = end = media_bytes = 0
        for outer in outer_boxes(source):
            if outer.type != "moof":
                continue
            runs = list(fragment_runs(outer.payload(source, MAX_MOOF_BYTES), outer.offset, track))
            if not runs or not any(len(run.sizes) for run in runs):
                continue
            start = end if runs[0].start is None else runs[0].start
            places.append(_Place(outer.offset, outer.size_bytes, start))
            end = start + sum(sum(run.durations) for run in runs)
            media_bytes += sum(run.size_bytes for run in runs)
            lowest = min(lowest, *(min(run.shifts, default=0) for run in runs if run.shifts is not None), 0)
    if not places:
        raise BoxError("the track has no samples")
    return Recording(path, track, tuple(places), lowest, end, media_bytes)


def lead_s(recordings: Sequence[Recording]) -> Fraction:
    """What all tracks are moved by, so that none begins before zero: there are no edit lists to say so."""
    return max(Fraction(0), *(-recording.first_s for recording in recordings))


@dataclass(frozen=True)
class _Fragment:
    samples: Samples
    runs: tuple[Run, ...]
    auxiliary: Auxiliary | None


def _fragments(recording: Recording, source: OpenFile, lead: Fraction) -> Iterator[_Fragment]:
    track = recording.track
    for place in recording.places:
        moof = source.read(place.offset, place.size_bytes)[8:]
        runs = tuple(fragment_runs(moof, place.offset, track))
        moved = lead - recording.zero_s
        samples = piff.rescaled(runs, track.timescale, place.start, moved, recording.lowest_shift)
        yield _Fragment(samples, runs, _auxiliary(moof) if recording.encrypted else None)


def _auxiliary(moof: bytes) -> Auxiliary:
    traf = inner(moof, "traf")
    found = {one.type: one.payload for one in boxes(traf)}
    if "senc" not in found or "saiz" not in found:
        raise BoxError("an encrypted fragment has no senc and saiz")
    return Auxiliary(found["senc"], found["saiz"])


def write_fragments(recording: Recording, lead: Fraction, chunks: Sequence[smooth.Chunk], folder: Path) -> None:
    """Write each fragment to a file of its own in `folder`, named by the time that manifests ask for it with.

    chunks: those of the stream, which are the times of its first quality.
    """
    folder.mkdir(parents=True)
    with OpenFile(recording.path) as source:
        for number, (chunk, one) in enumerate(zip(chunks, _fragments(recording, source, lead), strict=True), start=1):
            with (folder / str(chunk.start)).open("wb") as out:
                out.write(piff.fragment(1, number, one.samples, one.auxiliary))
                _copy(source, one.runs, out)


def write_captions(
    cues: Sequence[Cue], language: str, lead: Fraction, chunks: Sequence[smooth.Chunk], folder: Path
) -> int:
    """Write captions as fragments, each a TTML document on a clock that begins with it. Returns their rate in bit/s.

    No specification says which clock; players (dash.js, ExoPlayer) take it that way.
    """
    folder.mkdir(parents=True)
    size_bytes = 0
    for number, (chunk, document) in enumerate(_documents(cues, language, lead, chunks), start=1):
        size_bytes += len(document)
        fragment = piff.fragment(1, number, _one_sample(chunk, document))
        (folder / str(chunk.start)).write_bytes(fragment + document)
    return _rate_bps(chunks, size_bytes)


def write_caption_file(
    cues: Sequence[Cue],
    language: str,
    lead: Fraction,
    chunks: Sequence[smooth.Chunk],
    target: Path,
    style: Mapping[str, str] | None = None,
) -> int:
    """Write an .ismt file: the fragments of `write_captions`, and an index. Returns their rate in bit/s."""
    track = piff.captions_track(1, language or "und", chunks[-1].start + chunks[-1].duration)
    size_bytes, accesses = 0, []
    with target.open("wb") as out:
        out.write(piff.header([track]))
        for number, (chunk, document) in enumerate(_documents(cues, language, lead, chunks, style), start=1):
            size_bytes += len(document)
            accesses.append(Access(chunk.start, out.tell()))
            out.write(piff.fragment(1, number, _one_sample(chunk, document)) + document)
        out.write(piff.index([(1, accesses)]))
    return _rate_bps(chunks, size_bytes)


def _documents(
    cues: Sequence[Cue],
    language: str,
    lead: Fraction,
    chunks: Sequence[smooth.Chunk],
    style: Mapping[str, str] | None = None,
) -> Iterator[tuple[smooth.Chunk, bytes]]:
    """Each fragment with its TTML document."""
    for chunk in chunks:
        start, end = (Fraction(ticks, TIMESCALE) for ticks in (chunk.start, chunk.start + chunk.duration))
        shown = [
            Cue(max(cue.start_s + lead, start) - start, min(cue.end_s + lead, end) - start, cue.text)
            for cue in cues
            if cue.start_s + lead < end and cue.end_s + lead > start
        ]
        yield chunk, build_ttml(shown, language, style=style)


def _one_sample(chunk: smooth.Chunk, document: bytes) -> Samples:
    return Samples(chunk.start, array("I", [len(document)]), array("I", [chunk.duration]), None, None)


def _rate_bps(chunks: Sequence[smooth.Chunk], size_bytes: int) -> int:
    total = chunks[-1].start + chunks[-1].duration - chunks[0].start
    return max(1, 8 * size_bytes * TIMESCALE // total)


@dataclass(frozen=True)
class FilePart:
    """A track of a file that is to be written."""

    recording: Recording
    language: str = "und"


def write_file(parts: Sequence[FilePart], lead: Fraction, systems: Sequence[bytes], target: Path) -> None:
    """Write an .ismv file: tracks 1, 2 ... in fragments in order of time, and an index of them.

    systems: whole `pssh` boxes. Raises BoxError for tracks that cannot be written.
    """
    chunks = [part.recording.chunks(lead) for part in parts]
    tracks = [
        FileTrack(number, part.recording.track.handler, part.language, part.recording.track.entries[0],
                  own[-1].start + own[-1].duration)
        for number, (part, own) in enumerate(zip(parts, chunks, strict=True), start=1)
    ]  # fmt: skip
    with ExitStack() as opened, target.open("wb") as out:
        sources = [opened.enter_context(OpenFile(part.recording.path)) for part in parts]
        out.write(piff.header(tracks, systems))
        accesses: list[list[Access]] = [[] for _ in parts]
        merged = heapq.merge(*(_tagged(index, part, sources[index], lead) for index, part in enumerate(parts)),
                             key=lambda one: (one[1].samples.start, one[0]))  # fmt: skip
        for number, (index, one) in enumerate(merged, start=1):
            accesses[index].append(Access(one.samples.start, out.tell()))
            out.write(piff.fragment(index + 1, number, one.samples, one.auxiliary))
            _copy(sources[index], one.runs, out)
        out.write(piff.index([(track.track_id, found) for track, found in zip(tracks, accesses, strict=True)]))


def _tagged(index: int, part: FilePart, source: OpenFile, lead: Fraction) -> Iterator[tuple[int, _Fragment]]:
    return ((index, one) for one in _fragments(part.recording, source, lead))


def _copy(source: OpenFile, runs: Sequence[Run], out: BinaryIO) -> None:
    for run in runs:
        offset, end = run.offset, run.offset + run.size_bytes
        while offset < end:
            data = source.read(offset, min(_COPY_BYTES, end - offset))
            if not data:
                raise BoxError(f"samples reach to byte {end}, the file ends at {offset}")
            out.write(data)
            offset += len(data)


def same_chunks(one: Sequence[smooth.Chunk], other: Sequence[smooth.Chunk]) -> bool:
    """Whether two qualities can be switched between: as many fragments, that begin together to the hundredth second."""
    return len(one) == len(other) and all(
        abs(mine.start - theirs.start) <= TIMESCALE // 100 for mine, theirs in zip(one, other, strict=True)
    )


def system_boxes(systems: Sequence[DrmSystem]) -> list[bytes]:
    """The `pssh` boxes that a key provider sent, each once. Raises JobError 1091 for what is none."""
    found = []
    for system in systems:
        try:
            found += [parse_pssh(box("pssh", one.payload)).build() for one in boxes(system.pssh or b"")]
        except BoxError as exc:
            raise JobError(ENCRYPTION, f"the key provider's PSSH cannot be used: {exc.message}") from exc
    return list(dict.fromkeys(found))


def protection(systems: Sequence[DrmSystem]) -> list[smooth.Protection]:
    """Protection headers of a manifest: what the key provider sent for Smooth Streaming, else the data of its PSSH.

    A PlayReady `pssh` holds the PlayReady Object that the header is. Raises JobError 1091 for what is neither.
    """
    found: dict[tuple[UUID, bytes], None] = {}
    for system in systems:
        if system.smooth_header:
            found[system.system_id, _header(system.smooth_header)] = None
        else:
            for one in system_boxes([system]):
                found[system.system_id, parse_pssh(one).data] = None
    if systems and not found:
        raise JobError(ENCRYPTION, "the key provider sent no SmoothStreamingProtectionHeaderData and no PSSH")
    return [smooth.Protection(system_id, header) for system_id, header in found]


def _header(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as exc:
        raise JobError(ENCRYPTION, "the key provider's SmoothStreamingProtectionHeaderData is not base64") from exc
