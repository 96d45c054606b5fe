"""`migrator run --overlap`: it ends as a plain run does, it really overlaps, and it stops, refuses and goes back as one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.commands.measured import what_steps_took
from migrator.commands.overlap import LEAST_MB, Overlapped, StageTime
from migrator.commands.project import Workspace, load_project, open_workspace
from migrator.commands.run import run
from migrator.core.errors import FatalError, RetryableError, SafetyStop
from migrator.staging.engine import DuckSession
from migrator.staging.erasures import Place, Request, ask
from migrator.testing.faults import FaultySource, FaultyTarget
from migrator.testing.troubles import Fault, Trouble, by_chance, on_calls
from tests.e2e.demo_project import dump
from tests.faults.crash_project import CrashProject, Stage, make_ready, write_project
from tests.overlap_kit import SlowSource, SlowTarget, wrap, write_drawn
from tests.postgres import TestServer
from tests.small_migration import assert_told, migrator, replace_in, target_rows, write_small

RUN = ("run", "--skip-validate")


def overlapped(folder: Path) -> dict[str, Any]:
    """What an overlapped run says of it."""
    return CrashProject(folder).run(*RUN, "--overlap", "--json").json()


def assert_same(here: CrashProject, undisturbed: CrashProject, *, but: str = "") -> None:
    """Both projects are in the same state."""
    expected = undisturbed.state()
    for what, found in here.state().items():
        assert what == but or found == expected[what], what


def is_loaded(folder: Path, name: str) -> bool:
    """Whether the target of a project has rows of a table."""
    return (folder / "crm.db").exists() and bool(target_rows(folder / "crm.db").get(name))


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait in the middle of one side until the other side has come so far."""
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, "the other side never came so far"
        time.sleep(0.1)


def drawn(folder: Path, seed: int, *arguments: str) -> CrashProject:
    here = write_drawn(folder, seed)
    here.run(*RUN, *arguments)
    return here


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 13))])
def test_it_ends_as_a_plain_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    plain = drawn(tmp_path / "plain", seed)
    here = write_drawn(tmp_path / "overlapped", seed)
    wrap(monkeypatch, lambda source: SlowSource(source, lambda name, _rows: 0.3 if name in "ABC" else 1.0))
    told = overlapped(here.folder)
    assert len(told["overlap"]["stages"]) > 1
    assert_same(here, plain)
    assert overlapped(here.folder)["load"]["written"] == 0
    assert_same(here, plain)


@pytest.mark.slow
def test_it_ends_as_a_plain_run_does_over_updates_refusals_files_and_links_in_a_circle(
    tmp_path: Path,
) -> None:
    plain, here = (write_project(tmp_path / name) for name in ("plain", "overlapped"))
    for stage in (Stage.FIRST, Stage.SECOND):
        for one, more in ((plain, ()), (here, ("--overlap",))):
            make_ready(stage, one)
            one.run(*RUN, *more)
        assert_same(here, plain)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_it_ends_as_a_plain_run_does_on_a_bad_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    plain = drawn(tmp_path / "plain", seed)
    here = write_drawn(tmp_path / "overlapped", seed)
    wrap(
        monkeypatch,
        lambda source: SlowSource(
            FaultySource(source, by_chance(seed, 0.3, verbs=frozenset({"read"}))), lambda *_: 0.3
        ),
        lambda target: FaultyTarget(target, by_chance(seed, 0.3)),
    )
    assert len(overlapped(here.folder)["overlap"]["stages"]) > 1
    assert_same(here, plain)


@pytest.mark.slow
def test_it_ends_as_a_plain_run_does_where_machines_share_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = drawn(tmp_path / "plain", 3)
    here = write_drawn(tmp_path / "overlapped", 3)
    with (here.folder / "migration.yaml").open("a", encoding="utf-8") as file:
        file.write(f"staging: file://{tmp_path / 'shared'}\n")
    wrap(monkeypatch, lambda source: SlowSource(source, lambda *_: 0.5))
    assert len(overlapped(here.folder)["overlap"]["stages"]) > 1
    assert list((tmp_path / "shared").rglob("*.parquet"))
    assert_same(here, plain)


