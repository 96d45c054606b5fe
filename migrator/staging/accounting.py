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
from migrator.staging.disposition import NOT_LOADED, NOT_MAPPED, NOT_PLANNED, disposition, planned_now
from migrator.staging.engine import Session, quote, row_count
from migrator.staging.records import count_of
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store
from migrator.staging.waivers import NOBODY, Waived, waived

CLASSES = ("loaded", "merged", "excluded", "quarantined", "pending")
_OPEN = (NOT_MAPPED, NOT_PLANNED, NOT_LOADED)
_ID = quote(columns.ID)


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
    waived: Waived = NOBODY
    """How many of the quarantined somebody decided to leave behind, and how many wait for one of those only."""
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
    def held(self) -> int:
        """Records that are quarantined or wait, those left out that somebody decided to leave behind."""
        held = sum(item.counts.get(name, 0) for item in self.objects for name in ("quarantined", "pending"))
        return held - sum(item.waived.quarantined + item.waived.waiting for item in self.objects)

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
                    "waived": item.waived.quarantined,
                    "waiting_for_waived": item.waived.waiting,
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
    left_behind = waived(store, session, objects)
    return Accounting(
        tuple(_account(store, session, obj, left_behind.get(obj.name, NOBODY)) for obj in objects)
    )


def _account(store: Store, session: Session, obj: MappedObject, left_behind: Waived) -> ObjectAccount:
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
        obj.name,
        sum(extracted.values()),
        counts,
        reasons,
        differing,
        left_behind,
        _stale(store, session, obj),
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
    return row_count(
        session,
        f"{relation(session, crosswalk)} AS x WHERE x.target_id IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {relation(session, planned)} AS p WHERE p.{_ID} = x.{_ID})",
    )
