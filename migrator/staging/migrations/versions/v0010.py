"""Values that a record's partners did not get yet, though some of them did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0010"
down_revision = "v0009"


def upgrade() -> None:
    """Add the column: nothing is owed so far."""
    op.add_column("migrator_sync_member", sa.Column("owed", sa.Text, nullable=False, server_default="{}"))