@pytest.mark.slow
@pytest.mark.postgres
def test_it_ends_as_a_plain_run_does_with_ledger_and_target_on_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: TestServer
) -> None:
    ends = []
    for more in ((), ("--overlap",)):
        here = write_drawn(tmp_path / f"project{len(more)}", 3)
        with (
            postgres_server.database() as ledger,
            postgres_server.database() as target,
            monkeypatch.context() as patch,
        ):
            replace_in(
                here.folder / "migration.yaml",
                {"sqlite:///crm.db": target, "engine:": f"ledger: {ledger}\nengine:"},
            )
            wrap(patch, lambda source: SlowSource(source, lambda *_: 0.5))
            told = here.run("run", "--json", *more).json()  # validated too
            assert told["validation"]["holds"]
            assert not more or len(told["overlap"]["stages"]) > 1
            ends.append((dump(target), here.run("status", "--json").json()))
    assert ends[0] == ends[1]


def test_it_loads_while_it_still_reads_and_tells_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_small(tmp_path / "project")
    loaded_before: list[set[str]] = []

    def seconds(name: str, _rows: int) -> float:
        if name.lower() != "contact":
            return 0.0
        wait_until(lambda: is_loaded(folder, "account"))
        loaded_before.append({name for name, rows in target_rows(folder / "crm.db").items() if rows})
        return 0.0

    wrap(monkeypatch, lambda source: SlowSource(source, seconds))
    told = overlapped(folder)["overlap"]
    assert loaded_before[0] >= {"account"}
    assert "contact" not in loaded_before[0]
    stages = told["stages"]
    assert sorted(name for stage in stages for name in stage["objects"]) == ["account", "contact", "order"]
    assert stages[0]["began"] < told["extract_seconds"] <= stages[-1]["began"]
    assert told["at_once_seconds"] > 0
    both = told["extract_seconds"] + told["load_seconds"] - told["seconds"]
    assert told["at_once_seconds"] == pytest.approx(both, abs=0.8), "in between nobody works for a moment"
    lines = [
        json.loads(line)
        for line in next((folder / ".migrator" / "events").iterdir()).read_text().splitlines()
    ]
    at = {(line["event"], line["step"], line["object"]): number for number, line in enumerate(lines)}
    for stage in stages:
        name = ", ".join(stage["objects"])
        assert at["step.started", "stage", name] < at["step.finished", "stage", name]
    assert at["batch.answered", "load", "account"] < at["step.finished", "extract", "salesforce/Contact"]


def test_how_long_both_were_at_work() -> None:
    found = Overlapped(
        "", (StageTime(("a",), 1.0, 4.0), StageTime(("b",), 5.0, 9.0), StageTime(("c",), 9.0, 12.0)), 7.0
    )
    assert (found.load_seconds, found.seconds, found.at_once_seconds) == (10.0, 12.0, 5.0)


def test_where_nothing_can_overlap_it_says_why_and_runs_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_small(tmp_path / "project")
    for name in ("contact", "order"):
        (folder / "mappings" / f"{name}.yaml").unlink()
    said = migrator(folder, capsys, *RUN, "--overlap")
    assert said.code == 0, said
    why = "all objects depend on one another"
    assert why in said.err
    assert why in said.out
    lines = next((folder / ".migrator" / "events").iterdir()).read_text()
    assert '"run.plain"' in lines
    assert len(target_rows(folder / "crm.db")["account"]) == 3


def test_too_little_memory_for_two_is_told(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "project")
    replace_in(folder / "migration.yaml", {"500MB": f"{LEAST_MB - 1}MB"})
    assert "engine.memory_limit" in overlapped(folder)["overlap"]["plain"]


def test_a_database_that_is_read_from_and_written_to_is_told(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "project")
    replace_in(
        folder / "migration.yaml",
        {"  crm:": '  again: {connector: sql, url: "sqlite:///crm.db"}\n  crm:'},
    )
    CrashProject(folder).execute(
        'CREATE TABLE "Order" ("No." TEXT PRIMARY KEY, "select" TEXT, "Amount, net" TEXT)'
    )
    replace_in(
        folder / "mappings" / "order.yaml",
        {"system: shop": "system: again", "object: Order, key": "object: N, key"},
    )
    assert "are the same" in overlapped(folder)["overlap"]["plain"]


