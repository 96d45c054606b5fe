"""Records of the sync that do not move: failing ones with their code, held ones with their reason; ids and fields, no values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.commands.project import Project, open_workspace
from migrator.commands.sync_steps import code_step, hold_step
from migrator.commands.sync_verdict import span
from migrator.staging import sync_tables as t


@dataclass(frozen=True, slots=True)
class StuckRecord:
    """One record, or group of records, that does not move."""

    what: str
    """'failing' or 'held'."""
    mapping: str
    field: str
    """The field that is held; '' for the record as a whole."""
    records: tuple[str, ...]
    """STREAM:ID of the records it is about."""
    reason: str
    """Code of the failure, or kind of the hold."""
    since: datetime
    tries: int
    """Failures, or runs that have looked at it."""
    message: str = ""
    """The system's own words, which may hold values of the record."""

    @property
    def next_step(self) -> str:
        """What a person does about it."""
        return hold_step(self.reason) if self.what == "held" else code_step(self.reason)

    def to_json(self, now: datetime, *, unmask: bool) -> dict[str, Any]:
        """For `--json`; the system's words only when asked for."""
        told = {"message": self.message} if unmask else {}
        return {
            "what": self.what, "mapping": self.mapping, "field": self.field, "records": list(self.records),
            "reason": self.reason, "next_step": self.next_step, "since": self.since.isoformat(), "age": span(now - self.since), "tries": self.tries, **told,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stuck:
    """The oldest records that do not move, and how many there are."""

    now: datetime
    records: tuple[StuckRecord, ...]
    total: int


def stuck_records(project: Project, *, limit: int = 200) -> Stuck:
    """Failing records first, then held ones, the oldest first of each."""
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        failing = t.dirty.c.attempts > 0
        total = sum(
            int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar() or 0)
            for table, where in ((t.dirty, (failing,)), (t.holds, ()))
        )
        found = [*_failing(connection, limit), *_held(connection, limit)][:limit]
        return Stuck(workspace.ledger.clock.now(), tuple(found), total)


def _failing(connection: Connection, limit: int) -> Iterator[StuckRecord]:
    c = t.dirty.c
    query = sa.select(t.dirty).where(c.attempts > 0).order_by(c.since, c.stream, c.id).limit(limit)
    for row in connection.execute(query):
        mapping = row.stream.partition("/")[0]
        yield StuckRecord(
            "failing",
            mapping,
            "",
            (f"{row.stream}:{row.id}",),
            row.code or row.why,
            row.since,
            row.attempts,
            row.message,
        )


def _held(connection: Connection, limit: int) -> Iterator[StuckRecord]:
    c = t.holds.c
    holds = connection.execute(sa.select(t.holds).order_by(c.since, c.grp, c.field).limit(limit)).all()
    members = _members(connection, [row.grp for row in holds])
    for row in holds:
        yield StuckRecord(
            "held",
            row.mapping,
            row.field,
            members.get(row.grp, ()),
            row.kind,
            row.since,
            row.checks,
            row.reason,
        )


def _members(connection: Connection, groups: list[int]) -> Mapping[int, tuple[str, ...]]:
    c = t.members.c
    found: dict[int, list[str]] = {}
    for start in range(0, len(groups), 500):
        query = (
            sa.select(c.grp, c.stream, c.id)
            .where(c.grp.in_(groups[start : start + 500]), c.until.is_(None))
            .order_by(c.grp, c.stream, c.id)
        )
        for row in connection.execute(query):
            found.setdefault(row.grp, []).append(f"{row.stream}:{row.id}")
    return {group: tuple(names) for group, names in found.items()}
