"""What the old system does besides holding data: looks at it, and what people decided about each function."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0007"
down_revision = "v0006"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "migrator_function_scan",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("system", sa.String(200), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("components", sa.Integer, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "migrator_function_answer",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("component", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("way", sa.String(16), nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )
