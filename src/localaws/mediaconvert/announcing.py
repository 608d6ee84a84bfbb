"""Puts the events that wait in the jobs' outbox on the event bus, in order. Writes none itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

from localaws.mediaconvert.store import Store

log = logging.getLogger(__name__)
Json = dict[str, Any]


class Announcer:
    """One for each database, beside the bus; call it from any thread."""

    def __init__(self, store: Store, publish: Callable[[Json], None]) -> None:
        self._store = store
        self._publish = publish
        self._announcing = Lock()

    def announce(self) -> None:
        """Publish what waits; what fails now is tried again next time."""
        with self._announcing:
            for sequence, event in self._store.undelivered():
                try:
                    self._publish(event)
                except Exception:  # whatever the bus cannot do, the event is kept
                    log.exception("an event could not be published and will be tried again")
                    return
                self._store.delivered(sequence)
