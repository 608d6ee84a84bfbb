"""An engine's life among others: its heartbeat, what it has to stop, and the work of those that are silent.

Never ends a job by itself: what an engine gives up goes on elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from localaws import durable
from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.engines import Engines

log = logging.getLogger(__name__)
LEASE_S = 30.0
LOOK_S = 0.5
"""How often an engine asks which of its jobs it has to stop: a canceled job's processes are gone within two seconds."""


class Lease:
    """Says that an engine is alive, and whether others may think otherwise."""

    def __init__(self, engines: Engines, engine_id: str, host: str, lease_s: float = LEASE_S) -> None:
        self._engines = engines
        self._engine_id = engine_id
        self._host = host
        self._lease_s = lease_s
        self._renewed = 0.0
        self._launched = Event()
        self._stopping = Event()
        self._thread: Thread | None = None

    def holds(self) -> bool:
        """Whether nobody can have taken the engine for dead yet; it stops changing objects well before that."""
        return time.monotonic() - self._renewed < self._lease_s / 2

    def start(self, engine: Engine, on_dead: Callable[[], None]) -> None:
        """Join the others, before DBOS gives the engine work. on_dead: called once, when it was taken for dead."""
        self._renewed = time.monotonic()
        self._engines.join(self._engine_id, self._host, self._lease_s)
        self._thread = Thread(target=self._work, args=(engine, on_dead), name="lease", daemon=True)
        self._thread.start()

    def launched(self) -> None:
        """DBOS runs: from now on the work of the dead can be recovered."""
        self._launched.set()

    def stop(self) -> None:
        """Leave: others go on at once with what this engine had."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
        self._renewed = 0.0
        self._engines.leave(self._engine_id)

    def _work(self, engine: Engine, on_dead: Callable[[], None]) -> None:
        while not self._stopping.wait(min(LOOK_S, self._lease_s / 10)):
            try:
                if not self._renew():
                    log.error("this engine was silent for too long; others go on with its jobs")
                    on_dead()
                    return
                for job_id in self._engines.lost(self._engine_id, engine.running()):
                    engine.interrupt(job_id)
                dead = self._engines.bury_silent()
                if self._launched.is_set() and (recovered := durable.recover(dead)):
                    log.warning("%d jobs of engines that have died go on", recovered)
            except Exception:  # the top of a thread; an engine whose heart stops is taken for dead
                log.exception("the heartbeat failed, trying again")

    def _renew(self) -> bool:
        asked = time.monotonic()
        if asked - self._renewed < self._lease_s / 10:
            return True
        if not self._engines.beat(self._engine_id):
            self._renewed = 0.0
            return False
        # From before the question on: the database's clock began to run no earlier.
        self._renewed = asked
        return True
