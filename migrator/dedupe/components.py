"""What is connected by edges, found in the engine: connected components by alternating stars, in a few passes.

The algorithm is 'large star, small star' of Kiveris et al., Connected Components in MapReduce and Beyond (2014). Both
steps keep what is connected connected and only ever replace an end of an edge by a smaller vertex, so they come to an
end; it takes about log² of the longest chain, not its length. The result is a set of stars whatever the order of rows.
"""

from __future__ import annotations

from migrator.staging.engine import Session

COMPONENTS = "dedupe_components"
"""Table of everything that an edge touches: `__id`, `n` (a number of its own), `component` (a number of all in it)."""


def find_components(session: Session, edges: str) -> None:
    """Fill `COMPONENTS` from the relation `edges` of (one, other), two ids each."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_vertices AS SELECT __id, row_number() OVER () AS n FROM "
        f"(SELECT one AS __id FROM {edges} UNION SELECT other FROM {edges})"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_links AS SELECT DISTINCT greatest(x.n, y.n) AS a, least(x.n, y.n) AS b "
        f"FROM {edges} e JOIN dedupe_vertices x ON e.one = x.__id JOIN dedupe_vertices y ON e.other = y.__id "
        "WHERE x.n <> y.n"
    )
    while not _are_stars(session):
        _large_star(session)
        _small_star(session)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {COMPONENTS} AS SELECT __id, n, coalesce(l.b, v.n) AS component "
        "FROM dedupe_vertices v LEFT JOIN dedupe_links l ON v.n = l.a"
    )
    for table in ("dedupe_vertices", "dedupe_links"):
        session.execute(f"DROP TABLE {table}")


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
