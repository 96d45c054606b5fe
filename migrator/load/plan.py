"""What is to be done with every survivor: created, updated, left alone, or held with a reason; nothing is written to the target.

One query an object, in load order. A row waits when it points to a record that cannot be in the target yet; the
reason it names is the root cause, handed down from parent to child. Links that are set in the second pass never hold
a row. Rows to send are numbered into batches, in the order that the target takes best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.core.errors import FatalError, ProjectError
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import Link, MappedObject
from migrator.load.canonical import row_fingerprint
from migrator.load.judge import Inputs, judged, numbered, ordered
from migrator.load.settle import settle
from migrator.staging import columns
from migrator.staging.action import QUARANTINED, SENT, Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import (
    counted_survivors,
    find_mapped,
    first_error,
    need_mapped,
    reference,
    relation,
)
from migrator.staging.store import Dataset, Kind, Store

__all__ = ["Action", "Groups", "ObjectPlan", "Plan", "Retry", "plan"]

Groups = Sequence[Sequence[MappedObject]]
"""Mapped objects in load order; those of one group depend on each other through deferred links."""

PLAN_VERSION = 1
_ID = quote(columns.ID)
_SURVIVORS, _SHARED = "plan_survivors", "plan_shared_claims"


@dataclass(frozen=True, slots=True)
class Retry:
    """Which rows that the target refused are tried again although they have not changed; None means all."""

    objects: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    chosen: Mapping[str, Dataset] | None = None
    """Just these records (`__id`), by object."""

    def condition(self, name: str) -> str:
        """SQL over the crosswalk row `x` of an object."""
        if self.objects is not None and name not in self.objects:
            return "false"
        if self.chosen is not None:
            files = (
                ", ".join(literal(str(path)) for path in self.chosen[name].files)
                if name in self.chosen
                else ""
            )
            return f"x.{_ID} IN (SELECT {_ID} FROM read_parquet([{files}]))" if files else "false"
        if self.rules is None:
            return "true"
        return (
            f"coalesce(x.code, '') IN ({', '.join(literal(rule) for rule in sorted(self.rules)) or 'NULL'})"
        )

    def as_json(self) -> dict[str, list[str] | None]:
        """For fingerprints."""
        lists = {
            "objects": self.objects,
            "rules": self.rules,
            "chosen": None if self.chosen is None else [item.id for item in self.chosen.values()],
        }
        return {name: None if given is None else sorted(given) for name, given in lists.items()}


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are cut into batches."""

    rows: int
    """A batch."""
    families: bool
    """The children of one parent travel together; else rows go by external key."""

    @classmethod
    def of(cls, planned: Dataset) -> Cut:
        """How a PLAN was cut; before there was a choice, families travelled together."""
        return cls(planned.detail["batch_rows"], planned.detail.get("families", True))


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """The plan of one object in numbers."""

    name: str
    target_object: str
    counts: Mapping[str, int] = field(default_factory=dict)
    """Action → rows; actions without rows are left out."""
    batches: int = 0
    deferred: tuple[str, ...] = ()
    """Fields that are set in the second pass."""

    @property
    def rows(self) -> int:
        """Survivors in all."""
        return sum(self.counts.values())

    @property
    def to_send(self) -> int:
        """Rows that a load would write."""
        return sum(self.counts.get(item.value, 0) for item in SENT)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load would do, object by object in load order."""

    objects: tuple[ObjectPlan, ...]
    order: tuple[tuple[str, ...], ...]
    fingerprint: str
    """Of all inputs: two equal plans would do the same."""

    def to_json(self) -> dict[str, Any]:
        """For `migrator plan --json`."""
        return {
            "fingerprint": self.fingerprint,
            "order": [list(group) for group in self.order],
            "objects": {
                item.name: {
                    "target_object": item.target_object,
                    "counts": {action.value: item.counts.get(action.value, 0) for action in Action},
                    "batches": item.batches,
                    "deferred": list(item.deferred),
                }
                for item in self.objects
            },
        }


def plan(
    store: Store,
    session: Session,
    groups: Groups,
    *,
    batch_rows: int,
    families: bool = True,
    retry: Retry | None = None,
) -> Plan:
    """Make the PLAN dataset of every object whose inputs changed since its last plan.

    With `families` the children of one parent travel together, as a target wants that locks parents; without, records
    go in the order of their keys, as an index takes them best.

    Outcomes that a killed load left behind are entered in the crosswalk first, so that nothing is planned twice.
    Raises `FatalError` when a step before this one has not run, `ProjectError` when the order is not a load order.
    """
    objects = [obj for group in groups for obj in group]
    _check_order(objects)
    for obj in objects:
        settle(store, session, obj)
    planning = _Planning(store, session, objects, Cut(batch_rows, families), retry)
    planned = [planning.plan(obj) for obj in objects]
    return Plan(
        tuple(planned),
        tuple(tuple(obj.name for obj in group) for group in groups),
        fingerprint([planning.fingerprints[obj.name] for obj in objects]),
    )


def is_stale(store: Store, obj: MappedObject, found: Dataset) -> str:
    """Why a PLAN may not be applied any more, in words; '' while it may. Its own progress does not make it stale."""
    made_of = find_mapped(store, obj)
    if made_of is None or {**found.detail["inputs"], **made_of.ids} != found.detail["inputs"]:
        return "its records were mapped or deduplicated again since"
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    known = found.detail["inputs"]["crosswalk"]
    if crosswalk is None:
        return "its crosswalk is gone" if known else ""
    if crosswalk.id != known and crosswalk.detail.get("plan") != found.id:
        return "records were loaded under another plan since"
    return ""


def root_of(planned: Dataset) -> str:
    """The id of the PLAN that a PLAN is, or is what was left of after a load had carried a part of it out."""
    return str(planned.detail.get("root", planned.id))


def _check_order(objects: Sequence[MappedObject]) -> None:
    """A link that is not deferred must point to an object that comes earlier."""
    known = {obj.name for obj in objects}
    seen: set[str] = set()
    for obj in objects:
        for link in obj.links:
            late = [name for name in link.mappings if name in known - seen]
            if late and not link.deferred:
                raise ProjectError.at(
                    obj.name,
                    f"{link.field} points to {', '.join(late)}, which is loaded later",
                    "declare the link with defer: true, or change the order",
                )
        seen.add(obj.name)


def _check_fields(obj: MappedObject, mapped: Dataset) -> None:
    """A field that the mapping got since its records were mapped is not among them."""
    there = set(mapped.schema().names)
    missing = [item.name for item in obj.fields if item.name not in there]
    if missing:
        raise FatalError(
            f"{obj.name!r} was mapped before its mapping was edited: it has no {', '.join(missing)} yet",
            hint="run: migrator map",
        )


class _Planning:
    """One run of `plan`: which inputs each object has, and what is known so far of records that cannot be linked to."""

    def __init__(
        self,
        store: Store,
        session: Session,
        objects: Sequence[MappedObject],
        cut: Cut,
        retry: Retry | None,
    ) -> None:
        self._store, self._session, self._cut, self._retry = store, session, cut, retry
        self._objects = {obj.name: obj for obj in objects}
        self._made = {obj.name: need_mapped(store, obj) for obj in objects}
        self._crosswalk = {obj.name: store.current(Kind.CROSSWALK, obj.name) for obj in objects}
        self.fingerprints: dict[str, str] = {}
        for obj in objects:
            self.fingerprints[obj.name] = self._fingerprint(obj)
        self._pieces: set[str] = set()

    def plan(self, obj: MappedObject) -> ObjectPlan:
        """Make the PLAN of one object, or find it made."""
        found = self._store.current(Kind.PLAN, obj.name)
        if found is None or not self._store.is_current(Kind.PLAN, obj.name, self.fingerprints[obj.name]):
            found = self._build(obj)
        deferred = tuple(link.field for link in obj.links if link.deferred)
        deferred += tuple(item.field for item in obj.firsts)
        return ObjectPlan(
            obj.name, obj.target_object, found.detail["counts"], found.detail["batches"], deferred
        )

    def _fingerprint(self, obj: MappedObject) -> str:
        inputs: list[object] = [PLAN_VERSION, self._inputs(obj), row_fingerprint(obj), self._cut.rows]
        if not self._cut.families:
            inputs.append("by key")
        inputs.append(self._retry.as_json() if self._retry else None)
        inputs.append([[item.field, item.text] for item in obj.firsts])
        for link in obj.links:
            inputs.append([link.field, link.required, link.deferred])
            for name in self._linked(link):
                inputs.append([name, self._made[name].ids["clusters"]])
                if not link.deferred:
                    inputs.append([self._made[name].ids, self.fingerprints[name], self._inputs_of(name)])
        inputs.append([self._inputs_of(name) for name in self._rivals(obj)])
        return fingerprint(*inputs)

    def _inputs(self, obj: MappedObject) -> dict[str, str]:
        crosswalk = self._crosswalk[obj.name]
        return {**self._made[obj.name].ids, "crosswalk": crosswalk.id if crosswalk else ""}

    def _inputs_of(self, name: str) -> dict[str, str]:
        return self._inputs(self._objects[name])

    def _linked(self, link: Link) -> tuple[str, ...]:
        return tuple(name for name in link.mappings if name in self._objects)

    def _rivals(self, obj: MappedObject) -> list[str]:
        """Mappings planned before this one that write to the same target object."""
        names = list(self._objects)
        return [
            name
            for name in names[: names.index(obj.name)]
            if (self._objects[name].target_system, self._objects[name].target_object)
            == (obj.target_system, obj.target_object)
        ]

    def _build(self, obj: MappedObject) -> Dataset:
        _check_fields(obj, self._made[obj.name].mapped)
        building = self._store.build(Kind.PLAN, obj.name, self.fingerprints[obj.name])
        building.folder.mkdir(parents=True, exist_ok=True)
        scratch, order = building.folder / "judged.parquet", building.folder / "ordered.parquet"
        self._session.write(judged(obj, self._inputs_for(obj)), scratch)
        self._session.write(ordered(obj, str(scratch), families=self._cut.families), order)
        counts = self._counts(scratch)
        made = numbered(obj, str(scratch), str(order), self._cut.rows)
        building.add(lambda path: self._session.write(made, path))
        sent = sum(counts.get(item.value, 0) for item in SENT)
        return building.complete(
            {
                "inputs": self._inputs(obj),
                "counts": counts,
                "batches": -(-sent // self._cut.rows),
                "batch_rows": self._cut.rows,
                "families": self._cut.families,
                "root": self._root(obj, building.dataset.id),
            }
        )

    def _root(self, obj: MappedObject, own: str) -> str:
        """The plan whose rest this one is: the one before, while nothing but its own progress lies between the two."""
        before = self._store.current(Kind.PLAN, obj.name)
        if before is None or self._retry is not None or Cut.of(before) != self._cut:
            return own
        known, crosswalk = before.detail["inputs"], self._crosswalk[obj.name]
        if {**known, **self._made[obj.name].ids} != known:
            return own
        moved_by_it = crosswalk is not None and crosswalk.detail.get("plan") == before.id
        unmoved = known["crosswalk"] == (crosswalk.id if crosswalk else "")
        return root_of(before) if moved_by_it or unmoved else own

    def _counts(self, scratch: Path) -> dict[str, int]:
        counted = self._session.fetch(
            f"SELECT {quote(columns.ACTION)} AS action, count(*) AS n"
            f" FROM read_parquet({literal(str(scratch))}) GROUP BY 1 ORDER BY 1"
        )
        return {row["action"]: row["n"] for row in counted.to_pylist()}

    def _inputs_for(self, obj: MappedObject) -> Inputs:
        own = ", ".join(quote(name) for name in (columns.ID, columns.SOURCE, columns.KEY))
        fields = ", ".join(quote(item.name) for item in obj.fields)
        there = counted_survivors(self._session, _SURVIVORS, self._made[obj.name], f"{own}, {fields}")
        return Inputs(
            f"SELECT * FROM {there}",
            relation(self._session, self._crosswalk[obj.name], columns.CROSSWALK),
            self._gathered("merged", obj.links),
            self._gathered("blocked", [link for link in obj.links if not link.deferred]),
            self._claims(obj),
            self._retry.condition(obj.name) if self._retry else "false",
        )

    # Small relations that are gathered over the mappings a field links to, one temporary table a mapping.

    def _gathered(self, what: str, links: Sequence[Link]) -> dict[str, str]:
        """Field → SQL for the union of a piece of each mapping it links to; without those that have no rows."""
        found = {link.field: self._pieces_of(what, self._linked(link)) for link in links}
        return {field: sql for field, sql in found.items() if sql}

    def _pieces_of(self, what: str, names: Sequence[str]) -> str:
        make = {"merged": self._merged, "blocked": self._blocked}[what]
        tables = []
        for name in sorted(set(names)):
            table = quote(f"{what}:{name}")
            if table not in self._pieces:
                self._session.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {make(self._objects[name])}")
                self._pieces.add(table)
            if self._has_rows(table):
                tables.append(f"SELECT * FROM {table}")
        return f"({' UNION ALL '.join(tables)})" if tables else ""

    def _has_rows(self, table: str) -> bool:
        return bool(self._session.fetch(f"SELECT 1 FROM {table} LIMIT 1").num_rows)

    def _merged(self, obj: MappedObject) -> str:
        """(ref, survivor) of every merged record."""
        clusters = relation(self._session, self._made[obj.name].clusters, columns.CLUSTERS)
        return (
            f"SELECT {reference(obj.name, quote(columns.ID))} AS ref, {reference(obj.name, 'survivor')} AS survivor"
            f" FROM {clusters} WHERE {quote(columns.ID)} <> survivor"
        )

    def _blocked(self, obj: MappedObject) -> str:
        """(ref, excluded, root) of every record that is not in the target and will not come by this plan.

        A bad further copy of a record shares its `__id`: the good one decides.
        """
        record, bad, excluded = quote(columns.ID), quote(columns.BAD), quote(columns.EXCLUDED)
        mapped = relation(self._session, self._made[obj.name].mapped)
        planned = relation(self._session, self._store.need(Kind.PLAN, obj.name, made_by="plan"))
        crosswalk = relation(self._session, self._crosswalk[obj.name], columns.CROSSWALK)
        ref, action = reference(obj.name, f"b.{record}"), f"b.{quote(columns.ACTION)}"
        return f"""
