"""The connection to the catalogue's database, SQLite or PostgreSQL, and its migrations. Knows nothing of assets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from penstock.errors import Unavailable

_MIGRATION_LOCK = 0x70656E73  # any constant: one starting process migrates a shared database, the others wait
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000")


class Database:
    def __init__(self, address: str) -> None:
        """`address` as SQLAlchemy has it. Nothing is connected before it is needed."""
        self.engine = sa.create_engine(address, pool_pre_ping=True)
        self._writer = self.engine.execution_options(writes=True)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def begin(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        """One transaction, committed at the end. Raises Unavailable when the database cannot do its part."""
        try:
            with (self._writer if writes else self.engine).begin() as connection:
                yield connection
        except sa.exc.OperationalError as exc:
            # The driver's own text names the file and the statement, which is for the log alone.
            raise Unavailable(f"the catalogue's database does not answer: {_reason(str(exc.orig))}") from exc

    def migrate(self) -> None:
        """Bring the database to the newest schema; safe when several processes start at once."""
        config = Config()
        folder = Path(__file__).with_name("migrations")
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with self.begin(writes=True) as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()


def _reason(told: str) -> str:
    """What the driver's text means, without what it names."""
    if "full" in told:
        return "its disk is full; make room and try again"
    if "readonly" in told or "unable to open" in told:
        return "its file cannot be opened and written; see whose it is, and that its folder is there"
    return "it is busy, or cannot be reached; try again later"


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A reader that turns into a writer is refused at once when another writer was quicker; taking the write lock
    # first makes it wait instead.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
