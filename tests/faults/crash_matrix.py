"""Kills every stage of the small project at every passing of every boundary, runs it again, and compares with an undisturbed life.

`python -m tests.faults.crash_matrix --jobs 2` prints a table of boundaries and how often each was killed at. The list of
boundaries is the code's own: what an undisturbed life passes, what only the runs after a kill pass (these are killed a
second time), and every `boundary(...)` in the source must be among them.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import migrator.core.boundary as boundaries
from tests.e2e.demo_project import ROOT
from tests.e2e.kill_nursery import die_at, fork, import_all
from tests.faults.crash_project import CrashProject, Stage, make_ready, play, write_project

ELSEWHERE = {
    "sql.staged": "PostgreSQL's own: tests/e2e/test_kill.py",
    "ledger.upgrading": "for ledgers of an older version: tests/unit/test_ledger_upgrade.py",
    "ledger.upgraded": "the same",
    "depot.put": "of staging that machines share: tests/faults/test_extract_kill.py",
    **dict.fromkeys(
        (
            "runbook.begun",
            "runbook.cancelled",
            "runbook.cancelling",
            "runbook.done",
            "runbook.entered",
            "runbook.established",
            "runbook.evidence",
            "runbook.executed",
            "runbook.failed",
            "runbook.judged",
            "runbook.undoing",
            "runbook.undone",
        ),
        "of runbooks: tests/faults/test_runbook_kills.py",
    ),
}
"""Boundaries in the source that this project cannot meet, and who does."""
WRITES = ("intents.", "load.", "sql.", "outcomes.", "links.", "history.", "answers.", "crosswalk.", "doubts.")
"""Boundaries after which the way back is tried too: that all that was ever loaded can be told from what was there."""


@dataclass(frozen=True, slots=True)
class Site:
    """One call of `boundary` in the source."""

    place: str
    pattern: str
    """A regular expression for the names it can have."""


def sites(folders: Sequence[str] = ("migrator", "connectors", "validation")) -> list[Site]:
    """Every call of `boundary` there is in the source, read from its syntax."""
    found = []
    for path in sorted(itertools.chain(*((ROOT / folder).rglob("*.py") for folder in folders))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _called(node.func) == "boundary":
                found.append(Site(f"{path.relative_to(ROOT)}:{node.lineno}", _pattern(node.args[0])))
    return found


def _called(function: ast.expr) -> str:
    return (
        function.id
        if isinstance(function, ast.Name)
        else function.attr
        if isinstance(function, ast.Attribute)
        else ""
    )


def _pattern(name: ast.expr) -> str:
    match name:
        case ast.Constant(str(text)):
            return re.escape(text)
        case ast.JoinedStr():
            return "".join(_pattern(item) for item in name.values)
        case ast.FormattedValue():
            return "[a-z]+"
        case _:
            raise AssertionError(f"a boundary whose name cannot be read: {ast.unparse(name)}")


@dataclass(frozen=True, slots=True)
class Trial:
    """A stage, and where it is killed: at one boundary, or at a second one in the run after the first kill."""

    stage: Stage
    kills: tuple[tuple[str, int], ...]
    way_back: bool

    def __str__(self) -> str:
        return f"{self.stage.name.lower()} " + " then ".join(
            f"{name}#{passing}" for name, passing in self.kills
        )


class Matrix:
    """An undisturbed life with a copy before each stage, and what stood at the end of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passed: dict[Stage, Counter[str]] = {}
        self._ends: dict[Stage, Any] = {}
        self._begin: Any = None

    def live(self) -> None:
        """The undisturbed life."""
        must(lambda: write_project(self.folder / "life"))
        life = CrashProject(self.folder / "life")
        for stage in Stage:
            trace = self.folder / f"{stage.name}.trace"
            must(partial(make_ready, stage, life))
            shutil.copytree(life.folder, self.before(stage))
            must(partial(play, stage, life, partial(traced, trace)))
            self.passed[stage] = passed(trace)
            self._ends[stage] = told(life.state, self.folder / "told")
        self._begin = told(CrashProject(self.before(Stage.FIRST)).held, self.folder / "told")

    def before(self, stage: Stage) -> Path:
        """The project as a stage begins."""
        return self.folder / f"before {stage.name.lower()}"

    def trials(self, most: int | None = None) -> list[Trial]:
        """Every passing of every boundary; with `most`, only so many of each, from the first to the last."""
        return [
            Trial(stage, ((name, passing),), passing == 1 and name.startswith(WRITES))
            for stage in Stage
            for name, total in self.passed[stage].items()
            for passing in spaced(total, most)
        ]

    def play(self, trial: Trial, number: int) -> tuple[str, dict[str, int]]:
        """Kill, run again, compare: what is wrong ('' nothing), and what the run after the kills passed."""
        here = CrashProject(self.folder / f"trial {number}")
        shutil.copytree(self.before(trial.stage), here.folder)
        trace = here.folder.with_suffix(".trace")
        try:
            wrong = self._play(here, trial, trace)
            return wrong, passed(trace)
        finally:
            shutil.rmtree(here.folder)
            trace.unlink(missing_ok=True)

    def _play(self, here: CrashProject, trial: Trial, trace: Path) -> str:
        for name, passing in trial.kills:
            status = os.waitpid(fork(partial(play, trial.stage, here, partial(die_at, name, passing))), 0)[1]
            if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
                return f"was not killed at {name}#{passing}: ended with {status}"
        ended = done(lambda: play(trial.stage, here, lambda: traced(trace)))
        if ended:
            return f"the run after the kill ended with {ended}"
        wrong = self.differs(trial.stage, here)
        return wrong or (self._wrong_way_back(here) if trial.way_back else "")

    def differs(self, stage: Stage, here: CrashProject) -> str:
        """What at the end of a stage is not as in the undisturbed life, for a person; '' when nothing is."""
        state = told(here.state, here.folder.with_suffix(".json"))
        return next(
            (
                f"{what} differs: {_difference(expected, state[what])}"
                for what, expected in self._ends[stage].items()
                if state[what] != expected
            ),
            "",
        )

    def _wrong_way_back(self, here: CrashProject) -> str:
        if done(lambda: play(Stage.ROLLBACK, here)):
            return "the way back failed"
        left = told(here.held, here.folder.with_suffix(".json"))
        return "" if left == self._begin else f"after the way back: {_difference(self._begin, left)}"


