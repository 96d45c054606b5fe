"""Which rows of a plan are sent: all of them, or only chosen records and those that wait for them.

A chosen load leaves the plan as it is; what it does not send stays planned for the next load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.staging import columns
from migrator.staging.action import SENT, Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import reference, relation
from migrator.staging.store import Dataset, Kind, Store

_ID, _ACTION, _BATCH = quote(columns.ID), quote(columns.ACTION), quote(columns.BATCH)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of the plans are sent, as SQL."""

    tag: str = ""
    """Of what was chosen; '' when everything is."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Object → table of (__id, chosen, sent, arrives): its rows that are sent, those that were asked for, those that come.

    What was asked for and has come already, by a load that was killed, is among them and not sent again. One that is
    merged into a record of the target comes with that: what waited for it points there now.
    """
    batch_rows: int = 0

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.tag

    def narrowed(self, obj: MappedObject, left: str) -> str:
        """SQL for what is sent of the planned rows `left`; few rows do not go in the many batches of the plan."""
        if self.is_everything:
            return left
        batch = f"(row_number() OVER (ORDER BY r.{_BATCH}, r.{_ID}) - 1) // {self.batch_rows:d}"
        return f"SELECT r.* REPLACE (CAST({batch} AS INTEGER) AS {_BATCH}) FROM ({left}) AS r WHERE {self._sent(obj)}"

    def links(self, obj: MappedObject) -> str:
        """Whether the second pass of a loaded row is sent: its own turn, or a record that it points to has come."""
        if self.is_everything:
            return "true"
        arrived = _arriving(
            self.tables, {name for link in obj.links if link.deferred for name in link.mappings}
        )
        waits = [f"r.{quote(link.field)} IN ({arrived})" for link in obj.links if link.deferred]
        return f"({' OR '.join([self._sent(obj), *waits])})"

    def _sent(self, obj: MappedObject) -> str:
        return f"r.{_ID} IN (SELECT {_ID} FROM {self.tables[obj.name]})"


EVERYTHING = Choice()


def choose(
    store: Store,
    session: Session,
    groups: Sequence[Sequence[MappedObject]],
    chosen: Mapping[str, Dataset],
    *,
    batch_rows: int,
) -> Choice:
    """The rows of the current plans that are chosen records, or wait for one that is not in the target yet.

    `chosen`: datasets with the `__id` of survivors, by object; the tables live in `session`.
    """
    tables: dict[str, str] = {}
    for obj in (obj for group in groups for obj in group):
        table = quote(f"chosen:{obj.name}")
        rows = relation(session, store.need(Kind.PLAN, obj.name, made_by="plan"))
        asked = (
            f"r.{_ID} IN (SELECT {_ID} FROM {relation(session, chosen[obj.name])})"
            if obj.name in chosen
            else "false"
        )
        held = [link for link in obj.links if not link.deferred]
        arriving = _arriving(tables, {name for link in held for name in link.mappings})
        waits = " OR ".join([f"r.{quote(link.field)} IN ({arriving})" for link in held] or ["false"])
        sent, came = (
            f"r.{_ACTION} IN ({listed(SENT)})",
            f"(r.{_ACTION} = {literal(Action.UNCHANGED.value)} AND {asked})",
        )
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT r.{_ID}, {asked} AS chosen, {sent} AS sent,"
            f" (r.{_ACTION} = {literal(Action.CREATE.value)} OR ({sent} AND {asked}) OR {came}) AS arrives"
            f" FROM {rows} AS r WHERE ({sent} AND ({asked} OR {waits})) OR {came}"
        )
        tables[obj.name] = table
    return Choice(fingerprint(sorted((name, item.id) for name, item in chosen.items())), tables, batch_rows)


def _arriving(tables: Mapping[str, str], names: set[str]) -> str:
    """References to records that come into the target by this load."""
    pieces = [
        f"SELECT {reference(name, _ID)} FROM {tables[name]} WHERE arrives"
        for name in sorted(names)
        if name in tables
    ]
    return " UNION ALL ".join(pieces) or "SELECT CAST(NULL AS VARCHAR) WHERE false"