SELECT {ref} AS ref, bool_and(b.{excluded} IS NOT NULL) AS excluded,
       {ref} || min(CASE WHEN b.{excluded} IS NOT NULL THEN ' excluded: ' || b.{excluded}
                         ELSE ' quarantined: ' || {first_error("b")} END) AS root
FROM {mapped} AS b
WHERE (b.{bad} OR b.{excluded} IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM {mapped} AS g WHERE g.{record} = b.{record} AND NOT g.{bad} AND g.{excluded} IS NULL)
  AND NOT EXISTS (SELECT 1 FROM {crosswalk} AS x WHERE x.{record} = b.{record} AND x.target_id IS NOT NULL)
GROUP BY b.{record}
UNION ALL
SELECT {ref}, false,
       CASE WHEN {action} = {literal(Action.WAIT.value)} THEN b.{quote(columns.REASON)}
            WHEN {action} = {literal(Action.REFUSED.value)} THEN {ref} || ' refused: ' || coalesce(b.{quote(columns.REASON)}, '?')
            ELSE {ref} || ' quarantined: ' || {first_error("b")} END
FROM {planned} AS b
WHERE {action} IN ({listed((Action.WAIT, *QUARANTINED))})
  AND NOT EXISTS (SELECT 1 FROM {crosswalk} AS x WHERE x.{record} = b.{record} AND x.target_id IS NOT NULL)"""

    def _claims(self, obj: MappedObject) -> str:
        """The table of external keys that several records claim, those of rival mappings included; '' when none."""
        rows = [
            f"SELECT CAST({quote(obj.key)} AS VARCHAR) AS claim, {quote(columns.ID)} AS id FROM {quote(_SURVIVORS)}"
        ]
        for name in self._rivals(obj):
            rival = self._objects[name]
            planned = relation(self._session, self._store.need(Kind.PLAN, name, made_by="plan"))
            rows.append(
                f"SELECT CAST({quote(rival.key)} AS VARCHAR), {reference(name, quote(columns.ID))} FROM {planned}"
                f" WHERE {quote(columns.ACTION)} IN ({listed((*SENT, Action.UNCHANGED))})"
            )
        table, every = quote(f"claims:{obj.name}"), f"({' UNION ALL '.join(rows)})"
        # Numbers first: the least and the greatest of texts are held in memory that the engine cannot spill.
        self._session.execute(
            f"CREATE OR REPLACE TEMP TABLE {_SHARED} AS SELECT h FROM (SELECT hash(claim) AS h FROM {every})"
            " GROUP BY h HAVING count(*) > 1"
        )
        self._session.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT claim, count(*) AS claims, min(id) AS first, max(id) AS last"
            f" FROM {every} WHERE hash(claim) IN (SELECT h FROM {_SHARED}) GROUP BY claim HAVING count(*) > 1"
        )
        return table if self._has_rows(table) else ""
