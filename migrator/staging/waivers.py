"""Decisions that quarantined records may stay behind: who decided it, when, why, and for exactly which complaints.

A decision stands in the ledger; the complaints it is about (their marks) are Parquet, because they may be millions. It
is about what was wrong when it was taken: a record with another value, or with another rule broken, is not covered.
Rows that no decision in the ledger stands behind (the command was killed between the two) mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrator.core.clock import new_id
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.staging import columns
from migrator.staging.disposition import disposition
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.ledger import Ledger, storable
from migrator.staging.ledger_tables import waivers
from migrator.staging.quarantine_sql import marked
from migrator.staging.relation import reference, relation
from migrator.staging.store import Kind, Store

WAIVED = pa.schema(
    [pa.field("mark", pa.string(), nullable=False), pa.field("decision", pa.string(), nullable=False)]
)
"""Which complaint each decision is about."""
_ID = quote(columns.ID)


class Verdict(Enum):
    """What was decided."""

    WAIVED = "waived"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision on quarantined records."""

    id: str
    at: datetime
    verdict: str
    who: str
    reason: str
    filters: Mapping[str, Any]
    """What was asked for, as the command was given it."""
    rows: int
    """Complaints it is about."""
    run: str

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Waived:
    """Of one object: records that were left behind by decision."""

    quarantined: int = 0
    """Quarantined records all of whose complaints are waived."""
    waiting: int = 0
    """Records that wait for such a one."""


NOBODY = Waived()


def decisions(ledger: Ledger) -> list[Decision]:
    """All decisions, the oldest first."""
    with ledger.read() as connection:
        found = connection.execute(sa.select(waivers).order_by(waivers.c.at, waivers.c.id)).all()
    return [Decision(**row._mapping) for row in found]


def decide(
    store: Store,
    session: Session,
    chosen: Mapping[str, str],
    *,
    verdict: Verdict,
    who: str,
    reason: str,
    filters: Mapping[str, Any],
) -> Decision:
    """Put a decision on record; `chosen` is SQL for the marks it is about, by object."""
    made = new_id()
    rows = sum(_enter(store, session, name, marks, made) for name, marks in chosen.items())
    earlier = max((item.at for item in decisions(store.ledger)), default=None)
    at = store.ledger.clock.now()
    if (
        earlier is not None and earlier >= at
    ):  # a clock may stand still or go back; what is decided last stands
        at = earlier + timedelta(microseconds=1)
    decision = Decision(
        made, at, verdict.value, storable(who), storable(reason), dict(filters), rows, store.ledger.run
    )  # fmt: skip
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(waivers.insert().values(**asdict(decision)))
    return decision


def _enter(store: Store, session: Session, name: str, marks: str, decision: str) -> int:
    before = store.current(Kind.WAIVED, name)
    new = f"SELECT DISTINCT mark, {literal(decision)} AS decision FROM ({marks})"
    building = store.build(Kind.WAIVED, name, fingerprint(before.id if before else "", decision))
    part = building.add(
        lambda path: session.write(f"SELECT * FROM {relation(session, before, WAIVED)} UNION ALL {new}", path)
    )
    building.complete()
    return part.rows - (before.rows if before else 0)


def standing(store: Store, session: Session, obj: MappedObject, known: Sequence[Decision]) -> str:
    """SQL for (mark, decision) of every complaint that is waived now: of two decisions on one, the later one stands."""
    found = store.current(Kind.WAIVED, obj.name)
    if found is None or not known:
        return "SELECT CAST(NULL AS VARCHAR) AS mark, CAST(NULL AS VARCHAR) AS decision WHERE false"
    listed = ", ".join(
        f"({literal(item.id)}, {number:d}, {literal(item.verdict)})" for number, item in enumerate(known)
    )
    return (
        "SELECT w.mark, arg_max(d.id, d.place) AS decision"
        f" FROM {relation(session, found)} AS w JOIN (VALUES {listed}) AS d(id, place, verdict) ON d.id = w.decision"
        f" GROUP BY w.mark HAVING arg_max(d.verdict, d.place) = {literal(Verdict.WAIVED.value)}"
    )


def waived(store: Store, session: Session, objects: Sequence[MappedObject]) -> dict[str, Waived]:
    """How many records of each object were left behind; objects without any are left out. Costs nothing without decisions."""
    known = decisions(store.ledger)
    touched = [obj for obj in objects if known and store.current(Kind.WAIVED, obj.name) is not None]
    if not touched:
        return {}
    behind = {obj.name: _left_behind(store, session, obj, known) for obj in touched}
    roots = " UNION ALL ".join(
        f"SELECT {reference(name, 'record')} AS ref FROM {table}" for name, table in behind.items()
    )
    return {
        obj.name: Waived(
            _quarantined(store, session, obj, known, behind.get(obj.name)),
            _waiting(store, session, obj, roots),
        )
        for obj in objects
    }


def _left_behind(store: Store, session: Session, obj: MappedObject, known: Sequence[Decision]) -> str:
    """The table of an object's records all of whose complaints are waived."""
    table = quote(f"left behind:{obj.name}")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT e.record FROM ({marked(store, session, obj)}) AS e"
        f" LEFT JOIN ({standing(store, session, obj, known)}) AS w ON w.mark = e.mark"
        " WHERE e.record IS NOT NULL GROUP BY e.record HAVING bool_and(w.mark IS NOT NULL)"
    )
    return table


def _quarantined(
    store: Store, session: Session, obj: MappedObject, known: Sequence[Decision], behind: str | None
) -> int:
    if behind is None:
        return 0
    records = (
        f"SELECT 1 FROM ({disposition(session, store, obj)}) AS d JOIN {behind} AS b ON b.record = d.{_ID}"
        " WHERE d.state = 'quarantined'"
    )
    unreadable = (
        f"SELECT 1 FROM ({marked(store, session, obj)}) AS e"
        f" JOIN ({standing(store, session, obj, known)}) AS w ON w.mark = e.mark WHERE e.record IS NULL"
    )
    return row_count(session, f"({records} UNION ALL {unreadable})")


def _waiting(store: Store, session: Session, obj: MappedObject, roots: str) -> int:
    """The reason of a waiting record begins with the record that all of them wait for in the end."""
    root = "regexp_extract(d.reason, '(?s)^(?:merged into .*?: )?(.*?) (excluded|quarantined|refused): ', 1)"
    return row_count(
        session,
        f"({disposition(session, store, obj)}) AS d WHERE d.state = 'pending' AND {root} IN ({roots})",
    )
