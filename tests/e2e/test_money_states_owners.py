"""A small migration of deals: amounts converted with the original kept, owners who left, deals that are won only from open."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.small_migration import migrator, target_rows

MIGRATION = """\
project: deals
systems:
  old: {connector: files, path: exports}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 500MB, threads: 1}
batch_rows: 2
"""
USER = """\
mapping: user
target: {system: crm, object: user, key: legacy_id}
source: {system: old, object: User, key: Id}
fields:
  name: {from: Name, type: string(40)}
  active: {from: IsActive, type: boolean, first: true}
"""
DEAL = """\
mapping: deal
target: {system: crm, object: deal, key: legacy_id}
source: {system: old, object: Deal, key: Id}
fields:
  legacy_id: {record_id: true}
  owner: {from: OwnerId, lookup: user, inactive: {when: not IsActive, use: U1}}
  parent: {from: ParentId, lookup: deal}
  amount:
    from: Amount
    type: decimal(18,2)
    currency: {from: Currency, to: USD, rates: values/rates.csv, on: CloseDate, keep: {amount: agreed, currency: agreed_in}}
  agreed: {type: 'decimal(18,3)'}
  stage: {from: Stage, type: string(20), values: {Won: won, Lost: lost, New: open}, first: open}
  closed: {from: CloseDate, type: date}
tests:
  - name: an amount is converted, an owner who left is replaced, the own state stands in the row
    rows:
      old: [{Id: a, Amount: "10.05", Currency: EUR, CloseDate: "2024-01-31", Stage: Won, OwnerId: U2}]
      old/User: [{Id: U1, IsActive: "true"}, {Id: U2, IsActive: "false"}]
    expect: [{amount: 11.06, agreed: 10.05, agreed_in: EUR, stage: won, owner: "user/old:U1"}]
    issues: [lookup.inactive]
"""
SHEETS = {
    "User": [["Id", "Name", "IsActive"], ["U1", "王", "true"], ["U2", "gone", "false"]],
    "Deal": [
        ["Id", "OwnerId", "ParentId", "Amount", "Currency", "CloseDate", "Stage"],
        ["D1", "U1", "D3", "10.05", "EUR", "2024-01-31", "Won"],
        ["D2", "U2", "", "1000", "JPY", "2024-02-01", "Lost"],
        ["D3", "U1", "", "7", "USD", "2024-02-01", "New"],
        ["D4", "U1", "D1", "", "EUR", "", "Won"],
        ["D5", "U2", "", "2.125", "KWD", "2024-02-01", "Won"],
        ["D6", "U1", "", "5", "GBP", "2024-02-01", "Won"],
    ],
}
RATES = "from,to,valid_from,rate\nEUR,USD,2024-01-01,1.10\nEUR,USD,2024-02-01,1.2\nJPY,USD,,0.0065\nKWD,USD,,3.25\n"
STATES = {"D1": "won", "D2": "lost", "D3": "open", "D4": "won", "D5": "won"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "migration.yaml": MIGRATION, "values/rates.csv": RATES, "mappings/user.yaml": USER, "mappings/deal.yaml": DEAL,
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    write_exports(tmp_path)
    return tmp_path


def write_exports(folder: Path, **changed: str) -> None:
    """The exports; `changed` gives deals another stage."""
    (folder / "exports").mkdir(exist_ok=True)
    for name, rows in SHEETS.items():
        with (folder / "exports" / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([[*row[:-1], changed.get(row[0], row[-1])] for row in rows])


def deals(folder: Path) -> dict[str, dict[str, Any]]:
    connection = sqlite3.connect(folder / "crm.db")
    try:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM deal").fetchall()
        return {row["legacy_id"].partition(":")[2]: dict(row) for row in rows}
    finally:
        connection.close()


def guard(folder: Path) -> None:
    """A target that lets a deal be made only open, and notes every change of a stage."""
    connection = sqlite3.connect(folder / "crm.db")
    connection.executescript(
        "CREATE TABLE changes (id TEXT, stage TEXT);"
        "CREATE TRIGGER made BEFORE INSERT ON deal WHEN NEW.stage <> 'open' BEGIN SELECT RAISE(ABORT, 'not from open'); END;"
        "CREATE TRIGGER moved AFTER UPDATE OF stage ON deal WHEN OLD.stage <> NEW.stage"
        " BEGIN INSERT INTO changes VALUES (NEW.legacy_id, NEW.stage); END;"
    )
    connection.commit()
    connection.close()


def empty_target(folder: Path) -> None:
    """The target with its tables and nothing in them: a load that is killed before its first batch leaves them."""
    said = killed(folder, "load.batch-intended")
    assert said.returncode == -9, said.stderr
    assert not target_rows(folder / "crm.db")["deal"]
    guard(folder)


def steps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps up to the load."""
    for step in ("extract", "map", "plan", "load"):
        said = migrator(folder, capsys, step)
        assert said.code == 0, said


def killed(folder: Path, at: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migrator.cli", "-C", str(folder), "run"]
    return subprocess.run(
        command, env={**os.environ, "MIGRATOR_KILL_AT": at}, capture_output=True, text=True, check=False
    )


def test_a_deal_is_won_from_open_its_amount_converted_its_owner_replaced(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert migrator(project, capsys, "map", "test").code == 0
    empty_target(project)
    said = migrator(project, capsys, "run")
    assert said.code == 0, said
    found = deals(project)
    assert {key: row["stage"] for key, row in found.items()} == STATES
    amounts = {
        key: (Decimal(str(row["amount"])) if row["amount"] is not None else None)
        for key, row in found.items()
    }
    assert amounts == {
        "D1": Decimal("11.06"),
        "D2": Decimal("6.5"),
        "D3": 7,
        "D4": None,
        "D5": Decimal("6.91"),
    }
    assert {key: row["agreed_in"] for key, row in found.items()}["D2"] == "JPY"
    assert {row["owner"] for row in found.values()} == {found["D1"]["owner"]}
    account = json.loads(migrator(project, capsys, "status", "--json").out)
    assert "rate.missing" in migrator(project, capsys, "quarantine", "list", "--json").out, account
    told = migrator(project, capsys, "explain", "deal/D2").out
    assert "U1 in place of inactive ones" in told
    assert "created as open, then set in the second pass" in told
    assert "to USD at the rate of the day in CloseDate in values/rates.csv" in told
    before = target_rows(project / "crm.db")
    again = migrator(project, capsys, "load", "--json")
    assert json.loads(again.out)["written"] == 0, again
    assert target_rows(project / "crm.db") == before
    write_exports(project, D3="Lost", D1="New")
    steps(project, capsys)
    assert {key: row["stage"] for key, row in deals(project).items()} == {
        **STATES,
        "D3": "lost",
        "D1": "open",
    }
    moved = [row for row in target_rows(project / "crm.db")["changes"] if "D1" in row[0] or "D3" in row[0]]
    assert moved == [("old:D1", "open"), ("old:D1", "won"), ("old:D3", "lost")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "at",
    [
        "load.batch-answered#2",
        "outcomes.folded",
        "links.batch-intended",
        "links.batch-answered",
        "links.folded",
    ],
)
def test_a_load_killed_between_creating_and_closing_is_mended_by_a_rerun(
    project: Path, capsys: pytest.CaptureFixture[str], at: str
):
    assert killed(project, at).returncode == -9
    assert {row["stage"] for row in deals(project).values()} <= {"open", *STATES.values()}
    steps(project, capsys)
    assert {key: row["stage"] for key, row in deals(project).items()} == STATES
    assert json.loads(migrator(project, capsys, "load", "--json").out)["written"] == 0
