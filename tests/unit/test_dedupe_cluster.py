"""Clusters are the connected components of the edges, whatever their shape."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.dedupe.cluster import MEMBERS, Clusters, LargeCluster, make_clusters
from migrator.dedupe.edges import EDGES, create_edges
from migrator.staging.engine import EngineSettings, open_engine

Pair = tuple[str, str]


def clusters(folder: Path, pairs: list[Pair], most: int = 1_000_000) -> tuple[set[frozenset[str]], Clusters]:
    session = open_engine(EngineSettings(memory_limit="200MB", threads=2), folder)
    create_edges(session)
    rows = {"one": [a for a, _ in pairs], "other": [b for _, b in pairs], "rule": ["r"] * len(pairs)}
    session.table("given", pa.table({name: pa.array(column, pa.string()) for name, column in rows.items()}))
    session.execute(
        f"INSERT INTO {EDGES} SELECT one, other, rule, 0, 'x', NULL, NULL, 'automatic', NULL FROM given"
    )
    report = make_clusters(session, most)
    found: dict[int, set[str]] = {}
    for row in session.fetch(f"SELECT * FROM {MEMBERS}").to_pylist():
        found.setdefault(row["__cluster"], set()).add(row["__id"])
        assert row["__name"] <= row["__id"]
    session.close()
    assert sorted(found) == list(range(1, len(found) + 1))
    return {frozenset(members) for members in found.values()}, report


def components(pairs: list[Pair]) -> set[frozenset[str]]:
    """The answer by the plainest algorithm there is."""
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return {frozenset(group) for group in groups}


def test_no_edges_make_no_clusters(tmp_path: Path) -> None:
    assert clusters(tmp_path, []) == (set(), Clusters(0, 0, 0, 0, ()))


def test_a_long_chain_is_one_cluster_in_few_rounds(tmp_path: Path) -> None:
    names = [f"v{n:05d}" for n in range(3000)]
    random.Random(1).shuffle(names)
    found, _ = clusters(tmp_path, list(itertools.pairwise(names)))
    assert found == {frozenset(names)}


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_agree_with_the_plain_algorithm(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    size = rng.choice([5, 40, 200])
    pairs = [(f"v{rng.randrange(size)}", f"w{rng.randrange(size)}") for _ in range(size)]
    found, report = clusters(tmp_path, pairs)
    assert found == components(pairs)
    assert (report.clusters, report.members) == (len(found), sum(map(len, found)))


def test_a_cluster_past_the_limit_is_told_and_left_apart(tmp_path: Path) -> None:
    chain = [(f"a{n}", f"a{n + 1}") for n in range(5)]
    found, report = clusters(tmp_path, [*chain, ("x", "y")], most=5)
    assert found == {frozenset({"x", "y"})}
    assert report == Clusters(1, 2, 1, 6, (LargeCluster("r", 6, "a0"),))
