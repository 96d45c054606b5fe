"""A load or a rollback killed at any boundary and run again ends as an undisturbed one: same target, account, crosswalk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTHING: dict[str, Any] = {"company": [], "person": []}
THEIRS: dict[str, Any] = {"company": [{"key": "k2", "name": "theirs", "parent": None}], "person": []}
"""What was in the target before the first load."""


def trials(folder: Path, verb: str, which: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "faults" / "load_trial.py"), str(folder), verb, which],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def same_end(told: list[dict[str, Any]], left: dict[str, Any]) -> list[dict[str, Any]]:
    """All trials after checking that each ended like the first, which nobody disturbed."""
    whole, again, *killed = told
    assert whole["state"]["unfinished"] == []
    assert whole["left"] == left
    assert again["sent"] == whole["sent"], "a rerun sent something"
    for trial in (again, *killed):
        assert trial["state"] == whole["state"], trial["trial"]
        assert trial["left"] == left, f"{trial['trial']}: not everything could be taken back"
    return killed


@pytest.mark.kill
def test_killed_at_one_boundary_after_the_other(tmp_path: Path) -> None:
    (row,) = same_end(trials(tmp_path, "load", "row"), NOTHING)
    assert set(row["trial"].split()) > {
        "plan.completed", "outbound.completed", "load.batch-answered", "outcomes.part-committed", "outcomes.folded",
        "crosswalk.completed", "links.batch-answered", "links.folded",
    }  # fmt: skip


@pytest.mark.slow
def test_killed_at_every_passing_of_every_boundary_nothing_on_record_is_sent_again(tmp_path: Path) -> None:
    for trial in same_end(trials(tmp_path, "load", "all"), NOTHING):
        twice = {batch: n for batch, n in trial["sent"].items() if n > 1}
        assert sum(twice.values()) <= 2, f"{trial['trial']}: a batch on record was sent again: {twice}"
        if "part-committed" in trial["trial"]:
            assert not twice, f"{trial['trial']}: everything sent was on record, yet {twice} went again"


@pytest.mark.kill
def test_a_rollback_killed_at_one_boundary_after_the_other(tmp_path: Path) -> None:
    (row,) = same_end(trials(tmp_path, "rollback", "row"), THEIRS)
    assert set(row["trial"].split()) > {
        "undoing.part-committed", "rollback.unlinked", "rollback.batch-intended", "rollback.batch-answered",
        "undone.part-committed", "undone.completed", "rollback.done", "crosswalk.completed",
    }  # fmt: skip


@pytest.mark.slow
def test_a_rollback_killed_at_every_passing_of_every_boundary(tmp_path: Path) -> None:
    same_end(trials(tmp_path, "rollback", "all"), THEIRS)
