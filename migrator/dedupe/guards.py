"""Components that may hold more than one entity: which they are, and what the linkage makes of them, batch by batch.

A component needs no second look when nothing in it contradicts and it is so small, and its scores so high, that average
linkage would join it whole: between clusters of a and b records the mean of one edge of weight w and a·b - 1 missing ones
is not below `stop` as long as (w - missing) ≥ a·b · (stop - missing), and a·b is at most a quarter of the records squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from migrator.dedupe.carry import ANEW
from migrator.dedupe.components import COMPONENTS
from migrator.dedupe.edges import AUTOMATIC
from migrator.dedupe.linkage import GRAIN, Edges, Forbidden, Guard, Ints
from migrator.dedupe.parting import Batch, Found, part
from migrator.staging.engine import Session, row_count

PARTED = "dedupe_parted"
"""Table of the records of doubtful components: `__id`, `cluster` (a negative number), its `size`, and `large`: the number
of the cluster too large to be one that the record would be in, or null."""

BATCH_EDGES = 500_000
"""Edges that the linkage holds in memory at once; a component is never divided between batches."""

_MOST_BITS = 1000
"""Weights beyond it count as it."""

_ALL_PAIRS = 100
"""Records of one value that are compared pair by pair where something contradicts; more of them through the first only."""

_DISPUTED = 1 << 40
"""Claims from here on fit no other: people joined records that claim different values, so no third one belongs to them."""

_EXACT = f"(SELECT * FROM {ANEW} WHERE weight IS NULL AND {AUTOMATIC})"


@dataclass(frozen=True, slots=True)
class Given:
    """What clusters have to keep to: size, the linkage's settings, and the relations of what contradicts."""

    most: int
    guard: Guard
    vetoes: str | None
    claims: str | None


def find_doubtful(session: Session, given: Given) -> int:
    """Fill `dedupe_sizes` (component, size) and `dedupe_doubtful` (component, batch, torn: something in it contradicts).

    Returns how many are doubtful.
    """
    vetoes = f"UNION ALL SELECT one, other FROM {given.vetoes}" if given.vetoes else ""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_vetoes AS SELECT one, other FROM dedupe_apart {vetoes}"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_sizes AS "
        f"SELECT component, count(*) AS size FROM {COMPONENTS} GROUP BY component"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_doubted AS SELECT component, bool_or(torn) AS torn "
        f"FROM ({' UNION ALL '.join(_doubts(given))}) GROUP BY component"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_doubtful AS "
        f"SELECT component, torn, CAST(sum(edges) OVER (ORDER BY component) // {BATCH_EDGES:d} AS INTEGER) AS batch FROM "
        "(SELECT component, torn, count(*) AS edges FROM dedupe_doubted "
        f"JOIN {COMPONENTS} USING (component) LEFT JOIN {ANEW} ON one = __id GROUP BY component, torn)"
    )
    return row_count(session, "dedupe_doubtful")


def _doubts(given: Given) -> list[str]:
    """Queries of (component, torn): what contradicts, what people joined beyond the limit, and what the scores may part."""
    missing, stop = given.guard.scale
    scored = f"SELECT one, other, {_grains()} AS weight, {AUTOMATIC} AS automatic FROM {ANEW} WHERE weight IS NOT NULL"
    doubts = [
        f"SELECT x.component, true AS torn FROM dedupe_vetoes v JOIN {COMPONENTS} x ON v.one = x.__id "
        f"JOIN {COMPONENTS} y ON v.other = y.__id WHERE x.component = y.component",
        f"SELECT component, false FROM dedupe_bonds JOIN {COMPONENTS} ON one = __id "
        f"JOIN dedupe_sizes USING (component) WHERE size > {given.most:d}",
        "SELECT component, false FROM "
        "(SELECT x.component, min(weight) AS least, min(weight) FILTER (WHERE automatic) AS joining "
        f"FROM ({scored}) e JOIN {COMPONENTS} x ON e.one = x.__id "
        f"JOIN {COMPONENTS} y ON e.other = y.__id AND x.component = y.component GROUP BY x.component) "
        f"JOIN dedupe_sizes USING (component) WHERE size > {given.most:d} OR least < {missing:d} "
        f"OR joining - {missing:d} < (size * size // 4) * {stop - missing:d}",
    ]
    if given.claims:
        doubts.append(
            f"SELECT component, true FROM {COMPONENTS} JOIN {given.claims} USING (__id) "
            "GROUP BY component, kind HAVING min(value) <> max(value)"
        )
    return doubts


