"""The tables as they were when Alembic came: runs, datasets, parts, leases, notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "migrator_meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "migrator_run",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("command", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("finished_at", Instant),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "migrator_dataset",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("run", sa.String(32)),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("completed_at", Instant),
    )
    op.create_index("ix_migrator_dataset_current", "migrator_dataset", ["kind", "name", "state"])
    op.create_table(
        "migrator_part",
        sa.Column("dataset", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("file", sa.String(300), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "migrator_lease",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
    )
