"""Ledgers of every age: an old one is taken over whole, by one of many at once, in one piece; a newer one is left alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import migrator.core.boundary as boundaries
from migrator.core.clock import FixedClock
from migrator.core.errors import SafetyStop
from migrator.staging.ledger import Ledger, open_ledger, schema_name
from migrator.staging.ledger_tables import leases, metadata
from migrator.staging.ledger_upgrade import MIGRATIONS, REVISIONS, VERSION_TABLE
from migrator.staging.store import Kind, Store

_BEFORE_ALEMBIC = """
CREATE TABLE {s}migrator_meta (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE {s}migrator_run (id VARCHAR(32) NOT NULL, command VARCHAR(200) NOT NULL, state VARCHAR(16) NOT NULL,
  started_at {instant} NOT NULL, finished_at {instant}, host VARCHAR(200) NOT NULL, pid INTEGER NOT NULL,
  version VARCHAR(32) NOT NULL, message TEXT NOT NULL, PRIMARY KEY (id));
CREATE TABLE {s}migrator_dataset (id VARCHAR(32) NOT NULL, kind VARCHAR(32) NOT NULL, name TEXT NOT NULL,
  fingerprint VARCHAR(64) NOT NULL, state VARCHAR(16) NOT NULL, rows BIGINT NOT NULL, detail JSON NOT NULL,
  run VARCHAR(32), seconds FLOAT NOT NULL, created_at {instant} NOT NULL, completed_at {instant}, PRIMARY KEY (id));
CREATE INDEX ix_migrator_dataset_current ON {s}migrator_dataset (kind, name, state);
CREATE TABLE {s}migrator_part (dataset VARCHAR(32) NOT NULL, number INTEGER NOT NULL, file VARCHAR(300) NOT NULL,
  rows BIGINT NOT NULL, bytes BIGINT NOT NULL, cursor TEXT, detail JSON NOT NULL, PRIMARY KEY (dataset, number));
CREATE TABLE {s}migrator_lease (name VARCHAR(64) NOT NULL, owner VARCHAR(32) NOT NULL, host VARCHAR(200) NOT NULL,
  pid INTEGER NOT NULL, fence BIGINT NOT NULL, expires_at {instant} NOT NULL, PRIMARY KEY (name));
INSERT INTO {s}migrator_meta VALUES ('version', '1'), ('identity', 'the-first'), ('project', '');
INSERT INTO {s}migrator_run VALUES ('20260102T030405-abcdef', 'load', 'done', '2026-01-02 03:04:05.000000',
  '2026-01-02 03:05:05.000000', 'host', 7, '0.1.0', '旧系统');
INSERT INTO {s}migrator_dataset VALUES ('d1', 'crosswalk', 'account', 'f', 'complete', 3, '{{"plan": "p"}}',
  '20260102T030405-abcdef', 1.5, '2026-01-02 03:04:06.000000', '2026-01-02 03:04:07.000000');
INSERT INTO {s}migrator_part VALUES ('d1', 0, 'part-000000.parquet', 3, 99, NULL, '{{}}');
INSERT INTO {s}migrator_lease VALUES ('project', 'gone', 'host/boot/pid', 7, 41, '2026-01-02 03:06:00.000000');
"""
"""What the last program before Alembic wrote, on both databases."""


def _old_ledger(url: str, schema: str = "") -> str:
    """Write such a ledger; returns its URL."""
    engine = sa.create_engine(url)
    instant = "DATETIME" if engine.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    with engine.begin() as connection:
        if schema:
            connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
        prefix = f'"{schema}".' if schema else ""
        for statement in _BEFORE_ALEMBIC.format(instant=instant, s=prefix).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


@pytest.fixture
def old_url(database_url: str) -> str:
    return _old_ledger(database_url)


@pytest.fixture
def opened(database_url: str) -> Iterator[Ledger]:
    with closing(open_ledger(database_url)) as ledger:
        yield ledger


def _revision(url: str) -> str:
    """What Alembic's table says; '' when there is none."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        there = sa.inspect(connection).has_table(VERSION_TABLE)
        found = (
            connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() if there else ""
        )
    engine.dispose()
    return str(found)


def _forked(work: Callable[[], object]) -> int:
    """Run in a child process; returns its number."""
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            work()
            ended = 0
        finally:
            os._exit(ended)
    return child


def _differences(ledger: Ledger) -> list[object]:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return list(compare_metadata(context, metadata))


def test_revisions_stand_in_one_line_named_as_their_files() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [REVISIONS[-1]]
    assert [item.revision for item in script.walk_revisions()][::-1] == list(REVISIONS)


def test_a_new_ledger_has_the_tables_of_this_program(opened: Ledger, database_url: str) -> None:
    assert _differences(opened) == []
    assert _revision(database_url) == REVISIONS[-1]


def test_a_ledger_from_before_alembic_is_taken_over_without_loss(old_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        with closing(open_ledger(old_url)) as ledger:
            assert _differences(ledger) == []
            assert _revision(old_url) == REVISIONS[-1]
            assert ledger.identity == "the-first"
            assert ledger.noted("version") == "2"  # a program from before refuses it: it knows version 1 only
            (run,) = ledger.list_runs()
            assert (run.command, run.message) == ("load", "旧系统")
            assert run.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
            found = Store(tmp_path, ledger).current(Kind.CROSSWALK, "account")
            assert found is not None
            assert (found.rows, found.detail, found.parts[0].bytes) == (3, {"plan": "p"}, 99)
    with closing(open_ledger(old_url)) as ledger, ledger.lease() as fence:
        assert fence == 43  # the upgrade itself fences off whoever held it before


@pytest.mark.postgres
def test_a_project_with_a_schema_of_its_own_is_upgraded_there(postgres_url: str) -> None:
    _old_ledger(postgres_url, schema_name("Norden & Söhne"))
    with closing(open_ledger(postgres_url, project="Norden & Söhne")) as ledger:
        assert ledger.identity == "the-first"
        with ledger.lease():
            assert ledger.noted("version") == "2"
        with ledger.read() as connection:
            assert sa.inspect(connection).get_table_names(schema="public") == []


def test_a_newer_ledger_is_refused_and_left_as_it_is(database_url: str) -> None:
    open_ledger(database_url).close()
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = 'v9999'")
    engine.dispose()
    with pytest.raises(SafetyStop, match=r"newer migrator .*v9999") as caught:
        open_ledger(database_url)
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert _revision(database_url) == "v9999"


def test_who_opened_it_before_the_upgrade_gets_no_lease_after_it(opened: Ledger) -> None:
    with opened.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = 'v9999'")
    with pytest.raises(SafetyStop, match="newer migrator"), opened.lease():
        pass


def test_an_old_ledger_is_left_alone_while_somebody_works_with_it(old_url: str) -> None:
    clock = FixedClock(datetime(2026, 1, 2, 3, 5, 30, tzinfo=UTC))  # its lease has half a minute left
    with pytest.raises(SafetyStop, match="process 7 on host"):
        open_ledger(old_url, clock)
    assert _revision(old_url) == ""
    clock.sleep(60)
    open_ledger(old_url, clock).close()
    assert _revision(old_url) == REVISIONS[-1]


@pytest.mark.parametrize("place", ["ledger.upgrading", "ledger.upgraded"])
def test_killed_in_the_middle_it_is_as_it_was_and_the_next_one_upgrades(old_url: str, place: str) -> None:
    def die() -> None:
        boundaries._NAME = place
        open_ledger(old_url)

    _, ended = os.waitpid(_forked(die), 0)
    assert os.WTERMSIG(ended) == signal.SIGKILL
    assert _revision(old_url) == ""
    with closing(open_ledger(old_url)) as ledger:
        assert _differences(ledger) == []
        assert len(ledger.list_runs()) == 1


def test_many_who_open_it_at_once_upgrade_it_once(old_url: str) -> None:
    children = [_forked(lambda: open_ledger(old_url).close()) for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    with closing(open_ledger(old_url)) as ledger, ledger.read() as connection:
        assert connection.execute(sa.select(leases.c.fence)).scalar() == 42
    assert _revision(old_url) == REVISIONS[-1]
