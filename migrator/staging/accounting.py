"""Every record accounted for: extracted = loaded + merged + excluded + quarantined + pending, to the record, with reasons.

The classes, in the order in which they are tried; each source record is in exactly one:

* **excluded**: the mapping says by a declared reason that it does not move.
* **quarantined**: it could not be read or mapped, its external key is in conflict, or the target refused its values.
* **loaded**: the target confirmed exactly the values that are planned now.
* **merged**: it is a duplicate, and the record it was merged into is loaded. While that one is quarantined or pending,
  its duplicates share its fate: nothing is called merged that is not in the target.
* **pending**: it waits for a record it points to (with the root cause), or a step has not come to it yet (`not-…`).

An account is **closed** when every record is in exactly one class and nothing is pending but what waits for a root cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.core.mapped import MappedObject, MappedSource
from migrator.staging import columns
from migrator.staging.action import Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.records import count_of
from migrator.staging.relation import find_mapped, first_error, relation
from migrator.staging.store import Dataset, Kind, Store

CLASSES = ("loaded", "merged", "excluded", "quarantined", "pending")
NOT_MAPPED = "not-mapped"
NOT_PLANNED = "not-planned"
NOT_LOADED = "not-loaded"
_OPEN = (NOT_MAPPED, NOT_PLANNED, NOT_LOADED)
_ID, _FP = quote(columns.ID), quote(columns.FINGERPRINT)


@dataclass(frozen=True, slots=True)
class ObjectAccount:
    """The equation of one object."""

    name: str
    extracted: int
    counts: Mapping[str, int]
    """Class → records, all five classes."""
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Class → rule → records."""
    unaccounted: Mapping[str, int] = field(default_factory=dict)
    """Source → how many more (or, negative, fewer) records it has than the classes; only where that is not 0."""
    stale: int = 0
    """Records in the target that this run would not load any more: vanished from the source, merged, excluded or bad since."""

    @property
    def closed(self) -> bool:
        """Whether the equation holds and nothing is left for a step to do."""
        pending = self.reasons.get("pending", {})
        return (
            not self.unaccounted
            and self.extracted == sum(self.counts.values())
            and not any(rule in pending for rule in _OPEN)
        )


@dataclass(frozen=True, slots=True)
class Accounting:
    """The equations of all objects."""

    objects: tuple[ObjectAccount, ...]

    @property
    def closed(self) -> bool:
        """Whether every equation is closed."""
        return all(item.closed for item in self.objects)

    def to_json(self) -> dict[str, Any]:
        """For `migrator status --json`."""
        return {
            "objects": {
                item.name: {
                    "extracted": item.extracted,
                    **{name: item.counts.get(name, 0) for name in CLASSES},
                    "unaccounted": sum(abs(n) for n in item.unaccounted.values()),
                    "stale": item.stale,
                    "closed": item.closed,
                    "reasons": {name: dict(rules) for name, rules in item.reasons.items()},
                }
                for item in self.objects
            },
            "closed": self.closed,
        }


def account(store: Store, session: Session, objects: Sequence[MappedObject]) -> Accounting:
    """The account as it stands, whatever steps have run; reads only."""
    return Accounting(tuple(_account(store, session, obj) for obj in objects))


