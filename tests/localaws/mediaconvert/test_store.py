"""Of two changes that would end a job, one wins; an event is there exactly when its change is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.mediaconvert.store import CANCELED, COMPLETE, PROGRESSING, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "jobs.db")
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


def test_what_was_delivered_leaves_the_outbox_and_survives_a_restart_before(store: Store, tmp_path: Path) -> None:
    add(store, "one")
    store.change("one", {"phase": "PROBING"}, events=[{"id": "a"}, {"id": "b"}])
    again = Store(tmp_path / "jobs.db")
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
