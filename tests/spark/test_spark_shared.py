"""Where machines share the files of datasets, the cluster reads and writes them there and never in the project's folder."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.steps import dedupe, extract, load, map_records
from migrator.commands.validate import validate
from migrator.core.dialect import Dialect
from migrator.staging import spark_session
from migrator.staging.depot import Files
from migrator.staging.engine import EngineSettings
from migrator.staging.engines import Work
from migrator.staging.shared import StagingSettings
from migrator.staging.store import Dataset, Kind
from tests.small_migration import target_rows, write_small
from tests.spark.compared import rows_of

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

COMPARED = (Kind.MAPPED, Kind.CLUSTERS, Kind.GOLDEN, Kind.PLAN, Kind.READBACK, Kind.RECONCILE)


def there(folder: Path, place: Path, settings: EngineSettings) -> Project:
    """The small migration on the cluster, its datasets in another folder than its own."""
    project = load_project(write_small(folder))
    return replace(project, engine=settings, staging=StagingSettings(f"file://{place}"))


def lose(project: Project) -> None:
    """Another machine, with nothing of the first."""
    shutil.rmtree(project.workspace / "staging")


def made(project: Project) -> dict[tuple[Kind, str], Counter[str]]:
    """The rows of all that is compared."""
    with open_workspace(project) as workspace:
        datasets: list[Dataset] = [
            workspace.store.need(kind, name, made_by="x")
            for kind in COMPARED
            for name in workspace.store.names(kind)
        ]
        return {
            (one.kind, one.name): rows_of(pa.concat_tables(pq.read_table(path) for path in one.files))
            for one in datasets
            if one.files
        }


def test_the_job_is_the_same_though_no_executor_reaches_the_folder(
    settings: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, asked = tmp_path / "place=1 ü%2f", list[str]()
    alone, shared = (
        load_project(write_small(tmp_path / "alone")),
        there(tmp_path / "project", place, settings),
    )
    whole: Callable[..., Any] = spark_session.SparkSession._url

    def heard(self: Any, path: Path) -> str:
        asked.append(whole(self, path))
        return asked[-1]

    monkeypatch.setattr(spark_session.SparkSession, "_url", heard)
    for step in (extract, map_records, dedupe, load):
        step(alone)
        step(shared if step is not load else shared.on(Dialect.DUCKDB))
        if step is map_records:
            assert all(
                re.search("/mapped/.*/part-0000.-", str(path)) for path in place.rglob("mapped/*/*/*.parquet")
            )
            assert not list(place.rglob("mapped/**/_temporary"))
        lose(shared)
    for project in (alone, shared):
        validate(project)
    assert asked
    assert all(url.startswith(f"file://{place}/") for url in asked)
    assert made(shared) == made(alone)
    assert target_rows(tmp_path / "project" / "crm.db") == target_rows(tmp_path / "alone" / "crm.db")
    extract(shared)  # sweeps
    with open_workspace(shared) as workspace:
        vouched = {
            part.place.relative_to(workspace.store.root)
            for one in workspace.store.all()
            for part in one.parts
        }
    assert {path.relative_to(place) for path in place.rglob("*.parquet")} == vouched


def test_a_query_that_runs_here_brings_what_it_reads_and_no_more(
    settings: EngineSettings, tmp_path: Path
) -> None:
    project = there(tmp_path / "project", tmp_path / "place", settings)
    with open_workspace(project) as workspace:
        building = workspace.store.build(Kind.STAGED, "s/o", "f")
        for number in range(4):
            building.add_table(pa.table({"a": [number * 10 + n for n in range(number + 1)], "d": [None] * (number + 1)}, pa.schema([("a", pa.int64()), ("d", pa.string())])))  # fmt: skip
        building.complete()
        lose(project)
        files = workspace.store.need(Kind.STAGED, "s/o", made_by="x").files
        with closing(workspace.session_for(Work.MAP)) as session:
            session.view("v", files)
            session.execute("CREATE VIEW w AS SELECT a + 1 AS b FROM v")
            assert session.fetch("SELECT sum(b) AS n FROM w").column("n").to_pylist() == [220]
            assert local(files) == 1
            # Spark has no such thing
            assert session.fetch("SELECT count(*) AS n FROM w WHERE b IN (SELECT unnest(range(12)))").column("n").to_pylist() == [2]  # fmt: skip
            assert local(files) == 4


def local(files: Files) -> int:
    return sum(path.exists() for path in files.places)
