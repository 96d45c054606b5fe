"""`migrator run` killed by SIGKILL anywhere, then the same command again: the end is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest

from migrator.testing.synthetic import Truth
from tests.e2e.demo_project import ROOT, DemoProject, command, copy_project, dump
from tests.postgres import TestServer

EFFECTS = (
    "staged", "rejects", "files", "mapped", "clusters", "golden", "plan", "outbound", "load", "sql", "index", "outcomes", "crosswalk",
    "links", "intents", "history", "answers", "held", "pairs", "donors", "merged",
)  # fmt: skip
"""What the boundaries of the main job are named after; a test fails when the code passes one that is not here."""
SHORT = ("load",)
"""Of these one is killed in every run of the suite; of the others in `make test-kill`."""
MOMENTS, MANY_MOMENTS = 6, 100


def moments() -> list[Any]:
    """Numbers of deaths; the first of them in every run of the suite."""
    return [pytest.param(seed, marks=[pytest.mark.kill] if seed else []) for seed in range(MOMENTS)]


class Nursery:
    """A process of `kill_nursery`, spoken to in JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def ask(self, **job: Any) -> dict[str, Any]:
        self._in.write(json.dumps(job, default=str) + "\n")
        self._in.flush()
        line = self._out.readline()
        assert line, "the nursery itself died"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """One run that nobody killed."""

    nursery: Nursery
    folder: Path
    state: dict[str, Any]
    passed: dict[str, int]
    """Boundary → how often it was passed, in the order of first passing."""
    seconds: float

    def play(self, folder: Path, kills: list[dict[str, Any]], **databases: str) -> dict[str, Any]:
        """A trial, and what it left."""
        return self.nursery.ask(exports=self.folder / "exports", folder=folder, kills=kills, **databases)

    def killed(self, folder: Path, kills: list[dict[str, Any]], **databases: str) -> list[bool]:
        """Play a trial, check that it ended like this run; which of the deaths came before the end."""
        told = self.play(folder, kills, **databases)
        for what, found in self.state.items():
            assert told["state"][what] == found, f"{what} differs after {kills}"
        died: list[bool] = told["died"]
        return died


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """The nursery, its exports, and the run that every other must end like."""
    folder = tmp_path_factory.mktemp("kill")
    # One thread each: OpenBLAS would start its own before the fork.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.kill_nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        nursery = Nursery(process)
        nursery.ask(prepare=folder)
        told = nursery.ask(exports=folder / "exports", folder=folder / "whole", kills=[])
        yield Undisturbed(nursery, folder, told["state"], told["passed"], told["seconds"])


@pytest.fixture(scope="module")
def whole_on_postgres(whole: Undisturbed, postgres_server: TestServer) -> Undisturbed:
    """The same run with ledger and target on PostgreSQL, whose values look different (a boolean is no number)."""
    with postgres_server.database() as ledger, postgres_server.database() as target:
        told = whole.play(whole.folder / "postgres", [], ledger=ledger, target=target)
    for what in ("status", "quarantine", "clusters"):
        assert told["state"][what] == whole.state[what]
    return replace(whole, state=told["state"], seconds=told["seconds"])


def test_the_undisturbed_run_meets_all_that_can_happen(whole: Undisturbed) -> None:
    assert whole.state["status"]["closed"] is True
    assert whole.state["nobody vouches for"] == []
    objects = whole.state["status"]["objects"]
    for state in ("loaded", "merged", "excluded", "quarantined", "pending"):
        assert any(counts[state] for counts in objects.values()), state
    assert {name.partition(".")[0] for name in whole.passed} == set(EFFECTS)
    assert {"staged.part-replaced", "files.kept", "links.folded"} <= set(whole.passed)


