"""The cutover and the way back under random schedules of failures: whatever fails where, nothing is lost and it ends (R12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.phases import Phase
from migrator.runbook.drill import random_schedule

pytestmark = pytest.mark.live


@pytest.mark.parametrize("seed", [1])
def test_a_schedule(tmp_path: Path, seed: int) -> None:
    found = random_schedule(tmp_path / "drill", seed)
    found.raise_unless_nothing_is_lost()
    assert found.parts[-1].phase is Phase.P9
    assert any(part.ended != "done" for part in found.parts)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 202))
def test_many_schedules(tmp_path: Path, seed: int) -> None:
    random_schedule(tmp_path / "drill", seed).raise_unless_nothing_is_lost()
