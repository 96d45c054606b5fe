"""Requests made to each system, by the hour, for the budget of its day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "migrator_budget",
        sa.Column("system", sa.String(200), primary_key=True),
        sa.Column("hour", Instant, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
    )
