"""Merging and taking it back, in a target: children follow to the survivor, and home again; what was edited since is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.commands import steps
from migrator.commands.inspect import explain, status
from migrator.commands.planning import plan
from migrator.commands.project import load_project
from migrator.commands.unmerge import Unmerged, raise_unless_possible, unmerge
from migrator.core.errors import ProjectError, SafetyStop
from tests.merged_project import (
    ACCOUNTS,
    ALL,
    Tables,
    change_target,
    make_project,
    run,
    target,
    write_exports,
)

pytestmark = pytest.mark.live


def apart(folder: Path, named: str = "account/old:A1", *, dry_run: bool = False) -> Unmerged:
    return unmerge(load_project(folder), named, who="Ann", dry_run=dry_run, confirmed=True)


@pytest.fixture
def never(tmp_path: Path) -> Path:
    """A migration that never merged anything."""
    folder = tmp_path / "never"
    run(folder, merge=False)
    return folder


def test_children_of_merged_records_go_to_the_survivor_and_home_again(tmp_path: Path, never: Path) -> None:
    folder = tmp_path / "merged"
    run(folder)
    found = target(folder)
    assert set(found["account"]) == {"old:A2", "old:A4", "old:A5"}
    assert [found["contact"][f"old:C{n}"]["account"] for n in range(4)] == ["old:A2"] * 3 + ["old:A4"]
    assert [found["note"][f"old:N{n}"]["about"] for n in range(5)] == ["old:A2"] * 3 + ["old:C2", None]
    assert found["account"]["old:A5"]["parent"] == "old:A2"
    done = apart(folder)
    assert done.children == {"account": 1, "contact": 2, "note": 2}
    assert done.decisions == 3
    assert target(folder) == target(never)
    assert status(load_project(folder)).closed
    with pytest.raises(ProjectError, match="no such cluster") as again:
        apart(folder)
    assert "migrator load" in again.value.problems[0].hint
    # a rerun keeps them apart, and writes nothing
    assert steps.run(load_project(folder)).load.written == 0
    assert target(folder) == target(never)


def test_records_that_were_loaded_before_they_were_merged_come_back(tmp_path: Path, never: Path) -> None:
    """The survivor takes over an address that the loser's own record holds in the target, and gives it back."""
    folder = tmp_path / "late"
    first = [{**row, "Tax": row["Id"]} for row in ACCOUNTS]
    run(folder, {**ALL, "Account": first})
    assert set(target(folder)["account"]) == {f"old:A{n}" for n in range(1, 6)}
    newest = [{**row, "Changed": "2027-01-01"} if row["Id"] == "A3" else row for row in ACCOUNTS]
    write_exports(folder, {"Account": newest})
    for step in (steps.extract, steps.map_records, steps.dedupe):
        step(load_project(folder))
    assert [item.released for item in plan(load_project(folder)).objects] == [1, 0, 0]
    merged = steps.run(load_project(folder))
    assert merged.load.refused == 0
    found = target(folder)
    assert {found["contact"][f"old:C{n}"]["account"] for n in range(3)} == {"old:A1"} or len(
        {found["contact"][f"old:C{n}"]["account"] for n in range(3)}
    ) == 1
    holders = [key for key, row in found["account"].items() if row["email"] == "two@acme.cn"]
    assert len(holders) == 1
    apart(folder)
    write_exports(folder, {"Account": ACCOUNTS})
    assert steps.run(load_project(folder)).load.refused == 0
    assert target(folder) == target(never)


@pytest.mark.parametrize(
    ("sql", "record", "field"),
    [
        ("UPDATE account SET city = 'Paris' WHERE legacy_id = 'old:A2'", "account/old:A2", "city"),
        ("UPDATE contact SET name = 'Edited' WHERE legacy_id = 'old:C2'", "contact/old:C2", "name"),
        ("UPDATE account SET parent = NULL WHERE legacy_id = 'old:A5'", "account/old:A5", "parent"),
        ("DELETE FROM note WHERE legacy_id = 'old:N2'", "note/old:N2", "not in the target any more"),
    ],
)
def test_what_somebody_edited_since_is_refused_and_listed(
    tmp_path: Path, sql: str, record: str, field: str
) -> None:
    run(tmp_path)
    change_target(tmp_path, sql)
    before = target(tmp_path)
    found = apart(tmp_path)
    assert [(f"{item.object}/{item.record}", field in item.detail) for item in found.edited] == [
        (record, True)
    ]
    assert (found.decisions, found.load) == (0, None)
    with pytest.raises(SafetyStop, match="1 records were changed"):
        raise_unless_possible(found)
    assert target(tmp_path) == before
    assert apart(tmp_path, dry_run=True).edited == found.edited


def test_an_edit_of_a_record_that_stays_as_it_is_does_not_matter(tmp_path: Path) -> None:
    run(tmp_path)
    change_target(tmp_path, "UPDATE contact SET name = 'Edited' WHERE legacy_id = 'old:C1'")
    assert apart(tmp_path).edited == ()
    assert target(tmp_path)["contact"]["old:C1"]["name"] == "Edited"


def test_a_dry_run_decides_and_writes_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    before = target(tmp_path)
    found = apart(tmp_path, dry_run=True)
    assert found.children == {"account": 1, "contact": 2, "note": 2}
    assert [(item.record, item.survives) for item in found.merge.members] == [
        ("old:A2", True), ("old:A1", False), ("old:A3", False),
    ]  # fmt: skip
    assert target(tmp_path) == before
    assert apart(tmp_path, dry_run=True) == found


def test_before_the_load_only_the_decision_is_made(tmp_path: Path, never: Path) -> None:
    project = make_project(tmp_path)
    for step in (steps.extract, steps.map_records, steps.dedupe):
        step(project)
    done = apart(tmp_path, "old:A3")
    assert (done.load, done.decisions) == (None, 3)
    steps.run(load_project(tmp_path))
    assert target(tmp_path) == target(never)


def test_a_cluster_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    for step in (steps.extract, steps.map_records, steps.dedupe):
        step(project)
    with pytest.raises(ProjectError, match="there is no such cluster"):
        apart(tmp_path, "account/old:A4")
    with pytest.raises(SafetyStop):
        unmerge(project, "account/old:A1", dry_run=False, confirmed=False)


def test_a_merged_record_tells_its_target_also_when_it_is_gone_from_the_source(tmp_path: Path) -> None:
    run(tmp_path)
    told = explain(load_project(tmp_path), "account/old:A3")
    assert told.found.loaded is not None
    assert told.found.loaded.target_key == "old:A2"
    left: Tables = {"Account": [row for row in ACCOUNTS if row["Id"] != "A3"]}
    write_exports(tmp_path, left)
    steps.run(load_project(tmp_path))
    gone = explain(load_project(tmp_path), "account/old:A3")
    assert gone.found.state == "merged"
    assert gone.found.loaded is not None
    assert gone.found.loaded.target_key == "old:A2"
    assert any("old:A2" in value for _, facts in gone.stages() for _, value in facts)
