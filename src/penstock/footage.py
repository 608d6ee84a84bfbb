"""A manifest's renditions, opened: what each really holds, whatever the manifest says, and its media made local.

Reads heads only until media are asked for. Never believes a mime type: the first bytes decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

from penstock import remux
from penstock.captions import CODECS, HANDLERS
from penstock.errors import FormatError, ManifestError, NotFound, SourceRejected
from penstock.formats import dash_presentation, hls, hls_presentation, mpd, references, subtitles
from penstock.formats.movie import Movie
from penstock.formats.presentation import Part, Presentation, Rendition, Stretch
from penstock.places import Piece, Places, opened, shown
from penstock.remux import Reel

_HEAD_BYTES = 4096
_TS_PACKET = 188
_AS_IT_IS = "MediaPackage VOD takes an HLS playlist of such segments as it is: give its .m3u8 as the asset's source"
_FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"free", b"mdat", b"emsg", b"prft"})


@dataclass
class Footage:
    """One rendition. `content`: `mp4` or `text`; `movie` is that of its first head."""

    rendition: Rendition
    content: str
    movie: Movie | None
    places: Places = field(repr=False)
    _local: dict[int, list[Piece]] = field(default_factory=dict, repr=False)

    @property
    def has_video(self) -> bool:
        return self.movie is not None and bool(self.movie.of("vide"))

    @property
    def has_audio(self) -> bool:
        return self.movie is not None and bool(self.movie.of("soun"))

    @property
    def is_text(self) -> bool:
        return self.content == "text" or (
            self.movie is not None and any(track.codec in CODECS for track in self.movie.of(*HANDLERS))
        )

    def whole_file(self) -> Path | None:
        """The local file that is all of this rendition; None where it lies elsewhere or in several."""
        if len(self.rendition.stretches) != 1:
            return None
        stretch = self.rendition.stretches[0]
        parts = [part for part, _ in zip(stretch.parts(), range(2), strict=False)]
        if len(parts) != 1 or parts[0].first_byte or parts[0].last_byte is not None:
            return None
        if stretch.initialization is not None and stretch.initialization.url != parts[0].url:
            return None
        return self.places.keep(parts[0]).path if parts[0].url.startswith("file:") else None

    def reels(self, bases_s: list[Fraction] | None = None) -> list[Reel]:
        """The media in order of time. bases_s: media time at the start of each stretch whose manifest does not tell."""
        found = []
        for index, stretch in enumerate(self.rendition.stretches):
            offset = stretch.offset_s
            if offset is None:
                offset = bases_s[min(index, len(bases_s) - 1)] if bases_s else Fraction(0)
            found.append(self._reel(index, stretch, offset))
        return found

    def _reel(self, index: int, stretch: Stretch, offset_s: Fraction) -> Reel:
        head = self.places.keep(stretch.initialization) if stretch.initialization is not None else None
        return Reel(head, lambda: self._pieces(index, stretch), stretch.start_s, stretch.length_s, offset_s)

    def _pieces(self, index: int, stretch: Stretch) -> Iterator[Piece]:
        """What was fetched once stays; local files are looked up each time instead of being remembered."""
        if self.places.local:
            yield from self.places.pieces(stretch.parts())
            return
        if index not in self._local:
            fetched = []
            for piece in self.places.pieces(stretch.parts()):
                fetched.append(piece)
                yield piece
            self._local[index] = fetched
            return
        yield from self._local[index]

    def release(self) -> None:
        """Remove what was fetched of this rendition."""
        for path in {piece.path for pieces in self._local.values() for piece in pieces}:
            path.unlink(missing_ok=True)
        self._local.clear()


def read(location: str, within: str, places: Places) -> list[Footage]:
    """Read a manifest, MPD or playlist, and look into each of its renditions.

    Raises ManifestError for what cannot be read, SourceRejected for what is encrypted, NotFound for what is missing.
    """
    content = places.document(location, mpd.MAX_MPD_BYTES)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U"):
        presentation = _of_playlist(content, location, within, places)
    else:
        presentation = dash_presentation.presentation(content, location=location, within=within)
    seen: set[Part] = set()
    found = []
    for rendition in presentation.renditions:
        first = _first_part(rendition)
        media = next(rendition.stretches[0].parts(), None)
        if media is not None and media in seen:
            continue
        if media is not None:
            seen.add(media)
        found.append(_look(rendition, first, places))
    return found


def _first_part(rendition: Rendition) -> Part:
    stretch = rendition.stretches[0]
    part = stretch.initialization or next(stretch.parts(), None)
    if part is None:
        raise ManifestError(f"{rendition.name} names no segments")
    return part


def _look(rendition: Rendition, part: Part, places: Places) -> Footage:
    piece = places.keep(part)
    with opened(piece.path) as window:
        head = window.read(piece.start, min(_HEAD_BYTES, piece.end - piece.start))
    if head[4:8] in _FIRST_BOXES:
        try:
            return Footage(rendition, "mp4", remux.movie_of(piece), places)
        except FormatError as exc:
            raise ManifestError(f"{rendition.name}, {shown(part.url)}: {exc.message}") from exc
    if head[:1] == b"\x47" and head[_TS_PACKET : _TS_PACKET + 1] in (b"\x47", b""):
        raise SourceRejected(f"{rendition.name} is MPEG-TS ({shown(part.url)}). {_AS_IT_IS}")
    if head.startswith((b"ID3", b"\xff\xf1", b"\xff\xf9")):
        raise SourceRejected(f"{rendition.name} is packed audio ({shown(part.url)}). {_AS_IT_IS}")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        raise SourceRejected(f"{rendition.name} is WebM ({shown(part.url)}); MediaPackage takes H.264 or HEVC in MP4")
    try:
        subtitles.sniffed(head)
    except FormatError as exc:
        raise ManifestError(f"{rendition.name}, {shown(part.url)}: neither MP4 nor a text track") from exc
    return Footage(rendition, "text", None, places)


def _of_playlist(content: bytes, location: str, within: str, places: Places) -> Presentation:
    text = _decoded(content, location)
    if not hls_presentation.is_multivariant(text):
        stretches = hls_presentation.stretches(text, location=location, within=within)
        name = references.path_of(location).rpartition("/")[2]
        return Presentation((Rendition(name, "", "", "", "", "", (), 0, stretches),))
    renditions = []
    for playlist in hls_presentation.playlists(text, location=location, within=within):
        if playlist.url is None:
            continue
        try:
            media = _decoded(places.text(playlist.url, hls.MAX_PLAYLIST_CHARS), playlist.url)
        except NotFound:
            raise NotFound(f"the media playlist {shown(playlist.url)} is missing") from None
        stretches = hls_presentation.stretches(media, location=playlist.url, within=within)
        kind = "" if playlist.kind == "variant" else playlist.kind
        name = urlsplit(playlist.url).path.rpartition("/")[2]
        about = (kind, "", playlist.codecs, playlist.language, playlist.name, playlist.roles, playlist.bandwidth_bps)
        renditions.append(Rendition(name, *about, stretches))
    if not renditions:
        raise ManifestError("the playlist names no media playlist")
    return Presentation(tuple(renditions))


def _decoded(content: bytes, url: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ManifestError(f"{shown(url)} is not UTF-8 at byte {exc.start}") from exc
