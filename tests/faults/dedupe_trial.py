"""A dedupe with a model, killed at each of its boundaries, and run again: tells what each ended with, a line of JSON a trial.

`python tests/faults/dedupe_trial.py FOLDER`: first a life that nobody disturbs, over some records and then over changed
ones, so that the second run takes up the model of the first; then one killed at every boundary that the first passes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import migrator.core.boundary as boundaries
from migrator.core.mapped import DedupeRules, MatchModel
from migrator.core.progress import Quiet
from migrator.dedupe.run import dedupe
from migrator.staging.store import Dataset, Kind
from tests.dedupe_project import BY_EMAIL, contacts, open_project
from tests.e2e.kill_nursery import die_at, fork, import_all
from tests.property.test_delta_laws import changed, people

KINDS = (Kind.CLUSTERS, Kind.GOLDEN, Kind.DONORS, Kind.PAIRS, Kind.FEATURES, Kind.EDGES)
RULES = contacts(DedupeRules((BY_EMAIL,), model=MatchModel(), region="MY", identity=("phone",)))


FIRST = ("features.", "edges.", "clusters.part-committed")
"""Boundaries at which the first run is killed too; it passes the others as the second does."""


def records() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Contacts, some of them several times; and the same with a few that moved, went, and came."""
    rng = random.Random(11)
    rows = people(300, rng)
    return rows, changed(rows, 3, rng)


def live(folder: Path, runs: Sequence[int], before: Callable[[int], None] = lambda _: None) -> None:
    """These runs, of a first one and a second; each goes on from what a killed one left."""
    rows = records()
    for number in runs:
        with open_project(folder, threads=1) as project:
            project.mapped(RULES, rows[number])
            before(number)
            dedupe(project.store, project.session, RULES, progress=Quiet())
            before(-1)


def told(folder: Path) -> dict[str, Any]:
    """All that is there, but for moments."""
    with open_project(folder, threads=1) as project:
        found = {kind.value: _rows(project.store.need(kind, "contact", made_by="dedupe")) for kind in KINDS}
        found["unfinished"] = [kind.value for kind in KINDS if project.store.unfinished(kind, "contact")]
        return found


def _rows(made: Dataset) -> list[str]:
    own = {"n", "__print"}
    rows = (row for part in made.parts for row in pq.read_table(part.path).to_pylist())
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in own)) for row in rows)


def trial(base: Path, name: str, number: int) -> dict[str, Any]:
    """A life whose run `number` is killed at boundary `name`, and that goes on then; the second begins after a whole first."""
    folder = base / f"{number}-{name}"
    if number:
        shutil.copytree(base / "first", folder)
    else:
        folder.mkdir()
    left = (0, 1)[number:]

    def die(run: int) -> None:
        boundaries._passed.clear()
        die_at(name if run == number else "", 1)

    status = os.waitpid(fork(lambda: live(folder, left, die)), 0)[1]
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"trial": f"{number} {name}", "died": died, **to_the_end(folder, left)}


def to_the_end(
    folder: Path, runs: Sequence[int], before: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Live on, and tell: in a fork, for engines leave threads behind."""
    out = folder / "told.json"

    def work() -> None:
        live(folder, runs, before)
        out.write_text(json.dumps({"state": told(folder)}), encoding="utf-8")

    code = os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])
    return dict(json.loads(out.read_text(encoding="utf-8"))) if code == 0 else {"failed": code}


def main() -> None:
    """The undisturbed life first, then each death."""
    base, first = Path(sys.argv[1]), Path(sys.argv[1]) / "first"
    import_all()
    first.mkdir()

    def trace(run: int) -> None:
        boundaries._TRACE = str(base / f"passed{run}") if run >= 0 else ""

    to_the_end(first, (0,), trace)
    shutil.copytree(first, base / "whole")
    tell({"trial": "", **to_the_end(base / "whole", (1,), trace)})
    for number in (0, 1):
        for name in dict.fromkeys((base / f"passed{number}").read_text(encoding="utf-8").split()):
            if number or name.startswith(FIRST):
                tell(trial(base, name, number))


def tell(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
