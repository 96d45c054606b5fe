"""An erasure killed with SIGKILL at each of its boundaries: no run in between brings the person back, and `erase again` ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from migrator.commands.sync import once
from tests.sync_kit import do, write_project

POINTS = ("erase.forgotten#1", "erase.deleted#1", "erase.deleted#2")


def migrator(folder: Path, *words: str, kill: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MIGRATOR_KILL_AT": kill, "MIGRATOR_WHO": "ann"}
    command = [sys.executable, "-m", "migrator.cli", "-C", str(folder), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_what_was_killed_is_done_by_erase_again(tmp_path: Path, point: str) -> None:
    project = write_project(tmp_path)
    do(
        tmp_path / "old.db",
        "INSERT INTO contact (id, name, phone, stage) VALUES ('c1', 'Ada Lovelace', '', 'Hot'), ('c2', 'Bo', '', 'Won')",
    )
    once(project)
    said = migrator(tmp_path, "erase", "contact/old:c1", "--second", "bob", "--why", "asked", kill=point)
    assert said.returncode == -signal.SIGKILL, said.stderr
    for full in (False, True):
        run = once(project, full=full)
        assert run.report.writes == 0
        assert "erasure" in {cause.code for cause in run.standing.causes}
        assert run.standing.exit_code == 5
    done = migrator(tmp_path, "erase", "again", "--json")
    assert done.returncode == 0, done.stderr
    assert [item["done"] for item in json.loads(done.stdout)["requests"]] == [True]
    assert do(tmp_path / "old.db", "SELECT id FROM contact") == [("c2",)]
    assert do(tmp_path / "new.db", "SELECT name FROM person") == [("Bo",)]
    assert once(project, full=True).standing.exit_code == 0
    assert not [
        path
        for path in (tmp_path / ".migrator").rglob("*")
        if path.is_file() and b"Lovelace" in path.read_bytes()
    ]
