"""The main job on a real cluster whose worker dies in mid-run: it ends right, with the rows of one machine, and all is accounted for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.commands.inspect import status
from migrator.commands.project import load_project, open_workspace
from migrator.commands.run import run
from migrator.commands.steps import extract, map_records
from migrator.core.dialect import Dialect
from migrator.staging.engine import EngineSettings
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind
from tests.spark.cluster import Cluster, asked, free_port, running, until
from tests.spark.compared import rows_of
from tests.spark.conftest import INTERPRETED

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

ROWS, PARTITIONS = 8_000, 64
SETTINGS = """project: cluster
systems:
  shop: {connector: files, path: exports}
  crm: {connector: sql, url: 'sqlite:///crm.db'}
engine: {memory_limit: 500MB, threads: 1}
"""
MAPPINGS = {
    "account": """mapping: account
target: {system: crm, object: account, key: legacy_id}
source: {system: shop, object: Account, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(60), clean: [trim, collapse, nfc], required: true}
""",
    "contact": """mapping: contact
target: {system: crm, object: contact, key: legacy_id}
source: {system: shop, object: Contact, key: Id, exclude: [{when: "Kind = 'test'", reason: a test}]}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(60), clean: [trim, upper], required: true}
  account: {from: AccountId, lookup: account}
  born: {from: Born, type: date, format: '%d.%m.%Y'}
  seen: {from: Seen, type: datetime, zone: Asia/Shanghai}
  amount: {from: Amount, type: 'decimal(18,2)'}
""",
}
CONF = {
    "spark.executor.memory": "512m", "spark.executor.cores": "1", "spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": f"{PARTITIONS}", "spark.sql.adaptive.enabled": "false", "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.ui.enabled": "true", **INTERPRETED,
}  # fmt: skip
"""Many small tasks behind each join, so that a death is always in the middle of some."""


@pytest.fixture
def project(settings: EngineSettings, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001  # skipped as the others are
    """A shop whose rows are staged, in a folder with an awkward name."""
    folder = tmp_path / "year=2024 [a]*{b}, ü"
    files = {f"mappings/{name}.yaml": text for name, text in MAPPINGS.items()}
    for name, text in {
        **files,
        "migration.yaml": SETTINGS,
        "exports/Account.csv": accounts(),
        "exports/Contact.csv": contacts(),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    extract(load_project(folder))
    yield folder
    shutil.rmtree(folder)


def accounts() -> str:
    return "Id,Name\n" + "".join(f"A{n},  Firm  {n} 北京\u0301\n" for n in range(500))


def contacts() -> str:
    lines = (
        f"C{n},{'' if n % 97 == 0 else f' Zoë {n} '},A{n % 505},{n % 28 + 1}.{n % 13}.19{n % 90 + 10},"
        f"20{n % 25:02}-0{n % 9 + 1}-1{n % 10}T0{n % 10}:30:00,{n}.{n % 1000:03},{'test' if n % 50 == 0 else 'x'}\n"
        for n in range(ROWS)
    )
    return "Id,Name,AccountId,Born,Seen,Amount,Kind\n" + "".join(lines)


def test_a_worker_that_dies_changes_nothing(project: Path, tmp_path: Path) -> None:
    with running(tmp_path / "cluster") as cluster:
        conf = {**CONF, "spark.ui.port": str(free_port()), "spark.local.dir": str(tmp_path / "local")}
        engine = {"engine": "spark", "spark": {"master": cluster.master, "conf": conf}}
        (project / "migration.yaml").write_text(
            SETTINGS.partition("engine:")[0]
            + "".join(f"{name}: {json.dumps(part)}\n" for name, part in engine.items()),
            encoding="utf-8",
        )
        job = subprocess.Popen(
            [sys.executable, "-m", "migrator.cli", "-C", str(project), "map", "--json"],
            env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        try:
            done = killed_in_the_middle(cluster, job, conf["spark.ui.port"])
            out, err = job.communicate(timeout=300)
        finally:
            job.terminate()  # a test that fails leaves no driver behind
        assert job.returncode == 0, err
        assert cluster.workers("ALIVE") == 1
        until(lambda: cluster.workers("DEAD") == 1, "the master to notice")
    assert done > 0
    assert "this machine" not in err.replace("SELECT", "")
    told = {line["name"]: line for line in json.loads(out)["steps"]}
    assert told["contact"]["rows"] == ROWS
    spread = mapped(project)
    assert len(spread["contact"][0].parts) > 1
    here = load_project(project).on(Dialect.DUCKDB)
    assert [line.seconds for line in map_records(here)] == [
        line["seconds"] for line in told.values()
    ]  # nothing made anew
    found = run(here, with_validation=True, production="")
    assert status(here).closed
    assert found is not None
    (project / ".migrator").rename(project / ".spark")
    extract(here)
    map_records(here)
    alone = mapped(project)
    for name, (dataset, rows) in alone.items():
        assert rows_of(rows) == rows_of(spread[name][1])
        assert dataset.detail == spread[name][0].detail


def killed_in_the_middle(cluster: Cluster, job: subprocess.Popen[str], port: str) -> int:
    """Kill a worker once tasks of a stage of many are done and others are not; how many were done."""
    root, app, seen = f"http://127.0.0.1:{port}/api/v1/applications", [""], list[int]()

    def midway() -> bool:
        assert job.poll() is None, job.communicate()
        if not app[0]:
            app[0] = ((asked(root) or [{}])[0]).get("id", "")
        stages = asked(f"{root}/{app[0]}/stages?status=active") if app[0] else None
        done = [stage["numCompleteTasks"] for stage in stages or [] if stage["numTasks"] == PARTITIONS]
        seen.extend(number for number in done if 0 < number < PARTITIONS - 8)
        return bool(seen)

    until(midway, "a stage in the middle")
    cluster.kill("two")
    return seen[0]


def mapped(folder: Path) -> dict[str, tuple[Dataset, Any]]:
    """Each mapping's dataset and its rows."""
    found = {}
    with open_workspace(load_project(folder)) as workspace, closing(workspace.session()) as session:
        for name in workspace.store.names(Kind.MAPPED):
            dataset = workspace.store.need(Kind.MAPPED, name, made_by="map")
            found[name] = (dataset, session.fetch(f"SELECT * FROM {relation(session, dataset)}"))
    return found
