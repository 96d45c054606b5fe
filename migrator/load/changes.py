"""What an update would change, field by field: the planned value beside the one that was last sent.

What was last sent is on record since it was sent (HISTORY, with its answer in ANSWERS), so nothing is kept for this and
no target is asked, unless a comparison with what it holds now is wanted (`read_held`). The value of a link is what the target calls the record it points to, or its reference while it is
yet to be created.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from migrator.core.mapped import MappedObject
from migrator.load.ends import end, with_ends
from migrator.load.held import UPDATES, Held
from migrator.load.intents import intents_name
from migrator.load.links import ends_of
from migrator.staging import columns
from migrator.staging.action import Action
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

_ID, _ACTION = quote(columns.ID), quote(columns.ACTION)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that updates would change."""

    field: str
    records: int
    filled: int = 0
    """Of these, records where nothing was sent before."""
    emptied: int = 0
    """Of these, records where it becomes empty."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the updates of one object come to."""

    records: int = 0
    """Records to update."""
    fields: tuple[FieldChange, ...] = ()
    """In the order of the mapping; fields that no update changes are left out."""
    same: int = 0
    """Records sent again although no value changed: the mapping writes other fields than before."""
    unknown: int = 0
    """Records of which it is not on record what was last sent."""
    gone: int = 0
    """Records that the target does not hold any more, when it was asked."""
    edited: int = 0
    """Records that somebody changed in the target since they were last sent, when it was asked: an update overwrites that."""


@dataclass(frozen=True, slots=True)
class Value:
    """One field of one record: what it was and what it becomes, as text; null for empty."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One planned record."""

    record: str
    """Its `__id`."""
    key: str | None
    action: Action
    reason: str | None
    values: tuple[Value, ...]
    """The fields that change; of a record to be created, those that are filled."""