@pytest.mark.parametrize(
    "effect", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.kill]) for name in EFFECTS]
)
def test_killed_at_every_boundary_of_an_effect_early_and_midway(
    whole: Undisturbed, tmp_path: Path, effect: str
) -> None:
    names = [name for name in whole.passed if name.startswith(f"{effect}.")]
    early = [{"name": name, "passing": 1} for name in names]
    # Half of what is left is let through; then it dies at each boundary of the same object again.
    middle = max(1, (whole.passed[names[0]] - 1) // 2)
    midway = [{"name": name, "passing": 1 if number else middle} for number, name in enumerate(names)]
    died = whole.killed(tmp_path / "killed", early + midway)
    assert all(died[: len(early)]), [how for how, dead in zip(early, died, strict=False) if not dead]
    assert any(died[len(early) :])


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("name", ["sql.staged", "sql.merged", "index.built"])
def test_killed_at_the_boundaries_of_postgresql_itself(
    whole_on_postgres: Undisturbed, tmp_path: Path, name: str, postgres_server: TestServer
) -> None:
    """All other boundaries, at every passing: `python -m tests.faults.crash_matrix`."""
    for passing in (1, 2, 3):
        with postgres_server.database() as ledger, postgres_server.database() as target:
            kills = [{"name": name, "passing": passing}]
            here = tmp_path / f"{name} {passing}"
            assert whole_on_postgres.killed(here, kills, ledger=ledger, target=target) == [True]


@pytest.mark.parametrize("seed", moments())
def test_killed_at_any_moment(whole: Undisturbed, tmp_path: Path, seed: int) -> None:
    die_at_a_moment(whole, tmp_path, seed)


@pytest.mark.kill
@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(MOMENTS))
def test_killed_at_any_moment_on_postgres(
    whole_on_postgres: Undisturbed, tmp_path: Path, seed: int, postgres_server: TestServer
) -> None:
    die_at_a_moment(whole_on_postgres, tmp_path, seed, postgres_server)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MOMENTS, MOMENTS + MANY_MOMENTS))
def test_killed_at_many_moments(whole: Undisturbed, tmp_path: Path, seed: int) -> None:
    die_at_a_moment(whole, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(MOMENTS, MOMENTS + MANY_MOMENTS))
def test_killed_at_many_moments_on_postgres(
    whole_on_postgres: Undisturbed, tmp_path: Path, seed: int, postgres_server: TestServer
) -> None:
    die_at_a_moment(whole_on_postgres, tmp_path, seed, postgres_server)


def die_at_a_moment(whole: Undisturbed, folder: Path, seed: int, server: TestServer | None = None) -> None:
    """One death, uniformly anywhere in the run; drawn again, earlier, when the machine was faster this time."""
    moment = random.Random(seed).uniform(0, whole.seconds)
    for attempt in range(5):
        with ExitStack() as stack:
            names = ("ledger", "target") if server else ()
            databases = {name: stack.enter_context(server.database()) for name in names if server}
            if whole.killed(folder / f"{attempt}", [{"seconds": moment}], **databases) == [True]:
                return
        moment *= 0.6
    pytest.fail("every run was over before it could be killed")


def test_killed_by_its_own_environment_and_run_again_as_a_process(whole: Undisturbed, tmp_path: Path) -> None:
    here = fresh(whole, tmp_path / "here")
    dead = command(f"-C{here.folder}", "run", "--skip-validate", MIGRATOR_KILL_AT="load.batch-answered#2")
    assert dead.code == -signal.SIGKILL
    assert command(f"-C{here.folder}", "run", "--skip-validate").code == 0
    assert json.loads(json.dumps(dump(here.target_url), default=str)) == whole.state["target"]


def test_of_two_runs_at_once_one_stops_and_nothing_is_doubled(whole: Undisturbed, tmp_path: Path) -> None:
    here = fresh(whole, tmp_path / "here")
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "migrator.cli", f"-C{here.folder}", "run", "--skip-validate"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=240)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 5], told
    (stopped,) = (text for process, text in zip(both, told, strict=True) if process.returncode)
    assert "another command works on this project" in stopped
    assert json.loads(json.dumps(dump(here.target_url), default=str)) == whole.state["target"]
    assert here.asked("run", "--skip-validate")["load"]["written"] == 0


def fresh(whole: Undisturbed, folder: Path) -> DemoProject:
    """A project that no run has touched."""
    truth = Truth.load(whole.folder / "exports")
    return copy_project(folder, DemoProject(whole.folder / "pristine", truth))
