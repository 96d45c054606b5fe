"""A process that plays one load, or one rollback, many times over, each time killed at another boundary and then run again.

Run as a script: `load_trial.py FOLDER load|rollback row|all`. It forks for every trial, so that a SIGKILL is real and nothing has to be
imported twice, and prints one JSON line a trial: what the target, the account and the ledger hold in the end.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

import migrator.core.boundary as boundaries
from migrator.core.errors import ProjectError
from migrator.core.mapped import Link
from migrator.core.progress import Quiet
from migrator.load.rollback import rollback
from migrator.load.send import Sender
from migrator.staging.accounting import account
from migrator.staging.store import Kind
from migrator.testing.memory import Call, MemoryTarget
from tests.load_world import Rows, mapped_object, put, world

COMPANY = mapped_object("company", links=[Link("parent", ("company",), deferred=True)], dedupe=True)
PERSON = mapped_object("person", links=[Link("company", ("company",))])
GROUPS = ((COMPANY,), (PERSON,))
OBJECTS = (COMPANY, PERSON)
COMPANIES = Rows(
    {"1": {"parent": "company/s:4"}, "2": {"parent": "company/s:1"}, "3": {}, "4": {}, "5": {}, "6": {"name": "poison"}},
    bad={"5": "cast.date"},
    merged={"3": "2"},
)  # fmt: skip
PEOPLE = Rows({str(n): {"company": f"company/s:{n % 6 + 1}"} for n in range(8)})


class KeptTarget(MemoryTarget):
    """A target that outlives its process: every write is on disk before it is answered. It refuses the name 'poison'."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        if path.exists():
            self._objects, calls = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
            self.calls = [Call(*one) for one in calls]

    def prepare(self, schemas: Any) -> None:
        super().prepare(schemas)
        self._keep()

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        answers = super().upsert(object_name, rows, key=key)
        self._keep()
        return answers

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        answers = super().update(object_name, rows, key=key)
        self._keep()
        return answers

    def delete(self, object_name: str, keys: Any, *, key: str) -> pa.Table:
        answers = super().delete(object_name, keys, key=key)
        self._keep()
        return answers

    def _check(self, stored: Any, record_id: Any, record: Any, key: Any) -> Any:
        if record.get("name") == "poison":
            return {"key": str(key), "target_id": None, "outcome": "refused", "code": "poison", "field": "name", "message": "no"}  # fmt: skip
        return super()._check(stored, record_id, record, key)

    def _keep(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(pickle.dumps((self._objects, [(c.verb, c.object, c.keys) for c in self.calls])))
        temporary.replace(self._path)


def prepare(folder: Path) -> None:
    """The datasets of the steps before."""
    folder.mkdir()
    with world(folder) as here:
        put(here, COMPANY, COMPANIES)
        put(here, PERSON, PEOPLE)


def load(folder: Path) -> None:
    """What `migrator load` does."""
    with world(folder) as here:
        here.store.sweep()
        here.run(KeptTarget(folder / "target.pickle"), GROUPS)


def take_back(folder: Path) -> None:
    """What `migrator rollback` does with every run there was.

    Here all runs begin at the same moment, so which was the latest nobody knows: each is asked as often as there are.
    """
    target = KeptTarget(folder / "target.pickle")
    with world(folder) as here:
        here.store.sweep()
        runs = [item.id for item in here.ledger.list_runs(1000) if item.command == "load"]
        with here.ledger.lease() as fence:
            sender = Sender(target, here.ledger, fence)
            for one in runs * len(runs):
                with suppress(ProjectError):  # a run that was killed before its first answer
                    rollback(here.store, here.session, sender, GROUPS, one, dry_run=False, progress=Quiet())


VERBS = {"load": load, "rollback": take_back}
run = VERBS[sys.argv[2]] if len(sys.argv) > 2 else load


def twice(folder: Path) -> None:
    """Two loads over records that were there before: something to delete, and something to restore."""
    target = KeptTarget(folder / "target.pickle")
    with world(folder) as here:
        target.prepare([COMPANY.schema, PERSON.schema])
        target._objects["T company"].records["k2"] = {"key": "k2", "name": "theirs", "parent": None}
        target._keep()
        here.run(target, GROUPS)
        put(here, PERSON, Rows({**PEOPLE.values, "1": {"name": "new", "company": "company/s:2"}}))
        here.run(target, GROUPS)


def state(folder: Path) -> dict[str, Any]:
    """All that a user could see of a finished load."""
    target = KeptTarget(folder / "target.pickle")
    columns = "__id, target_key, target_id, __fp, outcome = 'refused' AS refused, code, links"
    with world(folder) as here:
        return {
            "target": {
                obj.name: [row for page in target.read(obj.target_object) for row in page.to_pylist()]
                for obj in OBJECTS
            },
            "account": account(here.store, here.session, OBJECTS).to_json(),
            "crosswalk": {obj.name: here.query(Kind.CROSSWALK, obj.name, columns) for obj in OBJECTS},
            "datasets": sorted(
                {
                    f"{kind.value}/{name.partition('@')[0]}"
                    for kind in Kind
                    if kind is not Kind.PLAN
                    for name in here.store.names(kind)
                }
            ),
            "unfinished": [
                f"{kind.value}/{obj.name}"
                for kind in Kind
                for obj in OBJECTS
                if here.store.unfinished(kind, obj.name)
            ],
        }


def left_after_rollback(folder: Path) -> dict[str, Any]:
    """What is in the target once everything that was ever loaded is taken back, tried on a copy."""
    copy = folder.with_name(f"{folder.name} back")
    shutil.copytree(folder, copy)
    take_back(copy)
    target = KeptTarget(copy / "target.pickle")
    left = {
        obj.name: [row for page in target.read(obj.target_object) for row in page.to_pylist()]
        for obj in OBJECTS
    }
    shutil.rmtree(copy)
    return left


def sends(folder: Path) -> Counter[str]:
    """How often each batch was sent."""
    return Counter(
        f"{call.verb} {call.object} {','.join(call.keys)}"
        for call in KeptTarget(folder / "target.pickle").calls
    )


def child(work: Any) -> int:
    """Do something in a forked process; returns its exit status as `os.waitpid` tells it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:  # an exception is told by the interpreter's hook, and must not unwind into the parent's loop
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one, or we had left
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def kill_at(name: str, count: int) -> None:
    """In a fork: die at a boundary, as MIGRATOR_KILL_AT would have it."""
    boundaries._NAME, boundaries._COUNT = name, str(count)


def passed(trace: Path) -> Counter[str]:
    """Every boundary that was passed, in the order of its first passing, and how often."""
    return Counter(trace.read_text(encoding="utf-8").split())


def killed(folder: Path, name: str, count: int) -> bool:
    """Run and die at the given passing of a boundary; whether it was passed at all."""

    def doomed() -> None:
        kill_at(name, count)
        run(folder)

    status = child(doomed)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, f"{name}#{count}: the run failed"
    return status != 0


def one_by_one(folder: Path, trace: Path) -> None:
    """A world for every passing of every boundary: killed there, then run once more."""
    for name, total in passed(trace).items():
        for count in range(1, total + 1):
            here = folder / f"{name}.{count}"
            shutil.copytree(folder / "prepared", here)
            assert killed(here, name, count), f"{name}#{count} was not passed"
            assert child(lambda here=here: run(here)) == 0, f"{name}#{count}: the rerun failed"
            report(here, f"{name}#{count}")


def in_a_row(folder: Path, trace: Path) -> None:
    """One world, killed at every boundary after the other, as if the machine would not stay up."""
    here = folder / "row"
    shutil.copytree(folder / "prepared", here)
    names = [name for name in passed(trace) if killed(here, name, 1)]
    assert child(lambda: run(here)) == 0, "the last run failed"
    report(here, " ".join(names))


def main(folder: Path, play: Callable[[Path, Path], None]) -> None:
    """An undisturbed run, the same again, then the trials."""
    assert child(lambda: prepare(folder / "prepared")) == 0
    if run is take_back:
        assert child(lambda: twice(folder / "prepared")) == 0
    shutil.copytree(folder / "prepared", folder / "whole")
    trace = folder / "trace"

    def traced() -> None:
        boundaries._TRACE = str(trace)
        run(folder / "whole")

    assert child(traced) == 0
    report(folder / "whole", "whole")
    assert child(lambda: run(folder / "whole")) == 0
    report(folder / "whole", "again")
    play(folder, trace)


def report(folder: Path, name: str) -> None:
    """One line for one trial."""
    sent = sends(folder)

    def told() -> None:
        told = {"trial": name, "sent": sent, "state": state(folder), "left": left_after_rollback(folder)}
        sys.stdout.write(json.dumps(told, default=str) + "\n")
        sys.stdout.flush()

    assert child(told) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), in_a_row if sys.argv[3] == "row" else one_by_one)
