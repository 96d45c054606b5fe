"""What quarantine remembers beyond the present state: since when each complaint is known, and how often it was found again.

A small dataset an object, made anew at the end of every command that may change it, and only where something did.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.staging.disposition import planned_now
from migrator.staging.engine import Session, literal
from migrator.staging.quarantine_sql import marked
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

HELD = pa.schema(
    [
        pa.field("mark", pa.string(), nullable=False),
        pa.field("first_seen", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("first_run", pa.string()),
        pa.field("tries", pa.int64(), nullable=False),
        pa.field("last_try", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("last_run", pa.string()),
        pa.field("attempt", pa.string()),
    ]
)
"""One row a mark: the run and the moment it was first found, the last attempt that found it, and how many did."""


def memory(store: Store, session: Session, obj: MappedObject) -> str:
    """The relation of what is remembered of an object, in the columns of `HELD`."""
    return relation(session, store.current(Kind.HELD, obj.name), HELD)


def remember(store: Store, session: Session, objects: Sequence[MappedObject]) -> None:
    """Bring the memory of every object up to date; what is held no more is forgotten."""
    for obj in objects:
        made_of = _made_of(store, obj)
        before = store.current(Kind.HELD, obj.name)
        if before is None or before.fingerprint != made_of:
            sql = _now(store, session, obj, before)
            building = store.build(Kind.HELD, obj.name, made_of)
            building.add(partial(session.write, sql))
            building.complete()


def _made_of(store: Store, obj: MappedObject) -> str:
    kinds = (Kind.MAPPED, Kind.CLUSTERS, Kind.PLAN, Kind.CROSSWALK)
    found = [store.current(kind, obj.name) for kind in kinds]
    found += [store.current(Kind.REJECTS, source.staged) for source in obj.sources]
    return fingerprint("held", [item.id if item else "" for item in found])


def _now(store: Store, session: Session, obj: MappedObject, before: Dataset | None) -> str:
    now = f"CAST({literal(store.ledger.clock.now().isoformat())} AS TIMESTAMPTZ)"
    run = literal(store.ledger.run)
    same = "o.attempt IS NOT DISTINCT FROM n.attempt"
    known = relation(session, before, HELD)
    found = f"(SELECT mark, max(attempt) AS attempt FROM ({marked(store, session, obj)}) GROUP BY mark)"
    sql = f"""
SELECT n.mark, coalesce(o.first_seen, {now}) AS first_seen, coalesce(o.first_run, {run}) AS first_run,
       CASE WHEN o.mark IS NULL THEN 1 WHEN {same} THEN o.tries ELSE o.tries + 1 END AS tries,
       CASE WHEN o.mark IS NOT NULL AND {same} THEN o.last_try ELSE {now} END AS last_try,
       CASE WHEN o.mark IS NOT NULL AND {same} THEN o.last_run ELSE {run} END AS last_run, n.attempt
FROM {found} AS n LEFT JOIN {known} AS o ON o.mark = n.mark"""
    if planned_now(store, obj) is not None:
        return sql
    # Mapped again and not planned yet, nobody knows whether what the target refused would still be sent.
    return f"{sql} UNION ALL SELECT * FROM {known} AS o WHERE NOT EXISTS (SELECT 1 FROM {found} AS n WHERE n.mark = o.mark)"
