"""Edges joined to clusters under guards: decisions first, then exact agreement, then scores by average linkage.

Components of automatic edges are found in the engine. Where nothing can go wrong in one (most are pairs) it is a cluster;
only the others go to the linkage, in batches. Neither the order of rows nor batches nor threads change the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from migrator.core.mapped import Judgement
from migrator.dedupe.carry import ANEW, CARRIED, REACHED, SETTLED, carry_none, find_reached
from migrator.dedupe.components import find_components
from migrator.dedupe.constraints import settle
from migrator.dedupe.edges import AUTOMATIC, EDGES
from migrator.dedupe.guards import PARTED, Given, find_doubtful, part_doubtful
from migrator.dedupe.linkage import GUARD, Guard
from migrator.dedupe.naming import Renamed, name_clusters
from migrator.staging.engine import Session, literal

MEMBERS = "dedupe_members"
"""Table of the members of clusters: `__id`, `__cluster` (a number from 1), `__name` (stable: see `naming`)."""

REASONS = "dedupe_reasons"
"""View of the edges that hold inside clusters: `one`, `other`, `rule`, `place`, `evidence`; decisions come first."""

DECISION = "decision"
"""The `rule` of members that a person joined."""

_SHOWN = 20
_CARRIED_FROM = 1 << 40
"""Numbers of clusters that were carried over; components and what they are parted into have smaller ones."""


@dataclass(frozen=True, slots=True)
class LargeCluster:
    """A cluster with more members than allowed; it was left apart. `rule` made most of its edges."""

    rule: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many clusters and members there are, what was too large to be one (the largest listed), what guards did."""

    clusters: int
    members: int
    too_large: int
    too_large_rows: int
    largest: tuple[LargeCluster, ...]
    doubtful: int = 0
    """Components that went through the linkage."""
    kept_apart: int = 0
    """Automatic pairs that a decision, a contradiction or the mean of all pairs kept in different clusters."""
    renamed: Renamed = field(default_factory=Renamed)
    """What became of the clusters of the run before."""


def make_clusters(
    session: Session,
    most: int,
    judgements: Sequence[Judgement] = (),
    vetoes: str | None = None,
    before: str | None = None,
    *,
    claims: str | None = None,
    rows: str | None = None,
    touched: str | None = None,
    guard: Guard = GUARD,
) -> Clusters:
    """Fill `MEMBERS` and `REASONS` from the table of edges; clusters of more than `most` rows are told, not made.

    Relations, by name: `vetoes` (one, other) pairs that contradict each other; `claims` (`__id`, kind, value) such as tax
    ids, of which a cluster may have one value a kind; `before` the CLUSTERS of the last run; `rows` (`__id`) the
    records that take part, without which decisions about records that are gone are taken for real ones; `touched` (`__id`)
    the records whose edges, claims, vetoes or decisions are not what they were when `before` was made, and the neighbours
    they had: then only what those reach is made anew, which comes to the same.

    What people joined stays joined and what they parted stays parted, whatever the rest says.
    Raises `ProjectError` when decisions contradict each other.
    """
    _write_decisions(session, judgements, rows)
    # where only what is touched is made anew, edges lie in files, and are gone through step by step
    held = "VIEW" if touched is None else "TABLE"
    session.execute(
        f"CREATE OR REPLACE TEMP {held} dedupe_joining AS SELECT one, other FROM {EDGES} WHERE {AUTOMATIC} "
        "UNION ALL SELECT one, other FROM dedupe_bonds"
    )
    find_components(session, _within_reach(session, "dedupe_joining", touched, before))
    given = Given(most, guard, vetoes, claims)
    doubtful = find_doubtful(session, given)
    kept_apart = part_doubtful(session, given, doubtful)
    _gather(session, most)
    renamed = name_clusters(session, before, rows)
    _number_members(session)
    _view_reasons(session)
    return _report(session, doubtful, kept_apart, renamed)


def _within_reach(session: Session, joining: str, touched: str | None, before: str | None) -> str:
    """The part of the relation `joining` that is to be clustered anew; the rest is in `CARRIED`."""
    if touched is None or before is None or not find_reached(session, joining, touched, before):
        carry_none(session)
        session.execute(f"CREATE OR REPLACE TEMP VIEW {ANEW} AS SELECT * FROM {EDGES}")
        return joining
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_edges_anew AS "
        f"SELECT * EXCLUDE (parts) FROM {EDGES} SEMI JOIN {REACHED} ON one = __id"
    )
    session.execute(f"CREATE OR REPLACE TEMP VIEW {ANEW} AS FROM dedupe_edges_anew")
    return f"(SELECT * FROM {joining} SEMI JOIN {REACHED} ON one = __id)"


