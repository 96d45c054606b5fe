"""`migrator estimate` on a whole small migration: every step predicted, nothing left behind, held against what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.postgres import TestServer
from tests.small_migration import copied, migrator, replace_in, staged_data

STEPS = ["extract", "map", "dedupe", "plan", "load", "validate"]


@pytest.mark.slow
def test_a_run_is_predicted_from_a_sample_and_compared_with_what_happened(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(small, tmp_path / "project")
    said = migrator(folder, capsys, "estimate", "--json")
    assert said.code == 0, said
    made = json.loads(said.out)
    assert [item["step"] for item in made["steps"]] == STEPS
    assert made["prediction"]["share"] == 1.0
    assert not staged_data(folder)
    assert not (folder / "crm.db").exists()
    assert not list((folder / ".migrator").glob("estimate-*"))
    assert migrator(folder, capsys, "run").code in (0, 1)
    last = migrator(folder, capsys, "estimate", "--last", "--json")
    compared = {item["step"]: item for item in json.loads(last.out)["steps"]}
    for step in STEPS:
        item = compared[step]
        # the sample was the whole; without the links that lead nowhere, a few rows more are sent
        assert item["took"]["rows"] <= item["predicted"]["rows"], step
        assert item["ratio"] > 0
    assert compared["map"]["took"]["rows"] == compared["map"]["predicted"]["rows"]
    assert compared["load"]["took"]["bytes"] > (folder / "crm.db").stat().st_size
    assert compared["load"]["disk_ratio"] == pytest.approx(1, abs=0.3)
    shown = migrator(folder, capsys, "estimate", "--last")
    assert "took" in shown.out
    assert "100.0% of the rows" in shown.out


@pytest.mark.postgres
def test_the_disk_of_another_machine_is_not_predicted(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_server: TestServer
) -> None:
    folder = copied(small, tmp_path / "project")
    with postgres_server.database() as target:
        replace_in(folder / "migration.yaml", {"sqlite:///crm.db": target})
        assert migrator(folder, capsys, "estimate").code == 0
        assert migrator(folder, capsys, "run").code in (0, 1)
        last = json.loads(migrator(folder, capsys, "estimate", "--last", "--json").out)
    (load,) = (item for item in last["steps"] if item["step"] == "load")
    assert load["disk_ratio"] == pytest.approx(1, abs=0.3)


def test_nothing_was_estimated_yet(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(small, tmp_path / "project")
    said = migrator(folder, capsys, "estimate", "--last")
    assert said.code == 0, said
    assert "nothing was estimated yet" in said.out