class Comparison:
    """The planned rows of one object beside what was last sent."""

    def __init__(
        self, store: Store, session: Session, obj: MappedObject, planned: Dataset, held: Held | None = None
    ) -> None:
        """`held`: compare with what the target holds, in place of what was last sent."""
        self._store, self._session, self._obj, self._planned = store, session, obj, planned
        self._held = held
        self._types = {item.name: item.type for item in planned.schema()}
        described = session.fetch(f"DESCRIBE SELECT * FROM {relation(session, planned)}").to_pylist()
        self._engine_types = {row["column_name"]: row["column_type"] for row in described}

    def changes(self) -> Changes:
        """Counts over all updates; reads nothing but the counts when there are none."""
        total = self._planned.detail["counts"].get(Action.UPDATE.value, 0)
        if not total:
            return Changes()
        counted = []
        for place, _ in enumerate(self._obj.fields):
            counted += [
                f"count(*) FILTER (c{place}) AS c{place}",
                f"count(*) FILTER (c{place} AND o{place} IS NULL) AS p{place}",
                f"count(*) FILTER (c{place} AND n{place} IS NULL) AS q{place}",
            ]
        any_changed = " OR ".join(f"c{place}" for place, _ in enumerate(self._obj.fields))
        row = self._session.fetch(
            f"SELECT {', '.join(counted)}, count(*) FILTER (__known AND NOT ({any_changed})) AS same,"
            f" count(*) FILTER (NOT __known) AS unknown FROM ({self._compared(UPDATES)})"
        ).to_pylist()[0]
        fields = (
            FieldChange(item.name, row[f"c{place}"], row[f"p{place}"], row[f"q{place}"])
            for place, item in enumerate(self._obj.fields)
        )
        found = Changes(total, tuple(item for item in fields if item.records), row["same"], row["unknown"])
        if self._held is None:
            return found
        return replace(found, unknown=0, gone=found.unknown, edited=self._edited())

    def last_sent(self) -> str:
        """SQL for what was last sent of every record, in the types of now: (__id, v0, v1, …); links as the target's ids."""
        own = relation(self._session, self._store.current(Kind.CROSSWALK, self._obj.name), columns.CROSSWALK)
        values = ", ".join(
            f"TRY_CAST({self._old(place, item.name)} AS {self.kind(item.name)}) AS v{place}"
            for place, item in enumerate(self._obj.fields)
        )
        return (
            f"SELECT h.{_ID}, {values} FROM ({self._sent(Kind.OUTCOMES, own)}) AS h"
            f" LEFT JOIN ({self._sent(Kind.LINKS, own)}) AS k ON k.{_ID} = h.{_ID}"
        )

    def kind(self, name: str) -> str:
        """The engine's type of a field's values: text for a link."""
        return "VARCHAR" if self._obj.link(name) is not None else self._engine_types[name]

    def _edited(self) -> int:
        sent = Comparison(self._store, self._session, self._obj, self._planned)
        known = {item.name for chapter in self._chapters() for item in _wrote(chapter[0])}
        differs = [
            f"{self._typed('t', place, item.name)} IS DISTINCT FROM {self._typed('s', place, item.name)}"
            for place, item in enumerate(self._obj.fields)
            if item.name in known
        ]
        return row_count(
            self._session,
            f"({sent._compared(UPDATES)}) AS s JOIN ({self._compared(UPDATES)}) AS t"
            f" ON t.{_ID} = s.{_ID} WHERE s.__known AND t.__known AND ({' OR '.join([*differs, 'false'])})",
        )

    def _typed(self, alias: str, place: int, name: str) -> str:
        return f"TRY_CAST({alias}.o{place} AS {self.kind(name)})"

    def records(self, limit: int) -> tuple[Record, ...]:
        """The first updates in order of `__id`, with what changes."""
        if not self._planned.detail["counts"].get(Action.UPDATE.value, 0):
            return ()
        planned = relation(self._session, self._planned)
        chosen = f"SELECT u.{_ID} FROM {planned} AS u WHERE {UPDATES} ORDER BY u.{_ID} LIMIT {limit:d}"
        return self._records(f"u.{_ID} IN ({chosen})", limit)

    def record(self, named: str) -> tuple[Record, ...]:
        """The records that are called so: by `__id`, by the source's own key, or by external key."""
        key = f"CAST(u.{quote(self._obj.key)} AS VARCHAR)"
        columns_asked = (f"u.{_ID}", f"u.{quote(columns.KEY)}", key)
        return self._records(" OR ".join(f"{name} = {literal(named)}" for name in columns_asked), _ALL)

    def _records(self, condition: str, limit: int) -> tuple[Record, ...]:
        shown = ", ".join(
            f"CASE WHEN c{place} THEN {{'field': {literal(item.name)}, 'old': CAST(o{place} AS VARCHAR),"
            f" 'new': CAST(n{place} AS VARCHAR)}} END"
            for place, item in enumerate(self._obj.fields)
        )
        rows = self._session.fetch(
            f"SELECT {_ID} AS id, __target AS key, {_ACTION} AS action, {quote(columns.REASON)} AS reason,"
            f" list_filter([{shown}], lambda __v: __v IS NOT NULL) AS vals"
            f" FROM ({self._compared(condition)}) ORDER BY {_ID} LIMIT {limit:d}"
        )
        return tuple(
            Record(
                row["id"], row["key"], Action(row["action"]), row["reason"],
                tuple(Value(**value) for value in row["vals"]),
            )
            for row in rows.to_pylist()
        )  # fmt: skip

    def _compared(self, condition: str) -> str:
        """SQL for the planned rows (alias `u`) that meet a condition: by field number `o`ld, `n`ew and whether it `c`hanges."""
        own = relation(self._session, self._store.current(Kind.CROSSWALK, self._obj.name), columns.CROSSWALK)
        rows, links = self._sent(Kind.OUTCOMES, own), self._sent(Kind.LINKS, own)
        held = list(self._obj.links)
        shown = []
        for place, item in enumerate(self._obj.fields):
            link = self._obj.link(item.name)
            new = f"u.{end(held.index(link))}" if link else f"u.{quote(item.name)}"
            old = self._old(place, item.name)
            shown += [f"{old} AS o{place}", f"{new} AS n{place}"]
        looked_at = f"SELECT u.* FROM {relation(self._session, self._planned)} AS u WHERE {condition}"
        ends = [ends_of(self._store, self._session, link) for link in held]
        found = with_ends(self._session, looked_at, held, ends, joined=self._planned.rows)
        pairs = (
            f"SELECT u.{_ID}, u.{_ACTION}, u.{quote(columns.REASON)}, CAST(u.{quote(self._obj.key)} AS VARCHAR) AS __target,"
            f" h.{_ID} IS NOT NULL AS __known, {', '.join(shown)}"
            f" FROM ({found}) AS u LEFT JOIN ({rows}) AS h ON h.{_ID} = u.{_ID}"
            f" LEFT JOIN ({links}) AS k ON k.{_ID} = u.{_ID}"
        )
        create = f"{_ACTION} = {literal(Action.CREATE.value)}"
        update = f"__known AND {_ACTION} = {literal(Action.UPDATE.value)}"
        changed = ", ".join(
            f"CASE WHEN {create} THEN n{place} IS NOT NULL ELSE {update} AND {self._differs(place, item.name)} END AS c{place}"
            for place, item in enumerate(self._obj.fields)
        )
        return f"SELECT *, {changed} FROM ({pairs})"

    def _old(self, place: int, name: str) -> str:
        """What was last sent: deferred links by the second pass; a field with a first value by the later of both."""
        link = self._obj.link(name)
        if self._held is not None:
            return f"h.v{place}"
        if link is not None and link.deferred:
            return f"k.v{place}"
        if any(item.field == name for item in self._obj.firsts):
            return f"CASE WHEN k.at >= h.at THEN k.v{place} ELSE h.v{place} END"
        return f"h.v{place}"

    def _differs(self, place: int, name: str) -> str:
        """Old values are text where any of them was sent under another type; they are the same when the new type says so."""
        if self._obj.link(name) is not None or not self._as_text(name):
            return f"o{place} IS DISTINCT FROM n{place}"
        same = f"TRY_CAST(o{place} AS {self._engine_types[name]}) = n{place}"
        return f"NOT ((o{place} IS NULL AND n{place} IS NULL) OR coalesce({same}, false))"

    def _as_text(self, name: str) -> bool:
        kinds = {
            item.type for chapter in self._chapters() for item in _wrote(chapter[0]) if item.name == name
        }
        return kinds != {self._types[name]}

    def _chapters(self, *passes: Kind) -> list[tuple[Dataset, Dataset]]:
        """HISTORY and ANSWERS of every load of the object, oldest first."""
        found = []
        for kind in passes or (Kind.OUTCOMES, Kind.LINKS):
            prefix = f"{intents_name(kind, self._obj)}@"
            for name in self._store.names(Kind.ANSWERS):
                answers = self._store.current(Kind.ANSWERS, name)
                history = self._store.current(Kind.HISTORY, name)
                if name.startswith(prefix) and answers and history:
                    found.append((history, answers))
        return sorted(found, key=lambda chapter: (str(chapter[1].created_at), chapter[1].id))

    def _sent(self, kind: Kind, own: str) -> str:
        """SQL for what one pass last sent of each record and the target took: (__id, at, v0, v1, …).

        An answer that is later than the crosswalk's is of a load that was taken back.
        """
        if self._held is not None and kind is Kind.OUTCOMES:
            return self._held.rows(self._session, self._obj, self._planned)
        chapters = self._chapters(kind)
        if not chapters or self._held is not None:
            nothing = ", ".join(
                f"CAST(NULL AS {self._type(item.name)}) AS v{n}" for n, item in enumerate(self._obj.fields)
            )
            return f"SELECT CAST(NULL AS VARCHAR) AS {_ID}, CAST(NULL AS TIMESTAMPTZ) AS at, {nothing} WHERE false"
        told = " UNION ALL ".join(
            f'SELECT {_ID}, "at", outcome, {number} AS chapter FROM {relation(self._session, answers)}'
            for number, (_, answers) in enumerate(chapters)
        )
        still = "true" if kind is Kind.OUTCOMES else "x.links IS NOT NULL"
        last = (
            f"SELECT a.{_ID}, max(a.at) AS at, arg_max(a.chapter, row(a.at, a.chapter)) AS chapter"
            f" FROM ({told}) AS a JOIN {own} AS x ON x.{_ID} = a.{_ID}"
            f" WHERE a.outcome <> 'refused' AND a.at <= x.at AND {still} GROUP BY a.{_ID}"
        )
        values = " UNION ALL ".join(
            f"SELECT {_ID}, {number} AS chapter, {', '.join(self._values(history))}"
            f" FROM {relation(self._session, history)}"
            for number, (history, _) in enumerate(chapters)
        )
        return f"SELECT v.*, l.at FROM ({last}) AS l JOIN ({values}) AS v ON v.{_ID} = l.{_ID} AND v.chapter = l.chapter"

    def _values(self, history: Dataset) -> Iterator[str]:
        there = {item.name for item in _wrote(history)}
        for place, item in enumerate(self._obj.fields):
            value = f"wrote.{quote(item.name)}" if item.name in there else "NULL"
            yield f"CAST({value} AS {self._type(item.name)}) AS v{place}"

    def _type(self, name: str) -> str:
        is_text = self._obj.link(name) is not None or self._as_text(name)
        return "VARCHAR" if is_text else self._engine_types[name]


_ALL = 1000


def _wrote(history: Dataset) -> pa.StructType:
    return history.schema().field("wrote").type
