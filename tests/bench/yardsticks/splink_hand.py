"""Splink as its documentation sets it up: comparisons and blocking by hand, u by sampling, m by EM, clusters from 0.9 on."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import splink.comparison_library as cl
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI
from splink.internals.exceptions import EMTrainingException

warnings.simplefilter("ignore")

THRESHOLD = 0.9
TRAININGS = 3
CREATORS: dict[str, Any] = {
    "name": cl.NameComparison,
    "text": lambda name: cl.JaroWinklerAtThresholds(name, [0.92, 0.8]),
    "email": cl.EmailComparison,
    "code": lambda name: cl.DamerauLevenshteinAtThresholds(name, [1, 2]),
    "choice": lambda name: cl.ExactMatch(name).configure(term_frequency_adjustments=True),
}


def main() -> None:
    """Read the set named first, write clusters to the file named second."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    connection = duckdb.connect()
    # names as Splink can stand them: neither blanks nor reserved words
    called = {
        name: f"f{place}_{''.join(c for c in name.lower() if c.isalnum())}"
        for place, name in enumerate(job["compare"])
    }
    columns = ", ".join(f"nullif(trim(lower(\"{name}\")), '') AS {alias}" for name, alias in called.items())
    tables = []
    for number, file in enumerate(job["files"]):
        connection.execute(
            f"CREATE TABLE set{number} AS SELECT '{number}:' || id AS unique_id, {columns} "
            f"FROM read_csv('{file}', all_varchar = true, header = true)"
        ).fetchall()
        tables.append(f"set{number}")
    api = DuckDBAPI(connection)
    frames = [api.register(table, dataset_display_name=table) for table in tables]
    blocks = [block_on(*(called[name] for name in block)) for block in job["blocks"]]
    settings = SettingsCreator(
        link_type="link_only" if len(frames) > 1 else "dedupe_only",
        comparisons=[CREATORS[kind](called[name]) for name, kind in job["compare"].items()],
        blocking_rules_to_generate_predictions=blocks,
    )
    linker = Linker(frames if len(frames) > 1 else frames[0], settings)
    linker.training.estimate_probability_two_random_records_match(
        [block_on(*(called[name] for name in key)) for key in job["exact"]], recall=0.7
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    trained = 0
    for block in blocks:
        # a block in which two ways of writing never meet has no pairs to learn from
        with suppress(EMTrainingException):
            linker.training.estimate_parameters_using_expectation_maximisation(block)
            trained += 1
        if trained == TRAININGS:
            break
    predictions = linker.inference.predict(threshold_match_probability=THRESHOLD)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(predictions, THRESHOLD)
    found = clusters.as_pandas_dataframe()[["unique_id", "cluster_id"]]
    found.columns = ["record", "cluster"]
    found.to_csv(sys.argv[2], index=False)


main()
