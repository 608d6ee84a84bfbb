"""What is remembered of jobs, in one SQLite database (WAL): their states, and an outbox for the events about them.

A change of state and its event are one transaction; states change by conditional writes, so of a cancel and a
completion at the same moment exactly one wins.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

SUBMITTED, PROGRESSING, COMPLETE, CANCELED, ERROR = "SUBMITTED", "PROGRESSING", "COMPLETE", "CANCELED", "ERROR"
ALIVE = (SUBMITTED, PROGRESSING)

metadata = MetaData()
jobs = Table(
    "jobs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("token", String(64), unique=True),
    Column("fingerprint", String(64), nullable=False),
    Column("request", JSON, nullable=False),
    Column("queue", String(256), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("phase", String(16)),
    Column("percent", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("error_code", Integer),
    Column("error_message", Text),
    Column("info", JSON, nullable=False, default=list),
    Column("warnings", JSON, nullable=False, default=list),
    Column("details", JSON, nullable=False, default=list),
    Column("priority", Integer, nullable=False, server_default="0"),
    # Settings as GetJob shows them, where those that run have presets merged into them.
    Column("shown_settings", JSON),
    Column("transitions", JSON),
)
outbox = Table(
    "outbox",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("event", JSON, nullable=False),
)

Job = Row[Any]
Event = Mapping[str, Any]


class Store:
    """Jobs and their undelivered events. Times are epoch seconds."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._engine: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _pragmas)
        event.listen(self._engine, "begin", _begin_immediate)
        metadata.create_all(self._engine)
        _add_missing_columns(self._engine)

    @property
    def database(self) -> Engine:
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def add(
        self,
        job_id: str,
        request: Mapping[str, Any],
        token: str | None,
        fingerprint: str,
        queue: str,
        info: Sequence[str],
        *,
        priority: int = 0,
        shown_settings: Mapping[str, Any] | None = None,
    ) -> Job:
        """Add a job, or return the one that was added before with the same token."""
        row = {
            "id": job_id,
            "token": token,
            "fingerprint": fingerprint,
            "request": request,
            "queue": queue,
            "info": list(info),
            "priority": priority,
            "shown_settings": shown_settings,
            "status": SUBMITTED,
            "created_at": time.time(),
        }
        with self._engine.begin() as connection:
            earlier = token and connection.execute(select(jobs).where(jobs.c.token == token)).one_or_none()
            if earlier:
                return earlier
            try:
                connection.execute(insert(jobs).values(row))
            except IntegrityError as exc:
                raise RuntimeError("two jobs were given one id") from exc
            return _get(connection, job_id)

    def get(self, job_id: str) -> Job | None:
        with self._engine.begin() as connection:
            return connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()

    def page(
        self, *, status: str | None, queue: str | None, ascending: bool, after: int | None, most: int
    ) -> Sequence[Job]:
        """Jobs in order of submission, at most `most`; `after` is the sequence number of the last one already seen."""
        query = select(jobs).limit(most)
        if status:
            query = query.where(jobs.c.status == status)
        if queue:
            query = query.where(jobs.c.queue == queue)
        if after is not None:
            query = query.where(jobs.c.sequence > after if ascending else jobs.c.sequence < after)
        query = query.order_by(jobs.c.sequence.asc() if ascending else jobs.c.sequence.desc())
        with self._engine.begin() as connection:
            return connection.execute(query).all()

    def alive(self) -> Sequence[Job]:
        with self._engine.begin() as connection:
            query = select(jobs).where(jobs.c.status.in_(ALIVE)).order_by(jobs.c.sequence)
            return connection.execute(query).all()

    def waiting(self) -> Sequence[Job]:
        """Submitted jobs, those of the highest priority first, of equals the one submitted first."""
        with self._engine.begin() as connection:
            query = select(jobs).where(jobs.c.status == SUBMITTED).order_by(jobs.c.priority.desc(), jobs.c.sequence)
            return connection.execute(query).all()

    def count(self, queue: str, status: str) -> int:
        with self._engine.begin() as connection:
            query = select(func.count()).where(jobs.c.queue == queue, jobs.c.status == status)
            return connection.execute(query).scalar_one()

    def hop(self, job_id: str, queue: str, priority: int, transition: Mapping[str, Any], event: Event) -> bool:
        """Move a job that has not started to another queue, and tell. False when it has started."""
        with self._engine.begin() as connection:
            job = _get(connection, job_id)
            if job.status != SUBMITTED:
                return False
            values = {"queue": queue, "priority": priority, "transitions": [*(job.transitions or ()), dict(transition)]}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            connection.execute(insert(outbox), [{"event": dict(event)}])
            return True

    def count_alive(self) -> int:
        with self._engine.begin() as connection:
            return connection.execute(select(func.count()).where(jobs.c.status.in_(ALIVE))).scalar_one()

    def change(self, job_id: str, values: Mapping[str, Any], *, events: Sequence[Event] = ()) -> bool:
        """Change a job that has not ended, and put events into the outbox with it. False when it has ended."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(ALIVE)).values(**values)
            ).rowcount
            if changed and events:
                connection.execute(insert(outbox), [{"event": dict(one)} for one in events])
            return bool(changed)

    def note(self, job_id: str, *, info: Sequence[str] = (), warnings: Sequence[str] = ()) -> None:
        """Add sentences to a job's messages; those it already has are left out."""
        with self._engine.begin() as connection:
            job = _get(connection, job_id)
            values = {
                "info": list(dict.fromkeys([*job.info, *info])),
                "warnings": list(dict.fromkeys([*job.warnings, *warnings])),
            }
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))

    def undelivered(self) -> list[tuple[int, dict[str, Any]]]:
        with self._engine.begin() as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.sequence)).all()
        return [(row.sequence, row.event) for row in rows]

    def delivered(self, sequence: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(outbox.delete().where(outbox.c.sequence == sequence))


def _add_missing_columns(engine: Engine) -> None:
    """Give a database of an earlier version the columns that came later; all of them have a default or may be empty."""
    there = {column["name"] for column in inspect(engine).get_columns(jobs.name)}
    with engine.begin() as connection:
        for column in jobs.columns:
            if column.name not in there:
                default = " NOT NULL DEFAULT 0" if column.server_default is not None else ""
                kind = column.type.compile(engine.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {jobs.name} ADD COLUMN {column.name} {kind}{default}")


def _get(connection: Connection, job_id: str) -> Job:
    return connection.execute(select(jobs).where(jobs.c.id == job_id)).one()


def _pragmas(connection: Any, _: object) -> None:
    # The driver's own transaction handling is off: a transaction starts with BEGIN IMMEDIATE below, so that two
    # writers wait for each other instead of failing when the first read turns into a write.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
