"""A process that lets `migrator run` be killed, over and over, and tells what the last, undisturbed run left.

Started as `python -m tests.e2e.kill_nursery`; reads one job a line on standard input and answers with one line. Every run
is a fork of it, so that each SIGKILL is real and nothing has to be imported twice.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import connectors
import migrator
import migrator.core.boundary as boundaries
from migrator.staging.store import Kind
from migrator.testing.synthetic import Truth, generate
from tests.e2e.demo_project import RATES, SQLITE, DemoProject, dump, indexes, make_project, records, vouched

SCALE = 300
MAPPINGS = ("app_user", "account", "contact", "attachment")
SETTLED = "__id, target_key, target_id, __fp, outcome = 'refused' AS refused, code, field, message, links"
"""Columns of the crosswalk that do not tell when, nor in how many attempts, a record came in."""


def import_all() -> None:
    """Everything that a run imports on its way; no thread may start here, for threads do not survive a fork."""
    for package in (migrator, connectors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith((".__main__", ".migrations.env")):  # these two work when imported
                importlib.import_module(module.name)
    for name in (
        "pandas",
        "phonenumbers",
        "sqlglot.dialects.duckdb",
        "sqlalchemy.dialects.postgresql.psycopg",
    ):
        importlib.import_module(name)


def prepare(folder: Path) -> None:
    """Exports, and the demo cut to what still meets every boundary: links, cycles, duplicates, binary members."""
    truth = generate(folder / "exports", scale=SCALE, seed=7, rates=replace(RATES, overlap=0.1))
    (folder / "pristine").mkdir()
    make_project(folder / "pristine", truth, mappings=MAPPINGS)
    attachment = folder / "pristine" / "mappings" / "attachment.yaml"
    text = attachment.read_text(encoding="utf-8")
    attachment.write_text(
        text.replace("[account, contact, opportunity]", "[account, contact]"), encoding="utf-8"
    )


class Trial:
    """One project, run by children that die, and then by one that may live."""

    def __init__(self, exports: Path, folder: Path, ledger: str, target: str) -> None:
        shutil.copytree(exports.parent / "pristine", folder)
        self._here = DemoProject(folder, Truth.load(exports), ledger, target or SQLITE)
        self._here.write_settings()

    def run(self, before: Callable[[], None] = lambda: None) -> None:
        """What a child does: `migrator run`."""
        before()
        answer = self._here.run("run", "--skip-validate")
        if answer.code:
            sys.stderr.write(answer.err)
            os._exit(answer.code)

    def kill(self, how: dict[str, Any]) -> bool:
        """Run and be killed; whether death came before the end."""
        if "seconds" in how:
            pid = fork(self.run)
            time.sleep(how["seconds"])
            os.kill(pid, signal.SIGKILL)
        else:
            pid = fork(lambda: self.run(lambda: die_at(how["name"], how["passing"])))
        status = os.waitpid(pid, 0)[1]
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not died and status:
            raise RuntimeError(
                f"{how}: the run that should die failed with {os.waitstatus_to_exitcode(status)}"
            )
        return died

    def finish(self, trace: Path | None = None) -> float:
        """Run to the end; how many seconds it took."""
        began = time.monotonic()
        self._finish(lambda: self.run(lambda: setattr(boundaries, "_TRACE", str(trace or ""))))
        return time.monotonic() - began

    def state(self, told: Path) -> Any:
        """All that a user could see of the finished project, but for moments and run numbers."""
        self._finish(lambda: told.write_text(json.dumps(self._state(), default=str), encoding="utf-8"))
        return json.loads(told.read_text(encoding="utf-8"))

    def _finish(self, work: Callable[[], Any]) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])
        if code:
            raise RuntimeError(f"the run after the kill ended with {code}")

    def _state(self) -> dict[str, Any]:
        here = self._here
        return {
            "status": here.asked("status"),
            "quarantine": _timeless(here.asked("quarantine", "list", "--limit", "100000")),
            "target": dump(here.target_url),
            "indexes": indexes(here.target_url),
            "crosswalk": records(here, Kind.CROSSWALK, SETTLED),
            "clusters": records(here, Kind.CLUSTERS),
            "nobody vouches for": vouched(here),
        }


def _timeless(listed: dict[str, Any]) -> dict[str, Any]:
    """Since when, and how often it was tried, tell of the runs and not of their end."""
    own = {"first_seen", "tries"}
    rows = [{name: value for name, value in row.items() if name not in own} for row in listed["rows"]]
    return {**listed, "rows": rows}


def die_at(name: str, passing: int) -> None:
    """As MIGRATOR_KILL_AT would have it, in a process that has read its environment long ago."""
    boundaries._NAME, boundaries._COUNT = name, str(passing)


def fork(work: Callable[[], Any]) -> int:
    """Do something in a process of its own; returns its id."""
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:  # only an exception comes here: told by the interpreter's hook, it must not unwind into the parent's loop
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        sys.stderr.flush()
        os._exit(1)


def do(job: dict[str, Any]) -> dict[str, Any]:
    """Let the job's deaths happen, run to the end, and tell what is there."""
    folder = Path(job["folder"])
    trace = folder.with_suffix(".trace")
    trial = Trial(Path(job["exports"]), folder, job.get("ledger", ""), job.get("target", ""))
    died = [trial.kill(how) for how in job["kills"]]
    seconds = trial.finish(None if job["kills"] else trace)
    passed = Counter(trace.read_text(encoding="utf-8").split()) if trace.exists() else {}
    return {
        "died": died,
        "seconds": seconds,
        "passed": passed,
        "state": trial.state(folder.with_suffix(".json")),
    }


def main() -> None:
    """Answer one job a line until there are no more."""
    import_all()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            if "prepare" in job:
                os.waitpid(fork(lambda folder=Path(job["prepare"]): prepare(folder)), 0)
                answer: dict[str, Any] = {}
            else:
                answer = do(job)
        except RuntimeError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
