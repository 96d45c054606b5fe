"""What was noticed on the way: how duplicates were found, and warnings about records that moved all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Clusters of an object."""

    clusters: int
    members: int
    by_rule: Mapping[str, int]
    """Rule → records that it joined to another one."""


def duplicates(session: Session, store: Store, mapped: MappedObject) -> Duplicates:
    """How many records share a cluster, and which rule joined them."""
    clusters = relation(session, store.current(Kind.CLUSTERS, mapped.name), c.CLUSTERS)
    total = session.fetch(
        f"SELECT count(DISTINCT cluster) AS clusters, count(*) AS members FROM {clusters}"
    ).to_pylist()[0]
    by_rule = session.fetch(
        f"SELECT coalesce(rule, '?') AS rule, count(*) AS n FROM {clusters} WHERE {c.ID} <> survivor"
        " GROUP BY 1 ORDER BY 2 DESC, 1"
    ).to_pylist()
    return Duplicates(total["clusters"], total["members"], {row["rule"]: row["n"] for row in by_rule})


def warnings(store: Store, mapped: MappedObject) -> tuple[str, ...]:
    """What extract noticed while it read the object's sources."""
    noticed: list[str] = []
    for source in mapped.sources:
        staged = store.current(Kind.STAGED, source.staged)
        noticed += [
            f"{source.staged}: {text}" for text in (staged.detail.get("warnings", ()) if staged else ())
        ]
    return tuple(noticed)


def counted_warnings(session: Session, store: Store, mapped: MappedObject) -> Mapping[tuple[str, str], int]:
    """(field, rule) → records that moved although the mapping noticed something about them."""
    made = store.current(Kind.MAPPED, mapped.name)
    if made is None:
        return {}
    rows = session.fetch(
        f"SELECT i.field AS field, i.rule AS rule, count(*) AS n FROM (SELECT unnest({c.ISSUES}) AS i FROM {relation(session, made)}"
        f" WHERE NOT {c.BAD}) WHERE i.severity <> {literal('error')} GROUP BY ALL ORDER BY n DESC, 1, 2"
    ).to_pylist()
    return {(row["field"] or "", row["rule"] or "?"): row["n"] for row in rows}
