"""Which media time each file of a presentation holds: manifests read for their clock alone, keys and codecs aside.

Takes encrypted presentations, for nothing here is opened. Files that hold no picture and no sound (initialization,
subtitles, images) have no media time. Never opens a file.
Standards: ISO/IEC 23009-1 (MPD), RFC 8216 (EXTINF, EXT-X-STREAM-INF, EXT-X-MEDIA).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from penstock.errors import ManifestError
from penstock.formats import hls, mpd, references
from penstock.formats.mpd import Scope

MAX_SLOTS = 1800
"""Two hours of four seconds each; longer presentations have longer slots."""
LEAST_SLOT_S = 1.0
UNKNOWN_SLOT_S = 4.0
_EXTINF = re.compile(r"#EXTINF:(\d{1,9}(?:\.\d{1,12})?)(?:,|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Media time in one file. main: it holds what the presentation is about, pictures where there are any.

    rendition: name of the representation or playlist that it belongs to.
    """

    start_s: float
    length_s: float
    main: bool
    rendition: str = ""


@dataclass(frozen=True)
class Timeline:
    """Spans by path, and the length of the slots that the presentation's time is divided into."""

    spans: Mapping[str, Span]
    slot_s: float


def timeline(tracks: Iterable[Mapping[str, Span]]) -> Timeline:
    """Put together what several manifests of one presentation say; the first one that names a file counts."""
    spans: dict[str, Span] = {}
    for track in tracks:
        for path, span in track.items():
            spans.setdefault(path, span)
    has_main = any(span.main for span in spans.values())
    if not has_main:
        spans = {path: replace(span, main=True) for path, span in spans.items()}
    main = [span for span in spans.values() if span.main]
    end_s = max((span.start_s + span.length_s for span in main), default=0.0)
    lengths = sorted(span.length_s for span in main if span.length_s < end_s)
    usual_s = lengths[len(lengths) // 2] if lengths else UNKNOWN_SLOT_S
    longest_s = max((span.start_s + span.length_s for span in spans.values()), default=0.0)
    return Timeline(spans, max(usual_s, LEAST_SLOT_S, longest_s / MAX_SLOTS))


def of_mpd(document: bytes, location: str) -> dict[str, Span]:
    """Spans by path of the files that an MPD names. Raises ManifestError."""
    root = mpd.read_leniently(document)
    within = references.folder_of(location)
    found: dict[str, Span] = {}
    for count, (path, span) in enumerate(_named(mpd.representations(root), location, within)):
        if count >= mpd.MAX_SEGMENTS:
            raise ManifestError(f"the MPD names more than {mpd.MAX_SEGMENTS} segments")
        _add(found, path, span)
    return found


def media_playlists(multivariant: str, location: str) -> list[tuple[str, bool]]:
    """Locations of the media playlists that hold pictures or sound, and whether they are variants."""
    within = references.folder_of(location)
    found: dict[str, bool] = {}
    follows = False
    for line in hls.lines(multivariant):
        if line.startswith("#EXT-X-MEDIA:"):
            about = hls.attributes(line)
            if "URI" in about and about.get("TYPE") in ("AUDIO", "VIDEO"):
                found.setdefault(references.resolve(location, about["URI"], within=within), about["TYPE"] == "VIDEO")
        elif line and not line.startswith("#") and follows:
            found[references.resolve(location, line, within=within)] = True
        follows = line.startswith("#EXT-X-STREAM-INF:") or (follows and line.startswith("#"))
    return list(found.items())


def of_media_playlist(playlist: str, location: str, *, main: bool) -> dict[str, Span]:
    """Spans by path of the segments of a media playlist. Raises ManifestError."""
    within = references.folder_of(location)
    rendition = references.path_of(location)
    found: dict[str, Span] = {}
    start_s = length_s = 0.0
    for line in hls.lines(playlist):
        if line.startswith("#EXTINF:"):
            if (match := _EXTINF.match(line)) is None:
                raise ManifestError(f"expected #EXTINF with seconds, got {line[:40]!r}")
            length_s = float(match[1])
        elif line and not line.startswith("#"):
            path = references.path_of(references.resolve(location, line, within=within))
            _add(found, path, Span(start_s, length_s, main, rendition))
            start_s, length_s = start_s + length_s, 0.0
    return found


def _add(found: dict[str, Span], path: str, span: Span) -> None:
    """A file that is named again holds all the time from its first span to its last: byte ranges of one file."""
    if (known := found.get(path)) is not None:
        start_s = min(known.start_s, span.start_s)
        end_s = max(known.start_s + known.length_s, span.start_s + span.length_s)
        span = Span(start_s, end_s - start_s, known.main or span.main, known.rendition)
    found[path] = span


def _named(scopes: Iterator[tuple[int, Scope]], location: str, within: str) -> Iterator[tuple[str, Span]]:
    for number, (_, scope) in enumerate(scopes):
        kind = _kind(scope)
        if kind not in ("video", "audio"):
            continue
        base = location
        for url in scope.base_urls():
            base = references.resolve(base, url, within=within)
        rendition = scope.representation.get("id", str(number))
        segments = [segment for segment in mpd.segments(scope) if not segment.initialization]
        for segment, (start_s, length_s) in zip(segments, _spans(scope, [each.time for each in segments]), strict=True):
            path = references.path_of(references.resolve(base, segment.reference, within=within))
            yield path, Span(start_s, length_s, kind == "video", rendition)


def _spans(scope: Scope, times: Sequence[int | None]) -> Iterator[tuple[float, float]]:
    """Start and length of each segment, seconds; without times the period is divided evenly."""
    begins_s = float(scope.period_start_s)
    period_s = float(scope.period_s or 0)
    if any(time is None for time in times):
        each_s = period_s / max(1, len(times))
        yield from ((begins_s + index * each_s, each_s) for index in range(len(times)))
        return
    timescale, offset_s = scope.timescale("SegmentTemplate"), float(scope.offset_s())
    starts_s = [(time or 0) / timescale - offset_s for time in times]
    for start_s, end_s in pairwise([*starts_s, max(period_s, starts_s[-1] if starts_s else 0.0)]):
        yield begins_s + start_s, max(0.0, end_s - start_s)


def _kind(scope: Scope) -> str:
    """`video`, `audio`, or something else; a representation tells it, or its adaptation set."""
    for element in reversed(scope.chain[2:]):
        told = element.get("contentType") or element.get("mimeType", "").partition("/")[0]
        if told:
            return told
    return ""
