"""The ledger on both databases: one holder at a time, all or nothing, and trouble told by what helps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrator.core.clock import FixedClock
from migrator.core.errors import FatalError, ProjectError, RetryableError, SafetyStop
from migrator.staging import ledger as ledgers
from migrator.staging import ledger_tables as tables
from migrator.staging.ledger import LEASE_SECONDS, Ledger, open_ledger, schema_name
from migrator.staging.store import Kind, Store


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def ledger(database_url: str, clock: FixedClock) -> Iterator[Ledger]:
    with closing(open_ledger(database_url, clock)) as opened:
        yield opened


def test_runs_are_listed_newest_first_with_aware_times(ledger: Ledger, clock: FixedClock) -> None:
    ledger.start_run("extract", "0.1")
    ledger.finish_run("failed", "a NUL \0 and a lone \ud800 surrogate")
    clock.sleep(60)
    second = ledger.start_run("map", "0.1")
    newest, oldest = ledger.list_runs()
    assert (newest.id, newest.state, newest.finished_at) == (second, "running", None)
    assert oldest.message == "a NUL \N{REPLACEMENT CHARACTER} and a lone ? surrogate"
    assert newest.started_at == clock.now()
    assert newest.started_at.tzinfo == UTC


def test_a_transaction_is_all_or_nothing(ledger: Ledger) -> None:
    def insert_then_fail() -> None:
        with ledger.begin() as connection:
            connection.execute(tables.meta.insert().values(name="half", value="x"))
            raise KeyError

    with pytest.raises(KeyError):
        insert_then_fail()
    with ledger.read() as connection:
        assert connection.execute(sa.select(tables.meta).where(tables.meta.c.name == "half")).all() == []


def test_a_held_lease_is_refused_and_a_released_one_is_free(ledger: Ledger) -> None:
    with ledger.lease() as first:
        with pytest.raises(SafetyStop, match=f"process {os.getpid()}"), ledger.lease():
            pass
        ledger.renew_lease(first)
    with ledger.lease() as second:
        assert second == first + 1


def test_an_expired_lease_is_taken_over_and_its_holder_fenced(
    database_url: str, ledger: Ledger, clock: FixedClock, tmp_path: Path
) -> None:
    store = Store(tmp_path / "staging", ledger)
    with ledger.lease() as stalled:
        building = store.build(Kind.STAGED, "a/b", "f")
        building.add_table(pa.table({"a": [1]}))
        clock.sleep(LEASE_SECONDS + 1)
        with closing(open_ledger(database_url, clock)) as other, other.lease() as fence:
            assert fence == stalled + 1
            with pytest.raises(SafetyStop, match="took this project over"):
                ledger.renew_lease(stalled)
            with pytest.raises(SafetyStop, match="took this project over"):
                building.add_table(pa.table({"a": [2]}))
            with pytest.raises(SafetyStop, match="took this project over"):
                building.complete()
            with pytest.raises(SafetyStop, match="took this project over"):
                store.build(Kind.STAGED, "a/c", "f")
            other.renew_lease(fence)
    assert store.current(Kind.STAGED, "a/b") is None


def test_leases_of_other_names_do_not_meet(ledger: Ledger) -> None:
    with ledger.lease("one"), ledger.lease("other"):
        pass


_HOLD = """
import sys, time
from migrator.staging.ledger import open_ledger
with open_ledger(sys.argv[1]).lease() as fence:
    print(fence, flush=True)
    time.sleep(60)
