"""Where clusters differ from the truth, and why: pairs joined wrongly, records left apart, the worst of each by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from migrator.core.mapped import Reach
from migrator.dedupe.measure import JUDGED
from migrator.staging.engine import Session

PAIRS = "evaluate_pairs_judged"
"""Table of all edges between judged records, as matching left them, with `same` (one entity) and `joined` (one cluster)."""


class Why(Enum):
    """How a mistake came about."""

    JOINED = "joined"
    """Two entities in one cluster: the pair, the best of its kind in there, was taken for one."""
    REVIEW = "review"
    """One entity in two clusters: the best pair between them is left for a person."""
    LOW = "low"
    """…: the best pair scored too low."""
    APART = "apart"
    """…: a pair was good enough, but a guard, a contradiction or a decision kept the clusters apart."""
    UNCOMPARED = "uncompared"
    """…: no pair between them was ever looked at: no blocking rule brought them together."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one field gave to the score of a pair, in bits."""

    field: str
    level: str
    bits: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """Two records that stand for a wrong join or a missed one, and what it costs."""

    why: Why
    one: str
    other: str
    pairs: int
    """Pairs of records that are wrong because of it."""
    rule: str = ""
    probability: float | None = None
    weight: float | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """How many groups of an entity's records were cut off from the rest of it, for one reason."""

    why: Why
    groups: int
    pairs: int
    """Pairs of records between those groups and the rest."""


def lay_out_pairs(session: Session, edges: str) -> None:
    """Make `PAIRS` of a relation of edges; `judge` must have been called."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {PAIRS} AS SELECT e.one, e.other, e.rule, e.weight, e.probability, e.band, e.parts, "
        "a.entity = b.entity AS same, a.cluster = b.cluster AS joined, a.cluster AS cluster, b.cluster AS other_cluster, "
        "a.entity AS entity, a.source <> b.source AS across "
        f"FROM {edges} e JOIN {JUDGED} a ON e.one = a.__id JOIN {JUDGED} b ON e.other = b.__id"
    )


def worst_joins(session: Session, most: int) -> list[Mistake]:
    """Of each cluster that mixes entities the surest wrong pair; clusters with the most wrong pairs first."""
    found = session.fetch(
        f"WITH cells AS (SELECT cluster, entity, count(*) AS n FROM {JUDGED} GROUP BY cluster, entity), "
        "wrong AS (SELECT cluster, (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM cells GROUP BY cluster HAVING count(*) > 1) "
        f"SELECT one, other, rule, weight, probability, parts, pairs::BIGINT AS pairs FROM {PAIRS} JOIN wrong USING (cluster) "
        "WHERE joined AND NOT same AND band = 'automatic' "
        "QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY coalesce(weight, 1e9) DESC, one, other) = 1 "
        f"ORDER BY pairs DESC, coalesce(weight, 1e9) DESC, one, other LIMIT {most:d}"
    )
    return [_mistake(Why.JOINED, row) for row in found.to_pylist()]


def missed(session: Session, reach: Reach) -> list[Missed]:
    """What was missed, counted by reason; groups are cut off from the largest group of their entity."""
    _lay_out_groups(session, reach)
    found = session.fetch(
        "SELECT why, count(*) AS groups, sum(pairs)::BIGINT AS pairs FROM evaluate_missed GROUP BY why ORDER BY pairs DESC, why"
    )
    return [Missed(Why(row["why"]), row["groups"], row["pairs"]) for row in found.to_pylist()]


def worst_misses(session: Session, most: int) -> list[Mistake]:
    """The groups that cost most, one pair of records for each; `missed` must have been called."""
    found = session.fetch(
        "SELECT why, one, other, rule, weight, probability, parts, pairs::BIGINT AS pairs FROM evaluate_missed "
        f"ORDER BY pairs DESC, coalesce(weight, -1e9) DESC, one, other LIMIT {most:d}"
    )
    return [_mistake(Why(row["why"]), row) for row in found.to_pylist()]


def _lay_out_groups(session: Session, reach: Reach) -> None:
    """Each group of an entity but its largest, with the best pair that leads from it to the rest."""
    across = "HAVING count(DISTINCT source) > 1" if reach is Reach.ACROSS else ""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE evaluate_missed AS "
        f"WITH entities AS (SELECT entity FROM {JUDGED} GROUP BY entity {across}), "
        "groups AS ("
        f"  SELECT entity, cluster, count(*) AS n, min(__id) AS first FROM {JUDGED} SEMI JOIN entities USING (entity) "
        "  GROUP BY entity, cluster"
        "), placed AS ("
        "  SELECT *, row_number() OVER whole AS place, first_value(first) OVER whole AS head, "
        "  sum(n) OVER (PARTITION BY entity) AS size FROM groups "
        "  WINDOW whole AS (PARTITION BY entity ORDER BY n DESC, cluster)"
        "), ends AS ("
        f"  SELECT entity, cluster, * EXCLUDE (entity, cluster, other_cluster) FROM {PAIRS} WHERE same AND NOT joined "
        f"  UNION ALL SELECT entity, other_cluster, * EXCLUDE (entity, cluster, other_cluster) FROM {PAIRS} WHERE same AND NOT joined"
        "), best AS ("
        "  SELECT * FROM ends QUALIFY row_number() OVER "
        "  (PARTITION BY entity, cluster ORDER BY coalesce(weight, 1e9) DESC, one, other) = 1"
        ") SELECT CASE b.band WHEN 'automatic' THEN 'apart' WHEN 'review' THEN 'review' WHEN 'none' THEN 'low' "
        "ELSE 'uncompared' END AS why, coalesce(b.one, p.head) AS one, coalesce(b.other, p.first) AS other, b.rule, b.weight, "
        "b.probability, b.parts, n * (size - n) AS pairs "
        "FROM placed p LEFT JOIN best b USING (entity, cluster) WHERE place > 1"
    )


def _mistake(why: Why, row: dict[str, Any]) -> Mistake:
    parts: Sequence[dict[str, Any]] = json.loads(row["parts"]) if row["parts"] else ()
    return Mistake(
        why, row["one"], row["other"], row["pairs"], row["rule"] or "", row["probability"], row["weight"],
        tuple(Part(part["field"], part["level"], part["bits"]) for part in parts),
    )  # fmt: skip
