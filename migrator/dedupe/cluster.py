"""Edges joined to clusters: connected components by alternating stars, in a few passes over the edges only.

The algorithm is 'large star, small star' of Kiveris et al., Connected Components in MapReduce and Beyond (2014). Both
steps keep what is connected connected and only ever replace an end of an edge by a smaller vertex, so they come to an
end; it takes about log² of the longest chain, not its length. The result is a set of stars whatever the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.dedupe.edges import EDGES
from migrator.staging.engine import Session

MEMBERS = "dedupe_members"
"""Table of the members of clusters: `__id`, `__cluster` (a number from 1), `__name` (the smallest id in it)."""

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class LargeCluster:
    """A cluster with more members than allowed; it was left apart. `rule` made most of its edges."""

    rule: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many clusters and members there are, and what was too large to be one (the largest of them listed)."""

    clusters: int
    members: int
    too_large: int
    too_large_rows: int
    largest: tuple[LargeCluster, ...]


def make_clusters(session: Session, most: int) -> Clusters:
    """Fill `MEMBERS` from the table of edges; clusters of more than `most` rows are told, not made."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_vertices AS SELECT __id, row_number() OVER () AS n FROM "
        f"(SELECT one AS __id FROM {EDGES} UNION SELECT other FROM {EDGES})"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_links AS SELECT DISTINCT greatest(x.n, y.n) AS a, least(x.n, y.n) AS b "
        f"FROM {EDGES} e JOIN dedupe_vertices x ON e.one = x.__id JOIN dedupe_vertices y ON e.other = y.__id "
        "WHERE x.n <> y.n"
    )
    while not _are_stars(session):
        _large_star(session)
        _small_star(session)
    _name_clusters(session)
    report = _part_large(session, most)
    for table in ("dedupe_vertices", "dedupe_links", "dedupe_components", "dedupe_sizes"):
        session.execute(f"DROP TABLE {table}")
    return report


def _are_stars(session: Session) -> bool:
    """Whether every vertex but the centres has one edge, to a centre: nothing is left to move."""
    moving = session.fetch(
        "SELECT (SELECT count(*) - count(DISTINCT a) FROM dedupe_links) "
        "+ (SELECT count(*) FROM dedupe_links WHERE b IN (SELECT a FROM dedupe_links)) AS moving"
    )
    return bool(moving.column("moving")[0].as_py() == 0)


def _large_star(session: Session) -> None:
    """Every vertex hands its larger neighbours to the smallest vertex it knows."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_links AS "
        "WITH around AS (SELECT a AS u, b AS v FROM dedupe_links UNION ALL SELECT b, a FROM dedupe_links), "
        "lowest AS (SELECT u, least(u, min(v)) AS m FROM around GROUP BY u) "
        "SELECT DISTINCT v AS a, m AS b FROM around JOIN lowest USING (u) WHERE v > u"
    )


def _small_star(session: Session) -> None:
    """Every vertex and its smaller neighbours go to the smallest of them."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_links AS "
        "WITH lowest AS (SELECT a, min(b) AS m FROM dedupe_links GROUP BY a) "
        "SELECT b AS a, m AS b FROM dedupe_links JOIN lowest USING (a) WHERE b <> m UNION SELECT a, m FROM lowest"
    )


def _name_clusters(session: Session) -> None:
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_components AS "
        "SELECT __id, coalesce(l.b, v.n) AS cluster FROM dedupe_vertices v LEFT JOIN dedupe_links l ON v.n = l.a"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_sizes AS "
        "SELECT cluster, min(__id) AS name, count(*) AS n FROM dedupe_components GROUP BY cluster"
    )


def _part_large(session: Session, most: int) -> Clusters:
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {MEMBERS} AS SELECT __id, number AS __cluster, name AS __name FROM dedupe_components "
        f"JOIN (SELECT *, row_number() OVER () AS number FROM dedupe_sizes WHERE n <= {most:d}) USING (cluster)"
    )
    fits, large = f"FILTER (WHERE n <= {most:d})", f"FILTER (WHERE n > {most:d})"
    counts = session.fetch(
        f"SELECT count(*) {fits} AS clusters, coalesce(sum(n) {fits}, 0)::BIGINT AS members, "
        f"count(*) {large} AS too_large, coalesce(sum(n) {large}, 0)::BIGINT AS too_large_rows FROM dedupe_sizes"
    ).to_pylist()[0]
    largest = session.fetch(
        f"WITH large AS (SELECT * FROM dedupe_sizes WHERE n > {most:d} ORDER BY n DESC, name LIMIT {_SHOWN:d}), "
        "rules AS (SELECT cluster, e.rule, e.place, count(*) AS edges FROM large JOIN dedupe_components c USING (cluster) "
        f"JOIN {EDGES} e ON e.one = c.__id GROUP BY ALL) "
        'SELECT arg_max(rule, (edges, -place)) AS rule, any_value(n) AS "rows", name AS example '
        'FROM large JOIN rules USING (cluster) GROUP BY name ORDER BY "rows" DESC, name'
    ).to_pylist()
    return Clusters(largest=tuple(LargeCluster(**row) for row in largest), **counts)
