"""Limits as data: what a project narrows is read strictly, every opened system gets its one gate, and the ledger counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.sql.target import SqlTarget
from migrator.commands.gates import Gates
from migrator.commands.limits import LimitSettings
from migrator.commands.project import load_project
from migrator.core.clock import FixedClock
from migrator.core.connector import Gate, Limits, OpenGate, Rate
from migrator.core.errors import ProjectError, RetryableError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.tally import LedgerTally

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SYSTEMS = 'systems:\n  new: {connector: sql, url: "sqlite:///new.db", limits: %s}\n'


class Api:
    """A system with limits that is asked through its gate."""

    limits = Limits((Rate(100, 20.0),), daily=1000, parallel=8)

    def __init__(self) -> None:
        self.gate: Gate = OpenGate()

    def pace(self, gate: Gate) -> None:
        self.gate = gate


def parsed(folder: Path, limits: str) -> LimitSettings:
    (folder / "migration.yaml").write_text(SYSTEMS % limits, encoding="utf-8")
    return load_project(folder).systems["new"].limits


def test_all_settings_are_read(tmp_path: Path) -> None:
    text = '{reserve: 12.5%, daily: 90000, parallel: 4, rates: [{calls: 100, per: 20s, scope: "*"}, {calls: 5, per: 1.5m}]}'
    found = parsed(tmp_path, text)
    assert (found.reserve, found.daily, found.parallel) == (0.125, 90_000, 4)
    assert found.rates == (Rate(100, 20.0, "*"), Rate(5, 90.0))
    assert parsed(tmp_path, "{}").reserve == 0.2
    (tmp_path / "migration.yaml").write_text("systems: {new: {connector: sql}}", encoding="utf-8")
    assert load_project(tmp_path).systems["new"].limits.place is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[4]", ["2:58: limits must be a mapping"]),
        ("{paralel: 4}", ["2:59: unknown key 'paralel'\n    did you mean 'parallel'?"]),
        ("{reserve: 100%}", ["2:68: reserve must be a percentage from 0% to 99%, not '100%'"]),
        ("{reserve: 20}", ["2:68: reserve must be a percentage"]),
        ("{daily: 0, parallel: yes}", ["2:66: daily must be a whole number of at least 1, not 0", "2:79: parallel must be"]),
        ("{rates: 5}", ["2:66: rates must be a list"]),
        ("{rates: [5]}", ["2:67: a rate must be a mapping"]),
        ("{rates: [{call: 5}]}", ["2:68: unknown key 'call'", "2:67: this rate has no calls", "2:67: this rate has no per"]),
        ("{rates: [{calls: 5, per: 0s}]}", ["2:83: per must be a time in s, m or h, not '0s'"]),
        ("{rates: [{calls: 5, per: 20, scope: [x]}]}", ["2:83: per must be", "2:94: scope must be a text"]),
    ],
)  # fmt: skip
def test_every_problem_has_its_place(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(ProjectError) as caught:
        parsed(tmp_path, text)
    found = [str(item).partition("migration.yaml:")[2] for item in caught.value.problems]
    assert len(found) == len(told)
    for words in told:
        assert any(item.startswith(words) for item in found), (words, found)


def test_limits_of_a_system_that_has_none_are_not_ignored_silently(tmp_path: Path) -> None:
    (tmp_path / "migration.yaml").write_text(
        "systems:\n  old: {connector: files, path: export, limits: {parallel: 4}}\n"
    )
    (tmp_path / "export").mkdir()
    with pytest.raises(
        ProjectError, match=r"migration.yaml:2:\d+: the connector 'files' has no limits to narrow"
    ):
        load_project(tmp_path).open_source("old")


def test_a_database_keeps_to_the_rate_that_its_owner_set(tmp_path: Path) -> None:
    parsed(tmp_path, "{rates: [{calls: 2, per: 1h}]}")
    target = load_project(tmp_path).open_target("new")
    assert isinstance(target, SqlTarget)
    gate = Counting()
    target.pace(gate)
    target.prepare([ObjectSchema("t", "k", (FieldSchema("k", FieldType.STRING, unique=True),))])
    target.upsert("t", pa.table({"k": ["1"]}), key="k")
    target.fetch("t", ["1"], key="k", columns=["k"])
    target.close()
    assert gate.admitted == 2


@dataclass
class Counting:
    """Counts the requests that ask it."""

    admitted: int = 0

    def admit(self, scope: str = "", requests: int = 1) -> None:
        """One call of a database has no scope of its own."""
        self.admitted += requests if not scope else 0

    def hold(self, seconds: float, scope: str = "") -> None:
        """Nobody is held."""

    def spent(self, used: int, limit: int | None = None) -> None:
        """Nobody counts."""


def test_a_system_has_one_gate_however_often_it_is_opened() -> None:
    gates, first, second, other = Gates(FixedClock(NOON)), Api(), Api(), Api()
    gates.attach("crm", "api", first, LimitSettings(parallel=3, rates=(Rate(10, 1.0),)))
    gates.attach("crm", "api", second, LimitSettings())
    gates.attach("other", "api", other, LimitSettings())
    assert first.gate is second.gate is gates.find("crm")
    assert other.gate is not first.gate
    found = gates.find("crm")
    assert found is not None
    assert found.limits == Limits((Rate(100, 20.0), Rate(10, 1.0)), 1000, "", 3)
    gates.attach("file", "files", object(), LimitSettings())
    assert gates.find("file") is None


@contextmanager
def command(url: str, reserve: float = 0.0) -> Iterator[Gate]:
    """What one command does: open the ledger, open the system, work, close."""
    gates, system = Gates(FixedClock(NOON)), Api()
    gates.attach("crm", "api", system, LimitSettings(reserve=reserve))
    system.gate.admit()  # before the ledger is open
    with closing(open_ledger(url)) as ledger:
        gates.count_in(ledger)
        yield system.gate
        gates.close()


def test_the_day_is_counted_across_commands(database_url: str) -> None:
    with command(database_url) as gate:
        for _ in range(600):
            gate.admit()
    with command(database_url, reserve=0.2) as gate:
        for _ in range(198):
            gate.admit()
        with pytest.raises(RetryableError, match="800 of 800 calls; 200 of 1,000 are kept for its users"):
            gate.admit()
    with closing(open_ledger(database_url)) as ledger:
        assert counted(ledger) == 800


def counted(ledger: Ledger, system: str = "crm") -> int:
    return sum(LedgerTally(ledger, system).by_hour(NOON - timedelta(days=1)).values())


def test_the_ledger_counts_by_system_and_hour(database_url: str) -> None:
    with closing(open_ledger(database_url)) as ledger:
        tally = LedgerTally(ledger, '旧 "CRM"')
        tally.add(NOON, 5)
        tally.add(NOON, -2)
        tally.add(NOON + timedelta(hours=1), 7)
        LedgerTally(ledger, "other").add(NOON, 100)
        assert tally.by_hour(NOON) == {NOON: 3, NOON + timedelta(hours=1): 7}
        assert tally.by_hour(NOON + timedelta(minutes=1)) == {NOON + timedelta(hours=1): 7}
