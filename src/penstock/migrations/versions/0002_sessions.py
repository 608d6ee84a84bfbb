"""Playback sessions: renewal by heartbeat, streams per viewer, a serial by which the edge knows their cookies."""

import sqlalchemy as sa
from alembic import op

from penstock.schema import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NEW = (
    sa.Column("ending", sa.String(16)),
    sa.Column("ttl_s", sa.Integer),
    sa.Column("renewable_until", UtcDateTime),
    sa.Column("serial", sa.Integer),
    sa.Column("seen_at", UtcDateTime),
    sa.Column("streaming_since", UtcDateTime),
)


def upgrade() -> None:
    for column in _NEW:
        op.add_column("playback_sessions", column)
    _fill()
    with op.batch_alter_table("playback_sessions") as table:
        table.alter_column("ttl_s", existing_type=sa.Integer, nullable=False)
        table.alter_column("renewable_until", existing_type=UtcDateTime, nullable=False)
        table.alter_column("serial", existing_type=sa.Integer, nullable=False)
    op.create_index("playback_sessions_by_viewer", "playback_sessions", ["viewer", "created_at", "id"])
    op.create_index("playback_sessions_by_serial", "playback_sessions", ["serial"], unique=True)


def _fill() -> None:
    """Sessions opened before this keep their life: it is not renewed, and their cookies hold until they expire."""
    connection = op.get_bind()
    names = ("id", "created_at", "expires_at", "ended_at")
    typed = {name: UtcDateTime for name in names if name.endswith("_at")}
    table = sa.table("playback_sessions", *(sa.column(name, typed.get(name)) for name in names), *_columns())
    for serial, row in enumerate(connection.execute(sa.select(table)).mappings().all(), 1):
        life = row["expires_at"] - row["created_at"]
        values = {
            "serial": serial,
            "ttl_s": int(life.total_seconds()),
            "renewable_until": row["expires_at"],
            "ending": "ended" if row["ended_at"] else None,
        }
        connection.execute(sa.update(table).where(table.c.id == row["id"]).values(values))


def _columns() -> list[sa.ColumnClause[object]]:
    return [sa.column(column.name, column.type) for column in _NEW]


def downgrade() -> None:
    op.drop_index("playback_sessions_by_viewer", "playback_sessions")
    op.drop_index("playback_sessions_by_serial", "playback_sessions")
    with op.batch_alter_table("playback_sessions") as table:
        for column in _NEW:
            table.drop_column(column.name)
