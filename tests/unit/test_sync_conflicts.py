"""Conflicts of the sync: lists show no values, a person decides once, workbooks come back exactly, values are forgotten in time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.commands import sync_people as people
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync_conflicts import (
    FORGOTTEN,
    Asked,
    Conflict,
    SideValue,
    forget,
    list_conflicts,
    resolve_conflict,
    show_conflict,
)
from migrator.commands.sync_status import sync_status
from migrator.commands.sync_stuck import stuck_records
from migrator.commands.sync_workbook import export_conflicts, import_conflicts, sheet_of
from migrator.core.clock import FixedClock
from migrator.core.errors import ProjectError, SafetyStop
from migrator.mapping.workbook_sheets import read_sheets, write_sheets
from migrator.staging import journal
from tests.sync_kit import NOW, conflict, put, rows_of, write_project
from tests.sync_world import MemorySide


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = write_project(tmp_path)
    named = {"members": [{"side": "old", "stream": "contact/old", "id": "c9", "values": {"name": "Maria"}, "bases": {"name": "Marie"}}]}  # fmt: skip
    put(
        made,
        conflicts=[
            conflict(1),
            conflict(2),
            conflict(3, field="name", members=json.dumps(named)),
            conflict(4, state="logged", at=NOW - timedelta(days=91)),
            conflict(5, state="open", at=NOW - timedelta(days=91)),
        ],
    )
    return made


def journalled(project: Project) -> list[str]:
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        assert journal.verify(connection).holds
        return [entry.kind for entry in journal.read(connection)]


def test_a_list_holds_records_and_fields_but_no_values(project: Project) -> None:
    found = list_conflicts(project, Asked())
    assert [item.number for item in found.conflicts] == [5, 3, 2, 1]
    assert (found.conflicts[1].owner, found.total) == ("Li", 4)
    told = json.dumps(found.to_json())
    assert "c1" in told
    assert not any(word in told for word in ("Hot", "lost", "Maria"))
    assert [item.number for item in list_conflicts(project, Asked(field="name")).conflicts] == [3]
    assert [item.number for item in list_conflicts(project, Asked(state="logged")).conflicts] == [4]
    assert list_conflicts(project, Asked(reason="undelete")).total == 0


def test_values_are_shown_one_by_one_and_personal_ones_masked(project: Project) -> None:
    now, plain = show_conflict(project, 1, unmask=False)
    assert set(plain.shown(now, unmask=False)["records"][0]["base"]) == {"stage"}
    now, named = show_conflict(project, 3, unmask=False)
    assert named.shown(now, unmask=False)["records"][0]["now"] == {"name": "M•••• (5)"}
    assert journalled(project) == []
    show_conflict(project, 3, unmask=True)
    assert named.shown(now, unmask=True)["records"][0]["base"] == {"name": "Marie"}
    assert journalled(project) == ["shown"]
    with pytest.raises(ProjectError, match="there is no conflict 77"):
        show_conflict(project, 77, unmask=False)


def test_a_decision_is_put_on_record_with_its_name_and_can_be_changed_until_it_is_carried_out(
    project: Project,
) -> None:
    assert resolve_conflict(project, 1, "old", who="Wei", note="called them").winner == "old"
    assert resolve_conflict(project, 1, "new", who="Wei", note="").winner == "new"
    (row,) = [item for item in rows_of(project, "conflicts") if item["number"] == 1]
    assert (row["state"], row["winner"], row["who"]) == ("resolved", "new", "Wei")
    assert journalled(project) == ["override", "override"]
    with pytest.raises(SafetyStop, match="conflict 4 is logged"):
        resolve_conflict(project, 4, "old", who="Wei", note="")
    with pytest.raises(ProjectError, match="no side"):
        resolve_conflict(project, 2, "both", who="Wei", note="")


def test_a_workbook_comes_back_exactly(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "open.xlsx"
    assert export_conflicts(project, path, ()).to_json() == {"path": str(path), "conflicts": 4, "left": 0}
    assert import_conflicts(project, path, who="Wei").to_json() == {"decided": 0, "blank": 4}
    book = openpyxl.load_workbook(path)
    page = book["conflicts"]
    columns = {cell.value: cell.column for cell in page[1]}
    for row in range(2, 6):
        number = page.cell(row, columns["number"]).value
        if number in ("1", "2"):
            page.cell(row, columns["decision"]).value = {"1": "old", "2": "New "}[number]
            page.cell(row, columns["who"]).value = "Li" if number == "2" else None
    book.save(path)
    assert import_conflicts(project, path, who="Wei").decided == 2
    found = {
        row["number"]: (row["state"], row["winner"], row["who"]) for row in rows_of(project, "conflicts")
    }
    assert (found[1], found[2], found[3][0]) == (
        ("resolved", "old", "Wei"),
        ("resolved", "new", "Li"),
        "open",
    )
    assert sync_status(project).state.decided == 2


def test_a_workbook_with_mistakes_changes_nothing(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "open.xlsx"
    export_conflicts(project, path, ())
    put(project)
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE migrator_sync_conflict SET state = 'closed' WHERE number = 1")
    book = openpyxl.load_workbook(path)
    page = book["conflicts"]
    columns = {cell.value: cell.column for cell in page[1]}
    for row in range(2, 6):
        number = page.cell(row, columns["number"]).value
        page.cell(row, columns["decision"]).value = {"1": "old", "2": "both", "3": "new"}.get(number)
    book.save(path)
    with pytest.raises(ProjectError) as caught:
        import_conflicts(project, path, who="Wei")
    told = str(caught.value)
    assert "conflict 1 was settled since the export" in told
    assert "'both' is no side" in told
    assert {row["state"] for row in rows_of(project, "conflicts")} == {"open", "logged", "closed"}


awkward = st.sampled_from(["=1+1", "+x", "-x", "@x", "\t=x", "\r=x", "＝1", "_x000D_", "a\nb", "'=x", "0012", "1e5", "x" * 99]) | st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), min_size=1, max_size=20
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=awkward)
def test_no_cell_is_a_formula_and_every_text_comes_back(value: str, tmp_path: Path) -> None:
    members = tuple(SideValue(side, "contact", value, "1", {"stage": value}, {}) for side in ("old", "new"))
    found = Conflict(1, "contact", 1, "stage", value, "hold", "open", NOW, members, "d")
    path = tmp_path / "open.xlsx"
    write_sheets([sheet_of([found], NOW)], path)
    cells = [cell for row in openpyxl.load_workbook(path)["conflicts"].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}
    (sheet,) = read_sheets(path)
    assert sheet.rows[0].get("reason", "") == value.replace("\r\n", "\n").strip()


def test_values_of_settled_conflicts_are_forgotten_in_time(project: Project) -> None:
    with open_workspace(project) as workspace:
        workspace.ledger.clock = _At()  # type: ignore[assignment]
        assert forget(workspace.ledger, timedelta(days=90)) == 1
        assert forget(workspace.ledger, timedelta(days=90)) == 0
    kept = {row["number"]: row["members"] == FORGOTTEN for row in rows_of(project, "conflicts")}
    assert kept == {1: False, 2: False, 3: False, 4: True, 5: False}
    assert journalled(project) == ["forgotten"]
    assert list_conflicts(project, Asked(state="logged")).conflicts[0].members == ()


class _At:
    def now(self):  # type: ignore[no-untyped-def]
        return NOW


def test_records_that_do_not_move_are_named_without_their_values(project: Project) -> None:
    row = {
        "stream": "contact/old",
        "why": "failed",
        "since": NOW,
        "not_before": None,
        "message": "Maria is no name",
    }
    member = {"since": 1, "until": None, "side": "old", "state": "live", "leads": True, "version": "1", "base": "{}", "seen": None}  # fmt: skip
    put(
        project,
        dirty=[
            row | {"id": "c7", "attempts": 3, "code": "rule"},
            row | {"id": "c8", "attempts": 0, "code": ""},
        ],
        members=[member | {"stream": "contact/old", "id": "c9", "grp": 4}],
        holds=[
            {
                "grp": 4,
                "field": "",
                "mapping": "contact",
                "kind": "missing",
                "reason": "missing",
                "since": NOW,
                "checks": 2,
            }
        ],
    )
    found = stuck_records(project)
    told = [item.to_json(NOW, unmask=False) for item in found.records]
    assert [(item["what"], item["records"], item["reason"], item["tries"]) for item in told] == [
        ("failing", ["contact/old:c7"], "rule", 3),
        ("held", ["contact/old:c9"], "missing", 2),
    ]
    assert (found.total, "Maria" in json.dumps(told)) == (2, False)
    assert found.records[0].to_json(NOW, unmask=True)["message"] == "Maria is no name"


def test_a_pause_says_who_and_why_until_resume(project: Project) -> None:
    people.pause(project, who="Li", why="audit")
    found = sync_status(project)
    assert (found.state.pause.who, found.state.pause.why) == ("Li", "audit")  # type: ignore[union-attr]
    assert any("Li paused the sync" in item.what for item in found.standing.causes)
    assert people.resume(project, who="Wei").number == 1
    assert people.resume(project, who="Wei").number == 0
    assert sync_status(project).state.pause is None
    assert journalled(project) == ["paused", "resumed"]


def test_a_brake_passes_only_by_two_people_and_for_the_mapping_as_it_is(project: Project) -> None:
    put(project, brakes=[{"mapping": "contact", "kind": "deletes", "measured": 99, "allowed": 20, "since": NOW, "run": "r"}])  # fmt: skip
    for second, why, message in (
        ("", "x", "two people"),
        ("li ", "x", "two people"),
        ("Wei", "", "nobody says why"),
    ):
        with pytest.raises(SafetyStop, match=message):
            people.approve_brake(project, "contact/deletes", people.Approvers("Li", second, why), None)
    with pytest.raises(ProjectError, match="did you mean 'contact/deletes'"):
        people.approve_brake(project, "contact/delets", people.Approvers("Li", "Wei", "x"), None)
    people.approve_brake(project, "contact/deletes", people.Approvers("Li", "Wei", "the old team left"), None)
    (row,) = rows_of(project, "approvals")
    assert (row["allowed"], row["who"], row["second"]) == (99, "Li", "Wei")
    assert row["until"] - row["at"] == timedelta(hours=24)
    assert row["fingerprint"]
    assert journalled(project) == ["override"]


def test_a_schema_is_approved_by_two_people(project: Project) -> None:
    put(project, snapshots=[{"system": "old", "described": "{}", "at": NOW}])
    told = people.approve_drift(project, "old", people.Approvers("Li", "Wei", "a field was renamed"))
    assert (told.number, rows_of(project, "snapshots")) == (1, [])
    with pytest.raises(ProjectError, match="no system"):
        people.approve_drift(project, "odl", people.Approvers("Li", "Wei", "x"))


def test_a_restored_ledger_counts_under_a_generation_that_no_system_has_seen(project: Project) -> None:
    clock = FixedClock(NOW)
    sides = {name: MemorySide(name[0], {"Contact": ("Id",)}, clock) for name in ("old", "new")}
    sides["new"].set_marker("the ledger that was lost/7")
    both = people.Approvers("Li", "Wei", "restored from the backup of Monday")
    with pytest.raises(SafetyStop, match="no run has rebuilt"):
        people.approve_restored(project, both, lambda _, name: sides[name])
    put(project, state=[{"name": "restored", "value": "rebuilt"}])
    people.approve_restored(project, both, lambda _, name: sides[name])
    with open_workspace(project) as workspace:
        identity = workspace.ledger.identity
    assert [side.marker() for side in sides.values()] == [f"{identity}/8"] * 2
