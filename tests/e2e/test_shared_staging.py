"""A migration whose staging is on an object store goes on from any machine, to the same end; and forgets there too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from migrator.commands.erase import done_by_hand, erase
from migrator.commands.erase_result import Order
from migrator.commands.project import load_project
from migrator.commands.sync_people import Approvers
from migrator.core.clock import SystemClock, new_id
from migrator.runbook.backup import back_up
from migrator.runbook.doing import Place
from tests.s3 import BUCKET, S3, s3_server
from tests.small_migration import (
    State,
    assert_told,
    migrator,
    replace_in,
    state,
    target_rows,
    write_small,
)

STEPS = ("extract", "map", "dedupe", "plan", "load", "validate")
ANNA = "contact/salesforce:003000000000001AAA"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


def shared_project(folder: Path, s3: S3, place: str, *more: str) -> Path:
    """The small migration, its staging in a folder of the bucket; the secret comes from the environment."""
    write_small(folder)
    options = s3.options | {"secret": "${env:S3_SECRET}"}
    with (folder / "migration.yaml").open("a") as settings:
        settings.write(f"staging: {{place: s3://{BUCKET}/{place}, options: {options}}}\n" + "".join(more))
    return folder


def rows_there(s3: S3, place: str) -> str:
    """All that can be read there, as text."""
    files = s3.files()
    found = []
    for name in files.find(f"{BUCKET}/{place}"):
        if name.endswith(".parquet"):
            with files.open(name, "rb") as stream:
                found.append(str(pq.read_table(stream).to_pylist()))
    assert found
    return "\n".join(found)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("S3_SECRET", "test")
    return new_id()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> State:
    """What the migration comes to on one machine with nothing shared."""
    folder = write_small(tmp_path_factory.mktemp("undisturbed"))
    command = [sys.executable, "-m", "migrator.cli", "-C", str(folder)]
    subprocess.run([*command, "run"], capture_output=True, check=False)
    said = subprocess.run([*command, "status", "--json"], capture_output=True, check=True)
    return State(target_rows(folder / "crm.db"), json.loads(said.stdout))


def test_the_local_folder_may_go_after_every_step(
    tmp_path: Path, s3: S3, place: str, expected: State, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_project(tmp_path / "project", s3, place)
    assert migrator(folder, capsys, "check").code == 0
    for step in STEPS:
        said = migrator(folder, capsys, step)
        assert said.code in {0, 1}, said
        shutil.rmtree(folder / ".migrator" / "staging")
    assert state(folder, capsys) == expected
    again = migrator(folder, capsys, "load")
    assert again.code in {0, 1}, again
    assert state(folder, capsys) == expected


@pytest.mark.kill
@pytest.mark.parametrize("at", ["outcomes.part-committed#1", "depot.put#30", "load.batch-answered#2"])
def test_a_machine_that_is_lost_in_mid_load_is_replaced(
    tmp_path: Path, s3: S3, place: str, expected: State, capsys: pytest.CaptureFixture[str], at: str
) -> None:
    folder = shared_project(tmp_path / "project", s3, place)
    for step in STEPS[:2]:
        migrator(folder, capsys, step)
    killed = subprocess.run(
        [sys.executable, "-m", "migrator.cli", "-C", str(folder), "run"],
        env=os.environ | {"MIGRATOR_KILL_AT": at}, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    shutil.rmtree(folder / ".migrator" / "staging")
    for step in STEPS:
        migrator(folder, capsys, step)
    assert state(folder, capsys) == expected


@pytest.mark.postgres
def test_with_the_ledger_on_a_server_another_machine_goes_on(
    tmp_path: Path, s3: S3, place: str, expected: State, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        shared_project(folder, s3, place, f"ledger: {postgres_url}\n")
        replace_in(folder / "migration.yaml", {"sqlite:///crm.db": f"sqlite:///{tmp_path}/crm.db"})
    for step in STEPS[:3]:
        assert migrator(one, capsys, step).code in {0, 1}
    shutil.copytree(one / "schemas", other / "schemas")
    shutil.rmtree(one)
    for step in STEPS[3:]:
        said = migrator(other, capsys, step)
        assert said.code in {0, 1}, said
    assert target_rows(tmp_path / "crm.db") == expected.target


def test_who_is_erased_is_nowhere_in_the_bucket(
    tmp_path: Path, s3: S3, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_project(tmp_path, s3, place)
    migrator(folder, capsys, "run")
    assert "nna@" in rows_there(s3, place)
    shutil.rmtree(folder / ".migrator" / "staging")
    project, people = load_project(folder), Approvers("ann", "bob", "asked by letter")
    erase(project, Order(ANNA), people)
    assert "nna@" not in rows_there(s3, place)
    done_by_hand(project, 1, "salesforce", people)
    assert "nna@" not in rows_there(s3, place)


def test_local_copies_are_freed_by_a_command(
    tmp_path: Path, s3: S3, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_project(tmp_path / "shared", s3, place)
    migrator(folder, capsys, "extract")
    local = folder / ".migrator" / "staging"
    files = len(list(local.rglob("*.parquet")))
    said = migrator(folder, capsys, "staging", "free")
    assert said.code == 0, said
    assert f"{files} files" in said.out
    assert f"s3://{BUCKET}/{place}" in said.out
    assert not list(local.rglob("*.parquet"))
    assert migrator(folder, capsys, "map").code in {0, 1}
    alone = write_small(tmp_path / "alone")
    assert_told(migrator(alone, capsys, "staging", "free"), 2, "on this machine only")


def test_a_place_that_is_away_is_told_and_nothing_is_lost(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with s3_server() as server:
        folder = shared_project(tmp_path, server, place)
        assert migrator(folder, capsys, "extract").code in {0, 1}
    assert_told(migrator(folder, capsys, "check"), 2, f"s3://{BUCKET}/{place}", "reachable from here")


def test_a_backup_is_whole_though_this_machine_has_nothing(
    tmp_path: Path, s3: S3, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_project(tmp_path, s3, place)
    migrator(folder, capsys, "extract")
    shutil.rmtree(folder / ".migrator" / "staging")
    kept = back_up(Place(load_project(folder), SystemClock()), ())
    there = [name for name in s3.files().find(f"{BUCKET}/{place}") if name.endswith(".parquet")]
    assert kept.document["files"] == len(there)
