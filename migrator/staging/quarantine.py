"""Every quarantined record with its rule, field, value, the system's own words and what to do; and the warnings beside.

Nothing is kept twice: a record is in quarantine because of what extract, map, plan or load recorded, so the list is a
query over their datasets, is always current, and has exactly as many records as the account counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.core.mapped import MappedObject
from migrator.core.mask import mask
from migrator.core.quarantine import State
from migrator.staging.engine import Session, literal
from migrator.staging.held import memory
from migrator.staging.hints import hint
from migrator.staging.quarantine_sql import Query, noted, quarantined
from migrator.staging.store import Store
from migrator.staging.waivers import decisions, standing


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted; None means all."""

    objects: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    fields: frozenset[str] | None = None
    records: frozenset[tuple[str, str]] | None = None
    """Records, each as its object and its `__id`."""
    systems: frozenset[str] | None = None
    """Systems the records come from."""
    since: datetime | None = None
    """Found first at that moment or later."""
    run: str | None = None
    """Found first, or tried last, by this run."""
    state: State | None = None
    limit: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What was asked for, without what was not."""
        lists = {
            "object": self.objects, "rule": self.rules, "field": self.fields, "system": self.systems,
            "record": self.records and {"/".join(item) for item in self.records},
        }  # fmt: skip
        made: dict[str, Any] = {name: sorted(given) for name, given in lists.items() if given}
        if self.since is not None:
            made["since"] = self.since.isoformat()
        return (
            made
            | ({"run": self.run} if self.run else {})
            | ({"state": self.state.value} if self.state else {})
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is wrong with one record; a record that breaks several rules has several entries."""

    object: str
    record: str | None
    """Its `__id`; None for what could not be read as a record."""
    place: str | None
    """Where it stands in the source, when that is known."""
    step: str
    """'extract', 'map', 'plan' or 'load'."""
    rule: str
    field: str | None
    value: str | None
    """The offending value, masked where it is personal."""
    message: str | None
    """The system's own words, personal values masked."""
    hint: str
    first_seen: datetime | None = None
    """When a command first ended with it; None for what no command has ended with yet."""
    tries: int = 1
    """How many attempts have found it: mappings that refused it, loads that the target refused it in."""
    waived: str | None = None
    """By whom it was waived and why; None while it is open."""

    @property
    def reference(self) -> str:
        """'OBJECT/ID', as `migrator explain` takes it."""
        return f"{self.object}/{self.record or ''}"


EVERYTHING = Filter()


def rows(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    *,
    only: Filter = EVERYTHING,
    masked: bool = True,
) -> Generator[Entry, None, None]:
    """Everything quarantined, by object in load order, then step and place; streamed, so read it to the end or close it."""
    yield from _entries(store, session, objects, quarantined, only, masked=masked)


def warnings(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    *,
    only: Filter = EVERYTHING,
    masked: bool = True,
) -> Generator[Entry, None, None]:
    """What was noted about records that move all the same: values changed or emptied, links whose other end never came."""
    yield from _entries(store, session, objects, noted, only, masked=masked)


def chosen(
    store: Store, session: Session, obj: MappedObject, only: Filter, query: Query = quarantined
) -> str:
    """SQL for the entries of one object that a filter wants: the columns of `quarantine_sql`, and what is remembered of each."""
    return f"""
SELECT e.*, h.first_seen, coalesce(h.tries, 1) AS tries, w.decision
FROM ({query(store, session, obj)}) AS e
LEFT JOIN {memory(store, session, obj)} AS h ON h.mark = e.mark
LEFT JOIN ({standing(store, session, obj, decisions(store.ledger))}) AS w ON w.mark = e.mark
WHERE {_condition(obj, only)}"""


def _entries(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    query: Query,
    only: Filter,
    *,
    masked: bool,
) -> Generator[Entry, None, None]:
    left = only.limit
    told = {item.id: f"{item.who}: {item.reason}" for item in decisions(store.ledger)}
    for obj in objects:
        if left == 0:
            return
        if only.objects is not None and obj.name not in only.objects:
            continue
        sql = f"SELECT * FROM ({chosen(store, session, obj, only, query)}) ORDER BY ALL"
        # A session of its own: the reader may ask the engine for more between two entries.
        with closing(session.cursor()) as cursor:
            for batch in cursor.stream(sql + (f" LIMIT {left:d}" if left is not None else ""), 10_000):
                left = None if left is None else left - batch.num_rows
                for row in batch.to_pylist():
                    yield _entry(obj, row, told, masked=masked)


def _condition(obj: MappedObject, only: Filter) -> str:
    wanted = ["true"]
    for name, values in (("rule", only.rules), ("field", only.fields)):
        if values is not None:
            wanted.append(f"e.{name} IN ({_list(values)})")
    if only.records is not None:
        wanted.append(f"e.record IN ({_list({record for name, record in only.records if name == obj.name})})")
    if only.systems is not None:
        wanted.append(f"({_from(obj, only.systems)})")
    if only.since is not None:
        wanted.append(f"h.first_seen >= CAST({literal(only.since.isoformat())} AS TIMESTAMPTZ)")
    if only.run is not None:
        wanted.append(f"{literal(only.run)} IN (h.first_run, h.last_run)")
    match only.state:
        case State.OPEN:
            wanted.append("w.decision IS NULL")
        case State.WAIVED:
            wanted.append("w.decision IS NOT NULL")
        case None:
            pass
    return " AND ".join(wanted)


def _list(values: frozenset[str] | set[str]) -> str:
    return ", ".join(map(literal, sorted(values))) or "NULL"


def _from(obj: MappedObject, systems: frozenset[str]) -> str:
    """A record is called after its source; what could not be read as one names the source."""
    mine = [literal(item.name) for item in obj.sources if item.system in systems]
    return (
        " OR ".join(f"starts_with(e.record, {name} || ':') OR e.source = {name}" for name in mine) or "false"
    )


def _entry(obj: MappedObject, row: dict[str, Any], told: dict[str, str], *, masked: bool) -> Entry:
    value, message = row["value"], row["safe_message"] if masked else row["message"]
    # What no field is named for (raw text of a file) may hold anything that the object holds.
    if masked and value and (row["field"] in obj.pii or (row["field"] is None and obj.pii)):
        message = message.replace(value, mask(value)) if message else message
        value = mask(value)
    step = row["step"].partition(" ")[2]
    return Entry(
        obj.name, row["record"], row["place"], step, row["rule"], row["field"], value, message,
        hint("merged" if row["follows"] else row["rule"], step),
        row["first_seen"], row["tries"], told.get(row["decision"]),
    )  # fmt: skip
