"""The real sync in the simulated world: a few nights with and without faults, idle nights, clocks, crash points, equal runs of equal seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from migrator.core.twoway import Update
from migrator.testing.simulation.command import main
from migrator.testing.simulation.engine import make_engine
from migrator.testing.simulation.halfyear import HalfYear
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.settings import HEAVY, NONE, USUAL, Settings
from migrator.testing.simulation.shape import NEW, OLD
from migrator.testing.simulation.world import everything

SMALL = Settings(nights=3, records=20, edits=16, rates=NONE)


def test_a_few_nights_of_users_violate_nothing() -> None:
    report = HalfYear(SMALL, make_engine).run()
    assert report.violations == []
    assert report.written > 10


def test_a_few_rough_nights_violate_nothing() -> None:
    report = HalfYear(replace(SMALL, rates=replace(USUAL, lost=0.1, late=0.3, kill=0.01)), make_engine).run()
    assert report.violations == []
    assert report.faults + report.kills > 0


def test_what_a_suspended_process_wrote_may_be_written_again_by_the_one_that_took_over() -> None:
    run = HalfYear(replace(SMALL, nights=2, reconcile_every=0), make_engine)
    old, new = next((old, new) for name, old, new in run.world.links if name == "firm")
    crms, side = run.world.crms, run.sides[NEW]
    run.night(full=False)
    crms[OLD].edit(crms[OLD].rows[old], {"Name": "two words"}, Actor.USER)
    run.world.tick(3_600)
    run.checker.begin()
    side.update("company", [Update(new, side.view.version(crms[NEW].rows[new]), {"name": "two words"})])
    run._overtake()
    assert crms[NEW].rows[new].values["name"] == "Two words"
    assert {one.invariant for one in run.checker.violations} == {"I11"}


def test_an_idle_world_is_never_written() -> None:
    run = HalfYear(replace(SMALL, edits=0, nights=5), make_engine)
    report = run.run()
    assert (report.violations, report.written) == ([], 0)


def test_what_was_refused_after_a_dark_time_waits_with_a_reason() -> None:
    run = HalfYear(SMALL, make_engine)
    run.night(full=False)
    row = run.world.crms[NEW].create("person", {"family_name": "Neu"}, Actor.USER)
    run.world.poison.add(row.id)
    run.rest()
    assert run.finish().violations == []
    assert run.report.held == 1


@pytest.mark.slow
def test_180_idle_nights_write_nothing() -> None:
    report = HalfYear(Settings(nights=180, records=300, edits=0, rates=NONE), make_engine).run()
    assert (report.violations, report.written) == ([], 0)


@pytest.mark.slow
def test_a_busy_night_costs_a_tenth_of_a_call_for_each_changed_record() -> None:
    world = Settings(
        nights=6, records=3_000, edits=2_500, rates=NONE, reconcile_every=0, actions={"edit": 500, "bulk": 0}
    )
    run = HalfYear(world, make_engine)
    for crm in run.world.crms.values():
        crm.traits = replace(crm.traits, page_rows=2_000)
    run.night(full=False)
    before = sum(side.traffic.calls for side in run.sides.values())
    run.users.work(2_500, run.world.now + 80_000)
    run.night(full=False)
    calls = sum(side.traffic.calls for side in run.sides.values()) - before
    run.sync.close()
    assert calls / run.users.done <= 0.1, f"{calls} calls for {run.users.done} changes"


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-24, 24])
def test_i12_a_clock_that_is_a_day_off_changes_no_decision(hours: int) -> None:
    world = replace(SMALL, nights=10, script_only=True, actions={"formula": 0})
    straight, shifted = (
        HalfYear(replace(world, ours_skew=skew), make_engine) for skew in (0.0, hours * 3600.0)
    )
    assert straight.run().violations == []
    assert shifted.run().violations == []
    assert everything(straight.world) == everything(shifted.world)


@pytest.mark.slow
def test_i23_equal_seeds_give_equal_histories_whatever_the_hash_seed() -> None:
    script = (
        "from migrator.testing.simulation.crashes import told\n"
        "from tests.simulation.test_simulated_dual_run import SMALL, HalfYear, make_engine, replace, HEAVY\n"
        "run = HalfYear(replace(SMALL, nights=8, rates=HEAVY), make_engine)\nrun.run()\nprint(told(run.world))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.slow
def test_heavy_faults_violate_nothing() -> None:
    assert HalfYear(replace(SMALL, nights=30, rates=HEAVY), make_engine).run().violations == []


def test_the_command_prints_figures_and_fails_when_something_is_violated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--nights", "2", "--records", "12", "--edits", "5", "--faults", "none", "--json"]) == 0
    assert '"violations": []' in capsys.readouterr().out


@pytest.mark.slow
def test_several_processes_give_what_one_gives() -> None:
    words = [
        sys.executable,
        "-m",
        "migrator.testing.simulation",
        "--nights",
        "2",
        "--records",
        "12",
        "--edits",
        "5",
    ]
    one, two = (
        subprocess.run([*words, "--seeds", "1-3", "--jobs", jobs], capture_output=True, text=True, check=True)
        for jobs in ("1", "2")
    )
    assert one.stdout == two.stdout
