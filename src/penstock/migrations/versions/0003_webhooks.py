"""Webhooks: endpoints and what is owed to them; what is known of how a session is used; the overlay."""

import sqlalchemy as sa
from alembic import op

from penstock.schema import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEW = (
    sa.Column("overlay", sa.Text),
    sa.Column("score", sa.Integer, nullable=False, server_default="0"),
    sa.Column("observed", sa.JSON),
    sa.Column("suspicious_at", UtcDateTime),
)


def upgrade() -> None:
    for column in _NEW:
        op.add_column("playback_sessions", column)
    op.create_index("playback_sessions_by_score", "playback_sessions", ["score"])
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("rotated_at", UtcDateTime),
    )
    op.create_table(
        "webhook_deliveries",
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
    )
    op.create_index("webhook_deliveries_by_due", "webhook_deliveries", ["state", "due_at"])
    op.create_index("webhook_deliveries_by_asset", "webhook_deliveries", ["endpoint_id", "asset_id", "state", "id"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")
    op.drop_index("playback_sessions_by_score", "playback_sessions")
    with op.batch_alter_table("playback_sessions") as table:
        for column in _NEW:
            table.drop_column(column.name)
