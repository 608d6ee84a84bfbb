"""The edge's disk cache: each object is fetched once, however many ask, and served as a file or from memory.

Never serves an object that did not arrive completely, never tells a viewer's name for a file to the disk, and keeps
nothing over a restart: the index lives in memory, and an object is in it only when all of its bytes are here.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from localaws.edge.origins import NoObject, ObjectStream, Origin, OriginFailed, translated

MAX_BYTES = 4 * 2**30
FRESH_S = 10.0
"""How long an object is served without asking the origin whether it changed or went away."""
GRACE_S = 5.0
"""The server opens a file a moment after it was told its name; until then the file must not go away."""
SMALL_BYTES = 256 * 1024
"""Objects up to this size are also kept in memory, which serves them twice as fast as a file does."""
MAX_SMALL_BYTES = 32 * 2**20
WRITE_BYTES = 2**20


@dataclass
class Stored:
    """A complete object. `content` holds its bytes while it is small and popular, otherwise they are in the file."""

    file: Path
    size_bytes: int
    etag: str
    modified: datetime | None
    content: bytes | None = field(default=None, repr=False)
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Whoever serves the object keeps here what it says of it."""
    fresh_until: float = 0.0
    used_at: float = 0.0


class Cache:
    """Objects of one origin, bounded in bytes, least recently used out first."""

    def __init__(
        self,
        origin: Origin,
        folder: Path,
        *,
        max_bytes: int | None = None,
        fresh_s: float = FRESH_S,
        grace_s: float = GRACE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """folder: emptied now, and the cache's alone. clock: seconds, never going back.

        max_bytes: None takes MAX_BYTES, or a quarter of the free space where that is less.
        """
        self._origin = origin
        self._folder = folder
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._clock = clock
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0
        self._small: OrderedDict[str, Stored] = OrderedDict()
        self._small_bytes = 0
        self._filling: dict[str, asyncio.Task[Stored | None]] = {}
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._max_bytes = max_bytes or min(MAX_BYTES, shutil.disk_usage(folder).free // 4)

    def fresh(self, object_key: str) -> Stored | None:
        """Look up an object that may be served as it is; the file of what is returned stays for `grace_s`."""
        stored = self._stored.get(object_key)
        now = self._clock()
        if stored is None or now >= stored.fresh_until:
            return None
        if stored.content is None and not stored.file.exists():
            self._forget(object_key)
            return None
        self._touch(object_key, stored, now)
        return stored

    async def get(self, object_key: str) -> Stored | None:
        """Get an object, from the origin if need be; None when there is none. Raises OriginFailed."""
        if stored := self.fresh(object_key):
            return stored
        task = self._filling.get(object_key)
        if task is None:
            task = asyncio.create_task(self._fill(object_key))
            self._filling[object_key] = task
            task.add_done_callback(lambda done: self._filled(object_key, done))
        # A viewer who leaves must not end the fetch that others wait for.
        return await asyncio.shield(task)

    def _filled(self, object_key: str, done: asyncio.Task[Stored | None]) -> None:
        del self._filling[object_key]
        if not done.cancelled():
            done.exception()  # asyncio complains about failures that nobody was left to hear of

    async def _fill(self, object_key: str) -> Stored | None:
        known = self._stored.get(object_key)
        try:
            async with self._origin.open(object_key, known.etag if known else None) as answer:
                if isinstance(answer, ObjectStream):
                    return self._keep(object_key, await self._save(answer))
                if known is not None and answer is NoObject.UNCHANGED:
                    return self._refresh(object_key, known)
                self._forget(object_key)
                return None
        except OriginFailed as exc:
            if exc.status == 503:
                self._make_room(all_idle=True)
            # CloudFront, too, serves what it has while the origin is down.
            if known is not None and known.file.exists():
                return self._refresh(object_key, known)
            raise

    async def _save(self, answer: ObjectStream) -> Stored:
        file = self._folder / f"{next(self._numbers):x}"
        small: bytearray | None = bytearray()
        size_bytes = 0
        try:
            with translated(), file.open("xb") as out:
                pending = bytearray()
                async for chunk in answer.chunks:
                    size_bytes += len(chunk)
                    pending += chunk
                    if small is not None:
                        small = None if size_bytes > SMALL_BYTES else small + chunk
                    if len(pending) >= WRITE_BYTES:
                        await asyncio.to_thread(out.write, pending)
                        pending = bytearray()
                out.write(pending)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return Stored(file, size_bytes, answer.etag, answer.modified, bytes(small) if small is not None else None)

    def _keep(self, object_key: str, stored: Stored) -> Stored:
        self._forget(object_key)
        self._stored[object_key] = stored
        self._bytes += stored.size_bytes
        if stored.content is not None:
            self._small[object_key] = stored
            self._small_bytes += stored.size_bytes
        self._refresh(object_key, stored)
        self._make_room()
        return stored

    def _refresh(self, object_key: str, stored: Stored) -> Stored:
        now = self._clock()
        stored.fresh_until = now + self._fresh_s
        self._touch(object_key, stored, now)
        return stored

    def _touch(self, object_key: str, stored: Stored, now: float) -> None:
        stored.used_at = now
        if object_key in self._stored:
            self._stored.move_to_end(object_key)
        if stored.content is not None and object_key in self._small:
            self._small.move_to_end(object_key)

    def _make_room(self, *, all_idle: bool = False) -> None:
        """Bring both bounds back; what was used within `grace_s` stays for that long, even above the bound.

        all_idle: give up everything that may go away, because the disk is fuller than the bound foresaw.
        """
        if self._timer:
            self._timer.cancel()
        while self._small_bytes > MAX_SMALL_BYTES:
            self._drop_content(next(iter(self._small)))
        while self._bytes > (0 if all_idle else self._max_bytes):
            object_key, oldest = next(iter(self._stored.items()))
            if wait_s := max(0.0, oldest.used_at + self._grace_s - self._clock()):
                if self._bytes > self._max_bytes:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self._make_room)
                return
            self._forget(object_key)

    def _forget(self, object_key: str) -> None:
        stored = self._stored.pop(object_key, None)
        if stored is None:
            return
        if object_key in self._small:
            self._drop_content(object_key)
        self._bytes -= stored.size_bytes
        wait_s = max(0.0, stored.used_at + self._grace_s - self._clock())
        asyncio.get_running_loop().call_later(wait_s, stored.file.unlink, True)

    def _drop_content(self, object_key: str) -> None:
        stored = self._small.pop(object_key)
        self._small_bytes -= stored.size_bytes
        stored.content = None
