"""The tables of the ledger, as this program writes them; `ledger_upgrade` brings older ledgers to them.

Thousands of rows, never one per record: what is known of records is Parquet. A change here needs a revision beside it
in `migrations/versions`, and a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware moment in UTC on every database; SQLite itself would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy calls it so)
        """Everything is kept in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy calls it so)
        """What comes back without a zone is UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


metadata = sa.MetaData()

meta = sa.Table(
    "migrator_meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

runs = sa.Table(
    "migrator_run",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("command", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
)

datasets = sa.Table(
    "migrator_dataset",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("detail", sa.JSON, nullable=False, default=dict),
    sa.Column("run", sa.String(32)),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("completed_at", Instant),
    sa.Index("ix_migrator_dataset_current", "kind", "name", "state"),
)

parts = sa.Table(
    "migrator_part",
    metadata,
    sa.Column("dataset", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("file", sa.String(300), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("cursor", sa.Text),
    sa.Column("detail", sa.JSON, nullable=False, default=dict),
)

leases = sa.Table(
    "migrator_lease",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
)

waivers = sa.Table(
    "migrator_waiver",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
)
"""Decisions on quarantined records: that they may stay behind (`waived`), or not after all (`withdrawn`).

Which records they are about is Parquet (`Kind.WAIVED`); of two decisions on one, the later one stands.
"""

budgets = sa.Table(
    "migrator_budget",
    metadata,
    sa.Column("system", sa.String(200), primary_key=True),
    sa.Column("hour", Instant, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
)
"""Requests made to a system in the hour that begins at `hour`: what its daily budget is counted from."""

match_decisions = sa.Table(
    "migrator_match_decision",
    metadata,
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
"""What people said of pairs of records, `one` < `other`: nothing is ever changed or deleted, the last word on a pair stands.

`verdict` is 'same', 'not_same', 'unsure' or 'withdrawn'; `way` says where it was decided; `weight` is what the model
gave the pair then, in bits, null when no model did.
"""

journal = sa.Table(
    "migrator_journal",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index("ix_migrator_journal_kind", "kind", "number"),
)
"""What must be provable later, numbered from 1 without a gap, each row bound to the one before: see `journal.py`."""

function_scans = sa.Table(
    "migrator_function_scan",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("system", sa.String(200), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("components", sa.Integer, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
)
"""Looks at what a system does: the account of files, counts by kind, and what changed since the one before.

The components themselves are Parquet (`Kind.FUNCTIONS`).
"""

function_answers = sa.Table(
    "migrator_function_answer",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("component", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("way", sa.String(16), nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
)
"""What people said of components ('SYSTEM/TYPE/NAME'), answer by answer: never changed or deleted, the last word on each stands."""

phases = sa.Table(
    "migrator_phase",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("phase", sa.String(8), nullable=False),
    sa.Column("entered_at", Instant, nullable=False),
    sa.Column("plan", sa.String(64), nullable=False),
    sa.Column("journal", sa.BigInteger, nullable=False),
)
"""In which phase each group of objects is; `journal` is the number of the row that tells how it came there."""

erasures = sa.Table(
    "migrator_erasure",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("second", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("places", sa.Text, nullable=False),
    sa.Column("done_at", Instant),
    sa.Column("run", sa.String(32), nullable=False),
)
"""Requests to forget a person. `places` is JSON, what is to be deleted where; once all of it is done, nothing is left of it."""

erased = sa.Table(
    "migrator_erased",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("quick", sa.BigInteger, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
)
"""Keyed hashes of records that may never be made or staged again; nothing ever removes a row."""