def spaced(total: int, most: int | None) -> list[int]:
    """The numbers from 1 to `total`, or `most` of them at even distances, the first and the last among them."""
    if most is None or total <= most:
        return list(range(1, total + 1))
    return sorted({1 + round(step * (total - 1) / max(1, most - 1)) for step in range(most)})


def _difference(expected: Any, found: Any) -> str:
    """The first thing that differs, for a person."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in {**expected, **found}:
            if expected.get(name) != found.get(name):
                return f"{name}: {_difference(expected.get(name), found.get(name))}"
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for one, other in zip(expected, found, strict=True):
            if one != other:
                return _difference(one, other)
    return f"{str(expected)[:300]} became {str(found)[:300]}"


def traced(path: Path) -> None:
    """From here on this process writes down what it passes."""
    boundaries._TRACE = str(path)


def passed(trace: Path) -> Counter[str]:
    """What was written down."""
    return Counter(trace.read_text(encoding="utf-8").split()) if trace.exists() else Counter()


def done(work: Callable[[], Any]) -> int:
    """Do something in a process of its own; how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])


def must(work: Callable[[], Any]) -> None:
    """Do something in a process of its own; it must end well."""
    if done(work):
        raise SystemExit("the undisturbed life failed")


def told(ask: Callable[[], Any], path: Path) -> Any:
    """The answer of something done in a process of its own."""
    must(lambda: path.write_text(json.dumps(ask(), default=str), encoding="utf-8"))
    answer = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return answer


def spread(work: Callable[[int], Any], count: int, jobs: int, folder: Path) -> Iterator[Any]:
    """`work(0)`, `work(1)`, … as they are done, `jobs` at a time, each worker a process that takes the next nobody has."""
    # A pipe is a queue: reads and writes of a few bytes are whole, and it holds sixteen thousand of these.
    todo, out = os.pipe(), os.pipe()
    os.write(todo[1], b"".join(number.to_bytes(4, "big") for number in range(count)))
    os.close(todo[1])

    def worker() -> None:
        while taken := os.read(todo[0], 4):
            number = int.from_bytes(taken, "big")
            (folder / f"result {number}").write_text(json.dumps(work(number)), encoding="utf-8")
            os.write(out[1], taken)

    workers = [fork(worker) for _ in range(jobs)]
    os.close(todo[0])
    os.close(out[1])
    while taken := os.read(out[0], 4):
        yield json.loads((folder / f"result {int.from_bytes(taken, 'big')}").read_text(encoding="utf-8"))
    os.close(out[0])
    ended = [os.waitpid(process, 0)[1] for process in workers]
    if any(ended):
        raise SystemExit("a worker died")


