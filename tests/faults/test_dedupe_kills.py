"""A dedupe with a model, killed at any boundary and run again, ends with the clusters, pairs and memory of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_at_one_boundary_after_the_other(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "faults" / "dedupe_trial.py"), str(tmp_path)],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    whole, *killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert whole["state"]["clusters"]
    assert whole["state"]["pairs"]
    assert whole["state"]["unfinished"] == []
    for trial in killed:
        assert trial["died"], f"{trial['trial']} was not killed"
        assert trial["state"] == whole["state"], trial["trial"]
    passed = {trial["trial"] for trial in killed}
    assert {"0 features.part-committed", "0 edges.part-committed"} <= passed
    for kind in ("features", "edges", "pairs", "donors", "golden", "clusters"):
        assert f"1 {kind}.part-committed" in passed, kind
