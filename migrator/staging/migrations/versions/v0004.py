"""What people decided about pairs of records that may be one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0004"
down_revision = "v0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "migrator_match_decision",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("one", sa.Text, nullable=False),
        sa.Column("other", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("way", sa.String(16), nullable=False),
        sa.Column("weight", sa.Float),
        sa.Column("run", sa.String(32), nullable=False),
    )
