"""Conflicts of the sync: listed without values, shown with masked ones, decided by a person, and forgotten in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.commands.binding import read_mappings
from migrator.commands.project import Project, open_workspace
from migrator.commands.review import someone
from migrator.commands.sync_verdict import span
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.mask import mask
from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger, storable
from migrator.sync.values import from_text

SIDES = ("old", "new")
STATES = ("open", "resolved", "logged", "closed")
FORGOTTEN = '{"members":[]}'
"""What is left of the values of a conflict once they have been kept long enough."""


@dataclass(frozen=True, slots=True)
class SideValue:
    """One record of a conflict, as it was when the conflict was noted."""

    side: str
    stream: str
    id: str
    version: str
    values: Mapping[str, Any]
    bases: Mapping[str, Any]
    presence: str = ""
    """Of a conflict about whole records: live, deleted, …"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One conflict of one field, or of whole records (`field` '')."""

    number: int
    mapping: str
    group: int
    field: str
    reason: str
    policy: str
    state: str
    at: datetime
    members: tuple[SideValue, ...]
    digest: str
    winner: str = ""
    who: str = ""
    note: str = ""
    owner: str = ""
    """Who looks after the field, by its `review: {by: …}`."""
    personal: bool = False

    def listed(self, now: datetime) -> dict[str, Any]:
        """For lists: ids and names, no values."""
        return {
            "number": self.number,
            "mapping": self.mapping,
            "field": self.field,
            "reason": self.reason,
            "policy": self.policy,
            "state": self.state,
            "at": self.at.isoformat(),
            "age_seconds": int((now - self.at).total_seconds()),
            "age": span(now - self.at),
            "owner": self.owner,
            "old": [item.id for item in self.members if item.side == "old"],
            "new": [item.id for item in self.members if item.side == "new"],
            "winner": self.winner,
            "who": self.who,
        }

    def shown(self, now: datetime, *, unmask: bool) -> dict[str, Any]:
        """With values, masked where they are personal unless `unmask`."""
        return self.listed(now) | {
            "note": self.note,
            "records": [
                {
                    "side": item.side, "record": f"{item.stream}:{item.id}", "version": item.version,
                    "presence": item.presence,
                    "now": self._masked(item.values, unmask=unmask), "base": self._masked(item.bases, unmask=unmask),
                }
                for item in self.members
            ],
        }  # fmt: skip

    def _masked(self, values: Mapping[str, Any], *, unmask: bool) -> dict[str, str | None]:
        texts = {name: None if value is None else str(value) for name, value in values.items()}
        return texts if unmask or not self.personal else {name: mask(text) for name, text in texts.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which conflicts are wanted; empty means all."""

    objects: Sequence[str] = ()
    field: str = ""
    state: str = "open"
    """One of `STATES`, or '' for all."""
    limit: int = 200
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Conflicts, oldest first, and how many there are in all."""

    now: datetime
    conflicts: tuple[Conflict, ...]
    total: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"total": self.total, "conflicts": [item.listed(self.now) for item in self.conflicts]}


def list_conflicts(project: Project, asked: Asked) -> Found:
    """The conflicts asked for, oldest first."""
    owners = _Owners.of(project)
    with open_workspace(project) as workspace:
        now = workspace.ledger.clock.now()
        with workspace.ledger.read() as connection:
            where = _where(asked)
            c = t.conflicts.c
            query = sa.select(t.conflicts).where(*where).order_by(c.at, c.number).limit(asked.limit)
            total = connection.execute(
                sa.select(sa.func.count()).select_from(t.conflicts).where(*where)
            ).scalar()
            rows = [owners.conflict(row) for row in connection.execute(query)]
    return Found(now, tuple(rows), int(total or 0))


def show_conflict(project: Project, number: int, *, unmask: bool) -> tuple[datetime, Conflict]:
    """One conflict with its values; a look at personal values as they are is put on record."""
    owners = _Owners.of(project)
    with open_workspace(project) as workspace:
        now = workspace.ledger.clock.now()
        with workspace.ledger.read() as connection:
            found = owners.conflict(_need(connection, number))
        if unmask and found.personal:
            with workspace.ledger.begin() as connection:
                body = {"what": "values of a conflict", "number": number, "who": someone("")}
                journal.append(connection, "shown", body, at=now, run=workspace.ledger.run)
    return now, found


def resolve_conflict(project: Project, number: int, take: str, *, who: str, note: str) -> Conflict:
    """Put on record which side stands; the next run carries it out. Raises `SafetyStop` when it is no longer open."""
    owners = _Owners.of(project)
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        decide(connection, workspace.ledger, number, take, who=someone(who), note=note)
        return owners.conflict(_need(connection, number))


