"""What is remembered of packaging groups, packaging configurations, assets and their endpoints; one SQLite database.

An endpoint is one asset as one configuration packages it; its state is what DescribeAsset tells. Assets and
configurations are never changed, only made and removed. `uid` is what addresses are made of: an asset that is made
again under an old id gets new addresses.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from localaws.database import open_database

QUEUED, PROCESSING, PLAYABLE, FAILED = "QUEUED", "PROCESSING", "PLAYABLE", "FAILED"
UNFINISHED = (QUEUED, PROCESSING)

metadata = MetaData()


def _resource(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("sequence", Integer, primary_key=True, autoincrement=True),
        Column("id", String(256), nullable=False, unique=True),
        Column("uid", String(32), nullable=False, unique=True),
        Column("created_at", Float, nullable=False),
        Column("tags", JSON, nullable=False),
        *columns,
    )


groups = _resource("groups", Column("authorization", JSON), Column("logs", JSON))
configurations = _resource(
    "configurations",
    Column("group_id", String(256), ForeignKey("groups.id"), nullable=False),
    Column("package", JSON, nullable=False),
)
assets = _resource(
    "assets",
    Column("group_id", String(256), ForeignKey("groups.id"), nullable=False),
    Column("source_arn", String(2048), nullable=False),
    Column("source_role_arn", String(2048), nullable=False),
    Column("resource_id", String(256)),
)
endpoints = Table(
    "endpoints",
    metadata,
    Column("asset_uid", ForeignKey("assets.uid", ondelete="CASCADE"), primary_key=True),
    Column("configuration_uid", ForeignKey("configurations.uid", ondelete="CASCADE"), primary_key=True),
    Column("status", String(16), nullable=False),
)
TABLES = {"packaging-groups": groups, "packaging-configurations": configurations, "assets": assets}

Record = Row[Any]


class Taken(Exception):
    """The id is in use."""


class InUse(Exception):
    """The group still has assets or configurations."""


class Store:
    """Groups, configurations, assets, endpoints. Times are epoch seconds."""

    def __init__(self, path: Path) -> None:
        self._engine = open_database(path, metadata)

    def close(self) -> None:
        self._engine.dispose()

    def add(self, table: Table, values: Mapping[str, Any]) -> Record:
        """Make a resource, and the endpoints that it brings about. Raises Taken."""
        row = {"uid": uuid.uuid4().hex, "created_at": time.time(), **values}
        with self._engine.begin() as connection:
            if connection.execute(select(table.c.sequence).where(table.c.id == values["id"])).one_or_none():
                raise Taken
            connection.execute(insert(table).values(row))
            if table is not groups:
                _add_endpoints(connection, table, row)
            return connection.execute(select(table).where(table.c.id == values["id"])).one()

    def get(self, table: Table, name: str) -> Record | None:
        with self._engine.begin() as connection:
            return connection.execute(select(table).where(table.c.id == name)).one_or_none()

    def by_uid(self, table: Table, uid: str) -> Record | None:
        with self._engine.begin() as connection:
            return connection.execute(select(table).where(table.c.uid == uid)).one_or_none()

    def page(self, table: Table, group_id: str | None, after: int, most: int) -> Sequence[Record]:
        """Resources in the order they were made; `after` is the sequence number of the last one already seen."""
        query = select(table).where(table.c.sequence > after).order_by(table.c.sequence).limit(most)
        if group_id is not None:
            query = query.where(table.c.group_id == group_id)
        with self._engine.begin() as connection:
            return connection.execute(query).all()

    def change(self, table: Table, name: str, values: Mapping[str, Any]) -> Record | None:
        """Change what may be changed: tags, and a group's authorization and logs."""
        with self._engine.begin() as connection:
            connection.execute(update(table).where(table.c.id == name).values(**values))
            return connection.execute(select(table).where(table.c.id == name)).one_or_none()

    def remove(self, table: Table, name: str) -> Record | None:
        """Remove a resource with its endpoints, and return what it was. Raises InUse for a group that has any."""
        with self._engine.begin() as connection:
            found = connection.execute(select(table).where(table.c.id == name)).one_or_none()
            if found is None:
                return None
            if table is groups and any(_count(connection, inner, name) for inner in (assets, configurations)):
                raise InUse
            connection.execute(delete(table).where(table.c.id == name))
            return found

    def count_assets(self, group_id: str) -> int:
        with self._engine.begin() as connection:
            return _count(connection, assets, group_id)

    def endpoints(self, asset_uid: str) -> Sequence[Any]:
        """Endpoints of an asset with their configuration: status, id, uid, package; in the order they were made."""
        query = (
            select(endpoints.c.status, configurations.c.id, configurations.c.uid, configurations.c.package)
            .join(configurations, configurations.c.uid == endpoints.c.configuration_uid)
            .where(endpoints.c.asset_uid == asset_uid)
            .order_by(configurations.c.sequence)
        )
        with self._engine.begin() as connection:
            return connection.execute(query).all()

    def unfinished(self) -> list[str]:
        """Assets (uid) that have work left, oldest first."""
        query = (
            select(assets.c.uid)
            .join(endpoints, endpoints.c.asset_uid == assets.c.uid)
            .where(endpoints.c.status.in_(UNFINISHED))
            .order_by(assets.c.sequence)
            .distinct()
        )
        with self._engine.begin() as connection:
            return list(connection.execute(query).scalars())

    def move(self, asset_uid: str, configuration_uid: str, status: str) -> bool:
        """Change the state of an endpoint that has not ended. False when it has, or is gone."""
        query = (
            update(endpoints)
            .where(endpoints.c.asset_uid == asset_uid, endpoints.c.configuration_uid == configuration_uid)
            .where(endpoints.c.status.in_(UNFINISHED))
            .values(status=status)
        )
        with self._engine.begin() as connection:
            return bool(connection.execute(query).rowcount)


def _add_endpoints(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Every asset of a group is packaged by every configuration of it, whichever came first."""
    other = configurations if table is assets else assets
    for uid in connection.execute(select(other.c.uid).where(other.c.group_id == row["group_id"])).scalars():
        pair = (row["uid"], uid) if table is assets else (uid, row["uid"])
        connection.execute(insert(endpoints).values(asset_uid=pair[0], configuration_uid=pair[1], status=QUEUED))


def _count(connection: Connection, table: Table, group_id: str) -> int:
    query = select(func.count()).select_from(table).where(table.c.group_id == group_id)
    return connection.execute(query).scalar_one()
