"""What a load would do to one object, in numbers: what becomes of every record, what changes, what the target may refuse, how many calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from migrator.core.connector import TargetFacts
from migrator.core.mapped import MappedObject
from migrator.core.schema import ObjectSchema
from migrator.load.changes import Changes, Comparison
from migrator.load.cost import Calls, calls_of
from migrator.load.held import Held
from migrator.load.links import expected_links, has_second_pass
from migrator.load.outbound import rows_left
from migrator.load.plan import ObjectPlan
from migrator.load.refusals import Expected, expected_refusals
from migrator.load.release import released
from migrator.staging import columns
from migrator.staging.action import QUARANTINED, Action
from migrator.staging.engine import Session, quote, row_count
from migrator.staging.relation import need_mapped, relation
from migrator.staging.store import Kind, Store

CLASSES = ("create", "update", "unchanged", "merged", "excluded", "quarantined", "pending")
"""What becomes of every record that was read, in the words of the account; each is in exactly one."""


@dataclass(frozen=True, slots=True)
class ObjectForecast:
    """What a load would do to one object."""

    planned: ObjectPlan
    records: int
    """Records that were read; the sum over `classes`."""
    classes: Mapping[str, int]
    changes: Changes
    second_pass: int
    """Records whose deferred links or states are set after all rows are there."""
    refusals: tuple[Expected, ...]
    calls: Calls
    released: int = 0
    """Records that first give up a unique value which another takes over: one more write each."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`, beside what the plan itself says of the object."""
        return {
            "records": self.records,
            "classes": dict(self.classes),
            "changes": asdict(self.changes),
            "second_pass": self.second_pass,
            "released": self.released,
            "breaks_rules_of_the_target": [asdict(item) for item in self.refusals],
            "calls": {**asdict(self.calls), "total": self.calls.total},
        }


def forecast_object(
    store: Store,
    session: Session,
    obj: MappedObject,
    planned: ObjectPlan,
    *,
    target: ObjectSchema | None,
    facts: TargetFacts,
    held: Held | None = None,
) -> ObjectForecast:
    """What carrying out the current PLAN comes to; all objects must be planned.

    `target` is what the target says of its object, None when it says nothing; `facts` are its own;
    `held` is what it holds now of the records to be updated, if it was asked.
    """
    dataset = store.need(Kind.PLAN, obj.name, made_by="plan")
    later = 0
    if has_second_pass(obj):
        later = row_count(session, f"({expected_links(store, session, obj, dataset)})")
    rejects = _rejects(store, obj)
    freed = released(store, session, obj, dataset, rows_left(store, session, obj, dataset))
    gives_up = row_count(session, f"({freed})") if freed and planned.to_send else 0
    return ObjectForecast(
        planned,
        need_mapped(store, obj).mapped.rows + rejects,
        _classes(store, session, obj, planned, rejects),
        Comparison(store, session, obj, dataset, held).changes(),
        later,
        expected_refusals(session, obj, dataset, target) if target and planned.to_send else (),
        calls_of(
            planned.to_send + gives_up,
            later,
            batch_rows=dataset.detail["batch_rows"],
            call_rows=facts.batch_rows,
            row_requests=facts.row_requests,
        ),
        gives_up,
    )


def _classes(
    store: Store, session: Session, obj: MappedObject, planned: ObjectPlan, rejects: int
) -> dict[str, int]:
    made = need_mapped(store, obj)
    bad, excluded = quote(columns.BAD), quote(columns.EXCLUDED)
    (mapped,) = session.fetch(
        f"SELECT count(*) FILTER ({excluded} IS NOT NULL) AS excluded, count(*) FILTER ({bad} AND {excluded} IS NULL) AS bad"
        f" FROM {relation(session, made.mapped)}"
    ).to_pylist()
    clusters = relation(session, made.clusters, columns.CLUSTERS)
    count = {action: planned.counts.get(action.value, 0) for action in Action}
    return {
        "create": count[Action.CREATE],
        "update": count[Action.UPDATE],
        "unchanged": count[Action.UNCHANGED],
        "merged": row_count(session, f"{clusters} WHERE {quote(columns.ID)} <> survivor"),
        "excluded": mapped["excluded"],
        "quarantined": mapped["bad"] + rejects + sum(count[action] for action in QUARANTINED),
        "pending": count[Action.WAIT],
    }


def _rejects(store: Store, obj: MappedObject) -> int:
    """Rows of its sources that could not be read as records."""
    found = (store.current(Kind.REJECTS, source.staged) for source in obj.sources)
    return sum(item.rows for item in found if item is not None)