def part_doubtful(session: Session, given: Given, doubtful: int) -> int:
    """Fill `PARTED`, and `dedupe_held` with the edges inside its clusters; returns the automatic pairs kept apart."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {PARTED} (__id VARCHAR, cluster BIGINT, size BIGINT, large BIGINT)"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_held "
        "(one VARCHAR, other VARCHAR, rule VARCHAR, place INTEGER, evidence VARCHAR)"
    )
    if not doubtful:
        return 0
    _number(session)
    _write_exact(session)
    _write_scored(session)
    _write_forbidden(session, given)
    apart = 0
    batches = session.fetch("SELECT DISTINCT batch FROM dedupe_nodes ORDER BY batch").column("batch")
    offset = 0
    for batch in batches.to_pylist():
        found = part(_read(session, batch), given.most, given.guard)
        _keep(session, batch, found, offset)
        offset += len(found.cluster)
        apart += found.kept_apart
    _write_held(session)
    return apart


def _number(session: Session) -> None:
    """`dedupe_nodes`: records of doubtful components, numbered in each batch by a digest of their ids.

    By a digest and not by the ids: of a chain of equals, in order, only one pair a round would be joined.
    """
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_numbered AS SELECT __id, component, batch, torn, "
        "row_number() OVER (PARTITION BY batch ORDER BY md5(__id), __id) - 1 AS i "
        f"FROM {COMPONENTS} JOIN dedupe_doubtful USING (component)"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_nodes AS SELECT n.*, coalesce(f.i, n.i) AS node FROM dedupe_numbered n "
        "LEFT JOIN dedupe_bonds b ON n.__id = b.one LEFT JOIN dedupe_numbered f ON b.other = f.__id"
    )


def _write_exact(session: Session) -> None:
    """`dedupe_agreeing`: who shares a value, by the value's first record; `dedupe_exact`: their pairs with the rules that agree.

    All pairs of a value where something contradicts, since its first record may be the one that goes elsewhere.
    """
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_agreeing AS SELECT g.*, n.batch, n.node, n.torn, "
        "count(*) OVER (PARTITION BY rule, place, evidence, hub) AS sharers FROM "
        f"(SELECT rule, place, evidence, other AS hub, one AS __id FROM {_EXACT} "
        f"UNION SELECT rule, place, evidence, other, other FROM {_EXACT}) g JOIN dedupe_nodes n USING (__id)"
    )
    same = "x.place = y.place AND x.rule = y.rule AND x.hub = y.hub AND x.evidence IS NOT DISTINCT FROM y.evidence"
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_exact AS SELECT x.batch, x.node AS one, y.node AS other, "
        "count(*) AS weight, true AS joins FROM dedupe_agreeing x JOIN dedupe_agreeing y "
        f"ON {same} AND x.node < y.node "
        f"WHERE x.hub IN (x.__id, y.__id) OR (x.torn AND x.sharers <= {_ALL_PAIRS:d}) GROUP BY ALL"
    )


def _write_scored(session: Session) -> None:
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_weighed AS SELECT batch, one, other, sum(weight)::BIGINT AS weight, "
        "bool_or(joins) AS joins FROM "
        f"(SELECT x.batch, x.node AS one, y.node AS other, max({_grains()}) AS weight, bool_or({AUTOMATIC}) AS joins "
        f"FROM {ANEW} e JOIN dedupe_nodes x ON e.one = x.__id JOIN dedupe_nodes y ON e.other = y.__id "
        "WHERE x.component = y.component AND x.node <> y.node AND weight IS NOT NULL "
        "GROUP BY x.batch, x.node, y.node, least(x.i, y.i), greatest(x.i, y.i)) GROUP BY batch, one, other"
    )


def _write_forbidden(session: Session, given: Given) -> None:
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_forbidden AS SELECT DISTINCT x.batch, x.node AS one, y.node AS other "
        "FROM dedupe_vetoes v JOIN dedupe_nodes x ON v.one = x.__id JOIN dedupe_nodes y ON v.other = y.__id "
        "WHERE x.component = y.component AND x.node <> y.node"
    )
    claims = given.claims or "(SELECT NULL AS __id, NULL AS kind, NULL AS value WHERE false)"
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_claimed AS SELECT batch, node, kind, "
        f"CASE WHEN min(value) = max(value) THEN min(value) ELSE {_DISPUTED:d} + node END AS value FROM "
        "(SELECT batch, node, dense_rank() OVER (PARTITION BY batch ORDER BY kind) - 1 AS kind, "
        f"dense_rank() OVER (PARTITION BY batch, kind ORDER BY value) AS value FROM dedupe_nodes JOIN {claims} USING (__id) "
        "WHERE value IS NOT NULL) GROUP BY batch, node, kind"
    )


def _read(session: Session, batch: int) -> Batch:
    def arrays(query: str) -> list[Ints]:
        found = session.fetch(query.format(f"batch = {batch:d}"))
        return [found.column(name).to_numpy().astype(np.int64) for name in found.column_names]

    def edges(table: str) -> Edges:
        one, other, weight, joins = arrays(
            f"SELECT one, other, weight, joins::BIGINT AS joins FROM {table} WHERE {{}}"
        )
        return Edges(one, other, weight, joins.astype(np.bool_))

    node = arrays("SELECT node FROM dedupe_nodes WHERE {} ORDER BY i")[0]
    one, other = arrays("SELECT one, other FROM dedupe_forbidden WHERE {}")
    at, kind, value = arrays("SELECT node, kind, value FROM dedupe_claimed WHERE {}")
    claims = np.zeros((int(kind.max(initial=-1)) + 1, len(node)), dtype=np.int64)
    claims[kind, at] = value
    return Batch(node, edges("dedupe_exact"), edges("dedupe_weighed"), Forbidden(one, other, tuple(claims)))


def _keep(session: Session, batch: int, found: Found, offset: int) -> None:
    """Enter a batch's clusters; numbers are negative, so that none is a component's."""
    at = np.arange(len(found.cluster), dtype=np.int64)
    session.table("dedupe_batch", pa.table({"i": at, "cluster": found.cluster, "large": found.large}))
    session.execute(
        f"INSERT INTO {PARTED} SELECT n.__id, -1 - {offset:d} - cluster, count(*) OVER (PARTITION BY cluster), "
        f"CASE WHEN large >= 0 THEN -1 - {offset:d} - large END FROM dedupe_batch "
        f"JOIN (SELECT __id, i FROM dedupe_nodes WHERE batch = {batch:d}) n USING (i)"
    )


def _write_held(session: Session) -> None:
    """Scored edges with both ends in one cluster; each shared value's records in it go to the first of them there."""
    session.execute(
        "INSERT INTO dedupe_held SELECT one, other, rule, place, evidence FROM "
        "(SELECT __id AS one, min(__id) OVER (PARTITION BY rule, place, evidence, hub, cluster) AS other, rule, place, evidence "
        f"FROM dedupe_agreeing JOIN {PARTED} USING (__id)) WHERE one <> other "
        f"UNION ALL SELECT e.one, e.other, e.rule, e.place, e.evidence FROM {ANEW} e JOIN {PARTED} x ON e.one = x.__id "
        f"JOIN {PARTED} y ON e.other = y.__id WHERE weight IS NOT NULL AND {AUTOMATIC} AND x.cluster = y.cluster"
    )


def _grains() -> str:
    return f"CAST(round(least(greatest(weight, -{_MOST_BITS}), {_MOST_BITS}) * {GRAIN}) AS BIGINT)"
