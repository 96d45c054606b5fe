"""Kills the command line itself, `kill -9` at random moments of a project's life, and compares with a life that nobody disturbed.

`python -m tests.faults.random_kills --kills 200` prints where death came and how each stage ended. A series is one life: two
loads, a retry and the way back, each killed a few times and then run to its end by the same command.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.e2e.demo_project import ROOT
from tests.e2e.kill_nursery import import_all
from tests.faults.crash_matrix import Matrix, must, say, spread, told
from tests.faults.crash_project import CrashProject, Stage, commands, make_ready

BEFORE = "(before the first boundary)"
AFTER = "(done before it could be killed)"


class Life:
    """One series: a project that is killed over and over."""

    def __init__(self, matrix: Matrix, number: int, seed: int, seconds: dict[Stage, float]) -> None:
        self._matrix, self._seconds = matrix, seconds
        self._chance = random.Random(f"{seed} {number}")
        self._here = CrashProject(matrix.folder / f"life {number}")
        self._trace = self._here.folder.with_suffix(".trace")

    def live(self, kills: int) -> tuple[list[tuple[str, str]], list[str]]:
        """(stage, boundary last passed) of every death, `kills` a stage; and what ended differently."""
        shutil.copytree(self._matrix.before(Stage.FIRST), self._here.folder)
        deaths, wrong = [], []
        for stage in Stage:
            if stage is not Stage.FIRST:
                must(partial(make_ready, stage, self._here))
            deaths += [(stage.name.lower(), self._kill(stage)) for _ in range(kills)]
            self._play(stage, None)
            difference = self._matrix.differs(stage, self._here)
            if difference:
                wrong.append(f"{stage.name.lower()}: {difference}")
                break  # the rest of this life says nothing
        shutil.rmtree(self._here.folder)
        return deaths, wrong

    def _kill(self, stage: Stage) -> str:
        """Kill a stage at a random moment; drawn again, earlier, when it was over before."""
        moment = self._chance.uniform(0, self._seconds[stage])
        for _ in range(3):
            self._trace.unlink(missing_ok=True)
            if self._play(stage, moment):
                lines = self._trace.read_text(encoding="utf-8").split() if self._trace.exists() else []
                return lines[-1] if lines else BEFORE
            moment *= 0.5
        return AFTER

    def _todo(self, stage: Stage) -> list[tuple[str, ...]]:
        """Asked in a process of its own: what this one opens, a later one would inherit."""
        path = self._here.folder.with_suffix(".json")
        return [tuple(command) for command in told(partial(commands, stage, self._here), path)]

    def _play(self, stage: Stage, moment: float | None) -> bool:
        """The commands of a stage, one after the other; whether the one at work at `moment` was killed."""
        ends = None if moment is None else time.monotonic() + moment
        for command in self._todo(stage):
            with _started(self._here, command, self._trace) as process:
                try:
                    process.wait(None if ends is None else max(0.0, ends - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    return process.returncode == -signal.SIGKILL
                if process.returncode not in (0, 1):
                    raise SystemExit(f"{command} ended with {process.returncode}")
        return False


def _started(here: CrashProject, command: tuple[str, ...], trace: Path) -> subprocess.Popen[bytes]:
    """`migrator` as a process of its own that writes down what it passes."""
    return subprocess.Popen(
        [sys.executable, "-m", "migrator.cli", f"-C{here.folder}", *command],
        cwd=ROOT, env=os.environ | {"MIGRATOR_TRACE_BOUNDARIES": str(trace)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def measure(matrix: Matrix) -> dict[Stage, float]:
    """How long each stage takes here and now as commands."""
    seconds = {}
    for stage in Stage:
        here = CrashProject(matrix.folder / f"measured {stage.name}")
        shutil.copytree(matrix.before(stage), here.folder)
        todo = told(partial(commands, stage, here), here.folder.with_suffix(".json"))
        began = time.monotonic()
        for command in todo:
            with _started(here, command, here.folder.with_suffix(".trace")) as process:
                process.wait()
        seconds[stage] = time.monotonic() - began
        shutil.rmtree(here.folder)
    return seconds


def main() -> int:
    """Live until enough was killed; 1 when any stage of any life ended differently."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="at least so many")
    parser.add_argument("--a-stage", type=int, default=3, help="kills a stage of each life")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many lives at a time")
    arguments = parser.parse_args()
    began = time.monotonic()
    import_all()
    with tempfile.TemporaryDirectory(prefix="migrator-kills-") as folder:
        matrix = Matrix(Path(folder))
        matrix.live()
        seconds = measure(matrix)
        lives = (
            -(-arguments.kills // (arguments.a_stage * len(Stage))) + 1
        )  # one more: some deaths come too late

        def live(number: int) -> object:
            return number, *Life(matrix, number, arguments.seed, seconds).live(arguments.a_stage)

        deaths: Counter[tuple[str, str]] = Counter()
        wrong = []
        for number, died, differences in spread(live, lives, arguments.jobs, matrix.folder):
            deaths.update((stage, where) for stage, where in died)
            wrong += [f"WRONG life {number}, {difference}" for difference in differences]
            say(f"life {number}: {len(died)} kills, {'; '.join(differences) or 'as undisturbed'}")
    say(table(deaths))
    for line in wrong:
        say(line)
    killed = sum(n for (_, where), n in deaths.items() if where != AFTER)
    say(f"{killed} kills in {lives} lives, {len(wrong)} ended differently, {time.monotonic() - began:,.0f} s")
    return 1 if wrong or killed < arguments.kills else 0


def table(deaths: Counter[tuple[str, str]]) -> str:
    """Where death came, by the effect at work, and in which stage."""
    effects = Counter((stage, where.partition(".")[0]) for stage, where in deaths.elements())
    names = [stage.name.lower() for stage in Stage]
    lines = [f"{'last passed':<36}" + "".join(f"{name:>10}" for name in names)]
    for effect in sorted({effect for _, effect in effects}):
        lines.append(f"{effect:<36}" + "".join(f"{effects[name, effect] or '·':>10}" for name in names))
    totals = Counter(stage for stage, _ in deaths.elements())
    return "\n".join([*lines, f"{'in all':<36}" + "".join(f"{totals[name]:>10}" for name in names)])


if __name__ == "__main__":
    sys.exit(main())
