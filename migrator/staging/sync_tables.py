"""The tables of the two-way sync in the ledger: what belongs together, what was last synced, what is still to be done, and why.

One row for each record (member), never one for each field. A *stream* is what changes are read from: 'MAPPING/SOURCE' for
the old side, 'MAPPING' for the new one. A *group* is a number: all members that stand for one thing.
"""

from __future__ import annotations

import sqlalchemy as sa

from migrator.staging.ledger_tables import Instant, metadata

members = sa.Table(
    "migrator_sync_member",
    metadata,
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
    sa.Column("owed", sa.Text, nullable=False, server_default="{}"),
    sa.Index("ix_migrator_sync_member_grp", "grp"),
)
"""The crosswalk and the bases: who belongs to which group from `since` on until `until` (numbers of changes to it; null: now).

Rows are closed, never deleted. `state` is 'creating' (its partner is being made), 'live' or 'gone' (tombstone). `leads`:
the primary of its side. `base` is JSON of last synced natives; `version` and `seen` (a fingerprint of all mapped
natives) are of the record as it was when last decided on. `owed` is JSON: field → members that did not get its value yet.
"""

dirty = sa.Table(
    "migrator_sync_dirty",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("why", sa.String(32), nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", Instant),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)
"""Records that still need a decision. One that keeps failing stays, with ever longer waits: from so many attempts on it is in
quarantine, which is only a name for it."""

watermarks = sa.Table(
    "migrator_sync_watermark",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("watermark", sa.Text),
    sa.Column("pulled_at", Instant),
    sa.Column("scanned_at", Instant),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
)
"""How far each stream was read, when it was last compared whole (`generation` times so far, `rows` then), how many records
changed in each of the last runs (JSON), and for which mapping."""

intents = sa.Table(
    "migrator_sync_intent",
    metadata,
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
"""Remote writes that are about to be made, or whose result is not known yet: 'create', 'update' or 'delete'."""

conflicts = sa.Table(
    "migrator_sync_conflict",
    metadata,
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
"""Values that the sync overwrote, or would not overwrite, written before anything is done: `members` is JSON, one entry a
record with its stream, id, version, values and bases. `state`: 'logged', 'open' (held), 'resolved' (a person chose
`winner`; the next run carries it out) or 'closed'."""

holds = sa.Table(
    "migrator_sync_hold",
    metadata,
    sa.Column("grp", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("checks", sa.Integer, nullable=False),
)
"""Groups (field '') and fields on which nothing is written, with the reason, and how many runs have looked at it."""

evidence = sa.Table(
    "migrator_sync_evidence",
    metadata,
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
"""What a side proved to have happened. `ours`: the sync itself deleted it, which says nothing about any user."""

tombstones = sa.Table(
    "migrator_sync_tombstone",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("grp", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""Records whose deletion is complete on both sides. Nothing ever removes a row but the end of the dual run."""

events = sa.Table(
    "migrator_sync_event",
    metadata,
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
"""The life of records beside their fields: linked, deleted, merged, undeleted, converted, deactivated."""

deferred = sa.Table(
    "migrator_sync_deferred",
    metadata,
    sa.Column("grp", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
)
"""Links that wait for the partner of the record they point to."""

brakes = sa.Table(
    "migrator_sync_brake",
    metadata,
    sa.Column("mapping", sa.Text, primary_key=True),
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("measured", sa.BigInteger, nullable=False),
    sa.Column("allowed", sa.BigInteger, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
)
"""Brakes that the last run found engaged."""

approvals = sa.Table(
    "migrator_sync_approval",
    metadata,
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
"""Named approvals to let a brake pass, up to `allowed`, for one mapping as it was then, until they expire."""

mismatches = sa.Table(
    "migrator_sync_mismatch",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("passes", sa.Integer, nullable=False),
)
"""What a full comparison found other than the store has it: 'changed', 'unknown' or 'unlisted'; `passes` is how many
comparisons in a row found it. A record that is merely being edited is not there twice."""

snapshots = sa.Table(
    "migrator_sync_snapshot",
    metadata,
    sa.Column("system", sa.String(200), primary_key=True),
    sa.Column("described", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""How each system described its mapped objects when the mapping was approved."""

reports = sa.Table(
    "migrator_sync_run",
    metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("report", sa.Text, nullable=False),
)
"""What each run came to (JSON); a run that was killed has status 'running' for ever."""

state = sa.Table(
    "migrator_sync_state",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Single facts: the store's generation, whether the sync is paused."""

TABLES = metadata
"""The tables of the ledger with these among them: importing this module is what adds them."""