def second_kills(matrix: Matrix, ends: Sequence[tuple[Trial, Mapping[str, int]]]) -> list[Trial]:
    """What only a run after a kill passes is killed as well: every passing, once a stage and boundary."""
    known = {stage: set(names) for stage, names in matrix.passed.items()}
    found: list[Trial] = []
    for trial, passings in ends:
        for name, total in passings.items():
            if name not in known[trial.stage]:
                known[trial.stage].add(name)
                found += [
                    Trial(trial.stage, (*trial.kills, (name, passing)), way_back=name.startswith(WRITES))
                    for passing in range(1, total + 1)
                ]
    return found


def missed(killed: set[str]) -> list[str]:
    """Calls of `boundary` in the source at whose names nobody was killed."""
    return [
        f"{site.place}: {site.pattern}"
        for site in sites()
        if not any(re.fullmatch(site.pattern, name) for name in {*killed, *ELSEWHERE})
    ]


def table(trials: Sequence[Trial]) -> str:
    """Boundaries by stages: at how many passings each was killed."""
    names = sorted({trial.kills[-1][0] for trial in trials})
    counts = Counter((trial.kills[-1][0], trial.stage) for trial in trials)
    lines = [f"{'boundary':<28}" + "".join(f"{stage.name.lower():>10}" for stage in Stage)]
    lines += [
        f"{name:<28}" + "".join(f"{counts[name, stage] or '·':>10}" for stage in Stage) for name in names
    ]
    totals = Counter(trial.stage for trial in trials)
    lines.append(f"{'in all ' + str(len(trials)):<28}" + "".join(f"{totals[stage]:>10}" for stage in Stage))
    return "\n".join(lines)


def say(text: str) -> None:
    """For whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play it all; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="how many trials at a time")
    parser.add_argument("--only", default="", help="only boundaries whose names begin so")
    parser.add_argument("--stage", choices=[stage.name.lower() for stage in Stage], help="only this stage")
    parser.add_argument("--passings", type=int, help="only so many passings of each boundary, first to last")
    parser.add_argument("--sample", type=int, help="only so many kills, drawn by lot from all stages")
    arguments = parser.parse_args()
    began = time.monotonic()
    import_all()
    with tempfile.TemporaryDirectory(prefix="migrator-crash-") as folder:
        matrix = Matrix(Path(folder))
        matrix.live()
        trials = [
            trial
            for trial in matrix.trials(arguments.passings)
            if trial.kills[0][0].startswith(arguments.only)
            and arguments.stage in (None, trial.stage.name.lower())
        ]
        # Whoever looks before the end has seen something of every stage.
        trials = random.Random(0).sample(trials, min(len(trials), arguments.sample or len(trials)))
        wrong: list[str] = []
        ends = played(matrix, trials, arguments.jobs, wrong)
        again = second_kills(matrix, ends)
        played(matrix, again, arguments.jobs, wrong)
        trials += again
    killed = {trial.kills[-1][0] for trial in trials}
    say(table(trials))
    left = [] if arguments.only or arguments.stage or arguments.sample else missed(killed)
    for line in (*wrong, *(f"NOT KILLED AT {line}" for line in left)):
        say(line)
    say(
        f"{len(killed)} boundaries, {len(trials)} kills, {len(wrong)} ended differently, {time.monotonic() - began:,.0f} s"
    )
    return 1 if wrong or left else 0


def played(
    matrix: Matrix, trials: Sequence[Trial], jobs: int, wrong: list[str]
) -> list[tuple[Trial, Mapping[str, int]]]:
    """Every trial with what its last run passed; what ended differently is said at once, and added to `wrong`."""
    ends = []

    def play_one(number: int) -> Any:
        return number, *matrix.play(trials[number], number)

    for number, difference, passings in spread(play_one, len(trials), jobs, matrix.folder):
        ends.append((trials[number], passings))
        if difference:
            wrong.append(f"WRONG {trials[number]}: {difference}")
            say(wrong[-1])
        if len(ends) % 20 == 0:
            say(f"{len(ends)} of {len(trials)} kills, {len(wrong)} ended differently")
    return ends


if __name__ == "__main__":
    sys.exit(main())
