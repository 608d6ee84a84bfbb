"""The tables of the catalogue, for SQLite and PostgreSQL alike. No behaviour; changes go with a migration."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time; SQLite forgets the zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


assets = sa.Table(
    "assets",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # Grows by one with each change that a reader could see; server-sent events compare it.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_message", sa.Text),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("object_key", sa.Text),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("content_type", sa.String(128)),
    sa.Column("upload_method", sa.String(16)),
    sa.Column("upload_id", sa.Text),
    sa.Column("part_size_bytes", sa.BigInteger),
    sa.Column("source_arrived_at", UtcDateTime),
    # A deleted asset stays as a tombstone, so that a late event cannot bring it back.
    sa.Column("deleted_at", UtcDateTime),
    sa.Column("purged_at", UtcDateTime),
    sa.Index("assets_by_age", "created_at", "id"),
    sa.Index("assets_by_state", "state"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("asset_id", sa.String(36), sa.ForeignKey("assets.id"), primary_key=True),
    # Empty for a failure of the asset as a whole, before any job was made.
    sa.Column("settings", sa.String(1024), primary_key=True),
    sa.Column("job_id", sa.String(128)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("percent", sa.Integer),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_message", sa.Text),
    sa.Column("dash", sa.Text),
    sa.Column("hls", sa.Text),
    sa.Column("smil", sa.Text),
    sa.Column("poster", sa.Text),
    sa.Column("key_ids", sa.JSON, nullable=False),
    sa.Column("key_tiers", sa.JSON),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("jobs_by_state", "state"),
)

playback_sessions = sa.Table(
    "playback_sessions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("asset_id", sa.String(36), sa.ForeignKey("assets.id"), nullable=False),
    sa.Column("viewer", sa.String(256), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("ending", sa.String(16)),
    sa.Column("ttl_s", sa.Integer, nullable=False),
    sa.Column("renewable_until", UtcDateTime, nullable=False),
    sa.Column("serial", sa.Integer, nullable=False),
    sa.Column("seen_at", UtcDateTime),
    sa.Column("streaming_since", UtcDateTime),
    sa.Column("overlay", sa.Text),
    sa.Column("score", sa.Integer, nullable=False, server_default="0"),
    # What the edge and the player told, added up; see `anomaly`.
    sa.Column("observed", sa.JSON(none_as_null=True)),
    sa.Column("suspicious_at", UtcDateTime),
    sa.Column("terms", sa.JSON),
    sa.Column("key_thumbprint", sa.String(43)),
    sa.Index("playback_sessions_by_asset", "asset_id"),
    sa.Index("playback_sessions_by_score", "score"),
    sa.Index("playback_sessions_by_expiry", "expires_at"),
    sa.Index("playback_sessions_by_viewer", "viewer", "created_at", "id"),
    sa.Index("playback_sessions_by_serial", "serial", unique=True),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
)

seen_events = sa.Table(
    "seen_events",
    metadata,
    sa.Column("id", sa.String(256), primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Index("seen_events_by_age", "seen_at"),
)

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # Names of event types, a list; empty is all of them.
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # Secrets are derived from the master secret, the id and this number, so none lies here.
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("rotated_at", UtcDateTime),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    # SQLite counts only in a column of the type INTEGER.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("endpoint_id", sa.String(36), sa.ForeignKey("webhook_endpoints.id"), nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("asset_id", sa.String(36), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Index("webhook_deliveries_by_due", "state", "due_at"),
    sa.Index("webhook_deliveries_by_asset", "endpoint_id", "asset_id", "state", "id"),
)
