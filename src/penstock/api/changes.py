"""Tells waiting readers that something changed; remembers which assets somebody looks at. Knows no state of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LOOKS_FOR_S = 10.0
"""How long one look at an asset keeps its progress followed."""


class Changes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._looked_at: dict[str, float] = {}
        self.closed = False

    def notify(self, _asset_id: str = "") -> None:
        """Wake every reader; from any thread."""
        with self._lock:
            for loop, event in self._waiting:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set after each change."""
        waiting = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiting.add(waiting)
        try:
            yield waiting[1]
        finally:
            with self._lock:
                self._waiting.discard(waiting)

    def close(self) -> None:
        """End every reader, so that the server can stop."""
        self.closed = True
        self.notify()

    def look(self, asset_ids: Iterable[str]) -> None:
        """Note that somebody looks at these assets now."""
        now = time.monotonic()
        with self._lock:
            self._looked_at.update(dict.fromkeys(asset_ids, now))

    def looked_at(self) -> set[str]:
        """The assets that somebody has looked at within the last seconds."""
        oldest = time.monotonic() - LOOKS_FOR_S
        with self._lock:
            self._looked_at = {asset_id: at for asset_id, at in self._looked_at.items() if at > oldest}
            return set(self._looked_at)
