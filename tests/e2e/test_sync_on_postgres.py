"""The sync with its ledger in PostgreSQL, as teams have it: a dry run leaves no trace, a conflict is decided, status adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrator.commands.project import load_project
from migrator.commands.sync import once, rehearse
from migrator.commands.sync_conflicts import Asked, list_conflicts, resolve_conflict
from migrator.commands.sync_status import sync_status
from migrator.commands.sync_stuck import stuck_records
from migrator.sync.report import Status
from tests.sync_kit import do, rows_of, write_project


@pytest.mark.postgres
@pytest.mark.slow
def test_the_whole_of_it_works_on_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    write_project(tmp_path, f"ledger: {json.dumps(postgres_url)}\n")
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    do(old, "INSERT INTO contact (id, name, stage) VALUES ('c1', '李伟', 'Warm'), ('c2', 'Ana', 'Won')")
    project = load_project(tmp_path)
    assert [row.kind for row in rehearse(project).writes] == ["create", "create"]
    assert rows_of(project, "members") == rows_of(project, "reports") == []
    once(project)
    assert once(project).standing.status is Status.GREEN
    do(old, "UPDATE contact SET stage = 'Won' WHERE id = 'c1'")
    do(new, "UPDATE person SET stage = 'lost' WHERE legacy_id = 'old:c1'")
    assert once(project).standing.exit_code == 5
    found = sync_status(project)
    assert [(item.field, item.ages[0]) for item in found.state.open] == [("stage", 1)]
    assert dict(found.state.linked) == {"contact": 2, "contact/old": 2}
    assert [item.reason for item in stuck_records(project).records] == ["conflict"]
    (conflict,) = list_conflicts(project, Asked()).conflicts
    resolve_conflict(project, conflict.number, "old", who="Li", note="")
    once(project)
    assert once(project).standing.status is Status.GREEN
    assert do(new, "SELECT stage FROM person WHERE legacy_id = 'old:c1'") == [("won",)]
