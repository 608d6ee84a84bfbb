"""What is remembered of jobs: their states, who runs them, and an outbox for the events about them.

A change of state and its event are one transaction; states change by conditional writes, so of a cancel and a
completion at the same moment exactly one wins. What the engine of a job writes passes only while the job is its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from localaws.database import column_names, open_database, qualified

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
    Column("queue", Text, nullable=False),
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
    # How often each of MediaConvert's warning codes arose, by the code's digits.
    Column("warning_counts", JSON),
    # Id of the engine that runs it, which `engines` knows, and how often one has begun to.
    Column("engine", String(128)),
    Column("attempts", Integer, nullable=False, server_default="0"),
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

    def __init__(self, place: Path | URL) -> None:
        self._engine = open_database(place, metadata)
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
        try:
            with self._engine.begin() as connection:
                earlier = token and connection.execute(_with_token(token)).one_or_none()
                if earlier:
                    return earlier
                connection.execute(insert(jobs).values(row))
                return _get(connection, job_id)
        except IntegrityError as exc:
            # Somebody else was quicker with the same token, which PostgreSQL tells only now.
            with self._engine.begin() as connection:
                earlier = token and connection.execute(_with_token(token)).one_or_none()
            if not earlier:
                raise RuntimeError("two jobs were given one id") from exc
            return earlier

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

    def progressing(self) -> Sequence[tuple[str, str]]:
        """Id and queue of each job that runs."""
        query = select(jobs.c.id, jobs.c.queue).where(jobs.c.status == PROGRESSING).order_by(jobs.c.sequence)
        with self._engine.begin() as connection:
            return [(row.id, row.queue) for row in connection.execute(query)]

    def alive_ids(self) -> set[str]:
        with self._engine.begin() as connection:
            return set(connection.execute(select(jobs.c.id).where(jobs.c.status.in_(ALIVE))).scalars())

    def waiting(self) -> Sequence[Any]:
        """What decides the turn of submitted jobs: those of the highest priority first, of equals the first submitted.

        Rows of id, sequence, queue, priority, created_at, transitions, warning_counts, hops (HopDestinations of the
        request or None).
        """
        names = ("id", "sequence", "queue", "priority", "created_at", "transitions", "warning_counts")
        turn = [jobs.c[name] for name in names]
        query = select(*turn, jobs.c.request["HopDestinations"].label("hops")).where(jobs.c.status == SUBMITTED)
        with self._engine.begin() as connection:
            return connection.execute(query.order_by(jobs.c.priority.desc(), jobs.c.sequence)).all()

    def count(self, queue: str, status: str) -> int:
        with self._engine.begin() as connection:
            query = select(func.count()).where(jobs.c.queue == queue, jobs.c.status == status)
            return connection.execute(query).scalar_one()

    def hop(self, job_id: str, queue: str, priority: int, transition: Mapping[str, Any], event: Event) -> bool:
        """Move a job that has not started to another queue, and tell. False when it has started."""
        with self._engine.begin() as connection:
            job = _locked(connection, job_id)
            if job.status != SUBMITTED:
                return False
            values = {"queue": queue, "priority": priority, "transitions": [*(job.transitions or ()), dict(transition)]}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            connection.execute(insert(outbox), [{"event": dict(event)}])
            return True

    def warn(self, job_id: str, code: int, message: str, event: Event) -> bool:
        """Count a warning of a job that has not ended, and tell. False when it has ended."""
        with self._engine.begin() as connection:
            job = _locked(connection, job_id)
            if job.status not in ALIVE:
                return False
            counts = dict(job.warning_counts or {})
            counts[str(code)] = counts.get(str(code), 0) + 1
            values = {"warning_counts": counts, "warnings": list(dict.fromkeys([*job.warnings, message]))}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            connection.execute(insert(outbox), [{"event": dict(event)}])
            return True

    def count_alive(self) -> int:
        with self._engine.begin() as connection:
            return connection.execute(select(func.count()).where(jobs.c.status.in_(ALIVE))).scalar_one()

    def change(
        self,
        job_id: str,
        values: Mapping[str, Any],
        *,
        events: Sequence[Event] = (),
        engine: str | None = None,
        among: Sequence[str] = ALIVE,
    ) -> bool:
        """Change a job that has not ended, and put events into the outbox with it.

        engine: whose job it has to be. among: the states that it has to be in. False when it is not, and nothing was
        changed.
        """
        wanted = [jobs.c.id == job_id, jobs.c.status.in_(among)]
        if engine is not None:
            wanted.append(jobs.c.engine == engine)
        with self._engine.begin() as connection:
            changed = connection.execute(update(jobs).where(*wanted).values(**values)).rowcount
            if changed and events:
                connection.execute(insert(outbox), [{"event": dict(one)} for one in events])
            return bool(changed)

    def note(self, job_id: str, *, info: Sequence[str] = (), warnings: Sequence[str] = ()) -> None:
        """Add sentences to a job's messages; those it already has are left out."""
        with self._engine.begin() as connection:
            job = _locked(connection, job_id)
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
    there = column_names(engine, jobs.name)
    missing = [column for column in jobs.columns if column.name not in there]
    with engine.begin() as connection:
        for column in missing:
            default = " NOT NULL DEFAULT 0" if column.server_default is not None else ""
            kind = column.type.compile(engine.dialect)
            connection.exec_driver_sql(
                f"ALTER TABLE {qualified(engine, jobs.name)} ADD COLUMN {column.name} {kind}{default}"
            )


def _get(connection: Connection, job_id: str) -> Job:
    return connection.execute(select(jobs).where(jobs.c.id == job_id)).one()


def _locked(connection: Connection, job_id: str) -> Job:
    """The job, which nobody else changes until the transaction ends."""
    return connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one()


def _with_token(token: str) -> Select[Any]:
    return select(jobs).where(jobs.c.token == token)