def disposition(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for what became of every mapped record: (__id, __source, state, rule, reason, through).

    `state` is one of `CLASSES`; `rule` is short and stable; `reason` is told to people and may be null; `through` is
    the `__id` of the survivor whose fate a duplicate shares, null for others. Empty before the mapping has run.
    """
    mapped = store.current(Kind.MAPPED, obj.name)
    if mapped is None:
        return (
            "SELECT NULL::VARCHAR AS __id, NULL::VARCHAR AS __source, NULL::VARCHAR AS state,"
            " NULL::VARCHAR AS rule, NULL::VARCHAR AS reason, NULL::VARCHAR AS through WHERE false"
        )
    clusters = relation(session, store.current(Kind.CLUSTERS, obj.name), columns.CLUSTERS)
    bad, excluded = f"m.{quote(columns.BAD)}", f"m.{quote(columns.EXCLUDED)}"
    own = f"{excluded} IS NULL AND NOT {bad}"
    through = f"{own} AND c.survivor <> m.{_ID}"
    return f"""
SELECT m.{_ID}, m.{quote(columns.SOURCE)},
       CASE WHEN {excluded} IS NOT NULL THEN 'excluded' WHEN {bad} THEN 'quarantined'
            WHEN {through} AND f.state = 'loaded' THEN 'merged' ELSE coalesce(f.state, 'pending') END AS state,
       CASE WHEN {excluded} IS NOT NULL THEN {excluded} WHEN {bad} THEN {first_error("m")}
            WHEN {through} AND f.state = 'loaded' THEN c.rule ELSE coalesce(f.rule, {literal(NOT_PLANNED)}) END AS rule,
       CASE WHEN {excluded} IS NOT NULL THEN {excluded} WHEN {bad} THEN {first_error("m", "message")}
            WHEN {through} THEN 'merged into ' || c.survivor || coalesce(': ' || f.reason, '')
            ELSE f.reason END AS reason,
       CASE WHEN {through} THEN c.survivor END AS through
FROM {relation(session, mapped)} AS m
LEFT JOIN {clusters} AS c ON c.{_ID} = m.{_ID}
LEFT JOIN ({_fates(session, store, obj)}) AS f ON f.{_ID} = coalesce(c.survivor, m.{_ID})"""


def planned_now(store: Store, obj: MappedObject) -> Dataset | None:
    """The PLAN of an object if it was made from the records as they are mapped now, else None."""
    made_of, found = find_mapped(store, obj), store.current(Kind.PLAN, obj.name)
    if made_of is None or found is None:
        return None
    inputs = found.detail["inputs"]
    return found if {**inputs, **made_of.ids} == inputs else None


def _fates(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for (__id, state, rule, reason) of every planned record."""
    planned = planned_now(store, obj)
    if planned is None:
        return (
            "SELECT NULL::VARCHAR AS __id, NULL::VARCHAR AS state, NULL::VARCHAR AS rule, NULL::VARCHAR AS reason"
            " WHERE false"
        )
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    action, reason = f"p.{quote(columns.ACTION)}", f"p.{quote(columns.REASON)}"
    known = f"x.{_FP} = p.{_FP}"
    loaded = f"{known} AND x.target_id IS NOT NULL AND x.outcome <> 'refused'"
    waits = f"{action} = {literal(Action.WAIT.value)}"
    held = f"{action} IN ({listed((Action.KEY_CONFLICT, Action.ORPHANED))})"
    refused = f"{known} AND x.outcome = 'refused'"
    root = f"regexp_replace({reason}, '(?s)^.* (excluded|quarantined|refused): ', 'waits: \\1: ')"
    return f"""
SELECT p.{_ID},
       CASE WHEN {loaded} THEN 'loaded' WHEN {waits} THEN 'pending'
            WHEN {held} OR {refused} THEN 'quarantined' ELSE 'pending' END AS state,
       CASE WHEN {loaded} THEN 'loaded' WHEN {waits} THEN {root} WHEN {held} THEN {first_error("p")}
            WHEN {refused} THEN x.code ELSE {literal(NOT_LOADED)} END AS rule,
       CASE WHEN {loaded} THEN NULL WHEN {waits} OR {held} THEN {reason}
            WHEN {refused} THEN coalesce(x.message, x.code) END AS reason
FROM {relation(session, planned)} AS p LEFT JOIN {crosswalk} AS x ON x.{_ID} = p.{_ID}"""


def _account(store: Store, session: Session, obj: MappedObject) -> ObjectAccount:
    counts = dict.fromkeys(CLASSES, 0)
    reasons: dict[str, dict[str, int]] = {}
    classed: dict[str, int] = {}

    def count(source: str, state: str, rule: str, n: int) -> None:
        counts[state] += n
        classed[source] = classed.get(source, 0) + n
        rules = reasons.setdefault(state, {})
        rules[rule] = rules.get(rule, 0) + n

    for row in _classes(session, store, obj):
        count(row["source"], row["state"], row["rule"] or "?", row["n"])
    is_mapped = store.current(Kind.MAPPED, obj.name) is not None
    extracted = {}
    for source in obj.sources:
        staged = store.current(Kind.STAGED, source.staged)
        rejects = _rejects(store, session, source)
        rows = _records(session, source, staged)
        if rows and not is_mapped:
            count(source.name, "pending", NOT_MAPPED, rows)
        for rule, n in rejects.items():
            count(source.name, "quarantined", rule, n)
        extracted[source.name] = rows + sum(rejects.values())
    differing = {
        name: extracted.get(name, 0) - classed.get(name, 0)
        for name in (extracted | classed)
        if extracted.get(name, 0) != classed.get(name, 0)
    }
    return ObjectAccount(
        obj.name, sum(extracted.values()), counts, reasons, differing, _stale(store, session, obj)
    )


def _records(session: Session, source: MappedSource, staged: Dataset | None) -> int:
    """Records that the staged rows stand for: a row that is exploded, one for each of its values."""
    if staged is None or source.explode is None or not staged.rows:
        return staged.rows if staged else 0
    counted = session.fetch(count_of(source, relation(session, staged)))
    return int(counted.column("n")[0].as_py())


def _classes(session: Session, store: Store, obj: MappedObject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = session.fetch(
        f"SELECT __source AS source, state, rule, count(*) AS n FROM ({disposition(session, store, obj)})"
        " GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    return found


def _rejects(store: Store, session: Session, source: MappedSource) -> dict[str, int]:
    rejects = store.current(Kind.REJECTS, source.staged)
    if rejects is None or not rejects.rows:
        return {}
    counted = session.fetch(
        f"SELECT rule, count(*) AS n FROM {relation(session, rejects)} GROUP BY 1 ORDER BY 1"
    )
    return {row["rule"]: row["n"] for row in counted.to_pylist()}


def _stale(store: Store, session: Session, obj: MappedObject) -> int:
    crosswalk, planned = store.current(Kind.CROSSWALK, obj.name), planned_now(store, obj)
    if crosswalk is None or planned is None:
        return 0
    counted = session.fetch(
        f"SELECT count(*) AS n FROM {relation(session, crosswalk)} AS x WHERE x.target_id IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {relation(session, planned)} AS p WHERE p.{_ID} = x.{_ID})"
    )
    return int(counted.column("n")[0].as_py())
