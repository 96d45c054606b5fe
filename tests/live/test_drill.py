"""The drill of the cutover, whole: a failure before the switch, one after it, the way back, and through to the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.runbook import syncing
from migrator.runbook.doing import Place
from migrator.runbook.drill import drill
from migrator.runbook.execute import Outcome

pytestmark = pytest.mark.live


def test_whatever_fails_nothing_that_users_entered_is_lost(tmp_path: Path) -> None:
    found = drill(tmp_path / "drill")
    found.raise_unless_nothing_is_lost()
    assert [(part.phase, part.ended.partition(":")[0]) for part in found.parts] == [
        (Phase.P4, "Cancelled"), (Phase.P9, "SafetyStop"), (Phase.P4, "done"), (Phase.P9, "done")
    ]  # fmt: skip
    assert found.entered > 50
    assert found.refused > 10  # users tried to edit while they were locked out
    assert found.journal > 100
    assert all(times for times in found.steps.values())


def test_a_way_back_that_carries_nothing_back_does_not_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: Place, __: object) -> Outcome:
        return Outcome()

    monkeypatch.setattr(syncing, "sync_once", nothing)
    monkeypatch.setattr(syncing, "sync_reconcile", nothing)
    with pytest.raises(SafetyStop, match="P9-920 is not done: reverse_lag == 0s"):
        drill(tmp_path / "drill")