def _write_decisions(session: Session, judgements: Sequence[Judgement], rows: str | None) -> None:
    """Tables `dedupe_bonds` (one, other: a member and the first of its group) and `dedupe_apart` (one, other: firsts)."""
    settled = settle(judgements)
    session.table("dedupe_grouped", _pairs(settled.group.items()))
    session.table("dedupe_settled", _pairs(sorted(settled.apart)))
    here = f"WHERE one IN (SELECT __id FROM {rows})" if rows else ""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_firsts AS "
        f"SELECT other AS name, min(one) AS first FROM dedupe_grouped {here} GROUP BY other"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_bonds AS SELECT one, first AS other "
        f"FROM (SELECT * FROM dedupe_grouped {here}) JOIN dedupe_firsts ON other = name WHERE one <> first"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_apart AS "
        "SELECT coalesce(x.first, one) AS one, coalesce(y.first, other) AS other FROM dedupe_settled "
        "LEFT JOIN dedupe_firsts x ON one = x.name LEFT JOIN dedupe_firsts y ON other = y.name"
    )


def _pairs(rows: Iterable[tuple[str, str]]) -> pa.Table:
    listed = list(rows)
    columns = {"one": [one for one, _ in listed], "other": [other for _, other in listed]}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _gather(session: Session, most: int) -> None:
    """`dedupe_found`: members with the number of their cluster; `dedupe_large`: those of what is too large to be one."""
    easy = (
        "SELECT __id, component AS cluster FROM dedupe_components JOIN dedupe_sizes USING (component) "
        "WHERE component NOT IN (SELECT component FROM dedupe_doubtful) AND size"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_found AS {easy} BETWEEN 2 AND {most:d} "
        f"UNION ALL SELECT __id, cluster FROM {PARTED} WHERE size > 1 "
        f"UNION ALL SELECT __id, {_CARRIED_FROM:d} + number FROM {CARRIED} JOIN (SELECT cluster, row_number() OVER () AS number "
        f"FROM {CARRIED} WHERE cluster NOT IN (SELECT name FROM {SETTLED}) GROUP BY cluster) USING (cluster)"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_large AS {easy} > {most:d} "
        f"UNION ALL SELECT __id, large FROM {PARTED} WHERE large IS NOT NULL"
    )


def _number_members(session: Session) -> None:
    """Make `MEMBERS` of what was found and of the clusters that are settled; numbered by name."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {MEMBERS} AS WITH named AS (SELECT __id, name FROM dedupe_found "
        f"JOIN dedupe_names USING (cluster) UNION ALL SELECT __id, name FROM {CARRIED} JOIN {SETTLED} ON cluster = name), "
        f"numbered AS (SELECT name, row_number() OVER (ORDER BY name) AS number FROM "
        f"(SELECT name FROM dedupe_names UNION ALL SELECT name FROM {SETTLED})) "
        "SELECT __id, number AS __cluster, name AS __name FROM named JOIN numbered USING (name)"
    )


def _view_reasons(session: Session) -> None:
    """Edges as they are where a component is one cluster, new ones where it was parted: an edge's end may be elsewhere now."""
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {REASONS} AS "
        f"SELECT one, other, {literal(DECISION)} AS rule, -1 AS place, NULL::VARCHAR AS evidence FROM dedupe_bonds "
        f"UNION ALL SELECT one, other, rule, place, evidence FROM {ANEW} WHERE {AUTOMATIC} "
        f"AND one NOT IN (SELECT __id FROM {PARTED}) "
        "UNION ALL SELECT one, other, rule, place, evidence FROM dedupe_held "
        f"UNION ALL SELECT __id, __id, rule, 0, evidence FROM {CARRIED}"
    )


def _report(session: Session, doubtful: int, kept_apart: int, renamed: Renamed) -> Clusters:
    made = session.fetch(
        f"SELECT count(*) AS members, max(__cluster) AS clusters FROM {MEMBERS}"
    ).to_pylist()[0]
    large = session.fetch(
        "SELECT count(*) AS too_large_rows, count(DISTINCT cluster) AS too_large FROM dedupe_large"
    ).to_pylist()[0]
    largest = session.fetch(
        "WITH large AS (SELECT cluster, min(__id) AS name, count(*) AS n FROM dedupe_large GROUP BY cluster "
        f"ORDER BY n DESC, name LIMIT {_SHOWN:d}), "
        "rules AS (SELECT cluster, e.rule, e.place, count(*) AS edges FROM large JOIN dedupe_large c USING (cluster) "
        f"JOIN {EDGES} e ON e.one = c.__id WHERE {AUTOMATIC} GROUP BY ALL) "
        'SELECT arg_max(rule, (edges, -place)) AS rule, any_value(n) AS "rows", name AS example '
        'FROM large JOIN rules USING (cluster) GROUP BY name ORDER BY "rows" DESC, name'
    ).to_pylist()
    return Clusters(
        made["clusters"] or 0, made["members"], **large, largest=tuple(LargeCluster(**row) for row in largest),
        doubtful=doubtful, kept_apart=kept_apart, renamed=renamed,
    )  # fmt: skip
