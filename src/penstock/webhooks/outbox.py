"""The outbox: what is still owed to webhook endpoints, and what became of it. Sends nothing itself.

`tell` writes into the transaction of the change that it tells of. A delivery is taken by moving the moment it is due a
lease ahead: whoever dies over it leaves it to be taken again, so that it arrives at least once. Of one endpoint and one
asset only the oldest pending delivery can be taken, which keeps their order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from penstock.database import Database
from penstock.errors import Conflict, NotFound
from penstock.model import JsonObject
from penstock.schema import webhook_deliveries, webhook_endpoints
from penstock.webhooks.events import Event, EventType

RETRY_AFTER_S = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""After the first failure, the second ...; one more is the last: about 23 hours in all."""
JITTER = 0.2
LEASE = timedelta(seconds=30)
"""Longer than any sending takes (see `delivery`)."""
REMEMBERED = timedelta(days=30)

_table = webhook_deliveries.c
_HEADS = 500


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    endpoint_id: str
    event_id: str
    type: str
    asset_id: str
    body: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


def listeners(connection: sa.Connection, kind: EventType) -> list[str]:
    """Ids of the endpoints that are to hear of events of this kind."""
    query = sa.select(webhook_endpoints.c.id, webhook_endpoints.c.events).where(webhook_endpoints.c.enabled)
    return [row.id for row in connection.execute(query) if not row.events or kind.value in row.events]


def tell(connection: sa.Connection, kind: EventType, make: Callable[[], Event]) -> None:
    """Owe an event to everybody who listens to its kind; it is made only when somebody does."""
    if found := listeners(connection, kind):
        owe(connection, make(), found)


def owe(connection: sa.Connection, event: Event, endpoint_ids: Collection[str]) -> None:
    now = datetime.now(UTC)
    row: JsonObject = {"event_id": event.id, "type": event.type.value, "asset_id": event.asset_id, "body": event.body}
    row |= {"state": DeliveryState.PENDING.value, "attempts": 0, "created_at": now, "due_at": now}
    connection.execute(
        sa.insert(webhook_deliveries), [{**row, "endpoint_id": endpoint_id} for endpoint_id in endpoint_ids]
    )


class Outbox:
    """Deliveries in their states. Its times are the machine's own: no test clock makes a backoff shorter for others."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._begin = database.begin
        self._clock = clock

    def take(self, room: int, busy: Collection[str] = (), per_endpoint: int = 4) -> list[Delivery]:
        """Up to `room` deliveries that are due, for the taker to send now; at most `per_endpoint` to one endpoint.

        busy: endpoint ids, once for each delivery of theirs that is being sent.
        """
        now, running = self._clock(), list(busy)
        with self._begin() as connection:
            heads = [Delivery(**row) for row in connection.execute(_due(now)).mappings()]
        chosen: list[Delivery] = []
        for head in heads:
            if len(chosen) < room and running.count(head.endpoint_id) < per_endpoint:
                chosen.append(head)
                running.append(head.endpoint_id)
        if not chosen:
            return []
        with self._begin(writes=True) as connection:
            return [each for each in chosen if self._take(connection, each, now)]

    def _take(self, connection: sa.Connection, delivery: Delivery, now: datetime) -> bool:
        """Whether it was still there to be taken: another process may have been quicker."""
        same = (_table.id == delivery.id) & (_table.state == DeliveryState.PENDING.value)
        same &= _table.attempts == delivery.attempts
        taken = {"due_at": now + LEASE, "attempts": delivery.attempts + 1}
        return connection.execute(sa.update(webhook_deliveries).where(same).values(taken)).rowcount == 1

    def delivered(self, delivery: Delivery, status: int) -> None:
        """Note that it arrived; whatever waits for the same endpoint to come back is due at once."""
        now = self._clock()
        ended = {"state": DeliveryState.DELIVERED.value, "ended_at": now, "last_status": status, "last_error": None}
        waiting = (_table.endpoint_id == delivery.endpoint_id) & (_table.state == DeliveryState.PENDING.value)
        with self._begin(writes=True) as connection:
            connection.execute(sa.update(webhook_deliveries).where(_pending(delivery.id)).values(ended))
            # Not what is on its way now: its lease holds.
            tried = waiting & _table.last_error.is_not(None) & (_table.due_at > now + LEASE)
            connection.execute(sa.update(webhook_deliveries).where(tried).values(due_at=now))

    def failed(self, delivery: Delivery, error: str, status: int | None = None, *, final: bool = False) -> None:
        """Note a try that failed: it comes again later, unless it was the last."""
        now, tries = self._clock(), delivery.attempts
        values: dict[str, Any] = {"last_status": status, "last_error": error}
        if final or tries >= len(RETRY_AFTER_S):
            values |= {"state": DeliveryState.FAILED.value, "ended_at": now}
        else:
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret, it spreads load
            values["due_at"] = now + timedelta(seconds=RETRY_AFTER_S[tries] * spread)
        with self._begin(writes=True) as connection:
            connection.execute(sa.update(webhook_deliveries).where(_pending(delivery.id)).values(values))

    def log(self, endpoint_id: str, limit: int, before: int | None = None) -> list[Delivery]:
        """The newest deliveries to an endpoint, older than the one with id `before`."""
        query = sa.select(webhook_deliveries).where(_table.endpoint_id == endpoint_id)
        if before is not None:
            query = query.where(_table.id < before)
        with self._begin() as connection:
            rows = connection.execute(query.order_by(_table.id.desc()).limit(limit)).mappings()
            return [Delivery(**row) for row in rows]

    def again(self, endpoint_id: str, delivery_id: int) -> None:
        """Send a delivery once more, with all its tries. Raises NotFound, Conflict when it is pending anyway."""
        which = (_table.id == delivery_id) & (_table.endpoint_id == endpoint_id)
        anew = {"state": DeliveryState.PENDING.value, "attempts": 0, "due_at": self._clock(), "ended_at": None}
        with self._begin(writes=True) as connection:
            state = connection.scalar(sa.select(_table.state).where(which))
            if state is None:
                raise NotFound(f"there is no delivery {delivery_id} to this endpoint")
            if state == DeliveryState.PENDING:
                raise Conflict(f"delivery {delivery_id} is pending; it is tried again by itself")
            connection.execute(sa.update(webhook_deliveries).where(which).values(anew))

    def forget(self) -> None:
        """Drop deliveries that ended long ago."""
        with self._begin(writes=True) as connection:
            old = _table.ended_at < self._clock() - REMEMBERED
            connection.execute(sa.delete(webhook_deliveries).where(old))


def _pending(delivery_id: int) -> sa.ColumnElement[bool]:
    return (_table.id == delivery_id) & (_table.state == DeliveryState.PENDING.value)


def _due(now: datetime) -> sa.Select[Any]:
    """Deliveries that are due and have no older one of their endpoint and asset before them."""
    older = webhook_deliveries.alias("older")
    waits = sa.exists().where(
        older.c.endpoint_id == _table.endpoint_id,
        older.c.asset_id == _table.asset_id,
        older.c.state == DeliveryState.PENDING.value,
        older.c.id < _table.id,
    )
    enabled = sa.select(webhook_endpoints.c.id).where(webhook_endpoints.c.enabled)
    due = (_table.state == DeliveryState.PENDING.value) & (_table.due_at <= now)
    query = sa.select(webhook_deliveries).where(due, _table.endpoint_id.in_(enabled), ~waits)
    return query.order_by(_table.due_at, _table.id).limit(_HEADS)