def test_both_share_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_small(tmp_path / "project")
    limits: dict[str, set[str]] = {}
    session = Workspace.session

    def noted(self: Workspace) -> DuckSession:
        limits.setdefault(threading.current_thread().name, set()).add(self.project.engine.memory_limit)
        return session(self)

    monkeypatch.setattr(Workspace, "session", noted)
    wrap(
        monkeypatch,
        lambda source: SlowSource(source, lambda name, _: 2.0 if name.lower() == "contact" else 0.0),
    )
    overlapped(folder)
    assert limits == {"extract": {"125MB"}, "MainThread": {"375MB", "500MB"}}


def test_the_cost_model_learns_nothing_from_it(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "project")
    overlapped(folder)
    with open_workspace(load_project(folder)) as workspace:
        assert what_steps_took(workspace.ledger) == {}


FORGETTING = {
    "migration.yaml": """\
project: forgetting
systems:
  old: {connector: files, path: old}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 500MB, threads: 1}
""",
    "mappings/a_visit.yaml": """\
mapping: a_visit
target: {system: crm, object: visit, key: legacy_id}
source: {system: old, object: Visit, key: Id, join: {p: {object: Person, on: {Person: Id}, missing: keep}}}
fields:
  legacy_id: {record_id: true}
  who: {from: p.Name, type: string(40)}
""",
    "mappings/b_person.yaml": """\
mapping: b_person
target: {system: crm, object: person, key: legacy_id}
source: {system: old, object: Person, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(40)}
  town: {from: Town, lookup: c_town}
""",
    "mappings/c_town.yaml": """\
mapping: c_town
target: {system: crm, object: town, key: legacy_id}
source: {system: old, object: Town, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(40)}
""",
    "old/Visit.csv": "Id,Person\nv1,p1\nv2,p2\n",
    "old/Person.csv": "Id,Name,Town\np1,Ada,t1\np2,Bo,t1\n",
    "old/Town.csv": "Id,Name\nt1,Ulm\n",
}


@pytest.mark.parametrize("more", [(), ("--overlap",)])
def test_who_was_forgotten_is_kept_out_of_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    for name, text in FORGETTING.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with open_workspace(load_project(tmp_path)) as workspace, workspace.ledger.begin() as connection:
        now = workspace.ledger.clock.now()
        places = (Place("b_person/old", "p1", "old", "Person"),)
        ask(connection, workspace.ledger, Request(0, now, "ann", "bob", "asked", places, None))
    sent: list[str] = []

    class Noting(SlowTarget):
        def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
            sent.append(f"{object_name} {rows.to_pylist()}")
            return super().upsert(object_name, rows, key=key)

    wrap(
        monkeypatch,
        lambda source: SlowSource(source, lambda name, _: 2.0 if name == "Town" else 0.0),
        lambda target: Noting(target, lambda *_: 0.0),
    )
    told = CrashProject(tmp_path).run(*RUN, "--json", *more).json()
    if more:
        assert told["overlap"]["stages"][0]["objects"] == ["a_visit"]
    assert any("visit" in text for text in sent)
    assert not [text for text in sent if "Ada" in text]
    assert CrashProject(tmp_path).held()["person"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> CrashProject:
    """The small migration after a plain run that nothing disturbed."""
    here = CrashProject(write_small(tmp_path_factory.mktemp("small") / "project"))
    here.run(*RUN)
    return here


def test_what_fails_in_the_extract_ends_both_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: CrashProject
) -> None:
    here = CrashProject(write_small(tmp_path / "project"))

    def read(name: str, _rows: int) -> float:
        if name.lower() == "contact":
            wait_until(lambda: is_loaded(here.folder, "account"))
            raise FatalError("the old system is gone", hint="ask for it back")
        return 0.0

    with monkeypatch.context() as patch:
        wrap(patch, lambda source: SlowSource(source, read))
        with pytest.raises(FatalError, match="gone"):
            run(here.project, overlapping=True, with_validation=False)
        assert not [thread for thread in threading.enumerate() if thread.name == "extract"]
    assert is_loaded(here.folder, "account"), "what was complete in itself is in the target"
    assert not is_loaded(here.folder, "contact")
    here.run(*RUN)
    assert_same(here, small)


