"""Playback sessions: how fast they may play, what they are bound to, and the key of the browser that claimed them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("playback_sessions", sa.Column("terms", sa.JSON))
    op.add_column("playback_sessions", sa.Column("key_thumbprint", sa.String(43)))


def downgrade() -> None:
    with op.batch_alter_table("playback_sessions") as table:
        table.drop_column("terms")
        table.drop_column("key_thumbprint")
