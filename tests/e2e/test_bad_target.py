"""Targets, ledgers and staged data that changed under a project: told, nothing written twice or half, and mended by a rerun."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

import connectors.sql.database
from migrator.cli.main import run_app
from migrator.core.clock import SystemClock
from migrator.staging import ledger
from migrator.staging.ledger_upgrade import REVISIONS
from tests.small_migration import (
    Said,
    State,
    assert_told,
    copied,
    migrator,
    replace_in,
    state,
    target_rows,
)

Undo = Callable[[], object] | None
Break = Callable[[Path], Undo]
ORDERS = 'CREATE TABLE "Order" (legacy_id TEXT PRIMARY KEY, "select" TEXT, amount NUMERIC(10,2){})'


@dataclass(frozen=True)
class Case:
    """One thing that happens to a target or a workspace, and what the next command must say of it."""

    broken: Break
    says: tuple[str, ...]
    code: int = 5


def database(*statements: str) -> Break:
    """SQL run on the target by somebody else; mended by putting the file back."""

    def broken(folder: Path) -> Undo:
        shutil.copy2(folder / "crm.db", folder / "kept.db")
        _execute(folder / "crm.db", *statements)
        return lambda: shutil.copy2(folder / "kept.db", folder / "crm.db")

    return broken


def project(old: str, new: str) -> Break:
    def broken(folder: Path) -> Undo:
        replace_in(folder / "migration.yaml", {old: new})
        return lambda: replace_in(folder / "migration.yaml", {new: old})

    return broken


def held(file: str) -> Break:
    """Another program that holds the database's lock."""

    def broken(folder: Path) -> Undo:
        connection = sqlite3.connect(folder / file)
        connection.execute("BEGIN IMMEDIATE")
        return connection.close

    return broken


def moved(file: str, instead: Callable[[Path], object]) -> Break:
    def broken(folder: Path) -> Undo:
        path, kept = folder / file, folder / "kept"
        path.rename(kept)
        instead(path)

        def undo() -> None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            kept.rename(path)

        return undo

    return broken


def nothing(path: Path) -> None:
    """Nothing in the place of a file that is gone."""
    assert not path.exists()


