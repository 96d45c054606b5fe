"""Edges say which two records agree and why; clustering asks no more, so every kind of evidence joins here as more edges.

The table of edges: `one`, `other` (ids), `rule` (its name), `place` (order of the rule: the first explains a member),
`evidence` (the value that matched), `weight` (null for exact agreement; a match weight in bits for scored pairs),
`probability` (null for exact agreement), `band` ('automatic' joins, 'review' only counts where others join, 'contradiction' keeps apart), `parts` (JSON:
what each field gave, or null).
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.core.mapped import DedupeRules, MatchKey
from migrator.core.mask import mask
from migrator.dedupe.keys import KeyRelation
from migrator.staging.engine import Session, literal

EDGES = "dedupe_edges"

CONTRADICTION = "contradiction"
"""The band of pairs that nothing but a person joins."""

AUTOMATIC = "band = 'automatic'"
"""Which edges join without a person."""

_SHOWN = 20
_JOINER = " · "


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key value that more rows have than a cluster may; it joined nothing. `value` is masked."""

    rule: str
    rows: int
    value: str


@dataclass(frozen=True, slots=True)
class RuleTally:
    """What one rule found: values that several rows agree in, those rows, the edges made of them, and what it left out."""

    rule: str
    values: int
    members: int
    pairs: int
    shared_values: int
    shared_rows: int
    largest_shared: tuple[SharedKey, ...]


def create_edges(session: Session) -> None:
    """Begin with no edges."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {EDGES} "
        "(one VARCHAR, other VARCHAR, rule VARCHAR, place INTEGER, evidence VARCHAR, weight DOUBLE, "
        "probability DOUBLE, band VARCHAR, parts VARCHAR)"
    )


def add_exact_edges(session: Session, keys: KeyRelation, rules: DedupeRules) -> tuple[RuleTally, ...]:
    """Add the edges of every exact rule: from each row to the first of the rows it agrees with, so linear in rows."""
    return tuple(
        _add_rule(session, keys, key, place, rules.max_cluster) for place, key in enumerate(rules.keys)
    )


def _add_rule(session: Session, keys: KeyRelation, key: MatchKey, place: int, most: int) -> RuleTally:
    columns = tuple(dict.fromkeys(keys.columns(key)))
    listed = ", ".join(columns)
    present = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_values AS SELECT {listed}, count(*) AS n, min(__id) AS hub "
        f"FROM {keys.name} WHERE {present} GROUP BY {listed} HAVING count(*) > 1"
    )
    same = " AND ".join(f"k.{column} = v.{column}" for column in columns)
    evidence = f" || {literal(_JOINER)} || ".join(f"v.{column}" for column in columns)
    session.execute(
        f"INSERT INTO {EDGES} SELECT k.__id, v.hub, {literal(key.name)}, {place:d}, {evidence}, NULL, NULL, 'automatic', NULL "
        f"FROM {keys.name} k JOIN (SELECT * FROM dedupe_values WHERE n <= {most:d}) v ON {same} WHERE k.__id <> v.hub"
    )
    tally = _tally(session, key.name, columns, most)
    session.execute("DROP TABLE dedupe_values")
    return tally


def _tally(session: Session, rule: str, columns: tuple[str, ...], most: int) -> RuleTally:
    used, shared = f"FILTER (WHERE n <= {most:d})", f"FILTER (WHERE n > {most:d})"
    counts = session.fetch(
        f'SELECT count(*) {used} AS "values", coalesce(sum(n) {used}, 0)::BIGINT AS members, '
        f"count(*) {shared} AS shared_values, coalesce(sum(n) {shared}, 0)::BIGINT AS shared_rows FROM dedupe_values"
    ).to_pylist()[0]
    largest = session.fetch(
        f"SELECT n, [{', '.join(columns)}] AS value FROM dedupe_values WHERE n > {most:d} "
        f"ORDER BY n DESC, value LIMIT {_SHOWN:d}"
    ).to_pylist()
    return RuleTally(
        rule,
        pairs=counts["members"] - counts["values"],
        largest_shared=tuple(
            SharedKey(rule, row["n"], _JOINER.join(mask(part) for part in row["value"])) for row in largest
        ),
        **counts,
    )
