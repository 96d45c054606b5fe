"""A runbook's process killed at every one of its boundaries, on the way there and on the way back: the next one ends the same."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrator.core.boundary import observed
from migrator.core.phases import Phase
from migrator.runbook.record import replay
from migrator.runbook.run import CANCEL
from migrator.runbook.world import Cancelled
from migrator.staging.journal import read, verify
from tests.faults.crash_matrix import sites
from tests.runbook_kit import Scene, scene, shipped

pytestmark = pytest.mark.kill
_BOOK = shipped("cutover")
_MOST = 4
"""Lives that a night may take."""


@dataclass(frozen=True)
class End:
    """What a night came to, times aside."""

    phases: tuple[str, ...]
    done: frozenset[str]
    evidence: tuple[str, ...]


def _night(folder: Path, observer: Callable[[str], None]) -> None:
    """The canary fails once, all is taken back, and the evening is begun again: whatever of it is left to do."""
    with scene(folder) as world:
        if not replay(world.ledger).phases:
            _prepare(world)
        with world.ledger.read() as connection:
            world.clock.at = max(entry.at for entry in read(connection))
        world.before = lambda name: _canary(world) if name == "runbook canary" else None
        with observed(observer):
            try:
                world.runner(_BOOK).run()
            except Cancelled:
                world.runner(_BOOK).run()


def _prepare(world: Scene) -> None:
    world.put("all", *tuple(Phase)[:5])
    world.rehearsed(_BOOK)
    world.approve(_BOOK)


def _canary(world: Scene) -> None:
    taken_back = any(row.step == CANCEL for row in replay(world.ledger).steps)
    world.established["runbook canary"] = {"canary.result": "pass" if taken_back else "fail"}


def _live(folder: Path, kill_at: tuple[str, int] | None = None) -> bool:
    """One life in a process of its own; whether it ended by itself. What it passed is written to a file."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return not os.WIFSIGNALED(status)
    passed: Counter[str] = Counter()

    def observer(name: str) -> None:
        passed[name] += 1
        if (name, passed[name]) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        _night(folder, observer)
        (folder / "passed.json").write_text(json.dumps(passed))
        code = 0
    finally:
        os._exit(code)


def _end(folder: Path) -> End:
    with scene(folder) as world:
        history = replay(world.ledger)
        with world.ledger.read() as connection:
            assert verify(connection).holds
        plan = world.runner(_BOOK).footing.plan
        done = {
            placed.id for placed in _BOOK.steps
            if (row := history.last(plan, placed.id)) is not None and row.state.value == "done"
        }  # fmt: skip
        files = sorted(path.name for path in (folder / "evidence").iterdir())
        return End(tuple(entry.body["to"] for entry in history.phases), frozenset(done), tuple(files))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[End, Counter[str]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert _live(folder)
    passed = Counter({str(k): int(v) for k, v in json.loads((folder / "passed.json").read_text()).items()})
    return _end(folder), passed


def _own() -> set[str]:
    return {site.pattern.replace("\\", "") for site in sites(("migrator/runbook",))}


def test_the_night_passes_every_boundary_of_the_runner(undisturbed: tuple[End, Counter[str]]) -> None:
    end, passed = undisturbed
    assert end.phases[-9:] == ("P5", "P6", "P7", "P4", "P5", "P6", "P7", "P8", "P9")
    assert end.done == {placed.id for placed in _BOOK.steps}
    assert {name for name in passed if name.startswith("runbook.")} == _own()
    assert len(_own()) > 10


@pytest.mark.parametrize("name", sorted(_own()))
def test_killed_at_a_boundary_the_next_process_ends_the_same(
    tmp_path: Path, undisturbed: tuple[End, Counter[str]], name: str
) -> None:
    """At its first, its middle and its last passing."""
    end, passed = undisturbed
    times = passed[name]
    for number in sorted({1, (times + 1) // 2, times}):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert not _live(folder, (name, number))
        assert any(_live(folder) for _ in range(_MOST))
        assert _end(folder) == end, f"killed at {name}#{number}"


@pytest.mark.slow
def test_killed_at_every_passing(tmp_path: Path, undisturbed: tuple[End, Counter[str]]) -> None:
    """And killed once more at the same boundary of the next life."""
    end, passed = undisturbed
    for name in sorted(_own()):
        for number in range(1, passed[name] + 1):
            folder = tmp_path / f"{name}-{number}"
            folder.mkdir()
            assert not _live(folder, (name, number))
            _live(folder, (name, 1))
            assert any(_live(folder) for _ in range(_MOST))
            assert _end(folder) == end, f"killed at {name}#{number}"
