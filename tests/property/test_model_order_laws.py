"""Neither the order of rows nor parts, batches or threads change the pairs that a model finds, nor the clusters made of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from migrator.core.mapped import DedupeRules, MatchModel
from migrator.dedupe import guards, scoring
from tests.dedupe_project import BY_EMAIL, contacts, open_project
from tests.property.test_delta_laws import people, told

RULES = contacts(DedupeRules((BY_EMAIL,), model=MatchModel(), region="MY", identity=("phone",)))


@pytest.mark.slow
def test_order_batches_and_threads_change_no_pair_and_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = people(3_000, random.Random(21))
    expected = None
    # seed 0: the order of the rows as they are
    for seed, threads, parts, pairs, edges, memory in (
        (0, 1, 1, 250_000, 500_000, "500MB"),
        (7, 4, 1, 250_000, 500_000, "500MB"),
        (8, 1, 7, 1_500, 40, "200MB"),
        (9, 4, 3, 700, 10, "150MB"),
    ):
        monkeypatch.setattr(scoring, "CHUNK", pairs)
        monkeypatch.setattr(guards, "BATCH_EDGES", edges)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with open_project(folder, threads=threads, memory=memory) as project:
            ordered = random.Random(seed).sample(rows, len(rows)) if seed else rows
            made = project.run(RULES, ordered, parts=parts)
            found = told(project, made), made.clusters.detail
        assert found[1]["model"]["by_band"]["automatic"] > 500
        assert found[1]["clusters"] > 500
        expected = expected or found
        assert found == expected, f"seed {seed}"
