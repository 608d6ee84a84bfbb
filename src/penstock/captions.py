"""Text tracks of any kind a manifest may name -> cues on the clock of the film.

Side-car files, segments of WebVTT or TTML, and text in MP4 (wvtt, stpp). Never holds more than one track's text.
Source: ISO/IEC 14496-30; W3C WebVTT and TTML2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction

from penstock.errors import FormatError, ManifestError
from penstock.formats import samples, subtitles, ttml
from penstock.formats.movie import Track, outer_boxes
from penstock.formats.subtitles import MAX_CUES, MAX_TEXT_BYTES, Cue
from penstock.places import Piece, Window, opened
from penstock.remux import MAX_MOOF_BYTES, Reel, movie_of, zero_s

HANDLERS = ("text", "subt", "sbtl")
CODECS = ("wvtt", "stpp")


def cues(reels: Sequence[Reel], *, clock_zero_s: Fraction) -> list[Cue]:
    """Read all cues of a text track.

    clock_zero_s: where the film begins on the media's clock (X-TIMESTAMP-MAP). Raises FormatError for what is no text
    and for more than MAX_CUES.
    """
    found: list[Cue] = []
    for reel in reels:
        for cue in _of_reel(reel, clock_zero_s):
            found.append(cue)
            if len(found) > MAX_CUES:
                raise ManifestError(f"a text track has more than {MAX_CUES} subtitles")
    return found


def _of_reel(reel: Reel, clock_zero_s: Fraction) -> Iterator[Cue]:
    track: Track | None = None
    if reel.head is not None:
        track = text_track(reel.head)
    shift = reel.start_s - reel.offset_s
    for piece in reel.pieces():
        content_is_mp4 = track is not None or _starts_like_mp4(piece)
        if content_is_mp4:
            track = track or text_track(piece)
            yield from _of_samples(piece, track, shift - zero_s(track) - clock_zero_s)
        else:
            yield from _of_text(_content(piece), shift, clock_zero_s)


def text_track(piece: Piece) -> Track:
    """The text track of an MP4. Raises FormatError where there is none that can be read."""
    found = [track for track in movie_of(piece).of(*HANDLERS) if track.codec in CODECS]
    if not found:
        raise ManifestError("the MP4 has no WebVTT or TTML track (wvtt, stpp)")
    return found[0]


def _starts_like_mp4(piece: Piece) -> bool:
    with opened(piece.path) as window:
        return window.read(piece.start + 4, 4) in (b"ftyp", b"styp", b"moov", b"moof", b"sidx")


def _content(piece: Piece) -> bytes:
    if piece.end - piece.start > MAX_TEXT_BYTES:
        raise ManifestError(f"a text file has {piece.end - piece.start} bytes, at most {MAX_TEXT_BYTES} are read")
    with opened(piece.path) as window:
        return os.pread(window.descriptor, piece.end - piece.start, piece.start)


def _of_text(content: bytes, shift_s: Fraction, clock_zero_s: Fraction) -> Iterator[Cue]:
    kind = subtitles.sniffed(content)
    if kind == "webvtt":
        found = subtitles.parse_webvtt(content, clock_zero_s=clock_zero_s)
    else:
        found = ttml.parse_ttml(content) if kind == "ttml" else subtitles.parse_srt(content)
    for cue in found:
        yield Cue(cue.start_s + shift_s, cue.end_s + shift_s, cue.text)


def _of_samples(piece: Piece, track: Track, shift_s: Fraction) -> Iterator[Cue]:
    with opened(piece.path) as window:
        for content, start, end in _samples(window, piece, track):
            if track.codec == "wvtt":
                yield from subtitles.wvtt_cues(content, start + shift_s, end + shift_s)
            else:  # times in a TTML document are those of the track
                yield from _of_text(content, shift_s, Fraction(0)) if content.strip() else ()


def _samples(window: Window, piece: Piece, track: Track) -> Iterator[tuple[bytes, Fraction, Fraction]]:
    """Content, start and end of each sample, in seconds of the track's clock."""
    time = 0
    for run in _runs(window, piece, track):
        time = time if run.start is None else run.start
        offset = run.offset
        if run.size_bytes > MAX_TEXT_BYTES or not piece.start <= offset <= offset + run.size_bytes <= piece.end:
            raise FormatError(f"text samples at byte {offset} lie outside of their segment")
        for size, duration in zip(run.sizes, run.durations, strict=True):
            end = time + duration
            yield window.read(offset, size), Fraction(time, track.timescale), Fraction(end, track.timescale)
            offset += size
            time = end


def _runs(window: Window, piece: Piece, track: Track) -> Iterator[samples.Run]:
    if samples.sample_count(track):
        yield from samples.table_runs(track)
    for box in outer_boxes(window, piece.start, piece.end):
        if box.type == "moof":
            moof = box.payload(window, MAX_MOOF_BYTES)
            yield from samples.fragment_runs(moof, box.offset, track, origin=piece.origin)
