"""Two SQLite databases kept in step through the command line: edited on both sides, decided by a person, watched, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner

from migrator.cli.main import app
from tests.sync_kit import do, write_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path)
    do(
        tmp_path / "old.db",
        "INSERT INTO contact (id, name, phone, stage) VALUES ('c1', '李伟', '+86 1', 'Warm')",
    )
    do(
        tmp_path / "old.db",
        "INSERT INTO contact (id, name, stage, boss_id) VALUES ('c2', 'Ana', 'Won', 'c1')",
    )
    return tmp_path


@pytest.fixture
def ask(folder: Path) -> Callable[..., tuple[int, Any]]:
    """Run a command in this process; its exit code and its JSON."""

    def call(*words: str, code: int | None = None) -> tuple[int, Any]:
        done = CliRunner().invoke(app, ["-C", str(folder), "-q", *words, "--json"], standalone_mode=False)
        found = done.return_value if isinstance(done.return_value, int) else done.exit_code
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert code is None or found == code, done.output
        return found, json.loads(done.output)

    return call


def test_both_sides_are_edited_and_come_to_agree(folder: Path, ask: Callable[..., tuple[int, Any]]) -> None:
    old, new = folder / "old.db", folder / "new.db"
    _, dry = ask("sync", "once", "--dry-run", code=0)
    assert [(row["kind"], row["id"]) for row in dry["writes"]] == [("create", "old:c1"), ("create", "old:c2")]
    assert do(new, "SELECT count(*) FROM person") == [(0,)]
    ask("sync", "once")
    ask("sync", "once", code=0)
    people = "SELECT p.name, p.stage, b.name FROM person p LEFT JOIN person b ON b.id = p.boss ORDER BY p.id"
    assert do(new, people) == [("李伟", "open", None), ("Ana", "won", "李伟")]

    do(old, "UPDATE contact SET name = 'Wei' WHERE id = 'c1'")
    do(new, "UPDATE person SET phone = '+86 2' WHERE legacy_id = 'old:c1'")
    do(new, "INSERT INTO person (name, stage) VALUES ('Neu', 'won')")
    do(old, "DELETE FROM contact WHERE id = 'c2'")
    ask("sync", "once")
    ask("sync", "once", code=0)
    assert do(old, "SELECT name, phone, stage FROM contact ORDER BY name") == [
        ("Neu", None, "Won"),
        ("Wei", "+86 2", "Warm"),
    ]
    assert do(new, "SELECT name, phone FROM person ORDER BY name") == [("Neu", None), ("Wei", "+86 2")]
    _, idle = ask("sync", "reconcile", code=0)
    assert (idle["report"]["writes"], idle["status"]) == (0, "green")
    assert ask("sync", "status", code=0)[1]["why"] == "every check holds"


@pytest.mark.slow
def test_a_conflict_is_decided_in_a_workbook(folder: Path, ask: Callable[..., tuple[int, Any]]) -> None:
    old, new = folder / "old.db", folder / "new.db"
    ask("sync", "once")
    do(old, "UPDATE contact SET stage = 'Won', name = '=1+1' WHERE id = 'c1'")
    do(new, "UPDATE person SET stage = 'lost' WHERE legacy_id = 'old:c1'")
    code, run = ask("sync", "once")
    assert (code, run["status"], run["causes"][0]["code"]) == (5, "red", "conflicts")
    assert do(new, "SELECT name, stage FROM person WHERE legacy_id = 'old:c1'") == [("=1+1", "lost")]
    _, listed = ask("sync", "conflicts", "list")
    (found,) = listed["conflicts"]
    assert (found["field"], found["old"], found["reason"]) == ("stage", ["c1"], "conflict")
    assert "lost" not in json.dumps(listed)

    path = folder / "open.xlsx"
    ask("sync", "conflicts", "export", str(path), code=0)
    book = openpyxl.load_workbook(path)
    page = book["conflicts"]
    columns = {cell.value: cell.column for cell in page[1]}
    assert [page.cell(2, columns[name]).value for name in ("old now", "new now")] == ["Won", "lost"]
    page.cell(2, columns["decision"]).value = "new"
    book.save(path)
    assert ask("sync", "conflicts", "import", str(path), "--who", "Li")[1] == {"decided": 1, "blank": 0}
    code, run = ask("sync", "once")
    # what was chosen has no form on the old side: it is told, and nothing is written
    assert run["status"] == "yellow"
    assert do(old, "SELECT stage FROM contact WHERE id = 'c1'") == [("Won",)]
    do(new, "UPDATE person SET stage = 'won' WHERE legacy_id = 'old:c1'")
    ask("sync", "once")
    ask("sync", "once", code=0)


@pytest.mark.slow
def test_a_pause_holds_until_resume(folder: Path, ask: Callable[..., tuple[int, Any]]) -> None:
    ask("sync", "pause", "--why", "audit", code=0)
    assert ask("sync", "status", code=4)[1]["paused"]["why"] == "audit"
    done = CliRunner().invoke(app, ["-C", str(folder), "sync", "once"])
    assert done.exit_code != 0
    assert do(folder / "new.db", "SELECT count(*) FROM person") == [(0,)]
    ask("sync", "resume", code=0)
    ask("sync", "once")
    assert do(folder / "new.db", "SELECT count(*) FROM person") == [(2,)]


@pytest.mark.slow
def test_watch_works_until_sigterm_and_ends_cleanly(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "migrator.cli",
        "-C",
        str(folder),
        "--log-format",
        "json",
        "sync",
        "watch",
        "--every",
        "1s",
    ]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        _until(lambda: do(folder / "new.db", "SELECT count(*) FROM person") == [(2,)])
        do(folder / "new.db", "UPDATE person SET name = 'Wei' WHERE legacy_id = 'old:c1'")
        _until(lambda: do(folder / "old.db", "SELECT name FROM contact WHERE id = 'c1'") == [("Wei",)])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "green" in out
    judged = [json.loads(line) for line in err.splitlines() if '"sync.judged"' in line]
    assert judged
    assert "Wei" not in err


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within 30 seconds")
