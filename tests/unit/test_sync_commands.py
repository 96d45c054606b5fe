"""The sync's commands over two systems in memory: verdicts, dry runs, conflicts decided by a person, pauses, failures."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from migrator.commands import sync_people as people
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync import SyncRun, once, rehearse
from migrator.commands.sync_conflicts import Asked, list_conflicts, resolve_conflict
from migrator.commands.sync_status import sync_status
from migrator.commands.sync_watch import Stop, until_stopped, watch
from migrator.commands.sync_workbook import export_conflicts, import_conflicts
from migrator.core.clock import FixedClock, SystemClock
from migrator.core.errors import MigratorError, ProjectError, RetryableError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.core.twoway import Side
from migrator.sync.report import Status
from tests.sync_kit import rows_of, write_project
from tests.sync_world import MemorySide

MAPPING = """
mapping: contact
target: {system: new, object: person, key: Key}
source: {system: old, object: Contact}
fields:
  name: {from: Name, pii: name}
  stage: {from: Stage, values: {Hot: open, Warm: open, Won: won}}
  boss: {from: BossId, lookup: contact}
sync: {direction: both, key: Key, policy: {default: old_wins, stage: hold}, delete: propagate}
"""
SCHEMA = ObjectSchema(
    "Contact",
    "Id",
    (
        FieldSchema("Id", FieldType.ID),
        FieldSchema("Key", FieldType.STRING),
        FieldSchema("Name", FieldType.STRING),
        FieldSchema("Stage", FieldType.PICKLIST),
        FieldSchema("BossId", FieldType.REFERENCE, references=("Contact",)),
    ),
)


class World:
    """A project, and its two systems."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.project = write_project(folder, settings, MAPPING)
        self.project.save_schema("old", [SCHEMA])
        self.clock = FixedClock(SystemClock().now())
        self.old = MemorySide("o", {"Contact": ("Id", "Name", "Stage", "BossId")}, self.clock, marker=False)
        self.new = MemorySide("n", {"person": ("name", "stage", "boss")}, self.clock, marker=False)

    def side(self, _project: Project, name: str) -> Side:
        return {"old": self.old, "new": self.new}[name]

    def once(self, **more: Any) -> SyncRun:
        return once(self.project, open_system=self.side, **more)

    def settle(self) -> SyncRun:
        self.once()
        return self.once()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.slow
def test_records_flow_both_ways_and_an_idle_run_is_green(world: World) -> None:
    boss = world.old.add("Contact", Name="Li", Stage="Warm")
    world.old.add("Contact", Name="Wei", Stage="Won", BossId=boss)
    world.new.add("person", name="Ana", stage="won")
    done = world.settle()
    assert (done.standing.status, done.standing.exit_code, done.report.writes) == (Status.GREEN, 0, 0)
    held = {row.values["name"]: row.values for row in world.new.rows["person"].values()}
    assert held["Wei"]["boss"] == next(
        key for key, row in world.new.rows["person"].items() if row.values["name"] == "Li"
    )
    assert held["Wei"]["Key"] == "old:o002"
    (ana,) = [row.values for row in world.old.rows["Contact"].values() if row.values["Name"] == "Ana"]
    assert (ana["Stage"], ana["Key"]) == ("Won", "n001")
    assert sync_status(world.project).standing.status is Status.GREEN


@pytest.mark.slow
def test_an_undone_change_brings_back_the_value_that_was_there(world: World) -> None:
    """Warm and Hot are both open on the new side: closed and opened again, the record is Warm, not Hot."""
    world.old.add("Contact", Name="Li", Stage="Warm")
    world.settle()
    for stage, expected in (("won", "Won"), ("open", "Hot")):
        world.new.edit("person", "n001", stage=stage)
        world.settle()
        assert world.old.values("Contact", "o001")["Stage"] == expected


def test_a_dry_run_shows_what_a_run_would_write_and_leaves_no_trace(world: World) -> None:
    world.old.add("Contact", Name="Li", Stage="Warm")
    found = rehearse(world.project, open_system=world.side)
    (row,) = found.to_json(unmask=False)["writes"]
    assert row == {"system": "new", "object": "person", "kind": "create", "id": "old:o001", "fields": ["Key", "name", "stage"]}  # fmt: skip
    assert "Li" not in json.dumps(found.to_json(unmask=False))
    assert found.to_json(unmask=True)["writes"][0]["fields"]["name"] == "Li"
    assert world.new.rows["person"] == {}
    assert {name: rows_of(world.project, name) for name in ("members", "dirty", "reports", "watermarks")} == {
        "members": [], "dirty": [], "reports": [], "watermarks": [],
    }  # fmt: skip
    assert world.settle().standing.status is Status.GREEN
    world.new.edit("person", "n001", name="Lee")
    (row,) = rehearse(world.project, open_system=world.side).to_json(unmask=False)["writes"]
    assert (row["system"], row["kind"], row["id"], row["fields"]) == ("old", "update", "o001", ["Name"])
    assert world.old.values("Contact", "o001")["Name"] == "Li"


def conflicting(world: World) -> int:
    world.old.add("Contact", Name="Li", Stage="Warm")
    world.settle()
    world.old.edit("Contact", "o001", Stage="Won", Name="Liu")
    world.new.edit("person", "n001", stage="lost")
    done = world.once()
    assert (done.standing.status, done.standing.exit_code) == (Status.RED, 5)
    assert world.new.values("person", "n001")["name"] == "Liu"
    (found,) = list_conflicts(world.project, Asked()).conflicts
    return found.number