def test_what_fails_in_the_load_ends_both_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: CrashProject
) -> None:
    here = CrashProject(write_small(tmp_path / "project"))
    called, begun = threading.Event(), []

    def read(name: str, _rows: int) -> float:
        if name.lower() != "contact":
            return 0.0
        begun.append(name)
        assert called.wait(60)
        return 3.0

    def write(_name: str, _rows: int) -> float:
        called.set()
        raise FatalError("the new system is gone", hint="buy another one")

    with monkeypatch.context() as patch:
        wrap(patch, lambda source: SlowSource(source, read), lambda target: SlowTarget(target, write))
        with pytest.raises(FatalError, match="gone"):
            run(here.project, overlapping=True, with_validation=False)
    assert begun == ["Contact"], "the extract went on though nothing could be loaded"
    here.run(*RUN, "--overlap")
    assert_same(here, small)


def test_both_fail_and_both_are_told_the_first_one_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_small(tmp_path / "project")
    called = threading.Event()

    def read(name: str, _rows: int) -> float:
        if name.lower() == "contact":
            assert called.wait(60)
            raise RetryableError("the old system went to bed", hint="wait for the morning", retry_after=3600)
        return 0.0

    def write(_name: str, _rows: int) -> float:
        called.set()
        time.sleep(1.5)
        raise FatalError("the new system burned down", hint="buy another one")

    wrap(monkeypatch, lambda source: SlowSource(source, read), lambda target: SlowTarget(target, write))
    said = migrator(folder, capsys, *RUN, "--overlap")
    assert_told(said, 4, "error the old system went to bed", "wait for the morning")
    assert "then the load failed too: the new system burned down" in said.err
    last = next((folder / ".migrator" / "events").iterdir()).read_text().splitlines()[-1]
    assert json.loads(last)["counts"]["exit_code"] == 4


def test_one_that_waits_for_long_wakes_up_when_the_other_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write_drawn(tmp_path / "project", 0)
    wait = Fault(Trouble.THROTTLED_HINT)
    wrap(
        monkeypatch,
        lambda source: FaultySource(source, lambda asked: wait if asked.object == "B" else None),
        lambda target: FaultyTarget(target, on_calls({1: Fault(Trouble.REVOKED)})),
    )
    monkeypatch.setattr(Fault, "error", _long_wait(Fault.error))
    began = time.monotonic()
    with pytest.raises(FatalError):
        run(here.project, overlapping=True, with_validation=False)
    assert time.monotonic() - began < 60


def _long_wait(error: Callable[..., Exception]) -> Callable[..., Exception]:
    def made(self: Fault, what: str) -> Exception:
        if self.trouble is Trouble.THROTTLED_HINT:
            return RetryableError("429", retry_after=250, throttled=True)
        return error(self, what)

    return made


def test_it_can_be_taken_back_as_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = write_drawn(tmp_path / "project", 0)
    with monkeypatch.context() as patch:
        wrap(patch, lambda source: SlowSource(source, lambda *_: 0.7))
        assert len(overlapped(here.folder)["overlap"]["stages"]) > 1
    assert any(here.held().values())
    (one,) = here.runs()
    here.run("rollback", one, "--yes")
    assert not any(here.held().values())
    here.run(*RUN, "--overlap")
    assert_same(here, drawn(tmp_path / "plain", 0), but="datasets")  # what was undone is on record


def test_production_that_nobody_named_is_not_read_for_and_not_written_to(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "project")
    replace_in(folder / "migration.yaml", {'crm.db"': 'crm.db", production: true'})
    with pytest.raises(SafetyStop, match="production"):
        run(load_project(folder), overlapping=True)
    assert not (folder / ".migrator" / "staging" / "staged").exists()
    assert not (folder / "crm.db").exists()
