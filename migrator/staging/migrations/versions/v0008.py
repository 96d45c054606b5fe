"""In which phase each group of objects is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0008"
down_revision = "v0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "migrator_phase",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("phase", sa.String(8), nullable=False),
        sa.Column("entered_at", Instant, nullable=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("journal", sa.BigInteger, nullable=False),
    )