@pytest.mark.slow
def test_a_held_field_waits_for_a_person_while_the_others_flow(world: World) -> None:
    number = conflicting(world)
    assert [item.code for item in sync_status(world.project).standing.causes] == ["conflicts"]
    resolve_conflict(world.project, number, "old", who="Wei", note="")
    assert sync_status(world.project).state.decided == 1
    assert world.settle().standing.status is Status.GREEN
    assert world.new.values("person", "n001")["stage"] == "won"
    assert list_conflicts(world.project, Asked()).total == 0


@pytest.mark.slow
def test_a_decision_comes_back_in_a_workbook(world: World, tmp_path: Path) -> None:
    conflicting(world)
    path = tmp_path / "open.xlsx"
    assert export_conflicts(world.project, path, ()).conflicts == 1
    book = openpyxl.load_workbook(path)
    page = book["conflicts"]
    columns = {cell.value: cell.column for cell in page[1]}
    assert page.cell(2, columns["old now"]).value == "Won"
    page.cell(2, columns["decision"]).value = "old"
    book.save(path)
    assert import_conflicts(world.project, path, who="Wei").decided == 1
    world.settle()
    assert world.new.values("person", "n001")["stage"] == "won"


@pytest.mark.slow
def test_an_edit_after_the_decision_makes_a_new_question(world: World) -> None:
    number = conflicting(world)
    resolve_conflict(world.project, number, "old", who="Wei", note="")
    world.new.edit("person", "n001", stage="parked")
    world.once()
    assert world.new.values("person", "n001")["stage"] == "parked"
    assert [item.number for item in list_conflicts(world.project, Asked()).conflicts] == [number + 1]


@pytest.mark.slow
def test_a_paused_sync_touches_nothing(world: World) -> None:
    people.pause(world.project, who="Li", why="audit")
    world.old.add("Contact", Name="Li", Stage="Warm")
    with pytest.raises(SafetyStop, match="Li paused the sync"):
        world.once()
    assert world.old.calls == world.new.calls == []
    people.resume(world.project, who="Li")
    assert world.settle().standing.exit_code == 0


@pytest.mark.slow
def test_a_system_that_does_not_answer_is_yellow_and_told(tmp_path: Path) -> None:
    world = World(tmp_path, "sync: {alerts: [{on: [yellow], command: 'tee told.json'}]}\n")

    def busy(_verb: str) -> None:
        raise RetryableError("busy")

    world.new.before = busy
    world.clock.sleep(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "sleep", lambda *_: None)
        done = world.once()
    assert (done.standing.status, done.standing.exit_code) == (Status.YELLOW, 4)
    assert json.loads((tmp_path / "told.json").read_text())["why"].endswith("busy")


@pytest.mark.slow
def test_production_must_be_named_each_system_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    systems = {name: replace(item, production=True) for name, item in world.project.systems.items()}
    world.project = replace(world.project, systems=systems)
    with pytest.raises(SafetyStop, match="is production"):
        world.once(production=["new"])
    with pytest.raises(SafetyStop, match="does not write to it"):
        world.once(production=["new", "old", "other"])
    world.once(production=["new", "old"])


def test_a_project_without_sync_says_where_to_say_so(tmp_path: Path) -> None:
    project = write_project(tmp_path, "", MAPPING.partition("sync:")[0])
    project.save_schema("old", [SCHEMA])
    with pytest.raises(ProjectError, match="no mapping is synced"):
        once(project)


@pytest.mark.slow
def test_the_run_stands_in_events_health_and_metrics(world: World) -> None:
    world.old.add("Contact", Name="Secretive", Stage="Warm")
    world.once()
    lines = [
        json.loads(line)
        for path in (world.project.workspace / "events").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    judged = [line for line in lines if line["event"] == "sync.judged"]
    assert [line["step"] in ("green", "yellow", "red") for line in judged] == [True]
    assert any(line["object"] == "contact" and line["counts"].get("created_new") for line in lines)
    assert json.loads((world.project.workspace / "sync" / "health.json").read_text())["status"]
    told = [
        path.read_bytes() for path in world.project.workspace.rglob("*")
        if path.is_file() and path.suffix in (".json", ".jsonl", ".prom")
    ]  # fmt: skip
    assert b"Secretive" not in b"".join(told)


def test_watch_goes_on_after_failures_and_ends_between_two_runs(world: World) -> None:
    done = world.settle()
    stop, heard = Stop(), list[object]()
    answers = iter([done, RetryableError("busy"), done])

    def run() -> SyncRun:
        found = next(answers)
        if isinstance(found, MigratorError):
            raise found
        return found

    def told(found: object) -> None:
        heard.append(found)
        if len(heard) == 3:
            stop.asked.set()

    watched = watch(run, timedelta(seconds=0.01), stop, told)
    assert (watched.runs, watched.failed, len(heard)) == (3, 1, 3)


def test_a_signal_ends_the_wait_at_once_and_a_second_one_the_run() -> None:
    with until_stopped() as stop:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert stop.asked.wait(5)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is not stop


def test_files_that_are_wrong_end_the_watch() -> None:
    def run() -> SyncRun:
        raise ProjectError.at("mapping", "wrong")

    with pytest.raises(ProjectError):
        watch(run, timedelta(seconds=9), Stop(), lambda _: None)


def test_two_runs_at_once_are_one(world: World) -> None:
    with open_workspace(world.project) as workspace, workspace.ledger.lease(), pytest.raises(SafetyStop):
        world.once()
    assert world.old.calls == []
