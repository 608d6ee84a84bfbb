"""Objects of the media bucket as responses: ranges, conditions, content types, caching rules.

Never decides who may see an object, and answers what does not exist as what may not be seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from pathlib import PurePosixPath
from typing import Any

from localaws.edge.answers import COMMON, TOO_FAST, Headers, refuse
from localaws.edge.cache import Cache, Stored
from localaws.edge.ranges import Header, Unsatisfiable, byte_range, precondition, range_applies

CONTENT_TYPES = {
    ".mpd": "application/dash+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".smil": "application/smil+xml",
    ".cmfv": "video/mp4",
    ".cmfa": "audio/mp4",
    ".cmft": "application/mp4",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".m4a": "audio/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".aac": "audio/aac",
    ".ac3": "audio/ac3",
    ".ec3": "audio/eac3",
    ".vtt": "text/vtt",
    ".ttml": "application/ttml+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".json": "application/json",
}
_MANIFESTS = {".mpd", ".m3u8", ".smil"}
Admit = Callable[[tuple[float, float]], Awaitable[int | None]]


class Media:
    """Serves the objects of one cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    async def serve(
        self, protocol: Any, method: str, object_key: str, header: Header, cors: Headers, admit: Admit
    ) -> int:
        """Answer a GET or HEAD for an object; returns the status. Raises OriginFailed.

        admit: asked before bytes are sent, with the share of them, 0 to 1; seconds to come back after, or None.
        """
        # S3 servers on a file system take a name with a slash at its end for a folder, and answer.
        is_folder = object_key.endswith("/")
        stored = None if is_folder else self.cache.fresh(object_key) or await self.cache.get(object_key)
        if stored is None:
            return refuse(protocol, 403, method, cors)
        stored.headers = stored.headers or _headers(object_key, stored)
        headers = [*stored.headers, *cors]
        if status := precondition(header, etag=stored.etag, modified=stored.modified):
            protocol.response_empty(status, headers)
            return status
        wanted = header("range") if method == "GET" else None
        if wanted and not range_applies(header("if-range"), etag=stored.etag, modified=stored.modified):
            wanted = None
        try:
            part = byte_range(wanted, stored.size_bytes)
        except Unsatisfiable:
            protocol.response_empty(416, [*headers, ("content-range", f"bytes */{stored.size_bytes}")])
            return 416
        start, end = part or (0, stored.size_bytes)
        whole = max(1, stored.size_bytes)
        if method == "GET" and (wait_s := await admit((start / whole, end / whole))) is not None:
            return refuse(protocol, TOO_FAST, method, [*cors, ("retry-after", str(wait_s))])
        return _send(protocol, method, stored, headers, part)


def _send(protocol: Any, method: str, stored: Stored, headers: Headers, part: tuple[int, int] | None) -> int:
    start, end = part or (0, stored.size_bytes)
    headers.append(("content-length", str(end - start)))
    status = 206 if part else 200
    if part:
        headers.append(("content-range", f"bytes {start}-{end - 1}/{stored.size_bytes}"))
    if method == "HEAD" or start == end:
        protocol.response_empty(status, headers)
    elif stored.content is not None:
        protocol.response_bytes(status, headers, stored.content[start:end] if part else stored.content)
    elif part:
        protocol.response_file_range(status, headers, str(stored.file), start, end)
    else:
        protocol.response_file(status, headers, str(stored.file))
    return status


def _headers(object_key: str, stored: Stored) -> Headers:
    suffix = PurePosixPath(object_key).suffix.lower()
    headers = [
        *COMMON,
        ("content-type", CONTENT_TYPES.get(suffix, "application/octet-stream")),
        ("accept-ranges", "bytes"),
        # Only the viewer's own browser may keep these; it asks again for manifests, which are small.
        ("cache-control", "private, no-cache" if suffix in _MANIFESTS else "private, max-age=3600"),
    ]
    if stored.etag:
        headers.append(("etag", stored.etag))
    if stored.modified:
        headers.append(("last-modified", format_datetime(stored.modified, usegmt=True)))
    return headers
