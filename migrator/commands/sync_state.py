"""Where the sync stands, read from the ledger: last run, lag, backlog, conflicts by age, holds, brakes, waits; numbers only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger
from migrator.staging.ledger_tables import erasures, leases

PAUSED = "sync.paused"
"""Name of the note that says who paused the sync, when and why (JSON); '' when it is not paused."""
AGES = (timedelta(days=1), timedelta(days=3), timedelta(days=7))
AGE_NAMES = ("under a day", "1 to 3 days", "3 to 7 days", "over 7 days")


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run of the sync as it is on record."""

    run: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far one stream was read."""

    name: str
    pulled_at: datetime | None
    scanned_at: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records of one mapping that need a decision."""

    mapping: str
    records: int
    oldest: datetime
    failing: int
    """Of these, such as failed at least once."""
    quarantined: int


@dataclass(frozen=True, slots=True)
class Held:
    """Holds of one kind in one mapping."""

    mapping: str
    kind: str
    number: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class OpenConflicts:
    """Conflicts of one field that wait for a person, by age (see `AGE_NAMES`)."""

    mapping: str
    field: str
    ages: tuple[int, ...]
    oldest: datetime

    @property
    def number(self) -> int:
        """All of them."""
        return sum(self.ages)


@dataclass(frozen=True, slots=True)
class Braked:
    """A brake that is engaged."""

    mapping: str
    kind: str
    measured: int
    allowed: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """That a person paused the sync."""

    who: str
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class SyncState:
    """Everything that a verdict on the sync is made from; counts and moments, no values of records."""

    now: datetime
    last: LastRun | None = None
    """The last run that ended."""
    started: LastRun | None = None
    """A run that began later and has not ended."""
    working: bool = False
    """Somebody holds the lease now."""
    pause: Pause | None = None
    streams: tuple[StreamState, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    open: tuple[OpenConflicts, ...] = ()
    decided: int = 0
    """Conflicts that a person decided and the next run carries out."""
    logged: int = 0
    """Overwritten values on record."""
    logged_lately: int = 0
    """Of these, in the last 24 hours."""
    held: tuple[Held, ...] = ()
    brakes: tuple[Braked, ...] = ()
    unsettled: int = 0
    """Writes whose result is not known yet."""
    deferred: int = 0
    mismatched: int = 0
    """Records that two full comparisons in a row found other than the store has them."""
    errors: tuple[tuple[str, int], ...] = ()
    """Code of what failed → records, most frequent first."""
    linked: Mapping[str, int] = field(default_factory=dict)
    """Stream → live records."""
    erasures: int = 0
    """Requests to be forgotten that are not done."""
    left: Mapping[str, int] = field(default_factory=dict)
    """System → requests that may still be made today, where there is a limit."""


def read_state(ledger: Ledger, now: datetime, *, attempts: int, left: Mapping[str, int]) -> SyncState:
    """Read where the sync stands; `attempts` is how many failures make a quarantine."""
    with ledger.read() as connection:
        last, started = _runs(connection)
        return SyncState(
            now=now, last=last, started=started, working=_working(connection, now),
            pause=_pause(connection), streams=_streams(connection), waiting=_waiting(connection, attempts),
            open=_open(connection, now), decided=_count(connection, t.conflicts, t.conflicts.c.state == "resolved"),
            logged=_count(connection, t.conflicts, t.conflicts.c.state == "logged"),
            logged_lately=_count(
                connection, t.conflicts, t.conflicts.c.state == "logged", t.conflicts.c.at > now - timedelta(days=1)
            ),
            held=_held(connection), brakes=_brakes(connection), unsettled=_count(connection, t.intents),
            deferred=_count(connection, t.deferred),
            mismatched=_count(connection, t.mismatches, t.mismatches.c.passes > 1),
            erasures=_count(connection, erasures, erasures.c.done_at.is_(None)),
            errors=_errors(connection), linked=_linked(connection), left=dict(left),
        )  # fmt: skip


def _count(connection: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*where)
    return int(connection.execute(query).scalar() or 0)


def _runs(connection: Connection) -> tuple[LastRun | None, LastRun | None]:
    """The last run that ended, and the newest one if it did not."""
    newest = t.reports.c.started_at.desc()
    row = connection.execute(sa.select(t.reports).order_by(newest).limit(1)).first()
    ended = connection.execute(
        sa.select(t.reports).where(t.reports.c.finished_at.is_not(None)).order_by(newest).limit(1)
    ).first()
    started = _run(row) if row is not None and row.finished_at is None else None
    return (_run(ended) if ended is not None else None), started


def _run(row: Any) -> LastRun:
    return LastRun(row.run, row.started_at, row.finished_at, row.status, json.loads(row.report or "{}"))


def _working(connection: Connection, now: datetime) -> bool:
    query = sa.select(leases.c.expires_at).where(leases.c.name == "project")
    expires = connection.execute(query).scalar()
    return expires is not None and expires > now


def _pause(connection: Connection) -> Pause | None:
    text = connection.execute(sa.select(t.state.c.value).where(t.state.c.name == PAUSED)).scalar()
    if not text:
        return None
    found = json.loads(text)
    return Pause(found["who"], datetime.fromisoformat(found["at"]), found["why"])


def _streams(connection: Connection) -> tuple[StreamState, ...]:
    c = t.watermarks.c
    query = sa.select(c.stream, c.pulled_at, c.scanned_at, c.rows).order_by(c.stream)
    return tuple(StreamState(*row) for row in connection.execute(query))


def _mapping_of(stream: sa.ColumnElement[str], connection: Connection) -> sa.ColumnElement[str]:
    """'MAPPING/SOURCE' or 'MAPPING' → MAPPING."""
    if connection.dialect.name == "postgresql":
        return sa.func.split_part(stream, "/", 1)
    slash = sa.func.instr(stream, "/")
    return sa.case((slash > 0, sa.func.substr(stream, 1, slash - 1)), else_=stream)


def _waiting(connection: Connection, attempts: int) -> tuple[Waiting, ...]:
    c = t.dirty.c
    mapping = _mapping_of(c.stream, connection).label("mapping")
    query = (
        sa.select(
            mapping, sa.func.count(), sa.func.min(c.since),
            sa.func.sum(sa.case((c.attempts > 0, 1), else_=0)),
            sa.func.sum(sa.case((c.attempts >= attempts, 1), else_=0)),
        )
        .group_by(mapping)
        .order_by(mapping)
    )  # fmt: skip
    return tuple(
        Waiting(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in connection.execute(query)
    )


def _open(connection: Connection, now: datetime) -> tuple[OpenConflicts, ...]:
    c = t.conflicts.c
    ages = [
        sa.func.sum(sa.case((sa.and_(c.at <= now - low, c.at > now - high), 1), else_=0))
        for low, high in zip((timedelta(0), *AGES), (*AGES, timedelta(days=36_500)), strict=True)
    ]
    ages[0] = sa.func.sum(sa.case((c.at > now - AGES[0], 1), else_=0))
    query = (
        sa.select(c.mapping, c.field, sa.func.min(c.at), *ages)
        .where(c.state == "open")
        .group_by(c.mapping, c.field)
        .order_by(c.mapping, c.field)
    )
    return tuple(
        OpenConflicts(row[0], row[1], tuple(int(item) for item in row[3:]), row[2])
        for row in connection.execute(query)
    )


def _held(connection: Connection) -> tuple[Held, ...]:
    c = t.holds.c
    query = (
        sa.select(c.mapping, c.kind, sa.func.count(), sa.func.min(c.since))
        .group_by(c.mapping, c.kind)
        .order_by(c.mapping, c.kind)
    )
    return tuple(Held(*row) for row in connection.execute(query))


def _brakes(connection: Connection) -> tuple[Braked, ...]:
    c = t.brakes.c
    query = sa.select(c.mapping, c.kind, c.measured, c.allowed, c.since).order_by(c.mapping, c.kind)
    return tuple(Braked(*row) for row in connection.execute(query))


def _errors(connection: Connection) -> tuple[tuple[str, int], ...]:
    c = t.dirty.c
    number = sa.func.count()
    query = sa.select(c.code, number).where(c.code != "").group_by(c.code).order_by(number.desc(), c.code)
    return tuple((row[0], row[1]) for row in connection.execute(query.limit(10)))


def _linked(connection: Connection) -> dict[str, int]:
    c = t.members.c
    query = (
        sa.select(c.stream, sa.func.count())
        .where(c.until.is_(None), c.state == "live")
        .group_by(c.stream)
        .order_by(c.stream)
    )
    return {row[0]: row[1] for row in connection.execute(query)}