"""


def test_a_killed_owner_is_noticed_at_once_a_living_one_never_disturbed(database_url: str) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", _HOLD, database_url], stdout=subprocess.PIPE) as owner,
        closing(open_ledger(database_url)) as ledger,
    ):
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"1\n"
        with pytest.raises(SafetyStop, match=f"process {owner.pid}"), ledger.lease():
            pass
        owner.kill()
        owner.wait()
        with ledger.lease() as fence:
            assert fence == 2


def test_only_one_of_many_first_commands_gets_the_lease(database_url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _HOLD, database_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    try:
        deadline = time.monotonic() + 60
        while sum(racer.poll() is not None for racer in racers) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        running = [racer for racer in racers if racer.poll() is None]
        assert len(running) == 1
        told = [racer.communicate()[1].decode() for racer in racers if racer not in running]
        assert all("SafetyStop" in text for text in told), told
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


def test_the_holder_renews_while_one_query_runs(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "LEASE_SECONDS", 0.4)
    with closing(open_ledger(database_url)) as ledger, ledger.lease() as fence:
        time.sleep(1)
        with ledger.read() as connection:
            row = connection.execute(sa.select(tables.leases)).one()
        assert row.fence == fence
        assert row.expires_at > ledger.clock.now() - timedelta(seconds=0.2)


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'a' / 'b' / 'ledger.db'}")) as ledger:
        assert ledger.identity
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FatalError, match="cannot make the folder"):
        open_ledger(f"sqlite:///{tmp_path / 'file' / 'b' / 'ledger.db'}")


def test_a_sqlite_ledger_belongs_to_one_project(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_ledger(url, project="north").close()
    open_ledger(url, project="north").close()
    with pytest.raises(ProjectError, match="belongs to the project 'north', not to 'south'"):
        open_ledger(url, project="south")


@pytest.mark.postgres
def test_projects_in_one_postgresql_database_do_not_meet(postgres_url: str) -> None:
    with (
        closing(open_ledger(postgres_url, project="Norden & Söhne")) as north,
        closing(open_ledger(postgres_url, project="south")) as south,
        closing(open_ledger(postgres_url)) as nameless,
    ):
        north.start_run("extract", "0.1")
        assert len({north.identity, south.identity, nameless.identity}) == 3
        with north.lease(), south.lease():
            assert len(north.list_runs()) == 1
            assert south.list_runs() == nameless.list_runs() == []


def test_schema_names_are_short_and_distinct() -> None:
    names = ["south", "South", "south!", "中文", "中国", "x" * 200, "x" * 201, "a_b", "a-b"]
    made = {schema_name(name) for name in names}
    assert len(made) == len(names)
    assert schema_name("south") == "migrator_south"
    assert all(len(name) <= 63 and name.isascii() for name in made)


def test_wrong_urls_are_told_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not a database URL"):
        open_ledger("what is this")
    with pytest.raises(ProjectError, match="not a database URL"):
        open_ledger("postgresql+psycopg://me@host:port/database")
    with pytest.raises(ProjectError, match="in memory"):
        open_ledger("sqlite://")
    with pytest.raises(FatalError, match="cannot open the ledger"):
        open_ledger(f"sqlite:///{tmp_path}")
    (tmp_path / "no.db").write_bytes(b"this is no database at all, whatever its name says" * 100)
    with pytest.raises(FatalError, match="cannot open the ledger"):
        open_ledger(f"sqlite:///{tmp_path / 'no.db'}")


def test_a_server_that_is_away_may_come_back_and_no_password_is_shown() -> None:
    with pytest.raises(RetryableError, match="does not answer") as caught:
        open_ledger("postgresql+psycopg://me:s3cret@127.0.0.1:1/none?connect_timeout=1")
    assert "s3cret" not in str(caught.value)


def test_a_full_disk_will_fail_again_a_busy_database_will_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(open_ledger(url)) as ledger:
        with ledger.begin() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        large = tables.meta.insert().values(name="large", value="x" * 1_000_000)
        with pytest.raises(FatalError, match="full"), ledger.begin() as connection:
            connection.execute(large)
        with closing(open_ledger(url)) as other, other.begin():
            quick = sa.create_engine(url, connect_args={"timeout": 0.01})
            with pytest.raises(RetryableError, match="locked"), Ledger(quick).begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            quick.dispose()


@pytest.mark.postgres
def test_a_read_only_database_will_fail_again(postgres_url: str) -> None:
    with closing(open_ledger(postgres_url)) as ledger:
        writable = tables.meta.insert().values(name="x", value="y")
        sa.event.listen(ledger.engine, "begin", lambda c: c.exec_driver_sql("SET TRANSACTION READ ONLY"))
        with pytest.raises(FatalError, match="read-only"), ledger.begin() as connection:
            connection.execute(writable)
        assert ledger.list_runs() == []
