"""The catalogue: assets, jobs, playback sessions, API keys, seen events."""

import sqlalchemy as sa
from alembic import op

from penstock.schema import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
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
        sa.Column("deleted_at", UtcDateTime),
        sa.Column("purged_at", UtcDateTime),
    )
    op.create_index("assets_by_age", "assets", ["created_at", "id"])
    op.create_index("assets_by_state", "assets", ["state"])
    op.create_table(
        "jobs",
        sa.Column("asset_id", sa.String(36), sa.ForeignKey("assets.id"), primary_key=True),
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
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_table(
        "playback_sessions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("asset_id", sa.String(36), sa.ForeignKey("assets.id"), nullable=False),
        sa.Column("viewer", sa.String(256), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
    )
    op.create_index("playback_sessions_by_asset", "playback_sessions", ["asset_id"])
    op.create_index("playback_sessions_by_expiry", "playback_sessions", ["expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
    )
    op.create_table(
        "seen_events",
        sa.Column("id", sa.String(256), primary_key=True),
        sa.Column("seen_at", UtcDateTime, nullable=False),
    )
    op.create_index("seen_events_by_age", "seen_events", ["seen_at"])


def downgrade() -> None:
    for table in ("seen_events", "api_keys", "playback_sessions", "jobs", "assets"):
        op.drop_table(table)
