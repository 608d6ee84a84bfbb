"""HTTP Live Streaming playlists: which files they name, and the form that viewers get.

Reads finished (VOD) playlists only. Never fetches anything, never follows an address outside the playlist's own folder.
Standard: RFC 8216 (and its successor draft for KEYFORMAT and EXT-X-SESSION-KEY).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote, urlsplit

from penstock.errors import ManifestError

MAX_PLAYLIST_CHARS = 16 * 2**20
MAX_SEGMENTS = 200_000

FAIRPLAY = "com.apple.streamingkeydelivery"
IDENTITY = "identity"
"""The KEYFORMAT of a key that is fetched from its URI as 16 bytes; also what a missing KEYFORMAT means."""

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^,\s]*)(?:,|$)')
_STREAM_INF = "#EXT-X-STREAM-INF:"
_KEYS = ("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:")
_WITH_URI = ("#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:")


def media_playlists(multivariant: str) -> list[str]:
    """Every media playlist a multivariant playlist names, I-frame playlists included.

    Returns paths relative to it, percent-decoded, in order of appearance, each once.
    Raises ManifestError for what is not a multivariant playlist or leaves its folder.
    """
    found = [_inside(reference) for reference in _references(multivariant)]
    if not found:
        raise ManifestError("the playlist names no media playlist")
    return list(dict.fromkeys(found))


def segment_names(media: str) -> list[str]:
    """Every file a media playlist needs: EXT-X-MAP and segments.

    Returns paths relative to it, percent-decoded, in order of appearance, each once.
    Raises ManifestError for a playlist that is not finished (no EXT-X-ENDLIST), has no segment or leaves its folder.
    """
    found: list[str] = []
    segments = 0
    ended = False
    for line in lines(media):
        if line.startswith("#EXT-X-MAP:"):
            found.append(_inside(_attribute(line, "URI")))
        elif line.startswith((_STREAM_INF, *_WITH_URI)):
            raise ManifestError("this is a multivariant playlist, expected a media playlist")
        elif not line.startswith("#"):
            found.append(_inside(line))
            segments += 1
        ended = ended or line == "#EXT-X-ENDLIST"
    if not ended:
        raise ManifestError("the media playlist has no EXT-X-ENDLIST; only finished presentations are read")
    if not 0 < segments <= MAX_SEGMENTS:
        raise ManifestError(f"the media playlist names {segments} segments; 1 to {MAX_SEGMENTS} are read")
    return list(dict.fromkeys(found))


def key_formats(playlist: str) -> list[str]:
    """The KEYFORMATs a playlist offers keys in, in order of appearance, each once."""
    keys = [attributes(line) for line in lines(playlist) if line.startswith(_KEYS)]
    return list(dict.fromkeys(key.get("KEYFORMAT", IDENTITY) for key in keys if key.get("METHOD") != "NONE"))


def viewer_playlist(playlist: str, *, served: Collection[str] = (FAIRPLAY,), renamed: Collection[str] = ()) -> str:
    """Rewrite a playlist, multivariant or media, for viewers of this installation.

    Keys whose KEYFORMAT is not in `served` go. Where nothing would be left, all stay: a player that knows none of the
    systems then says so, instead of showing encrypted pictures as if they were clear.
    renamed: media playlists, as `media_playlists` returns them, that viewers find under their `viewer_name`.
    """
    formats = set(key_formats(playlist))
    kept = formats & set(served) or formats
    names = {reference: viewer_name(reference) for reference in _references(playlist) if _inside(reference) in renamed}
    rewritten = [_rewritten(line, names) for line in lines(playlist) if not _is_dropped(line, kept)]
    return "\n".join(rewritten) + "\n"


def viewer_name(path: str) -> str:
    """Where the form for viewers is kept: `stream/main.m3u8` -> `stream/main.viewer.m3u8`."""
    stem, extension = posixpath.splitext(path)
    return f"{stem}.viewer{extension}"


def attributes(line: str) -> dict[str, str]:
    """Read the attribute list of a tag; quotes are taken off. Raises ManifestError where it is none."""
    text = line.partition(":")[2]
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        if match is None or match[1] in found:
            raise ManifestError(f"{line.partition(':')[0]} has no attribute list at {text[position : position + 40]!r}")
        found[match[1]] = match[2].strip('"')
        position = match.end()
    return found


def lines(playlist: str) -> Iterator[str]:
    """Lines that say something. Raises ManifestError unless it starts with EXTM3U (RFC 8216, 4.3.1.1)."""
    if len(playlist) > MAX_PLAYLIST_CHARS:
        raise ManifestError(f"the playlist has {len(playlist)} characters, at most {MAX_PLAYLIST_CHARS} are read")
    found = re.split(r"\r?\n", playlist)
    if found[0] != "#EXTM3U":
        raise ManifestError(f"a playlist starts with #EXTM3U, got {found[0][:40]!r}")
    return (line for line in found if line.strip())


def _is_dropped(line: str, kept: set[str]) -> bool:
    if not line.startswith(_KEYS):
        return False
    key = attributes(line)
    return key.get("METHOD") != "NONE" and key.get("KEYFORMAT", IDENTITY) not in kept


def _rewritten(line: str, names: dict[str, str]) -> str:
    if line.startswith(_WITH_URI):
        old = attributes(line).get("URI", "")
        return line.replace(f'URI="{old}"', f'URI="{names.get(old, old)}"')
    return names.get(line, line)


def _references(multivariant: str) -> Iterator[str]:
    """Addresses of media playlists as they are written."""
    expected = False
    for line in lines(multivariant):
        if line.startswith("#EXTINF:"):
            return
        if line.startswith(_STREAM_INF):
            expected = True
        elif line.startswith(_WITH_URI):
            uri = attributes(line).get("URI")
            if uri is not None:
                yield uri
        elif not line.startswith("#"):
            if not expected:
                raise ManifestError(f"{line[:80]!r} follows no EXT-X-STREAM-INF")
            expected = False
            yield line


def _attribute(line: str, name: str) -> str:
    value = attributes(line).get(name)
    if value is None:
        raise ManifestError(f"{line.partition(':')[0]} has no {name}")
    return value


def _inside(reference: str) -> str:
    try:
        parts = urlsplit(reference)
    except ValueError as exc:
        raise ManifestError(f"{reference[:80]!r} is not an address") from exc
    path = posixpath.normpath(unquote(parts.path)) if parts.path else ""
    if parts.scheme or parts.netloc or path in ("", ".", "..") or path.startswith(("/", "../")):
        raise ManifestError(f"{reference[:80]!r} is not a file in the playlist's folder")
    return path
