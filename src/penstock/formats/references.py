"""Addresses inside manifests: resolved as RFC 3986 says, and never out of the folder they may name files of.

Locations are URLs with percent-encoded paths, of the schemes file, s3, http and https. Never opens one.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from penstock.errors import ManifestError

SCHEMES = ("file", "s3", "http", "https")
MAX_REFERENCE_CHARS = 8192
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}/){0,8}[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
"""Names that need no resolving: no query, no percent sign, no scheme, no segment that begins with a dot."""
_SAFE = "/:@!$&'()*+,;=~-._"


def location(scheme: str, authority: str, path: str) -> str:
    """Write a location from a plain path, which starts with a slash."""
    return f"{scheme}://{authority}{quote(path, safe=_SAFE)}"


def folder_of(url: str) -> str:
    """The folder of a location, with a slash at its end, without a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{posixpath.dirname(parts.path).rstrip('/')}/"


def path_of(url: str) -> str:
    """The plain path of a location, percent-decoded: of a file its path, of an S3 object its key after a slash."""
    return unquote(urlsplit(url).path)


def resolve(base: str, reference: str, *, within: str) -> str:
    """Resolve a reference against the location it stands in.

    within: folder, with a slash at its end, that the result must lie in.
    Raises ManifestError for another scheme or server, for a path out of `within`, however it is spelled, and for what
    is no address.
    """
    if _PLAIN.fullmatch(reference) and (folder := _folder_in(base, within)):
        return folder + reference  # as nearly all of ten thousand segments are
    shown = repr(reference[:80])
    if len(reference) > MAX_REFERENCE_CHARS or not reference.isprintable() or "\\" in reference:
        raise ManifestError(f"{shown} is not an address")
    try:
        parts, above = urlsplit(reference), urlsplit(base)
        scheme, netloc = parts.scheme.lower() or above.scheme, parts.netloc
    except ValueError as exc:
        raise ManifestError(f"{shown} is not an address") from exc
    if parts.scheme and scheme not in SCHEMES:
        raise ManifestError(f"{shown} has the scheme {scheme[:20]!r}, expected a file beside the manifest")
    if not parts.scheme and not netloc:
        netloc = above.netloc
    path, query = parts.path, parts.query
    if not path and not parts.netloc:
        path, query = above.path, query or above.query
    elif not path.startswith("/"):
        path = f"{posixpath.dirname(above.path)}/{path}"
    path = _normal(path, shown)
    if not _lies_in(f"{scheme}://{netloc}{path}", within):
        raise ManifestError(f"{shown} leads out of {within}; only files in there are read")
    # Queries are for web servers; a file and an object have none.
    return f"{scheme}://{netloc}{path}" + (f"?{query}" if query and scheme in ("http", "https") else "")


@lru_cache(maxsize=256)
def _folder_in(base: str, within: str) -> str | None:
    """The folder of `base` where it surely lies in `within`."""
    folder = folder_of(base)
    return folder if folder.startswith(within) and folder == folder_of(_joined_dots(folder)) else None


def _joined_dots(folder: str) -> str:
    parts = urlsplit(folder)
    return f"{parts.scheme}://{parts.netloc}{_normal(parts.path, repr(folder[:80]))}"


def _normal(path: str, shown: str) -> str:
    """Take dots out (RFC 3986 5.2.4); refuse those that hide behind percent signs."""
    kept: list[str] = []
    for segment in path.split("/"):
        plain = unquote(segment, errors="replace")
        if plain != segment and (plain in (".", "..") or "/" in plain or not plain.isprintable()):
            raise ManifestError(f"{shown} hides a folder behind percent signs")
        if segment == "..":
            del kept[-1:]
        elif segment not in (".", ""):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if path.endswith(("/", "/.", "/..")) and kept else "")


def _lies_in(url: str, within: str) -> bool:
    mine, folder = urlsplit(url), urlsplit(within)
    same_server = (mine.scheme, mine.netloc.lower()) == (folder.scheme, folder.netloc.lower())
    return same_server and unquote(mine.path).startswith(unquote(folder.path))
