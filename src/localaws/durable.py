"""Durable work (DBOS): what the workflows of both media services share. Knows neither of them.

DBOS records the end of each step in a database; a workflow whose process died goes on with the step it was in, in the
next process of the same name or, after `recover`, in another one that listens to its queue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Generic, ParamSpec, TypeVar

import psycopg
from dbos import DBOS, DBOSConfig
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

Engine = TypeVar("Engine")
P = ParamSpec("P")
R = TypeVar("R")
AWAY_FIRST_S, AWAY_ATTEMPTS = 0.5, 9  # two minutes in all
_PENDING = "PENDING"
_ENDED = ("SUCCESS", "ERROR", "CANCELLED")
_BATCH = 500
KEPT = timedelta(days=1)
"""How long the record of a piece of work stays after its end, for whoever looks for the reason of a failure."""


class EngineStopping(BaseException):
    """The process ends while work runs. No Exception, so that the workflow keeps its place for whoever goes on."""


class Bound(Generic[Engine]):
    """The engine that this process's workflows use; recovery may start them before it is there."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._on_end: Callable[[str], None] | None = None
        self._ready = Event()

    def bind(self, engine: Engine, on_end: Callable[[str], None] | None = None) -> None:
        """on_end: called with the name of a piece of work when its workflow leaves this process, however it does."""
        self._engine = engine
        self._on_end = on_end
        self._ready.set()

    def release(self) -> None:
        self._engine = None
        self._on_end = None
        self._ready.clear()

    def ended(self, name: str) -> None:
        if (tell := self._on_end) is not None:
            tell(name)

    def get(self) -> Engine:
        self._ready.wait()
        assert self._engine is not None
        return self._engine


def database_is_away(exc: BaseException) -> bool:
    """Whether PostgreSQL ended a connection or does not take one: what was tried may be tried again."""
    return isinstance(exc, OperationalError) and isinstance(exc.orig, psycopg.OperationalError)


def step(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A step of a workflow, done again while the database is away. Everything else that it raises is the workflow's."""
    return DBOS.step(
        name=name,
        retries_allowed=True,
        max_attempts=AWAY_ATTEMPTS,
        interval_seconds=AWAY_FIRST_S,
        should_retry=database_is_away,
    )


def prepare(place: Path | URL, executor_id: str) -> None:
    """Make this process's DBOS, to be launched. executor_id: what its unfinished workflows are found by."""
    database = place.render_as_string(hide_password=False) if isinstance(place, URL) else f"sqlite:///{place}"
    config: DBOSConfig = {
        "name": "localaws",
        "system_database_url": database,
        # One fixed version: a newer program goes on with the work of an older one.
        "application_version": "localaws-1",
        "executor_id": executor_id,
        "log_level": "WARNING",
    }
    DBOS(config=config)


def open_queue(name: str, at_once: int, polling_interval_s: float = 0.1) -> None:
    """To be called once DBOS is launched. at_once: workflows that one process runs at a time."""
    DBOS.register_queue(
        name, worker_concurrency=at_once, polling_interval_sec=polling_interval_s, on_conflict="always_update"
    )


def recover(executor_ids: Collection[str]) -> int:
    """Put the unfinished workflows of dead processes back into their queues; returns how many. Doing it again is safe.

    DBOS gives each to one process, and lets nothing that a former one still records pass.
    """
    if not executor_ids:
        return 0
    left = DBOS.list_workflows(status=_PENDING, executor_id=list(executor_ids), load_input=False, load_output=False)
    if not left:
        return 0
    # DBOS offers this to its hosted service alone, hence the name; `constraints.txt` pins what it does.
    return len(DBOS._recover_pending_workflows(sorted({str(one.executor_id) for one in left})))


def forget(ended_before: datetime) -> int:
    """Delete the records of work that ended before then, which nothing goes on with; returns how many."""
    forgotten = 0
    while True:
        ended = DBOS.list_workflows(
            status=list(_ENDED),
            completed_before=ended_before.isoformat(),
            limit=_BATCH,
            load_input=False,
            load_output=False,
        )
        if not ended:
            return forgotten
        DBOS.delete_workflows([one.workflow_id for one in ended])
        forgotten += len(ended)
