"""Precision, recall and their kin counted from group sizes are what counting every pair by hand gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.core.errors import ProjectError
from migrator.core.mapped import Reach
from migrator.dedupe.measure import Score, Scores, judge, score
from migrator.dedupe.truth import Told, entities_of_records, pairs_of_records
from migrator.staging.engine import EngineSettings, Session, open_engine

Row = tuple[str, int, int]
"""Source, cluster (0: alone), entity."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with closing(open_engine(EngineSettings(threads=1), tmp_path_factory.mktemp("engine"))) as session:
        yield session


def lay_down(session: Session, rows: Sequence[Row]) -> None:
    ids = [f"{source}:{number}" for number, (source, _, _) in enumerate(rows)]
    session.table("records", pa.table({"__id": ids, "__source": [row[0] for row in rows]}))
    told = {"key": ids, "entity": [f"e{row[2]}" for row in rows]}
    session.table("told", pa.table(told))
    joined = [(name, row[1]) for name, row in zip(ids, rows, strict=True) if row[1]]
    session.table(
        "members",
        pa.table({"__id": pa.array([one for one, _ in joined], pa.string()), "__cluster": pa.array([c for _, c in joined], pa.int64())}),
    )  # fmt: skip


def measured(session: Session, rows: Sequence[Row], reach: Reach) -> Scores:
    lay_down(session, rows)
    session.execute("CREATE OR REPLACE TEMP TABLE evaluate_truth AS SELECT key AS __id, entity FROM told")
    judge(session, "records", "members")
    return score(session, reach)


def counted(rows: Sequence[Row], reach: Reach) -> Score:
    """Pair by pair."""
    groups = [
        (source, cluster or -number, entity) for number, (source, cluster, entity) in enumerate(rows, 1)
    ]
    pairs = [
        (one[1] == other[1], one[2] == other[2])
        for one, other in combinations(groups, 2)
        if reach is Reach.ALL or one[0] != other[0]
    ]
    return Score(
        sum(found and real for found, real in pairs),
        sum(found for found, _ in pairs),
        sum(real for _, real in pairs),
    )


def counted_b_cubed(rows: Sequence[Row]) -> tuple[float, float]:
    """Record by record."""
    clusters = [row[1] or -number for number, row in enumerate(rows, 1)]
    entities = [row[2] for row in rows]
    shares = []
    for cluster, entity in zip(clusters, entities, strict=True):
        both = sum(c == cluster and e == entity for c, e in zip(clusters, entities, strict=True))
        shares.append((both / clusters.count(cluster), both / entities.count(entity)))
    return tuple(sum(item) / len(rows) for item in zip(*shares, strict=True))


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, reach=st.sampled_from(list(Reach)))
def test_sizes_of_groups_give_what_counting_pairs_gives(
    engine: Session, rows: list[Row], reach: Reach
) -> None:
    found = measured(engine, rows, reach)
    assert found.pairs == counted(rows, reach)
    precision, recall = counted_b_cubed(rows)
    assert found.b_cubed.precision == pytest.approx(precision)
    assert found.b_cubed.recall == pytest.approx(recall)


def test_a_cluster_is_exact_only_when_nothing_is_missing_and_nothing_besides(engine: Session) -> None:
    rows = [("a", 1, 1), ("a", 1, 1), ("a", 2, 2), ("a", 2, 3), ("a", 3, 4), ("a", 3, 4), ("a", 0, 4)]
    found = measured(engine, rows, Reach.ALL)
    assert found.clusters == Score(1, 3, 2)
    assert found.largest == 2


def test_nothing_found_has_no_precision(engine: Session) -> None:
    found = measured(engine, [("a", 0, 1), ("a", 0, 1)], Reach.ALL)
    assert (found.pairs.precision, found.pairs.recall, found.pairs.f1) == (None, 0, 0)


def test_truth_in_pairs_is_closed_over_chains(engine: Session) -> None:
    lay_down(engine, [("a", 0, 0), ("b", 0, 0), ("b", 0, 0), ("a", 0, 0)])
    engine.table("links", pa.table({"left": ["0", "0"], "right": ["1", "2"]}))
    use = pairs_of_records(engine, "records", Told("links", ("left", "right"), "links.csv", ("a", "b")))
    assert (use.rows, use.records, use.entities, use.unknown) == (2, 4, 1, 0)
    judge(engine, "records", "members")
    assert score(engine, Reach.ALL).pairs.real == 3
    assert score(engine, Reach.ACROSS).pairs.real == 2


def test_a_truth_may_name_keys_without_their_source_and_tells_what_it_cannot_place(engine: Session) -> None:
    lay_down(engine, [("a", 0, 0), ("b", 0, 0)])
    engine.table("truth", pa.table({"id": ["0", "b:1", "17"], "who": ["x", "x", "x"]}))
    use = entities_of_records(engine, "records", Told("truth", ("id", "who"), "truth.csv"))
    assert (use.records, use.unknown, use.entities) == (2, 1, 1)


@pytest.mark.parametrize(
    ("ids", "entities", "said"),
    [
        (["x1", "x2"], ["e", "e"], "speaks of 'x1'"),
        (["0", "1"], ["e", "f"], "say --pairs"),
        (["0", "0"], ["e", "f"], "several entities: 0"),
        ([None, None], ["e", "f"], "no row"),
    ],
)
def test_a_truth_that_does_not_fit_says_why(
    engine: Session, ids: list[str | None], entities: list[str], said: str
) -> None:
    lay_down(engine, [("a", 0, 0), ("a", 0, 0)])
    engine.table("truth", pa.table({"id": pa.array(ids, pa.string()), "who": entities}))
    with pytest.raises(ProjectError, match=said):
        entities_of_records(engine, "records", Told("truth", ("id", "who"), "truth.csv"))


def test_a_key_of_two_sources_is_ambiguous(engine: Session) -> None:
    engine.table("records", pa.table({"__id": ["a:1", "b:1"], "__source": ["a", "b"]}))
    engine.table("truth", pa.table({"id": ["1"], "who": ["x"]}))
    with pytest.raises(ProjectError, match="SOURCE:KEY"):
        entities_of_records(engine, "records", Told("truth", ("id", "who"), "truth.csv"))
