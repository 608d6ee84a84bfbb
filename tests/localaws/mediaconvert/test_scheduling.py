"""Which job is next, and when a job that waits changes its queue."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from localaws.config import Config
from localaws.mediaconvert import scheduling
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.store import Store

MINUTE_S = 60


def waits(sequence: int, queue: str, hops: list[Any] | None = None) -> Any:
    return SimpleNamespace(
        id=f"j{sequence}",
        sequence=sequence,
        queue=queue,
        hops=hops,
        created_at=1000.0,
        transitions=None,
        warning_counts=None,
    )


def test_the_head_of_the_queue_that_waits_longest_is_next() -> None:
    # By priority first, as the store hands them out: j9 overtakes j2 in its own queue alone.
    waiting = [waits(9, "a"), waits(2, "a"), waits(4, "b")]
    assert scheduling.next_job(waiting, {"a": 1, "b": 1}, {}).id == "j4"  # type: ignore[union-attr]
    assert scheduling.next_job(waiting, {"a": 1, "b": 1}, {"x": "b"}).id == "j9"  # type: ignore[union-attr]
    assert scheduling.next_job(waiting, {"a": 0, "b": 1}, {"x": "b"}) is None
    assert scheduling.next_job(waiting, {"a": 0}, {"x": "b"}).id == "j4"  # type: ignore[union-attr]
    assert scheduling.next_job([], {}, {}) is None


def test_hops_come_in_the_order_of_their_waits() -> None:
    hops = [{"WaitMinutes": 10, "Queue": "late"}, {"WaitMinutes": 2, "Queue": "soon"}]
    job = waits(1, "a", hops)
    assert scheduling.next_hop(job, 1000.0) == (1000.0 + 2 * MINUTE_S, None)
    assert scheduling.next_hop(job, 1000.0 + 2 * MINUTE_S)[1] == hops[1]
    job.transitions = [{}]
    assert scheduling.next_hop(job, 1000.0 + 3 * MINUTE_S) == (1000.0 + 10 * MINUTE_S, None)
    assert scheduling.next_hop(waits(1, "a"), 0.0) == (float("inf"), None)


def test_a_hop_moves_the_job_and_tells(tmp_path: Path, config: Config) -> None:
    store = Store(tmp_path / "jobs.db")
    room = {arns.queue(config, "slow"): 0, arns.queue(config, None): 0}
    request = {"Role": "r", "Settings": {}, "HopDestinations": [{"WaitMinutes": 1, "Priority": 9}]}
    store.add("one", request, None, "f", arns.queue(config, "slow"), [], priority=4)
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        database.execute("UPDATE jobs SET created_at = created_at - 61")
    told: list[None] = []
    scheduler = scheduling.Scheduler(config, store, lambda: room, lambda: told.append(None), lambda: 1)
    assert scheduler._turn() is not None  # once more, to see that there is nothing left to do
    assert scheduler._turn() is None
    job = store.get("one")
    assert job is not None and (job.queue, job.priority) == (arns.queue(config, None), 9)
    ((_, event),) = store.undelivered()
    assert told and event["detail"] | {"timestamp": 0, "userMetadata": {}} == {
        "timestamp": 0,
        "accountId": "000000000000",
        "queue": arns.queue(config, None),
        "jobId": "one",
        "status": "QUEUE_HOP",
        "userMetadata": {},
        "previousQueue": arns.queue(config, "slow"),
        "priority": 9,
        "previousPriority": 4,
    }
    store.close()


def test_a_job_that_cannot_hop_stays_and_warns(tmp_path: Path, config: Config) -> None:
    store = Store(tmp_path / "jobs.db")
    hops = [{"WaitMinutes": 1, "Queue": "gone"}, {"WaitMinutes": 2}]
    store.add("one", {"Role": "r", "Settings": {}, "HopDestinations": hops}, None, "f", arns.queue(config, "slow"), [])
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        database.execute("UPDATE jobs SET created_at = created_at - 61")
    room = {arns.queue(config, "slow"): 0, arns.queue(config, None): 0}
    scheduler = scheduling.Scheduler(config, store, lambda: room, lambda: None, lambda: 1)
    scheduler._turn()
    assert (scheduler._turn() or 0) > 50, "the next hop is due a minute later, and this one is not tried again"
    job = store.get("one")
    assert job is not None and job.queue == arns.queue(config, "slow") and job.warning_counts == {"100000": 1}
    ((_, event),) = store.undelivered()
    assert event["detail"]["status"] == "NEW_WARNING" and event["detail"]["warningCode"] == "100000"
    assert event["detail"]["warningMessage"] == job.warnings[0] and "gone" in job.warnings[0]
    store.close()


def test_a_database_of_an_earlier_version_gets_the_new_columns(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    store.add("one", {"Role": "r", "Settings": {}}, None, "f", "q", [])
    store.close()
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        for column in ("priority", "shown_settings", "transitions", "warning_counts", "engine", "attempts"):
            database.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    again = Store(tmp_path / "jobs.db")
    job = again.get("one")
    assert job is not None and (
        job.id,
        job.priority,
        job.shown_settings,
        job.transitions,
        job.engine,
        job.attempts,
    ) == ("one", 0, None, None, None, 0)
    again.close()
