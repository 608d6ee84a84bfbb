"""The engines that run jobs: who there is, who is alive, and whose a job is.

An engine of several machines lives on a lease that its heartbeat renews. One that has been silent for longer than its
lease is dead for good: its jobs are released in the same transaction, so whatever it may still write of them is refused
by the store. An id is never used again; a process that finds itself dead begins anew under another one.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    delete,
    extract,
    func,
    insert,
    literal,
    select,
    update,
)

from localaws.database import create_tables
from localaws.durable import EngineStopping
from localaws.mediaconvert.store import ALIVE, jobs

ALONE = "local"
"""The engine of a stack that is on its own. It has no heartbeat: the lock on the data folder admits one."""
REMEMBERED_S = 86_400.0
"""How long a dead engine is remembered: what it left unfinished may have to be recovered more than once."""

_metadata = MetaData()
_engines = Table(
    "engines",
    _metadata,
    Column("id", String(128), primary_key=True),
    Column("host", String(256), nullable=False),
    # Epoch seconds of the database's clock, the only one that all machines share.
    Column("heartbeat_at", Float, nullable=False),
    Column("lease_s", Float),
    Column("dead_at", Float),
)


class Superseded(EngineStopping):
    """The engine was taken for dead, and others go on with its jobs."""


class Engines:
    """The register of engines, in the jobs' database."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        create_tables(database, _metadata)

    def join(self, engine_id: str, host: str, lease_s: float | None) -> None:
        """Be there, or be there again. lease_s: the silence after which one is dead; None for never."""
        with self._database.begin() as connection:
            row = {"host": host[:256], "heartbeat_at": self._now(), "lease_s": lease_s, "dead_at": None}
            if not connection.execute(update(_engines).where(_engines.c.id == engine_id).values(row)).rowcount:
                connection.execute(insert(_engines).values(id=engine_id, **row))

    def beat(self, engine_id: str) -> bool:
        """Renew the lease. False when the engine has been taken for dead."""
        query = update(_engines).where(_engines.c.id == engine_id, _engines.c.dead_at.is_(None))
        with self._database.begin() as connection:
            return bool(connection.execute(query.values(heartbeat_at=self._now())).rowcount)

    def leave(self, engine_id: str) -> None:
        """Give everything up, so that others go on at once."""
        with self._database.begin() as connection:
            self._bury(connection, [engine_id])

    def take(self, engine_id: str, job_id: str) -> None:
        """Make a job that has not ended the engine's own. Raises Superseded for an engine that is dead."""
        alive = select(_engines.c.id).where(_engines.c.id == engine_id, _engines.c.dead_at.is_(None))
        with self._database.begin() as connection:
            # Locked, so that nobody declares the engine dead between the question and the answer to it.
            if connection.execute(alive.with_for_update()).one_or_none() is None:
                raise Superseded
            values: dict[str, Any] = {"engine": engine_id, "attempts": jobs.c.attempts + 1}
            connection.execute(update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(ALIVE)).values(values))

    def lost(self, engine_id: str, job_ids: Collection[str]) -> list[str]:
        """Those of `job_ids` that the engine has to stop: canceled, ended, or somebody else's by now."""
        mine = select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.status.in_(ALIVE), jobs.c.engine == engine_id)
        with self._database.begin() as connection:
            kept = set(connection.execute(mine).scalars())
        return [job_id for job_id in job_ids if job_id not in kept]

    def living(self) -> int:
        """How many engines there are for jobs to run on."""
        query = select(func.count()).select_from(_engines).where(_engines.c.dead_at.is_(None), ~self._silent())
        with self._database.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def bury_silent(self) -> list[str]:
        """Declare those dead whose lease is over; returns all that died of late, whose work is to be recovered."""
        with self._database.begin() as connection:
            silent = select(_engines.c.id).where(_engines.c.dead_at.is_(None), self._silent())
            # Locked one by one in this order, and asked again: a heartbeat may have come meanwhile.
            self._bury(connection, connection.execute(silent.order_by(_engines.c.id).with_for_update()).scalars().all())
            connection.execute(delete(_engines).where(_engines.c.dead_at < self._now() - REMEMBERED_S))
            return list(connection.execute(select(_engines.c.id).where(_engines.c.dead_at.is_not(None))).scalars())

    def _bury(self, connection: Connection, engine_ids: Collection[str]) -> None:
        if engine_ids:
            connection.execute(update(_engines).where(_engines.c.id.in_(engine_ids)).values(dead_at=self._now()))
            # The store lets nothing pass that an engine writes of a job which is not its own.
            held = update(jobs).where(jobs.c.engine.in_(engine_ids), jobs.c.status.in_(ALIVE))
            connection.execute(held.values(engine=None))

    def _silent(self) -> ColumnElement[bool]:
        return _engines.c.heartbeat_at + _engines.c.lease_s < self._now()

    def _now(self) -> ColumnElement[Any]:
        if self._database.dialect.name == "postgresql":
            return extract("epoch", func.clock_timestamp())
        return literal(time.time())
