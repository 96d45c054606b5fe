"""The sync begins where the load ended: what was loaded is linked with its bases, what was merged stays one, edits since then flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.commands import steps
from migrator.commands.project import Project, load_project
from migrator.commands.sync import once, rehearse
from migrator.commands.sync_conflicts import Asked, list_conflicts
from migrator.sync.report import Status
from tests.sync_kit import MAPPING, do, rows_of, write_project

MERGING = MAPPING.replace("sync:\n", "dedupe: {keys: {phone: {phone: exact}}}\nsync:\n")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two of three contacts are one, and all were loaded."""
    write_project(tmp_path, "", MERGING)
    old = tmp_path / "old.db"
    do(old, "INSERT INTO contact (id, name, phone, stage) VALUES ('c1', 'Wei', '1', 'Won')")
    do(old, "INSERT INTO contact (id, name, phone, stage) VALUES ('c2', 'Wei Li', '1', 'Won')")
    do(old, "INSERT INTO contact (id, name, phone, stage, boss_id) VALUES ('c3', 'Ana', '3', 'Warm', 'c2')")
    project = load_project(tmp_path)
    for step in (steps.extract, steps.map_records, steps.dedupe):
        step(project, ())
    steps.load(project)
    return load_project(tmp_path)


def people(project: Project) -> list[tuple[object, ...]]:
    return do(project.folder / "new.db", "SELECT name, phone, stage FROM person ORDER BY phone")


@pytest.mark.slow
def test_what_was_merged_is_not_made_anew_and_untouched_groups_get_no_writes(project: Project) -> None:
    before = people(project)
    assert len(before) == 2
    assert rehearse(project).writes == ()
    first, second = once(project), once(project)
    assert (first.report.writes, second.report.writes, second.standing.status) == (0, 0, Status.GREEN)
    assert people(project) == before
    groups = {(row["stream"], row["id"]): row["grp"] for row in rows_of(project, "members")}
    assert groups["contact/old", "c1"] == groups["contact/old", "c2"] != groups["contact/old", "c3"]
    assert sum(row["leads"] for row in rows_of(project, "members")) == 4


@pytest.mark.slow
def test_edits_since_the_load_flow_from_and_to_every_member(project: Project) -> None:
    old, new = project.folder / "old.db", project.folder / "new.db"
    do(old, "UPDATE contact SET stage = 'Hot' WHERE id = 'c2'")
    once(project)
    once(project)
    assert people(project)[0][2] == "open"
    assert do(old, "SELECT stage FROM contact WHERE phone = '1'") == [("Hot",), ("Hot",)]
    do(new, "UPDATE person SET name = 'Wei!' WHERE phone = '1'")
    once(project)
    assert once(project).standing.status is Status.GREEN
    assert do(old, "SELECT name FROM contact WHERE phone = '1'") == [("Wei!",), ("Wei!",)]
    assert list_conflicts(project, Asked(state="")).total == 0


@pytest.mark.slow
def test_a_record_that_users_deleted_since_the_load_is_not_made_again(project: Project) -> None:
    do(project.folder / "new.db", "DELETE FROM person WHERE phone = '3'")
    once(project)
    done = once(project)
    assert len(people(project)) == 1
    assert done.standing.status is not Status.GREEN or do(
        project.folder / "old.db", "SELECT count(*) FROM contact WHERE id = 'c3'"
    ) == [(0,)]
