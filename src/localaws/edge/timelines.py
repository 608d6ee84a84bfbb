"""Timelines of the assets that are being watched: read once from their manifests, through the edge's own cache.

A presentation that cannot be read has no timeline, and its viewers are not paced; the log says so once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localaws.edge.cache import Cache, Stored
from localaws.edge.origins import OriginFailed
from penstock.errors import ManifestError, PenstockError
from penstock.formats import references
from penstock.formats import timeline as formats
from penstock.formats.timeline import Span, Timeline

MAX_SPANS = 1_000_000
"""Of all timelines in memory, some 200 MB; a film of two hours in six renditions has 13 000."""
FRESH_S = 600.0
FAILED_S = 30.0
MAX_BYTES = 16 * 2**20
_HOST = "edge"  # of locations, which have to have one

log = logging.getLogger(__name__)


@dataclass
class _Kept:
    timeline: Timeline | None
    until: float

    @property
    def size(self) -> int:
        return 1 + (len(self.timeline.spans) if self.timeline else 0)


class Timelines:
    """Timelines by the folder of an asset and the names of its manifests."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
        self._spans = 0
        self._reading: dict[tuple[str, ...], asyncio.Task[Timeline | None]] = {}

    async def of(self, cache: Cache, folder: str, manifests: tuple[str, ...]) -> Timeline | None:
        """The timeline of manifests in a folder (a path with slashes at both ends), None where there is none."""
        known = (folder, *manifests)
        kept = self._kept.get(known)
        if kept is not None and self._clock() < kept.until:
            self._kept.move_to_end(known)
            return kept.timeline
        task = self._reading.get(known)
        if task is None:
            task = self._reading[known] = asyncio.create_task(self._read(cache, folder, manifests))
            task.add_done_callback(lambda _: self._reading.pop(known))
        return await asyncio.shield(task)

    async def _read(self, cache: Cache, folder: str, manifests: tuple[str, ...]) -> Timeline | None:
        read: Timeline | None = None
        try:
            tracks = [track for name in manifests for track in await _tracks(cache, f"{folder}{name}")]
            read = formats.timeline(tracks)
        except (PenstockError, OriginFailed, UnicodeDecodeError) as exc:
            log.warning("viewers of %s are not paced: %s", folder, exc)
        self._keep((folder, *manifests), _Kept(read, self._clock() + (FRESH_S if read else FAILED_S)))
        return read

    def _keep(self, known: tuple[str, ...], kept: _Kept) -> None:
        if (old := self._kept.pop(known, None)) is not None:
            self._spans -= old.size
        self._kept[known] = kept
        self._spans += kept.size
        while self._spans > MAX_SPANS and len(self._kept) > 1:
            self._spans -= self._kept.popitem(last=False)[1].size


async def _tracks(cache: Cache, path: str) -> list[Mapping[str, Span]]:
    document = await _document(cache, path)
    location = references.location("http", _HOST, path)
    if path.endswith(".mpd"):
        return [await asyncio.to_thread(formats.of_mpd, document, location)]
    found: list[Mapping[str, Span]] = []
    for playlist, main in formats.media_playlists(document.decode(), location):
        text = (await _document(cache, references.path_of(playlist))).decode()
        found.append(await asyncio.to_thread(formats.of_media_playlist, text, playlist, main=main))
    return found


async def _document(cache: Cache, path: str) -> bytes:
    stored = await cache.get(path[1:])
    if stored is None:
        raise ManifestError(f"there is no {path}")
    if stored.size_bytes > MAX_BYTES:
        raise ManifestError(f"{path} has {stored.size_bytes} bytes, at most {MAX_BYTES} are read")
    return stored.content if stored.content is not None else await asyncio.to_thread(_content, stored)


def _content(stored: Stored) -> bytes:
    try:
        return stored.file.read_bytes()
    except OSError as exc:
        raise OriginFailed(503, f"a cached file cannot be read: {exc.strerror}") from exc
