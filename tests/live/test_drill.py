"""The drill of the cutover, whole: a failure before the switch, one after it, the way back, and through to the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrator.commands.project import open_workspace
from migrator.core.clock import SystemClock
from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.runbook import syncing
from migrator.runbook.doing import Place
from migrator.runbook.drill import drill_files, drill_sandboxes
from migrator.runbook.evening import freeze_proof
from migrator.runbook.execute import Outcome
from migrator.staging.phases import standings
from migrator.testing.twin import INTEGRATION, Twin

pytestmark = pytest.mark.live


DRILLS = {"sandboxes": drill_sandboxes, "files": drill_files}


@pytest.mark.parametrize("kind", DRILLS)
def test_whatever_fails_nothing_that_users_entered_is_lost(tmp_path: Path, kind: str) -> None:
    found = DRILLS[kind](tmp_path / "drill")
    found.raise_unless_nothing_is_lost()
    assert [(part.phase, part.ended.partition(":")[0]) for part in found.parts] == [
        (Phase.P4, "Cancelled"), (Phase.P9, "SafetyStop"), (Phase.P4, "done"), (Phase.P9, "done")
    ]  # fmt: skip
    trace = found.trace
    assert trace.entered == trace.standing + trace.typed_over + trace.overruled + trace.deleted > 50
    assert found.refused > 10  # users tried to edit while they were locked out
    assert found.journal > 100
    assert set(found.steps) <= set(found.planned)
    if kind == "sandboxes":  # the freeze that locked out too many is told by the canary, as the runbook says
        assert "canary.result is fail" in found.parts[0].ended


def test_a_way_back_that_carries_nothing_back_does_not_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry = syncing.sync_once

    def only_before_the_switch(place: Place, arguments: Sequence[str]) -> Outcome:
        with open_workspace(place.project) as workspace, workspace.ledger.read() as connection:
            switched = standings(connection)["all"].phase is Phase.P9
        return Outcome() if switched else carry(place, arguments)

    monkeypatch.setattr(syncing, "sync_once", only_before_the_switch)
    with pytest.raises(SafetyStop, match="P9-920 is not done: reverse_lag == 0s"):
        drill_files(tmp_path / "drill")


def test_a_freeze_proof_sees_edits_creates_deletes_and_lets_the_sync_work(tmp_path: Path) -> None:
    twin = Twin(tmp_path / "twin")
    place = Place(twin.project, SystemClock(), open_system=twin.open_system)
    own = ["--modifier", "changed_by", "--integration", INTEGRATION]

    def proof(*arguments: str) -> tuple[float, float, float]:
        facts = freeze_proof(place, arguments).facts
        return tuple(
            float(facts[f"freeze_proof.{name}"]) for name in ("foreign_edits", "deletes", "rows_changed")
        )  # type: ignore[return-value]

    def change(sql: str) -> None:
        with sqlite3.connect(tmp_path / "twin" / "old.db") as connection:
            connection.execute(sql)
        connection.close()

    assert proof() == (0, 0, 0)
    change("UPDATE company SET city = 'x', changed_by = 'integration' WHERE name = 'company 客户 0001'")
    assert proof(*own) == (0, 0, 0)
    assert proof() == (1, 0, 0)
    change("UPDATE company SET city = 'without a stamp' WHERE name = 'company 客户 0002'")
    assert proof(*own) == (1, 0, 0)
    change("DELETE FROM contact WHERE name = 'contact 客户 0030'")
    change("INSERT INTO contact (id, name) VALUES ('late', 'committed late, stamped early')")
    assert proof(*own) == (2, 1, 0)  # one came and one went: the count alone would not have shown it
    change("DELETE FROM contact WHERE name = 'contact 客户 0031'")
    assert proof(*own) == (2, 2, 1)
    change("INSERT INTO contact (id, name, changed_by) VALUES ('ours', 'made by the sync', 'integration')")
    assert proof(*own) == (2, 2, 1)  # a record that the sync made is no user's, and hides nobody's delete
