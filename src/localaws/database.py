"""A SQLite database (WAL) for one part's own state, whose writers wait for each other instead of failing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event


def open_database(path: Path, metadata: MetaData) -> Engine:
    """Open or make the database at `path` with the tables of `metadata`; its folder is the owner's alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin_immediate)
    metadata.create_all(engine)
    return engine


def _pragmas(connection: Any, _: object) -> None:
    # The driver's own transaction handling is off: a transaction starts with BEGIN IMMEDIATE below, so that two
    # writers wait for each other instead of failing when the first read turns into a write.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