def immutable(file: str) -> Break:
    """Read-only even for root, where the file system can do that."""

    def broken(folder: Path) -> Undo:
        done = subprocess.run(["chattr", "+i", str(folder / file)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"chattr +i does not work here: {done.stderr.decode().strip()}")
        return lambda: subprocess.run(["chattr", "-i", str(folder / file)], check=True)

    return broken


def _execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


URL = "sqlite:///crm.db"
TARGETS: Mapping[str, Case] = {
    "locked": Case(held("crm.db"), ("the database is locked by another program", "close what has the file open"), 4),
    "not a database": Case(moved("crm.db", lambda path: path.write_bytes(b"hello" * 999)), ("is not an SQLite database",), 3),
    "a folder": Case(moved("crm.db", Path.mkdir), ("the database file cannot be opened", "its folder exists"), 3),
    "in no folder": Case(project(URL, "sqlite:///no/where.db"), ("the database file cannot be opened",), 3),
    "read-only file": Case(immutable("crm.db"), ("the database file is read-only", "writable"), 3),
    "read-only by setting": Case(project(f'"{URL}"', f'"{URL}", read_only: true'), ("marked read_only", "take read_only out"), 3),
    "on no server": Case(project(URL, "postgresql://u:topsecret@127.0.0.1:1/db"), ("the database cannot be reached", "the server runs"), 4),
    "emptied": Case(database('DELETE FROM "Order"'), ("Order is empty in the target", "was the target replaced or emptied")),
    "replaced": Case(moved("crm.db", nothing), ("is empty in the target", "name the right one")),
    "table dropped": Case(database('DROP TABLE "Order"'), ("Order is empty in the target",)),
    "table not to be made": Case(
        lambda folder: _both(folder, database('DROP TABLE "Order"'), project(f'"{URL}"', f'"{URL}", create_tables: false')),
        ("Order is missing, and create_tables is false",),
    ),
    "column dropped": Case(database('ALTER TABLE "Order" DROP COLUMN amount'), ("Order.amount is missing: add the column",)),
    "column renamed": Case(database('ALTER TABLE "Order" RENAME COLUMN amount TO amuont'), ("did you mean 'amuont'?",)),
    "column narrowed": Case(
        database('ALTER TABLE "Order" RENAME TO o', ORDERS.replace("NUMERIC(10,2)", "INTEGER").format(""), 'INSERT INTO "Order" SELECT * FROM o'),
        ("Order.amount is INTEGER, but decimal(10,2) is to be written",),
    ),
    "column required": Case(
        database('ALTER TABLE "Order" RENAME TO o', ORDERS.format(", must TEXT NOT NULL"), """INSERT INTO "Order" SELECT *, 'x' FROM o"""),
        ("Order.must is required and nothing is written to it",),
    ),
    "key not unique": Case(
        database('ALTER TABLE "Order" RENAME TO o', 'CREATE TABLE "Order" AS SELECT * FROM o'), ("has no unique index: add UNIQUE",)
    ),
    "a view": Case(database('ALTER TABLE "Order" RENAME TO o', 'CREATE VIEW "Order" AS SELECT * FROM o'), ("Order is a view",)),
}  # fmt: skip


def _both(folder: Path, *breaks: Break) -> Undo:
    undone = [broken(folder) for broken in breaks]
    return lambda: [undo() for undo in undone if undo]


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for ten seconds, six times over: not here."""
    monkeypatch.setattr(connectors.sql.database, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(ledger, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: None)


@pytest.fixture(scope="module")
def planned(small_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project with one more order, ready to be loaded."""
    folder = copied(small_done, tmp_path_factory.mktemp("planned") / "project")
    with (folder / "exports/shop/Order.csv").open("a", encoding="utf-8") as orders:
        orders.write('"A-9","new","1"\n')
    for step in ("extract", "map", "dedupe", "plan"):
        assert run_app(["-C", str(folder), "-q", step]) == 0
    return folder


@pytest.fixture(scope="module")
def loaded(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """The rows of the target when the one order more is loaded by an undisturbed load."""
    folder = copied(planned, tmp_path_factory.mktemp("loaded") / "project")
    assert run_app(["-C", str(folder), "-q", "load"]) == 0
    return target_rows(folder / "crm.db")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_does_not_take_records_is_told_and_mends(
    name: str, planned: Path, loaded: Mapping[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, folder = TARGETS[name], copied(planned, tmp_path / "project")
    undo = case.broken(folder)
    try:
        said = migrator(folder, capsys, "load")
    finally:
        if undo:
            undo()
    assert_told(said, case.code, *case.says)
    assert "topsecret" not in said.err
    assert target_rows(folder / "crm.db") == target_rows(planned / "crm.db"), "something was written"
    mended = migrator(folder, capsys, "load")
    assert mended.code == 0, mended
    assert target_rows(folder / "crm.db") == loaded


def test_a_trigger_that_refuses_holds_the_record_until_it_is_tried_again(
    planned: Path, loaded: Mapping[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(planned, tmp_path / "project")
    refuse = (
        "CREATE TRIGGER no BEFORE INSERT ON \"Order\" BEGIN SELECT RAISE(ABORT, 'orders are closed'); END"
    )
    _execute(folder / "crm.db", refuse)
    assert migrator(folder, capsys, "load").code == 0
    held_back = migrator(folder, capsys, "quarantine", "list")
    assert "order/shop:A-9" in held_back.out
    assert "trigger" in held_back.out
    _execute(folder / "crm.db", "DROP TRIGGER no")
    assert migrator(folder, capsys, "quarantine", "retry").code == 0
    assert target_rows(folder / "crm.db") == loaded


LEDGER = ".migrator/ledger.db"
WORKSPACE: Mapping[str, Case] = {
    "ledger locked": Case(held(LEDGER), ("the ledger", "did not answer: database is locked", "keep it busy"), 4),
    "ledger no database": Case(moved(LEDGER, lambda path: path.write_bytes(b"x" * 4096)), ("cannot open the ledger", "not a database"), 3),
    "ledger a folder": Case(moved(LEDGER, Path.mkdir), ("cannot open the ledger",), 3),
    "ledger read-only": Case(immutable(LEDGER), ("read-only", "its disk full"), 3),
    "ledger lost": Case(moved(LEDGER, nothing), ("belongs to another ledger", "set `ledger`"), 5),
    "ledger of a newer version": Case(
        lambda folder: (
            _execute(folder / LEDGER, "UPDATE migrator_revision SET version_num = 'v9999'"),
            lambda: _execute(folder / LEDGER, f"UPDATE migrator_revision SET version_num = '{REVISIONS[-1]}'"),
        )[1],
        ("written by a newer migrator", "v9999", "use that migrator"), 5,
    ),
    "staging a file": Case(moved(".migrator/staging", lambda path: path.write_text("x")), ("cannot write in", "writable"), 3),
    "staging's mark damaged": Case(
        moved(".migrator/staging/.ledger", lambda path: path.write_bytes(b"\xff")), ("belongs to another ledger",), 5
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKSPACE)
def test_a_workspace_that_does_not_work_is_told_and_mends(
    name: str, small_done: Path, undisturbed: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, folder = WORKSPACE[name], copied(small_done, tmp_path / "project")
    undo = case.broken(folder)
    try:
        said = migrator(folder, capsys, "run", "--skip-validate")
    finally:
        if undo:
            undo()
    assert_told(said, case.code, *case.says)
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    assert state(folder, capsys) == undisturbed


def _damage(folder: Path, kinds: Sequence[str], damage: Callable[[Path], object]) -> list[Path]:
    files = [
        file for kind in kinds for file in sorted(folder.glob(f".migrator/staging/{kind}/*/*/*.parquet"))
    ]
    assert files
    for file in files:
        damage(file)
    return files


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _blank(file: Path) -> None:
    """As a disk leaves it that lost the blocks but not the size."""
    file.write_bytes(bytes(file.stat().st_size))


def _scramble(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4:40] = b"\xff" * 36
    file.write_bytes(bytes(data))


MADE_ANEW = ("staged", "rejects", "mapped", "clusters", "golden", "plan", "links")


@pytest.mark.parametrize("damage", [Path.unlink, _cut], ids=["deleted", "cut"])
def test_staged_files_deleted_or_cut_are_made_anew(
    damage: Callable[[Path], object],
    small_done: Path,
    undisturbed: State,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied(small_done, tmp_path / "project")
    _damage(folder, MADE_ANEW, damage)
    said = migrator(folder, capsys, "run", "--skip-validate")
    assert said.code == 0, said
    assert state(folder, capsys) == undisturbed


@pytest.fixture(params=[(kind, damage) for kind in ("staged", "mapped") for damage in (_blank, _scramble)])
def damaged(request: pytest.FixtureRequest, small_done: Path, tmp_path: Path) -> tuple[Path, list[Path]]:
    """A project, and the files of one kind that are damaged inside."""
    folder = copied(small_done, tmp_path / "project")
    return folder, _damage(folder, [request.param[0]], request.param[1])


def test_staged_files_damaged_inside_are_told_and_made_anew_once_deleted(
    damaged: tuple[Path, list[Path]], undisturbed: State, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, files = damaged
    replace_in(
        folder / "mappings/account.yaml", {"old system": "former system"}
    )  # so that what is damaged is read
    said = migrator(folder, capsys, "run", "--skip-validate")
    if said.code:
        assert_told(said, 3, "delete", ".migrator/staging")
        for file in files:
            file.unlink(missing_ok=True)
    replace_in(folder / "mappings/account.yaml", {"former system": "old system"})
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    assert state(folder, capsys) == undisturbed


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _blank, _scramble])
def test_a_lost_memory_of_what_was_loaded_is_told_and_never_guessed(
    damage: Callable[[Path], object],
    small_done: Path,
    undisturbed: State,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied(small_done, tmp_path / "project")
    _damage(folder, ["crosswalk"], damage)
    said = migrator(folder, capsys, "run", "--skip-validate")
    assert_told(said, 3, ".migrator/staging")
    assert target_rows(folder / "crm.db") == undisturbed.target
    shutil.rmtree(folder / ".migrator")  # as the hint says: records are matched by their keys
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    assert state(folder, capsys) == undisturbed


@pytest.mark.postgres
def test_a_server_that_refuses_says_what_to_grant(
    small: Path, undisturbed: State, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such database, no such role, a role that may not make tables, one that may only read; then one that may write."""
    folder, owner = copied(small, tmp_path / "project"), sa.make_url(postgres_url)
    role = f"poor_{uuid4().hex[:8]}"
    run = _RunsAs(folder, capsys)
    engine = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        try:
            _told(run(owner.set(database="nowhere")), "there is no such database", "create it")
            _told(run(owner.set(username=role)), "refuses the sign-in", "user and password")
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
            _told(run(owner.set(username=role)), "may not do this", "grant the privilege")
            assert run(owner).code == 0
            with (folder / "exports/shop/Order.csv").open("a", encoding="utf-8") as orders:
                orders.write('"A-9","new","1"\n')
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
            _told(run(owner.set(username=role)), "may not do this", "grant the privilege")
            connection.exec_driver_sql(f"GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
            assert run(owner.set(username=role)).code == 0
            keys = {
                name: sorted(connection.exec_driver_sql(f'SELECT legacy_id FROM "{name}"').scalars())
                for name in undisturbed.target
            }
        finally:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()
    expected = {name: [row[0] for row in rows] for name, rows in undisturbed.target.items()}
    assert keys == expected | {"Order": sorted([*expected["Order"], "shop:A-9"])}


class _RunsAs:
    """`migrator run` with one target URL after another."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys, self._url = folder, capsys, URL

    def __call__(self, url: sa.URL) -> Said:
        text = url.render_as_string(hide_password=False)
        replace_in(self._folder / "migration.yaml", {f'"{self._url}"': f'"{text}"'})
        self._url = text
        return migrator(self._folder, self._capsys, "run", "--skip-validate")


def _told(said: Said, *texts: str) -> None:
    assert_told(said, 3, *texts)
