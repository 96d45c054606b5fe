"""Decisions that quarantined records may stay behind; and programs from before Alembic refuse the ledger from here on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0002"
down_revision = "v0001"


def upgrade() -> None:
    """Add the table, and mark the ledger."""
    op.create_table(
        "migrator_waiver",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("filters", sa.JSON, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )
    op.execute("UPDATE migrator_meta SET value = '2' WHERE name = 'version'")
