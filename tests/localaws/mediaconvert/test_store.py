"""Of two changes that would end a job, one wins; an event is there exactly when its change is."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

import postgresql_server
from localaws.database import postgresql
from localaws.mediaconvert.engines import Engines, Superseded
from localaws.mediaconvert.store import CANCELED, COMPLETE, PROGRESSING, Store


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | URL:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return tmp_path / "jobs.db"
    server = request.getfixturevalue("postgresql")
    return postgresql(postgresql_server.new_database(server, f"store-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def store(place: Path | URL) -> Iterator[Store]:
    one = Store(place)
    yield one
    one.close()


def add(store: Store, job_id: str, token: str | None = None) -> str:
    return str(store.add(job_id, {"Role": "r", "Settings": {}}, token, "f", "q", []).id)


def test_a_token_gives_the_job_that_was_added_first(store: Store) -> None:
    assert add(store, "one", "token") == add(store, "two", "token") == "one"
    assert store.get("two") is None
    assert add(store, "three") == "three" and add(store, "four") == "four"


def test_a_job_ends_once_and_its_event_with_it(store: Store) -> None:
    add(store, "one")
    assert store.change("one", {"status": PROGRESSING}, events=[{"id": "p"}])
    won = []

    def end(status: str) -> None:
        if store.change("one", {"status": status}, events=[{"id": status}]):
            won.append(status)

    threads = [threading.Thread(target=end, args=(status,)) for status in (COMPLETE, CANCELED) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert [event["id"] for _, event in store.undelivered()] == ["p", won[0]]
    job = store.get("one")
    assert job is not None and job.status == won[0]


def test_what_was_delivered_leaves_the_outbox_and_survives_a_restart_before(store: Store, place: Path | URL) -> None:
    add(store, "one")
    store.change("one", {"phase": "PROBING"}, events=[{"id": "a"}, {"id": "b"}])
    again = Store(place)
    (first, _), (_, event) = again.undelivered()
    again.delivered(first)
    assert event == {"id": "b"} and [event for _, event in store.undelivered()] == [{"id": "b"}]
    again.close()


def test_pages_and_messages(store: Store) -> None:
    for number in range(3):
        add(store, f"j{number}")
    found = store.page(status=None, queue="q", ascending=False, after=None, most=2)
    assert [job.id for job in found] == ["j2", "j1"]
    rest = store.page(status=None, queue=None, ascending=False, after=found[-1].sequence, most=2)
    assert [job.id for job in rest] == ["j0"]
    store.note("j0", info=["a"], warnings=["w"])
    store.note("j0", info=["a", "b"])
    job = store.get("j0")
    assert job is not None and (job.info, job.warnings) == (["a", "b"], ["w"])


def test_one_token_in_many_requests_at_once_is_one_job(store: Store) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda n=n: found.append(add(store, f"j{n}", "token"))) for n in range(8)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_an_engine_writes_only_of_its_own_jobs_and_only_while_it_lives(store: Store) -> None:
    engines = Engines(store.database)
    add(store, "one")
    engines.join("a", "host-a", lease_s=60)
    engines.join("b", "host-b", lease_s=60)
    assert engines.living() == 2
    engines.take("a", "one")
    assert store.change("one", {"status": PROGRESSING}, engine="a")
    assert not store.change("one", {"phase": "PROBING"}, engine="b") and engines.lost("b", ["one"]) == ["one"]
    engines.join("a", "host-a", lease_s=-1)  # its lease is over
    assert engines.living() == 1 and engines.bury_silent() == ["a"]
    assert not engines.beat("a") and engines.beat("b")
    assert not store.change("one", {"status": COMPLETE}, events=[{"id": "late"}], engine="a")
    with pytest.raises(Superseded):
        engines.take("a", "one")
    engines.take("b", "one")
    assert engines.lost("b", ["one"]) == [] and engines.lost("a", ["one"]) == ["one"]
    assert store.change("one", {"status": COMPLETE}, events=[{"id": "done"}], engine="b")
    job = store.get("one")
    assert job is not None and (job.engine, job.attempts) == ("b", 2)
    assert [event["id"] for _, event in store.undelivered()] == ["done"]
    assert engines.bury_silent() == ["a"], "what it left may have to be recovered again"


def test_waiting_jobs_come_by_priority_with_where_they_may_hop(store: Store) -> None:
    hops = [{"WaitMinutes": 1}]
    store.add("low", {"Settings": {}}, None, "f", "q", [])
    store.add("high", {"Settings": {}, "HopDestinations": hops}, None, "f", "q", [], priority=5)
    assert [(job.id, job.hops) for job in store.waiting()] == [("high", hops), ("low", None)]
