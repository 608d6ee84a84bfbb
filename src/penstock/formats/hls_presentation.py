"""HLS playlists as a presentation: the streams and alternative renditions of one kind, the segments of the other.

Takes finished presentations; refuses what is encrypted or out of reach. Never opens a file. Standard: RFC 8216.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from penstock.errors import ManifestError, SourceRejected
from penstock.formats import hls, references
from penstock.formats.presentation import Part, Stretch

MAX_PLAYLISTS = 500
_BYTE_RANGE = re.compile(r"(\d{1,15})(?:@(\d{1,15}))?")
_EXTINF = re.compile(r"#EXTINF:(\d{1,9}(?:\.\d{1,12})?)(?:,.*)?")


@dataclass(frozen=True)
class Playlist:
    """A media playlist that a multivariant playlist names. `url` is None for sound inside the variants themselves."""

    url: str | None
    kind: str
    """`variant`, `audio` or `text`."""
    language: str = ""
    name: str = ""
    roles: tuple[str, ...] = ()
    bandwidth_bps: int = 0
    codecs: str = ""


def is_multivariant(playlist: str) -> bool:
    """Tell the two kinds apart. Raises ManifestError for what is no playlist."""
    return any(line.startswith(("#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:")) for line in _lines(playlist))


def playlists(multivariant: str, *, location: str, within: str) -> list[Playlist]:
    """The streams and alternative renditions to take, each media playlist once, in order of appearance.

    Of several audio groups the one of the best variant is taken, and what only others have. I-frame playlists go.
    """
    variants: dict[str, tuple[dict[str, str], str]] = {}
    media: list[dict[str, str]] = []
    waiting: dict[str, str] | None = None
    for line in _lines(multivariant):
        if line.startswith("#EXT-X-STREAM-INF:"):
            waiting = hls.attributes(line)
        elif line.startswith("#EXT-X-MEDIA:"):
            media.append(hls.attributes(line))
        elif line.startswith("#EXT-X-SESSION-KEY:"):
            _refuse_key(line)
        elif not line.startswith("#"):
            if waiting is None:
                raise ManifestError(f"{line[:80]!r} follows no EXT-X-STREAM-INF")
            variants.setdefault(references.resolve(location, line, within=within), (waiting, line))
            waiting = None
        if len(variants) + len(media) > MAX_PLAYLISTS:
            raise ManifestError(f"the playlist names more than {MAX_PLAYLISTS} playlists")
    found = [
        Playlist(url, "variant", bandwidth_bps=_number(about.get("BANDWIDTH", "0")), codecs=about.get("CODECS", ""))
        for url, (about, _) in variants.items()
    ]
    best = max((about for about, _ in variants.values()), key=lambda v: _number(v.get("BANDWIDTH", "0")), default={})
    found += _alternatives(media, "AUDIO", best.get("AUDIO"), location, within)
    found += _alternatives(media, "SUBTITLES", best.get("SUBTITLES"), location, within)
    return found


def _alternatives(
    media: list[dict[str, str]], kind: str, first_group: str | None, location: str, within: str
) -> Iterator[Playlist]:
    mine = [about for about in media if about.get("TYPE") == kind]
    seen: set[tuple[str, str]] = set()
    for about in sorted(mine, key=lambda about: about.get("GROUP-ID") != first_group):
        language, name = about.get("LANGUAGE", ""), about.get("NAME", "")
        if (language, name) in seen:
            continue
        seen.add((language, name))
        uri = about.get("URI")
        url = references.resolve(location, uri, within=within) if uri else None
        roles = tuple(part.rpartition(".")[2] for part in about.get("CHARACTERISTICS", "").split(",") if part)
        roles += ("forced",) if about.get("FORCED") == "YES" else ()
        yield Playlist(url, "audio" if kind == "AUDIO" else "text", language, name, roles)


def stretches(playlist: str, *, location: str, within: str) -> tuple[Stretch, ...]:
    """Read a media playlist: one stretch from each EXT-X-MAP or discontinuity to the next.

    Raises ManifestError for one that is not finished or cannot be read, SourceRejected for one with keys.
    """
    reader = _MediaPlaylist(location, within)
    for line in _lines(playlist):
        reader.take(line)
    return reader.ended()


class _MediaPlaylist:
    """Takes a media playlist line by line."""

    def __init__(self, location: str, within: str) -> None:
        self._location, self._within = location, within
        self._found: list[Stretch] = []
        self._parts: list[Part] = []
        self._map: Part | None = None
        self._time = self._start = Fraction(0)
        self._range: tuple[int, int | None] | None = None
        self._after: dict[str, int] = {}
        self._count = 0
        self._finished = False

    def take(self, line: str) -> None:
        if line.startswith("#EXT-X-KEY:"):
            _refuse_key(line)
        elif line.startswith("#EXT-X-MAP:"):
            self._take_map(hls.attributes(line))
        elif line.startswith("#EXT-X-DISCONTINUITY") and not line.startswith("#EXT-X-DISCONTINUITY-SEQUENCE"):
            self._close()
        elif line.startswith("#EXT-X-BYTERANGE:"):
            self._range = _byte_range(line.partition(":")[2])
        elif line.startswith("#EXTINF:"):
            match = _EXTINF.fullmatch(line)
            if match is None:
                raise ManifestError(f"expected #EXTINF with seconds, got {line[:40]!r}")
            self._time += Fraction(match[1])
        elif line == "#EXT-X-ENDLIST":
            self._finished = True
        elif not line.startswith("#"):
            self._take_segment(line)

    def _take_map(self, about: dict[str, str]) -> None:
        if "URI" not in about:
            raise ManifestError("#EXT-X-MAP has no URI")
        length, offset = _byte_range(about["BYTERANGE"]) if "BYTERANGE" in about else (0, None)
        url = references.resolve(self._location, about["URI"], within=self._within)
        first = offset or 0
        part = Part(url, first, first + length - 1 if length else None)
        if part != self._map:
            self._close()
        self._map = part

    def _take_segment(self, line: str) -> None:
        self._count += 1
        if self._count > hls.MAX_SEGMENTS:
            raise ManifestError(f"the media playlist names more than {hls.MAX_SEGMENTS} segments")
        url = references.resolve(self._location, line, within=self._within)
        if self._range is None:
            self._parts.append(Part(url))
            return
        length, offset = self._range
        first = self._after.get(url, 0) if offset is None else offset
        self._after[url] = first + length
        self._parts.append(Part(url, first, first + length - 1))
        self._range = None

    def _close(self) -> None:
        if self._parts:
            parts = tuple(self._parts)
            self._found.append(Stretch(self._map, lambda: iter(parts), self._start, self._time - self._start, None))
        self._parts = []
        self._start = self._time

    def ended(self) -> tuple[Stretch, ...]:
        self._close()
        if not self._finished:
            raise ManifestError("the media playlist has no EXT-X-ENDLIST; only finished presentations are read")
        if not self._found:
            raise ManifestError("the media playlist names no segments")
        return tuple(self._found)


def _refuse_key(line: str) -> None:
    about = hls.attributes(line)
    if about.get("METHOD") != "NONE":
        told = f"{line.partition(':')[0]} with METHOD {about.get('METHOD', '')[:20]}"
        reason = f"the source is encrypted: {told}, KEYFORMAT {about.get('KEYFORMAT', hls.IDENTITY)[:60]}"
        raise SourceRejected(f"{reason}. MediaPackage VOD takes clear sources only, and encrypts them itself")


def _byte_range(text: str) -> tuple[int, int | None]:
    """Length and offset; without an offset it goes on where the range before ended."""
    match = _BYTE_RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ManifestError(f"expected a byte range like 1000@0, got {text[:40]!r}")
    return int(match[1]), int(match[2]) if match[2] else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _lines(playlist: str) -> Iterator[str]:
    return (line.strip() for line in hls.lines(playlist.removeprefix("\ufeff")))
