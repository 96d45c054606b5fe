"""Which record stands in the target for every other: what was merged stays findable for ever, whatever becomes of its cluster.

MERGED holds every record that was ever merged into another and has not become a record of its own again, also after it
is gone from the source or does not move any more. `standing_for` is what a sync asks: the target's record for any source record.
"""

from __future__ import annotations

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

_ID = quote(columns.ID)


def remember_merged(store: Store, session: Session, obj: MappedObject) -> Dataset | None:
    """Bring MERGED of an object up to its CLUSTERS; idle when it is. None before the object was deduplicated."""
    clusters = store.current(Kind.CLUSTERS, obj.name)
    mapped = store.current(Kind.MAPPED, obj.name)
    if clusters is None or mapped is None:
        return None
    made_of = fingerprint("merged", clusters.id, mapped.id)
    before = store.current(Kind.MERGED, obj.name)
    if before is None and not clusters.rows:
        return None
    if before is not None and store.is_current(Kind.MERGED, obj.name, made_of):
        return before
    now = f"SELECT {_ID}, survivor FROM {relation(session, clusters)} WHERE {_ID} <> survivor"
    known = relation(session, before, columns.MERGED)
    building = store.build(Kind.MERGED, obj.name, made_of)
    building.add(lambda path: session.write(_folded(now, known, relation(session, mapped)), path))
    return building.complete()


def _folded(now: str, known: str, mapped: str) -> str:
    """What is merged now, and what does not stand for itself as it was last known, led on to who survives now."""
    return (
        f"WITH now AS ({now}) SELECT {_ID}, survivor FROM now"
        f" UNION ALL SELECT k.{_ID}, coalesce(n.survivor, k.survivor) AS survivor FROM {known} AS k"
        f" LEFT JOIN now AS n ON n.{_ID} = k.survivor"
        f" WHERE NOT EXISTS (SELECT 1 FROM {mapped} AS m WHERE m.{_ID} = k.{_ID}"
        f" AND NOT m.{quote(columns.BAD)} AND m.{quote(columns.EXCLUDED)} IS NULL)"
    )


def standing_for(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for (__id, survivor, target_key, target_id) of every source record that the target holds, itself or through another.

    Many to one: `survivor` is the record whose values the target's record has, the record itself where it was not merged.
    A record that was loaded on its own before it was merged is led to the survivor's; its own is in CROSSWALK.
    """
    merged = relation(session, store.current(Kind.MERGED, obj.name), columns.MERGED)
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    return (
        f"SELECT m.{_ID}, m.survivor, x.target_key, x.target_id FROM {merged} AS m"
        f" JOIN {crosswalk} AS x ON x.{_ID} = m.survivor WHERE x.target_id IS NOT NULL"
        f" UNION ALL SELECT x.{_ID}, x.{_ID} AS survivor, x.target_key, x.target_id FROM {crosswalk} AS x"
        f" WHERE x.target_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {merged} AS m WHERE m.{_ID} = x.{_ID})"
    )


def survivor_of(session: Session, store: Store, obj: MappedObject, record: str) -> str | None:
    """The record that stands for a merged one; None when it was never merged, or is a record of its own again."""
    merged = relation(session, store.current(Kind.MERGED, obj.name), columns.MERGED)
    found = session.fetch(f"SELECT survivor FROM {merged} WHERE {_ID} = {literal(record)} LIMIT 1")
    return str(found.column("survivor")[0].as_py()) if found.num_rows else None
