"""A process that was stopped so long that another took its project over: awake again, it sends nothing and ends safely."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.clock import FixedClock, SystemClock
from migrator.core.connector import Limits, Rate
from migrator.core.errors import SafetyStop
from migrator.core.pace import Pace
from migrator.load import batches, send
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.ledger_tables import leases
from migrator.staging.store import Kind, Store
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put

ACCOUNT = mapped_object("account", "key name")
GROUPS = ((ACCOUNT,),)
ROWS = 15


class Witness(MemoryTarget):
    """Writes down, in a file that all processes share, who sent what."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def upsert(self, name, rows, *, key):  # type: ignore[no-untyped-def]
        with self._log.open("a") as file:
            file.writelines(f"{os.getpid()} {value}\n" for value in rows.column(key).to_pylist())
        return super().upsert(name, rows, key=key)

    def read(self, name, *, columns=None, page_rows=50_000):  # type: ignore[no-untyped-def]  # noqa: ARG002 (the contract)
        """What another process sent is there too."""
        if self._log.exists():
            yield pa.table({"key": self._log.read_text().split()[1:2]})


@contextmanager
def opened(root: Path, url: str) -> Iterator[World]:
    with closing(open_ledger(url, SystemClock())) as ledger:
        session = open_engine(EngineSettings(memory_limit="500MB", threads=1), root)
        yield World(root, ledger, Store(root / "staging", ledger), session)
        session.close()


def stopping(at: str, passing: int) -> Callable[[str], None]:
    """A boundary that stops this very process, as a suspended machine would, when it is passed for the nth time."""
    passed = 0

    def boundary(name: str) -> None:
        nonlocal passed
        passed += name == at
        if name == at and passed == passing:
            os.kill(os.getpid(), signal.SIGSTOP)

    return boundary


def _zombie(root: Path, url: str, log: Path, place: str) -> None:
    """In a child: load until the third batch, stop there; 5 when it ends by a safety stop."""
    code = 1
    try:
        send.FRESH = 0.0  # the minute that passes here is a moment
        batches.boundary = stopping(place, 3)
        with opened(root, url) as here:
            here.load(Witness(log), GROUPS)
        code = 0
    except SafetyStop:
        code = 5
    finally:
        os._exit(code)


@pytest.mark.parametrize("place", ["load.batch-intended", "load.batch-answered"])
def test_a_zombie_sends_nothing_after_another_took_over(
    database_url: str, tmp_path: Path, place: str
) -> None:
    log = tmp_path / "sent.txt"
    with opened(tmp_path, database_url) as here:
        put(here, ACCOUNT, Rows({str(number): {} for number in range(ROWS)}))
        here.plan(GROUPS)
    zombie = os.fork()
    if zombie == 0:
        _zombie(tmp_path, database_url, log, place)
    _, status = os.waitpid(zombie, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    before = log.read_text().splitlines()
    try:
        with opened(tmp_path, database_url) as here:
            with pytest.raises(SafetyStop, match=f"process {zombie}"):
                here.load(Witness(log), GROUPS)
            with here.ledger.begin() as connection:  # a minute later
                connection.execute(leases.update().values(expires_at=here.ledger.clock.now()))
            target = Witness(log)
            here.load(target, GROUPS)
            after = [line for line in log.read_text().splitlines() if line not in before]
            os.kill(zombie, signal.SIGCONT)
            _, status = os.waitpid(zombie, 0)
            assert os.WEXITSTATUS(status) == 5
            sent = [line.split() for line in log.read_text().splitlines()]
            assert [one for one in sent if one[0] == str(zombie)] == [line.split() for line in before]
            assert after
            assert {key for _, key in sent} == {f"k{number}" for number in range(ROWS)}
            crosswalk = here.query(Kind.CROSSWALK, "account")
            assert {row["target_key"] for row in crosswalk} == {f"k{number}" for number in range(ROWS)}
    finally:
        if status is not None and os.WIFSTOPPED(status):
            os.kill(zombie, signal.SIGKILL)


def test_who_waited_long_at_a_gate_asks_first_whether_it_may_go_on() -> None:
    clock = FixedClock()
    gate = Pace("crm", Limits((Rate(1, 60.0),)), clock)
    asked: list[float] = []
    gate.permitted = lambda: asked.append(clock.monotonic())
    gate.admit()
    assert asked == []
    gate.admit()
    assert len(asked) == 1
    assert asked[0] >= 60
    gate.permitted = _lost
    with pytest.raises(SafetyStop):
        gate.admit()
    assert gate.admitted == 2


def _lost() -> None:
    raise SafetyStop("taken over")
