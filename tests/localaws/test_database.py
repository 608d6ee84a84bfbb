"""What one process of several claims in a shared PostgreSQL database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

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


def test_what_is_claimed_is_taken(engines: list[sa.Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CLAIM_PATIENCE_S", 0)
    first = Claim(engines[0], KEY, "taken")
    first.keep()
    with pytest.raises(Conflict, match="taken"):
        Claim(engines[1], KEY, "taken")
    first.release()
    Claim(engines[1], KEY, "taken").release()


def test_claim_that_was_lost_is_claimed_again_and_not_only_believed(
    engines: list[sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CLAIM_PATIENCE_S", 0)
    first = Claim(engines[0], KEY, "taken")
    cut(engines[1])
    second = Claim(engines[1], KEY, "taken")
    for _ in range(2):
        with pytest.raises(Conflict, match="taken"):
            first.keep()
    second.release()
    first.keep()
    with pytest.raises(Conflict, match="taken"):
        Claim(engines[1], KEY, "taken")
    cut(engines[1])
    first.keep()
    with pytest.raises(Conflict, match="taken"):
        Claim(engines[1], KEY, "taken")
    first.release()