def decide(connection: Connection, ledger: Ledger, number: int, take: str, *, who: str, note: str) -> None:
    """The decision itself, inside a transaction, with its row in the journal."""
    if take not in SIDES:
        raise ProjectError.at("--take", f"{take!r} is no side", "old or new: the side whose value stands")
    row = _need(connection, number)
    if row.state not in ("open", "resolved"):
        raise SafetyStop(
            f"conflict {number} is {row.state}: there is nothing to decide any more",
            hint="migrator sync conflicts list shows those that are open",
        )
    now = ledger.clock.now()
    connection.execute(
        t.conflicts.update()
        .where(t.conflicts.c.number == number)
        .values(state="resolved", winner=take, who=storable(who), note=storable(note), resolved_at=now)
    )
    body = {
        "number": number, "mapping": row.mapping, "group": row.grp, "field": row.field, "digest": row.digest,
        "winner": take, "who": who,
    }  # fmt: skip
    journal.append(connection, "override", body, at=now, run=ledger.run)


def forget(ledger: Ledger, keep: timedelta) -> int:
    """Take the values out of conflicts that are over and older than `keep`; that there was one stays. How many."""
    c = t.conflicts.c
    before = ledger.clock.now() - keep
    with ledger.begin() as connection:
        ledger.check_fence(connection)
        done = connection.execute(
            t.conflicts.update()
            .where(c.state.in_(("logged", "closed")), c.at < before, c.members != FORGOTTEN)
            .values(members=FORGOTTEN, note="")
        )
        if done.rowcount:
            body = {"what": "values of conflicts", "before": before, "number": done.rowcount}
            journal.append(connection, "forgotten", body, at=ledger.clock.now(), run=ledger.run)
    return int(done.rowcount)


def _where(asked: Asked) -> list[sa.ColumnElement[bool]]:
    c = t.conflicts.c
    where: list[sa.ColumnElement[bool]] = []
    if asked.state:
        where.append(c.state == asked.state)
    if asked.objects:
        where.append(c.mapping.in_(list(asked.objects)))
    if asked.field:
        where.append(c.field == asked.field)
    if asked.reason:
        where.append(c.reason == asked.reason)
    return where


def _need(connection: Connection, number: int) -> Any:
    row = connection.execute(sa.select(t.conflicts).where(t.conflicts.c.number == number)).first()
    if row is None:
        raise ProjectError.at("NUMBER", f"there is no conflict {number}", "migrator sync conflicts list")
    return row


@dataclass(frozen=True, slots=True)
class _Owners:
    """Who looks after fields, and which hold personal data, by mapping and field."""

    owners: Mapping[tuple[str, str], str]
    personal: frozenset[tuple[str, str]]
    """What a mapping does not mark is masked too where nothing is known of the mapping."""
    known: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, project: Project) -> _Owners:
        owners: dict[tuple[str, str], str] = {}
        personal: set[tuple[str, str]] = set()
        known: set[tuple[str, str]] = set()
        schemas = {name: project.saved_schema(name) or {} for name in project.systems}
        for mapping in read_mappings(project):
            for source in mapping.sources:
                old = schemas.get(source.system, {}).get(source.rule.object)
                for name in mapping.field_names:
                    rule = mapping.field(source, name).rule
                    at = (mapping.name, name)
                    known.add(at)
                    if rule.review is not None and rule.review.by:
                        owners[at] = rule.review.by
                    column = old.field(rule.from_) if old is not None and rule.from_ is not None else None
                    # what an expression or a function makes of personal data, nobody marked; a value list holds none
                    told = column is None and rule.values is None
                    if rule.pii or rule.from_ is None or told or (column is not None and column.pii):
                        personal.add(at)
        return cls(owners, frozenset(personal), frozenset(known))

    def conflict(self, row: Any) -> Conflict:
        at = (row.mapping, row.field)
        return Conflict(
            row.number, row.mapping, row.grp, row.field, row.reason, row.policy, row.state, row.at,
            tuple(_member(item) for item in from_text(row.members)["members"]), row.digest, row.winner, row.who,
            row.note, self.owners.get(at, ""), personal=at in self.personal or at not in self.known,
        )  # fmt: skip


def _member(item: Mapping[str, Any]) -> SideValue:
    return SideValue(
        item["side"], item["stream"], item["id"], item.get("version", ""), item.get("values", {}),
        item.get("bases", {}), item.get("presence", ""),
    )  # fmt: skip
