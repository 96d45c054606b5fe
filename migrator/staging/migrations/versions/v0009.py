"""Requests to forget persons, and keyed hashes of their records, which never come back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0009"
down_revision = "v0008"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "migrator_erasure",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("asked_at", Instant, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("second", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("places", sa.Text, nullable=False),
        sa.Column("done_at", Instant),
        sa.Column("run", sa.String(32), nullable=False),
    )
    op.create_table(
        "migrator_erased",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("quick", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Integer, nullable=False),
    )
