"""Assets, their jobs and API keys: the only owner of their state changes. Playback sessions are in `sessions`.

It never speaks to AWS. Every change is one transaction, conditional on what is there, and idempotent by event id.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from penstock import entries, sessions, states
from penstock.database import Database
from penstock.entries import Entry, Upload
from penstock.errors import Conflict, InvalidRequest, NotFound
from penstock.formats.events import AssetEvent
from penstock.model import AssetState, Problem
from penstock.schema import api_keys, assets, jobs, playback_sessions, seen_events
from penstock.states import Job, JobState
from penstock.webhooks import events, outbox
from penstock.webhooks.events import EventType

Clock = Callable[[], datetime]
Row = sa.RowMapping

EVENTS_REMEMBERED = timedelta(days=14)


def utc_now() -> datetime:
    return datetime.now(UTC)


def asset_id_of(text: str) -> str:
    """The canonical asset id, or NotFound: what is not a UUID names no asset."""
    try:
        if str(uuid.UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise NotFound(f"there is no asset {text[:64]!r}")


class Catalogue:
    def __init__(
        self, database: Database, *, clock: Clock = utc_now, changed: Callable[[str], None] = lambda asset_id: None
    ) -> None:
        """`changed` is called with the asset id after each change that was committed."""
        self._begin = database.begin
        self._clock = clock
        self.changed = changed

    # Assets

    def create(self, asset_id: str, title: str, upload: Upload) -> Entry:
        """Enter an asset that waits for its source. Raises Conflict when the id is taken."""
        with self._begin(writes=True) as connection:
            row = {"id": asset_id, "title": title, "object_key": upload.object_key, **entries.upload_columns(upload)}
            if not self._insert(connection, assets, self._new_asset(row)):
                raise Conflict(f"asset {asset_id} exists already")
            entry = self._entry(connection, asset_id)
            self._tell(connection, EventType.ASSET_CREATED, entry)
            return entry

    def entry(self, asset_id: str) -> Entry:
        """Raises NotFound, for a deleted asset too."""
        with self._begin() as connection:
            return self._entry(connection, asset_id)

    def page(self, limit: int, cursor: str | None = None) -> tuple[list[Entry], str | None]:
        """Up to `limit` assets, newest first, and the cursor of the next page if there is one."""
        query = sa.select(assets).where(assets.c.deleted_at.is_(None))
        query = query.order_by(assets.c.created_at.desc(), assets.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            created_at, asset_id = entries.read_cursor(cursor)
            older = assets.c.created_at < created_at
            query = query.where(older | ((assets.c.created_at == created_at) & (assets.c.id < asset_id)))
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
            found = self._entries(connection, rows[:limit])
        return found, entries.cursor(rows[limit - 1]) if len(rows) > limit else None

    def versions(self, asset_ids: Sequence[str] | None = None) -> dict[str, int]:
        """The version of each asset that exists, of all or of some."""
        query = sa.select(assets.c.id, assets.c.version).where(assets.c.deleted_at.is_(None))
        if asset_ids is not None:
            query = query.where(assets.c.id.in_(asset_ids))
        with self._begin() as connection:
            return {row.id: row.version for row in connection.execute(query)}

    def in_state(self, *wanted: AssetState) -> list[Entry]:
        query = sa.select(assets).where(
            assets.c.state.in_([state.value for state in wanted]), assets.c.deleted_at.is_(None)
        )
        with self._begin() as connection:
            return self._entries(connection, connection.execute(query).mappings().all())

    def source_arrived(self, asset_id: str) -> Entry:
        """Note that the source is complete; again is no change."""

        def note(connection: sa.Connection, row: Row) -> None:
            if row["source_arrived_at"] is None:
                where = assets.c.id == asset_id
                connection.execute(sa.update(assets).where(where).values(source_arrived_at=self._clock()))

        return self._change(asset_id, note)

    def upload_ended(self, asset_id: str, problem: Problem) -> Entry:
        """Note that the source will not come. No change when it has come meanwhile."""

        def note(connection: sa.Connection, row: Row) -> None:
            if row["source_arrived_at"] is None:
                self._merge(connection, asset_id, Job(states.WHOLE_ASSET, JobState.FAILED, error=problem))

        return self._change(asset_id, note)

    def delete(self, asset_id: str) -> Entry:
        """End an asset and its playback sessions; returns it as it was. Its objects are still to be purged."""
        now = self._clock()
        with self._begin(writes=True) as connection:
            entry = self._entry(connection, asset_id, lock=True)
            connection.execute(sa.update(assets).where(assets.c.id == asset_id).values(deleted_at=now))
            sessions.end(connection, playback_sessions.c.asset_id == asset_id, now, entries.Ending.DELETED)
            self._tell(connection, EventType.ASSET_DELETED, entry)
        self.changed(asset_id)
        return entry

    def unpurged(self) -> list[Entry]:
        """Deleted assets whose objects may still be there."""
        query = sa.select(assets).where(assets.c.deleted_at.is_not(None), assets.c.purged_at.is_(None))
        with self._begin() as connection:
            return self._entries(connection, connection.execute(query).mappings().all())

    def purged(self, asset_id: str) -> None:
        with self._begin(writes=True) as connection:
            connection.execute(sa.update(assets).where(assets.c.id == asset_id).values(purged_at=self._clock()))

    # Events

    def apply(self, event: AssetEvent) -> bool:
        """Take in an event of the bus. Returns whether it was new.

        An event about an unknown asset enters it (somebody dropped a file into the bucket); one about a deleted asset
        asks for another purge. Raises InvalidRequest for an event that does not say what it must.
        """
        asset_id, told, planned = _event_asset_id(event), states.job_of(event), states.planned(event)
        with self._begin(writes=True) as connection:
            if not self._insert(connection, seen_events, {"id": event.event_id[:256], "seen_at": self._clock()}):
                return False
            is_new = self._insert(connection, assets, self._new_asset({"id": asset_id, "title": ""}))
            row = self._row(connection, asset_id, lock=True)
            if row["deleted_at"] is not None:
                connection.execute(sa.update(assets).where(assets.c.id == asset_id).values(purged_at=None))
                return True
            before = self._entry(connection, asset_id)
            connection.execute(sa.update(assets).where(assets.c.id == asset_id).values(self._learnt(row, event)))
            if is_new:
                self._tell(connection, EventType.ASSET_CREATED, self._entry(connection, asset_id))
            for job in (*planned, told):
                self._merge(connection, asset_id, job)
            changed = self._settle(connection, before)
        if changed:
            self.changed(asset_id)
        return True

    def progress(self, asset_id: str, job_id: str, percent: int | None, *, packaging: bool) -> None:
        """Take in a progress report of a job; unknown, old and ended ones change nothing."""

        def note(connection: sa.Connection, row: Row) -> None:
            for job in self._jobs(connection, [asset_id])[asset_id]:
                if job.job_id == job_id:
                    self._store(connection, asset_id, job, states.advance(job, percent, packaging))

        try:
            self._change(asset_id_of(asset_id), note)
        except NotFound:
            return  # a job of somebody else, or of an asset that was deleted

    def forget(self) -> None:
        """Drop event ids that are too old to matter."""
        now = self._clock()
        with self._begin(writes=True) as connection:
            connection.execute(sa.delete(seen_events).where(seen_events.c.seen_at < now - EVENTS_REMEMBERED))

    # API keys

    def register_key(self, api_key: str, name: str) -> None:
        """Let `api_key` in from now on; only its SHA-256 is kept. A key once revoked stays revoked."""
        row = {"sha256": _sha256(api_key), "name": name, "created_at": self._clock()}
        with self._begin(writes=True) as connection:
            self._insert(connection, api_keys, row)

    def knows_key(self, api_key: str) -> bool:
        """Whether `api_key` is registered; every key is compared, so that time tells nothing."""
        with self._begin() as connection:
            known = connection.scalars(sa.select(api_keys.c.sha256).where(api_keys.c.revoked_at.is_(None))).all()
        offered = _sha256(api_key)
        return sum(hmac.compare_digest(digest, offered) for digest in known) > 0

    # What a transaction is made of

    def _new_asset(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {"state": AssetState.WAITING.value, "created_at": self._clock(), "version": 1, **columns}

    def _insert(self, connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
        """Insert `row` unless its primary key is there; returns whether it was new."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table).values(row).on_conflict_do_nothing()
        return connection.execute(statement.returning(*table.primary_key)).first() is not None

    def _row(self, connection: sa.Connection, asset_id: str, *, lock: bool = False, alive: bool = False) -> Row:
        query = sa.select(assets).where(assets.c.id == asset_id)
        row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
        if row is None or (alive and row["deleted_at"] is not None):
            raise NotFound(f"there is no asset {asset_id!r}")
        return row

    def _entry(self, connection: sa.Connection, asset_id: str, *, lock: bool = False) -> Entry:
        row = self._row(connection, asset_id, lock=lock, alive=True)
        return self._entries(connection, [row])[0]

    def _entries(self, connection: sa.Connection, rows: Sequence[Row]) -> list[Entry]:
        found = self._jobs(connection, [row["id"] for row in rows])
        return [entries.to_entry(row, found[row["id"]]) for row in rows]

    def _jobs(self, connection: sa.Connection, asset_ids: list[str]) -> dict[str, tuple[Job, ...]]:
        query = sa.select(jobs).where(jobs.c.asset_id.in_(asset_ids)).order_by(jobs.c.asset_id, jobs.c.settings)
        found: dict[str, list[Job]] = {asset_id: [] for asset_id in asset_ids}
        for row in connection.execute(query).mappings():
            found[row["asset_id"]].append(entries.to_job(row))
        return {asset_id: tuple(its) for asset_id, its in found.items()}

    def _change(self, asset_id: str, note: Callable[[sa.Connection, Row], None]) -> Entry:
        """Run `note` on the locked asset, compute its state anew, and tell when something changed."""
        with self._begin(writes=True) as connection:
            row = self._row(connection, asset_id, lock=True, alive=True)
            before = self._entry(connection, asset_id)
            note(connection, row)
            changed = self._settle(connection, before)
            entry = self._entry(connection, asset_id)
        if changed:
            self.changed(asset_id)
        return entry

    def _merge(self, connection: sa.Connection, asset_id: str, told: Job) -> None:
        known = {job.settings: job for job in self._jobs(connection, [asset_id])[asset_id]}.get(told.settings)
        self._store(connection, asset_id, known, states.merge(known, told))

    def _store(self, connection: sa.Connection, asset_id: str, known: Job | None, job: Job) -> None:
        if known == job:
            return
        where = (jobs.c.asset_id == asset_id) & (jobs.c.settings == job.settings)
        columns = {"asset_id": asset_id, "changed_at": self._clock(), **entries.job_columns(job)}
        statement = sa.insert(jobs) if known is None else sa.update(jobs).where(where)
        connection.execute(statement.values(columns))

    def _settle(self, connection: sa.Connection, before: Entry) -> bool:
        """Compute the asset's state from its jobs; returns whether anything changed since `before`."""
        asset_id = before.asset.id
        if self._entry(connection, asset_id) == before:
            return False
        row, found = self._row(connection, asset_id), self._jobs(connection, [asset_id])[asset_id]
        state, problem = states.derive(found, arrived=row["source_arrived_at"] is not None)
        columns = {
            "state": state.value,
            "version": row["version"] + 1,
            "error_code": problem.code if problem else None,
            "error_message": problem.message if problem else None,
        }
        connection.execute(sa.update(assets).where(assets.c.id == asset_id).values(columns))
        if state is not before.asset.state and state in events.OF_STATE:
            self._tell(connection, events.OF_STATE[state], self._entry(connection, asset_id))
        return True

    def _tell(self, connection: sa.Connection, kind: EventType, entry: Entry) -> None:
        about = events.about_asset(entry.asset)
        outbox.tell(connection, kind, lambda: events.event(kind, entry.asset.id, self._clock(), about))

    def _learnt(self, row: Row, event: AssetEvent) -> dict[str, Any]:
        """What an event tells of the asset itself. What the API already knows is not overwritten."""
        detail = event.detail
        columns: dict[str, Any] = {"source_arrived_at": row["source_arrived_at"] or self._clock()}
        if not row["title"] and isinstance(detail.get("title"), str):
            columns["title"] = detail["title"].replace("\0", "")
        if row["object_key"] is None and isinstance(detail.get("objectKey"), str):
            columns["object_key"] = detail["objectKey"]
        if isinstance(detail.get("durationMs"), int | float):
            columns["duration_ms"] = round(detail["durationMs"])
        return columns


def _event_asset_id(event: AssetEvent) -> str:
    try:
        return asset_id_of(str(event.detail.get("assetId")))
    except NotFound as exc:
        raise InvalidRequest(f"a {event.kind!r} event names its asset by a UUID in assetId") from exc


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
