"""The databases in which the parts keep their state: SQLite on one machine, PostgreSQL for several.

Writers wait for each other instead of failing. Never shows a password.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.schema import CreateSchema

from penstock.errors import Conflict, InvalidRequest, Unavailable

SCHEMA = "localaws"
"""In PostgreSQL our tables have a schema of their own, so that the database may be somebody else's, too."""
RESTART_PATIENCE_S = 15.0
CLAIM_PATIENCE_S = 5.0
IDLE_TRANSACTION_S = 15.0
"""After so long without a word in a transaction the server drops a connection: its process sleeps, or is gone."""
_SETUP_LOCK = 0x6C6F6361  # any constant: of processes that start at once, one makes the tables and the others wait


def postgresql(address: str) -> URL:
    """Read the address of a PostgreSQL database. Raises InvalidRequest for one that is none; it is not repeated."""
    try:
        url = make_url(address)
    except ArgumentError:
        raise InvalidRequest("the database's address is none; postgresql://user@host:5432/name is one") from None
    if url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
        raise InvalidRequest(
            f"the database is {url.get_backend_name()}://.../{url.database or ''}; a shared one is "
            "postgresql://user@host:5432/name"
        )
    # libpq reads PGPASSWORD and ~/.pgpass where the address has no password. Keepalives let the server notice within
    # a minute that a host is gone, and with it what it had locked; one that sleeps still answers them.
    alive = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "connect_timeout": "10"}
    alive |= {"options": f"-cidle_in_transaction_session_timeout={round(IDLE_TRANSACTION_S * 1000)}"}
    return url.set(drivername="postgresql+psycopg").update_query_dict(
        {name: value for name, value in alive.items() if name not in url.query}
    )


def shared_or(file: Path, address: str | None) -> Path | URL:
    """Where state is kept: in the database at `address` if there is one, else in a file of its own."""
    return postgresql(address) if address else file


def open_database(place: Path | URL, metadata: MetaData) -> Engine:
    """Open or make the database at `place` with the tables of `metadata`; a file's folder is the owner's alone."""
    if isinstance(place, URL):
        return _open_postgresql(place, metadata)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{place}", connect_args={"timeout": 30})
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin_immediate)
    create_tables(engine, metadata)
    return engine


def create_tables(engine: Engine, metadata: MetaData) -> None:
    """Make the tables that are not there yet; of processes that start at once one does."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SETUP_LOCK})
            connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
        metadata.create_all(connection)


def _open_postgresql(url: URL, metadata: MetaData) -> Engine:
    engine = create_engine(
        url, pool_pre_ping=True, hide_parameters=True, execution_options={"schema_translate_map": {None: SCHEMA}}
    )
    try:
        create_tables(engine, metadata)
    except OperationalError as exc:
        engine.dispose()
        # The driver's own text may name a password file or the user; where it is says enough.
        raise Unavailable(f"the database {url.database} at {url.host or 'this machine'} does not answer") from exc
    event.listen(engine, "do_connect", _connect_patiently)
    return engine


def _connect_patiently(dialect: Any, _: Any, arguments: Any, members: Any) -> Any:
    """Connect to a server that restarts as soon as it is back."""
    deadline = time.monotonic() + RESTART_PATIENCE_S
    while True:
        try:
            return dialect.connect(*arguments, **members)
        except dialect.dbapi.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class Claim:
    """Something of a shared database that one process has: an advisory lock, which lasts as long as its connection."""

    def __init__(self, engine: Engine, key: int, taken: str) -> None:
        """key: what is claimed. Raises Conflict, with `taken` as its message, when another process keeps it."""
        self._key = key
        self._taken = taken
        self._connection = engine.connect()
        self._held = False
        try:
            self._acquire()
        except Conflict:
            self.release()
            raise

    def keep(self) -> None:
        """Claim it again if the server has dropped the connection. Raises Conflict when another was quicker."""
        if self._held:
            try:
                with self._connection.begin():
                    self._connection.execute(select(1))
            except DBAPIError:
                # What is asked next makes a new connection, which answers but has claimed nothing.
                self._held = False
        if not self._held:
            self._acquire()

    def release(self) -> None:
        # The lock is the connection's: it ends with it, and not with its return to the pool.
        self._connection.invalidate()
        self._connection.close()

    def _acquire(self) -> None:
        deadline = time.monotonic() + CLAIM_PATIENCE_S
        while True:
            with self._connection.begin():
                got = self._connection.execute(select(func.pg_try_advisory_lock(self._key))).scalar_one()
            if got:
                self._held = True
                return
            # The server may need a moment to see that the process which had it is gone.
            if time.monotonic() > deadline:
                raise Conflict(self._taken)
            time.sleep(0.2)


def column_names(engine: Engine, table: str) -> set[str]:
    """The columns that a table has now, which may be fewer than this version knows."""
    return {column["name"] for column in inspect(engine).get_columns(table, schema=_schema(engine))}


def qualified(engine: Engine, table: str) -> str:
    """The name of a table for a statement that is written as text."""
    schema = _schema(engine)
    return table if schema is None else f"{schema}.{table}"


def _schema(engine: Engine) -> str | None:
    return SCHEMA if engine.dialect.name == "postgresql" else None


def _pragmas(connection: Any, _: object) -> None:
    # The driver's own transaction handling is off: a transaction starts with BEGIN IMMEDIATE below, so that two
    # writers wait for each other instead of failing when the first read turns into a write.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
