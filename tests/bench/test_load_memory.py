"""Plan and load keep their memory while the rows grow fourfold, and their time grows in step with the rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def cost(rows: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bench" / "load_cost.py"), str(rows)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_memory_is_flat_and_cost_grows_in_step_with_rows() -> None:
    small, large = cost(250_000), cost(1_000_000)
    assert large["peak_mb"] < 1.3 * small["peak_mb"]
    for step in ("plan", "load"):
        assert large[f"{step} cpu us/row"] < 1.4 * small[f"{step} cpu us/row"]
