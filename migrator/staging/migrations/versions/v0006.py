"""What the two-way sync keeps: members, bases, queues, intents, conflicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrator.staging.ledger_tables import Instant

revision = "v0006"
down_revision = "v0005"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "migrator_sync_member",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("side", sa.String(3), nullable=False),
        sa.Column("grp", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("leads", sa.Boolean, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("seen", sa.BigInteger),
        sa.Index("ix_migrator_sync_member_grp", "grp"),
    )
    op.create_table(
        "migrator_sync_dirty",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", Instant),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "migrator_sync_watermark",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("watermark", sa.Text),
        sa.Column("pulled_at", Instant),
        sa.Column("scanned_at", Instant),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )
    op.create_table(
        "migrator_sync_intent",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("grp", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("at", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_conflict",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("grp", sa.BigInteger, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("policy", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("winner", sa.String(3), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("resolved_at", Instant),
        sa.UniqueConstraint("grp", "field", "digest", name="uq_migrator_sync_conflict"),
        sa.Index("ix_migrator_sync_conflict_state", "state"),
    )
    op.create_table(
        "migrator_sync_hold",
        sa.Column("grp", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
    )
    op.create_table(
        "migrator_sync_evidence",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("into", sa.Text, nullable=False),
        sa.Column("became", sa.Text, nullable=False),
        sa.Column("how", sa.Text, nullable=False),
        sa.Column("stamp", Instant),
        sa.Column("seen_at", Instant, nullable=False),
        sa.Column("ours", sa.Boolean, nullable=False),
    )
    op.create_table(
        "migrator_sync_tombstone",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("grp", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("at", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_event",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("grp", sa.BigInteger, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("at", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_deferred",
        sa.Column("grp", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("since", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_brake",
        sa.Column("mapping", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("measured", sa.BigInteger, nullable=False),
        sa.Column("allowed", sa.BigInteger, nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )
    op.create_table(
        "migrator_sync_approval",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("allowed", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("second", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("until", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_mismatch",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("since", Instant, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("passes", sa.Integer, nullable=False),
    )
    op.create_table(
        "migrator_sync_snapshot",
        sa.Column("system", sa.String(200), primary_key=True),
        sa.Column("described", sa.Text, nullable=False),
        sa.Column("at", Instant, nullable=False),
    )
    op.create_table(
        "migrator_sync_run",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("finished_at", Instant),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("report", sa.Text, nullable=False),
    )
    op.create_table(
        "migrator_sync_state",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
