"""Events and their deliveries on disk (SQLite): what was put is there after a crash, and so is what is still owed.

Knows no HTTP and no rules but their names. Any thread may call it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEEP_S = 7 * 86400
"""How long events are remembered after they were put; within it a repeated id is known to be one."""

_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, event_time TEXT NOT NULL, envelope TEXT NOT NULL, put_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_age ON events (put_at);
CREATE INDEX IF NOT EXISTS events_by_source ON events (source, event_time);
CREATE TABLE IF NOT EXISTS deliveries (
    event_id TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, due_at REAL NOT NULL,
    unreachable INTEGER NOT NULL, problem TEXT, PRIMARY KEY (event_id, rule)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_owed ON deliveries (rule, due_at) WHERE state = 'owed';
"""


@dataclass(frozen=True)
class Delivery:
    """One event owed to one rule's target. `put_at` is in seconds since 1970."""

    event_id: str
    rule: str
    envelope: dict[str, Any]
    attempts: int
    put_at: float


class Outbox:
    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        # FULL: an answered PutEvents outlives a power cut, too.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 4194304"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def put(
        self, envelopes: Iterable[Mapping[str, Any]], rules_of: Callable[[Mapping[str, Any]], list[str]]
    ) -> list[str]:
        """Store events and what is owed of them, all or nothing; returns the ids of those that are new."""
        now = self._clock()
        new = []
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for envelope in envelopes:
                row = (envelope["id"], envelope["source"], envelope["time"], json.dumps(envelope), now)
                if self._database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", row).rowcount:
                    new.append(envelope["id"])
                    self._database.executemany(
                        "INSERT INTO deliveries VALUES (?, ?, 'owed', 0, ?, 0, NULL)",
                        [(envelope["id"], rule, now) for rule in rules_of(envelope)],
                    )
        return new

    def due(self, rule: str, busy: set[str]) -> Delivery | float | None:
        """The next delivery of a rule that is due and not `busy`; or when (seconds from now) one will be; or None."""
        now = self._clock()
        with self._lock:
            rows = self._database.execute(
                "SELECT event_id, envelope, attempts, put_at, due_at FROM deliveries JOIN events ON id = event_id"
                " WHERE state = 'owed' AND rule = ? ORDER BY due_at LIMIT ?",
                (rule, len(busy) + 1),
            ).fetchall()
        for event_id, envelope, attempts, put_at, due_at in rows:
            if event_id not in busy:
                return (
                    due_at - now if due_at > now else Delivery(event_id, rule, json.loads(envelope), attempts, put_at)
                )
        return None

    def delivered(self, delivery: Delivery) -> None:
        """Note a delivery; what waited only because the target could not be reached is due at once."""
        now = self._clock()
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._end(delivery, "delivered", None)
            self._database.execute(
                "UPDATE deliveries SET due_at = ?, unreachable = 0"
                " WHERE rule = ? AND state = 'owed' AND unreachable = 1 AND due_at > ?",
                (now, delivery.rule, now),
            )

    def dead(self, delivery: Delivery, problem: str) -> None:
        with self._lock, self._database:
            self._end(delivery, "dead", problem)

    def _end(self, delivery: Delivery, state: str, problem: str | None) -> None:
        self._database.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, problem = ? WHERE event_id = ? AND rule = ?",
            (state, problem, delivery.event_id, delivery.rule),
        )

    def retry(self, delivery: Delivery, delay_s: float, problem: str, *, unreachable: bool) -> None:
        with self._lock, self._database:
            self._database.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due_at = ?, problem = ?, unreachable = ?"
                " WHERE event_id = ? AND rule = ?",
                (self._clock() + delay_s, problem, unreachable, delivery.event_id, delivery.rule),
            )

    def owe_now(self) -> None:
        """Make everything that is owed due at once: after a restart nobody knows how long ago a target came back."""
        with self._lock, self._database:
            self._database.execute("UPDATE deliveries SET due_at = ? WHERE state = 'owed'", (self._clock(),))

    def forget(self) -> None:
        """Remove events that are older than KEEP_S, with their deliveries."""
        before = self._clock() - KEEP_S
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "DELETE FROM deliveries WHERE event_id IN (SELECT id FROM events WHERE put_at < ?)", (before,)
            )
            self._database.execute("DELETE FROM events WHERE put_at < ?", (before,))

    def states(self, event_id: str) -> dict[str, str]:
        """Rule -> owed, delivered or dead, for one event."""
        with self._lock:
            rows = self._database.execute("SELECT rule, state FROM deliveries WHERE event_id = ?", (event_id,))
            return dict(rows.fetchall())

    def latest(self, source: str) -> str | None:
        """The newest `time` of the events of `source`, or None."""
        with self._lock:
            row = self._database.execute("SELECT max(event_time) FROM events WHERE source = ?", (source,)).fetchone()
        return row[0] if row else None
