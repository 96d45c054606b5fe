"""Two real databases kept in step: exact versions by trigger, a delete log, and a process that is killed in the middle."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.sql import open_side, open_target
from migrator.core.clock import SystemClock
from migrator.core.errors import FatalError
from migrator.core.twoway import Create, Outcome, Side, Update
from migrator.staging.ledger import open_ledger
from migrator.sync.adapter import ConnectorSide
from migrator.sync.carry import StoredCrosswalk
from migrator.sync.report import RunReport, Status
from migrator.sync.run import Run, run_once
from migrator.sync.store import SyncStore
from tests.sync_world import NEW_FIELDS, OLD_FIELDS, TableTranslator, paired

TABLE = """
CREATE TABLE "{name}" (Id INTEGER PRIMARY KEY, Key TEXT UNIQUE, {fields}, v INTEGER NOT NULL DEFAULT 1,
  at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TRIGGER "{name}_v" AFTER UPDATE ON "{name}" WHEN NEW.v = OLD.v
  BEGIN UPDATE "{name}" SET v = OLD.v + 1, at = CURRENT_TIMESTAMP WHERE Id = OLD.Id; END;
CREATE TABLE IF NOT EXISTS gone (object_name TEXT, id TEXT, version TEXT, deleted_at TEXT);
CREATE TRIGGER "{name}_d" AFTER DELETE ON "{name}"
  BEGIN INSERT INTO gone VALUES ('{name}', OLD.Id, OLD.v + 1, CURRENT_TIMESTAMP); END;
CREATE TABLE IF NOT EXISTS migrator_marker (name TEXT, value TEXT);
"""


def database(path: Path, name: str, fields: tuple[str, ...]) -> None:
    """An empty one with triggers."""
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLE.format(name=name, fields=", ".join(f'"{one}" TEXT' for one in fields)))
    connection.close()


def do(path: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What a user of that database does."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


def side(path: Path) -> Side:
    """That database as a side."""
    return open_side(
        {
            "url": f"sqlite:///{path}",
            "sync": {
                "version": "v",
                "stamp": "at",
                "created": "made",
                "delete_log": "gone",
                "marker": "migrator_marker",
            },
        }
    )


def once(folder: Path, opened: Callable[[str], Side] | None = None) -> RunReport:
    """One run on what lies in a folder."""
    open_one = opened or (lambda name: side(folder / name))
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", SystemClock())
    sides = {"old": open_one("old.db"), "new": open_one("new.db")}
    try:
        with ledger.lease():
            ledger.start_run("sync once", "test")
            store = SyncStore(ledger)
            return run_once(Run(store, TableTranslator(StoredCrosswalk(store), paired()), sides))
    finally:
        for one in sides.values():
            one.close()
        ledger.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two databases, five records in the old one."""
    database(tmp_path / "old.db", "Account", OLD_FIELDS)
    database(tmp_path / "new.db", "customer", NEW_FIELDS)
    for number in range(5):
        do(tmp_path / "old.db", "INSERT INTO Account (Name, City) VALUES (?, 'x')", f"李 {number}'s")
    return tmp_path


def in_step(folder: Path) -> bool:
    """Whether both hold the same."""
    old = do(folder / "old.db", "SELECT Name, City FROM Account ORDER BY Name")
    return old == do(folder / "new.db", "SELECT name, city FROM customer ORDER BY name")


def test_two_databases_stay_in_step(folder: Path) -> None:
    once(folder)
    assert once(folder).status is Status.GREEN
    do(folder / "old.db", "UPDATE Account SET Name = 'Ada' WHERE Id = 1")
    do(folder / "new.db", "UPDATE customer SET city = 'Bern' WHERE Key = 'a:2'")
    do(folder / "old.db", "DELETE FROM Account WHERE Id = 3")
    do(folder / "new.db", "INSERT INTO customer (name) VALUES ('Bo')")
    once(folder)
    report = once(folder)
    assert (report.status, report.writes) == (Status.GREEN, 0)
    assert in_step(folder)
    assert len(do(folder / "new.db", "SELECT * FROM customer")) == 5


def test_a_version_that_somebody_else_advanced_is_stale(folder: Path) -> None:
    one = side(folder / "old.db")
    do(folder / "old.db", "UPDATE Account SET Name = 'user' WHERE Id = 1")
    (answer,) = one.update("Account", [Update("1", "1", {"Name": "sync"})])
    assert answer.outcome is Outcome.STALE
    one.close()
    assert do(folder / "old.db", "SELECT Name FROM Account WHERE Id = 1") == [("user",)]


def test_a_row_tells_when_it_was_made_and_when_it_was_changed_last(folder: Path) -> None:
    do(
        folder / "old.db",
        "UPDATE Account SET made = '2026-01-02 03:04:05', at = '2026-02-03 04:05:06', v = 7 WHERE Id = 1",
    )
    one = side(folder / "old.db")
    (found,) = one.fetch("Account", ["1"], ["Name"])
    one.close()
    assert found.values == {"Name": "李 0's"}
    assert (found.created, found.stamp) == (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    )


def run_killed(folder: Path, at: str) -> int:
    """A process of its own that does one run, and kills itself at a boundary."""
    code = f"from pathlib import Path; from tests.unit.test_sync_databases import once; once(Path({str(folder)!r}))"
    environment = {**os.environ, "MIGRATOR_KILL_AT": at, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120).returncode


def test_a_run_killed_between_the_write_and_its_record_doubles_nothing(folder: Path) -> None:
    assert run_killed(folder, "sync.result.before#1") == -signal.SIGKILL
    assert len(do(folder / "new.db", "SELECT * FROM customer")) == 5
    once(folder)
    assert once(folder).status is Status.GREEN
    assert len(do(folder / "new.db", "SELECT * FROM customer")) == 5
    assert in_step(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("name", ["pull", "conflict", "intent", "result"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_anywhere_goes_on(folder: Path, name: str, when: str, number: int) -> None:
    once(folder)
    do(folder / "old.db", "UPDATE Account SET Phone = 'a' WHERE Id = 1")
    do(folder / "new.db", "UPDATE customer SET phone = 'b' WHERE Key = 'a:1'")
    do(folder / "old.db", "UPDATE Account SET Name = 'Ada' WHERE Id = 1")
    do(folder / "new.db", "UPDATE customer SET city = 'Bern' WHERE Key = 'a:2'")
    do(folder / "old.db", "DELETE FROM Account WHERE Id = 3")
    do(folder / "new.db", "INSERT INTO customer (name) VALUES ('Bo')")
    run_killed(folder, f"sync.{name}.{when}#{number}")
    once(folder)
    once(folder)
    assert once(folder).writes == 0
    assert in_step(folder)
    assert len(do(folder / "new.db", "SELECT * FROM customer")) == 5


def test_a_table_that_gives_no_keys_gets_no_row_without_one(tmp_path: Path) -> None:
    do(
        tmp_path / "old.db",
        'CREATE TABLE Firma (Id TEXT PRIMARY KEY, neu TEXT UNIQUE, "Name" TEXT, v INTEGER)',
    )
    exact = open_side({"url": f"sqlite:///{tmp_path / 'old.db'}", "sync": {"version": "v"}})
    generic = ConnectorSide(open_target({"url": f"sqlite:///{tmp_path / 'old.db'}", "create_tables": False}))
    for one in (exact, generic):
        (answer,) = one.create("Firma", "neu", [Create("n1", {"Name": "x"})])
        assert (answer.outcome, answer.code, answer.field) == (Outcome.REFUSED, "key.not-assigned", "Id")
        one.close()
    assert do(tmp_path / "old.db", "SELECT * FROM Firma") == []


def test_a_row_without_a_key_stops_its_table(tmp_path: Path) -> None:
    do(tmp_path / "old.db", 'CREATE TABLE Firma (Id TEXT PRIMARY KEY, "Name" TEXT, v INTEGER)')
    do(tmp_path / "old.db", "INSERT INTO Firma VALUES (NULL, 'x', 1)")
    exact = open_side({"url": f"sqlite:///{tmp_path / 'old.db'}", "sync": {"version": "v"}})
    with pytest.raises(FatalError, match="have no key"):
        list(exact.scan("Firma", ["Name"]))
    exact.close()


def test_two_databases_without_versions_stay_in_step_too(folder: Path) -> None:
    def plain(name: str) -> Side:
        found = {"url": f"sqlite:///{folder / name}", "create_tables": False}
        return ConnectorSide(open_target(found))

    once(folder, plain)
    assert once(folder, plain).status is Status.GREEN
    do(folder / "old.db", "UPDATE Account SET Name = 'Ada' WHERE Id = 1")
    do(folder / "new.db", "INSERT INTO customer (name) VALUES ('Bo')")
    once(folder, plain)
    report = once(folder, plain)
    assert (report.status, report.writes) == (Status.GREEN, 0)
    assert len(do(folder / "old.db", "SELECT * FROM Account")) == 6
    do(folder / "new.db", "UPDATE customer SET city = 'Rome' WHERE name = 'Bo'")
    once(folder, plain)
    assert do(folder / "old.db", "SELECT City FROM Account WHERE Name = 'Bo'") == [("Rome",)]
