"""Webhook endpoints: whom to tell, and of what. The only owner of their rows.

Secrets are derived from the master secret, as content keys are, so that none lies in the database.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from penstock.database import Database
from penstock.errors import Conflict, NotFound
from penstock.formats import webhooks
from penstock.schema import webhook_deliveries, webhook_endpoints
from penstock.webhooks import events, outbox
from penstock.webhooks.events import EventType

MOST = 50
"""Endpoints in all: each change of an asset is written once for every one."""
OVERLAP = timedelta(hours=24)
"""For so long after a rotation the secret before still signs, too."""

_table = webhook_endpoints.c


@dataclass(frozen=True)
class Endpoint:
    id: str
    url: str
    description: str
    events: list[str]
    """Names of event types; empty is all of them."""
    enabled: bool
    created_at: datetime
    generation: int
    rotated_at: datetime | None


class Endpoints:
    def __init__(self, database: Database, master: bytes, *, clock: Callable[[], datetime]) -> None:
        self._begin = database.begin
        self._master = master
        self._clock = clock

    def add(self, url: str, kinds: Sequence[EventType], description: str) -> Endpoint:
        """Register an address, which the caller has checked. Raises Conflict when there are too many."""
        endpoint = Endpoint(
            id=str(uuid.uuid4()),
            url=url,
            description=description,
            events=[kind.value for kind in kinds],
            enabled=True,
            created_at=self._clock(),
            generation=1,
            rotated_at=None,
        )
        with self._begin(writes=True) as connection:
            if (connection.scalar(sa.select(sa.func.count()).select_from(webhook_endpoints)) or 0) >= MOST:
                raise Conflict(f"there are {MOST} webhook endpoints, as many as there may be; remove one first")
            connection.execute(sa.insert(webhook_endpoints).values(vars(endpoint)))
        return endpoint

    def get(self, endpoint_id: str) -> Endpoint:
        """Raises NotFound."""
        with self._begin() as connection:
            row = connection.execute(sa.select(webhook_endpoints).where(_table.id == endpoint_id)).mappings().first()
        if row is None:
            raise NotFound(f"there is no webhook endpoint {endpoint_id[:64]!r}")
        return Endpoint(**row)

    def all(self) -> list[Endpoint]:
        with self._begin() as connection:
            rows = connection.execute(sa.select(webhook_endpoints).order_by(_table.created_at, _table.id)).mappings()
            return [Endpoint(**row) for row in rows]

    def change(self, endpoint_id: str, **columns: Any) -> Endpoint:
        """Change url, events, description or enabled. Raises NotFound."""
        if columns:
            with self._begin(writes=True) as connection:
                connection.execute(sa.update(webhook_endpoints).where(_table.id == endpoint_id).values(columns))
        return self.get(endpoint_id)

    def remove(self, endpoint_id: str) -> None:
        """Forget an endpoint and everything owed to it. Raises NotFound."""
        self.get(endpoint_id)
        with self._begin(writes=True) as connection:
            owed = webhook_deliveries.c.endpoint_id == endpoint_id
            connection.execute(sa.delete(webhook_deliveries).where(owed))
            connection.execute(sa.delete(webhook_endpoints).where(_table.id == endpoint_id))

    def rotate(self, endpoint_id: str) -> Endpoint:
        """Give an endpoint a new secret; for a day both sign. Raises NotFound."""
        columns = {"generation": _table.generation + 1, "rotated_at": self._clock()}
        return self.change(endpoint_id, **columns)

    def test(self, endpoint_id: str) -> str:
        """Owe a test event to an endpoint; returns the event's id. Raises NotFound."""
        endpoint = self.get(endpoint_id)
        event = events.event(EventType.TEST, "", self._clock(), {"endpoint": {"id": endpoint.id}})
        with self._begin(writes=True) as connection:
            outbox.owe(connection, event, [endpoint.id])
        return event.id

    def secret(self, endpoint: Endpoint) -> str:
        """The secret that the receiver verifies with."""
        return self._secret(endpoint, endpoint.generation)

    def signing_secrets(self, endpoint: Endpoint) -> list[str]:
        """Those that sign now, newest first."""
        found = [self.secret(endpoint)]
        if endpoint.rotated_at is not None and self._clock() < endpoint.rotated_at + OVERLAP:
            found.append(self._secret(endpoint, endpoint.generation - 1))
        return found

    def _secret(self, endpoint: Endpoint, generation: int) -> str:
        info = f"penstock webhook secret\0{endpoint.id} {generation}".encode()
        return webhooks.write_secret(HKDF(SHA256(), length=32, salt=None, info=info).derive(self._master))
