"""What one process of several claims in a shared PostgreSQL database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

import postgresql_server
from localaws import database
from localaws.database import Claim
from penstock.errors import Conflict

KEY = 4711


@pytest.fixture
def engines(postgresql: str) -> Iterator[list[sa.Engine]]:
    """Two processes' ways to one database."""
    address = postgresql_server.new_database(postgresql, f"claims-{uuid.uuid4().hex[:8]}")
    made = [database.open_database(database.postgresql(address), sa.MetaData()) for _ in range(2)]
    yield made
    for engine in made:
        engine.dispose()


def cut(engine: sa.Engine) -> None:
    """Let the server drop every other connection to the database."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


def check_taken(claim: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that another keeps is refused at once. The server only needs a moment to see that one was released."""
    with monkeypatch.context() as impatient, pytest.raises(Conflict, match="taken"):
        impatient.setattr(database, "CLAIM_PATIENCE_S", 0)
        claim()


def test_what_is_claimed_is_taken(engines: list[sa.Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    first = Claim(engines[0], KEY, "taken")
    first.keep()
    check_taken(lambda: Claim(engines[1], KEY, "taken"), monkeypatch)
    first.release()
    Claim(engines[1], KEY, "taken").release()


def test_claim_that_was_lost_is_claimed_again_and_not_only_believed(
    engines: list[sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Claim(engines[0], KEY, "taken")
    cut(engines[1])
    second = Claim(engines[1], KEY, "taken")
    for _ in range(2):
        check_taken(first.keep, monkeypatch)
    second.release()
    first.keep()
    check_taken(lambda: Claim(engines[1], KEY, "taken"), monkeypatch)
    cut(engines[1])
    first.keep()
    check_taken(lambda: Claim(engines[1], KEY, "taken"), monkeypatch)
    first.release()


def test_what_a_sleeping_process_has_locked_is_free_after_a_while(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_TRANSACTION_S", 0.5)
    address = postgresql_server.new_database(postgresql, f"sleepers-{uuid.uuid4().hex[:8]}")
    asleep, awake = (database.open_database(database.postgresql(address), sa.MetaData()) for _ in range(2))
    lock = sa.text(f"SELECT pg_advisory_xact_lock({KEY})")
    with asleep.connect() as sleeper:
        sleeper.execute(lock)
        with awake.begin() as other:
            other.execute(lock)  # waits until the server has had enough of the first
        with pytest.raises(sa.exc.DBAPIError):
            sleeper.execute(sa.text("SELECT 1"))
    for engine in (asleep, awake):
        engine.dispose()
