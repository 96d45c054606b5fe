"""What goes wrong with a database is said in words that tell what to do, and never with a password."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.sql import database, open_source, open_target
from connectors.sql.settings import parse
from connectors.sql.target import SqlTarget
from migrator.core.errors import FatalError, MigratorError, ProjectError, RetryableError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

THING = ObjectSchema("thing", "id", (FieldSchema("id", FieldType.ID), FieldSchema("v", FieldType.TEXT)))
ONE = pa.table({"id": ["1"], "v": ["x"]})


def failure(kind: type[MigratorError], work: Callable[[], object]) -> str:
    with pytest.raises(kind) as raised:
        work()
    text = str(raised.value)
    assert "secret" not in text
    return text


def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = failure(RetryableError, open_source({"url": f"postgresql://u:secret@127.0.0.1:{port}/d"}).describe)
    assert f"postgresql://127.0.0.1:{port}/d" in text
    assert "check host and port" in text


def test_a_host_without_address_is_worth_another_try() -> None:
    failure(RetryableError, open_source({"url": "postgresql://u:secret@nobody.invalid/d"}).describe)


def test_a_database_that_is_not_there(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).set(database="no_such_one").render_as_string(hide_password=False)
    assert "create it" in failure(FatalError, open_source({"url": url}).describe)


def test_a_user_that_is_not_there(postgres_url: str) -> None:
    url = (
        sa.make_url(postgres_url)
        .set(username="nobody", password="secret")
        .render_as_string(hide_password=False)
    )
    assert "check user and password" in failure(FatalError, open_source({"url": url}).describe)


def test_a_privilege_that_is_missing(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    role = f"reader_{sa.make_url(postgres_url).database}"
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE thing (id TEXT PRIMARY KEY, v TEXT)")
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON thing TO {role}")
    url = sa.make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    target = SqlTarget(parse({"url": url}))
    try:
        assert "grant the privilege" in failure(FatalError, lambda: target.upsert("thing", ONE, key="id"))
    finally:
        target.close()
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")


def test_a_read_only_postgres(postgres_url: str) -> None:
    target = SqlTarget(parse({"url": postgres_url}))
    target.prepare([THING])
    target.close()
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = sa.make_url(postgres_url).database
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "connect to the primary" in failure(FatalError, lambda: target.upsert("thing", ONE, key="id"))
    target.close()


def test_a_connection_that_was_lost_is_worth_another_try_and_that_works(postgres_url: str) -> None:
    target = SqlTarget(parse({"url": postgres_url}))
    target.prepare([THING])
    mine = database.driver(target._database.connection).info.backend_pid
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({mine})")
    failure(RetryableError, lambda: target.upsert("thing", ONE, key="id"))
    assert target.upsert("thing", ONE, key="id")["outcome"].to_pylist() == ["created"]
    target.close()


def test_a_source_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    assert "no such file" in failure(FatalError, open_source({"url": f"sqlite:///{path}"}).describe)
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    text = failure(FatalError, lambda: open_target({"url": f"sqlite:///{tmp_path}/no/x.db"}).prepare([THING]))
    assert "its folder exists" in text


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"PK\x03\x04" * 1000)
    assert "not an SQLite database" in failure(
        FatalError, open_source({"url": f"sqlite:///{tmp_path}/x.db"}).describe
    )


def test_a_locked_file_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    target = SqlTarget(parse({"url": f"sqlite:///{tmp_path}/x.db"}))
    target.prepare([THING])
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in failure(RetryableError, lambda: target.upsert("thing", ONE, key="id"))
    other.execute("ROLLBACK")
    other.close()
    assert target.upsert("thing", ONE, key="id")["outcome"].to_pylist() == ["created"]
    target.close()


def test_a_full_disk_keeps_nothing_half_written(tmp_path: Path) -> None:
    target = SqlTarget(parse({"url": f"sqlite:///{tmp_path}/x.db"}))
    target.prepare([THING])
    raw = database.driver(target._database.connection)
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = pa.table({"id": [str(number) for number in range(500)], "v": ["x" * 500] * 500})
    assert "disk is full" in failure(FatalError, lambda: target.upsert("thing", many, key="id"))
    raw.execute("PRAGMA max_page_count = 100000")
    assert [page.num_rows for page in target.read("thing")] == [0]
    assert set(target.upsert("thing", many, key="id")["outcome"].to_pylist()) == {"created"}
    target.close()


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Act as somebody who is not root, whom no permission stops."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies where only its owner may look
        path = Path(folder) / "x.db"
        target = SqlTarget(parse({"url": f"sqlite:///{path}"}))
        target.prepare([THING])
        target.close()
        path.chmod(0o444)
        Path(folder).chmod(0o755)
        with ordinary_user():
            text = failure(FatalError, lambda: target.upsert("thing", ONE, key="id"))
            target.close()
    assert "the database file is read-only" in text
    assert "make the file and its folder writable" in text


def test_a_folder_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        target = SqlTarget(parse({"url": f"sqlite:///{folder}/x.db"}))
        with ordinary_user():
            assert "its folder exists and is writable" in failure(FatalError, lambda: target.prepare([THING]))
            target.close()


def test_settings_that_are_wrong_are_all_named_at_once() -> None:
    with pytest.raises(ProjectError) as raised:
        parse({"url": "oracle+nothing://u:secret@h/d", "shema": "x", "batch_rows": "many", "tables": 5})
    text = str(raised.value)
    for part in (
        "no SQLAlchemy dialect",
        "did you mean 'schema'",
        "batch_rows must be a whole number",
        "tables cannot be read",
    ):
        assert part in text
    assert "secret" not in text


def test_a_missing_driver_says_what_to_install() -> None:
    with pytest.raises(ProjectError, match="pip install oracledb"):
        parse({"url": "oracle+oracledb://u:secret@h/d"})


def test_a_url_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(ProjectError) as raised:
        parse({"url": "my secret"})
    assert "secret" not in str(raised.value)


KILLED = """
import sys, pyarrow as pa
from connectors.sql import open_target
rows = pa.table({"id": [str(n) for n in range(100)], "v": ["x"] * 100})
open_target({"url": sys.argv[1]}).upsert("thing", rows, key="id")
"""


@pytest.mark.parametrize("point", ["sql.staged", "sql.merged"])
def test_a_kill_before_the_commit_leaves_nothing(database_url: str, point: str) -> None:
    target = SqlTarget(parse({"url": database_url}))
    target.prepare([THING])
    environment = {**os.environ, "MIGRATOR_KILL_AT": f"{point}#1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, database_url], env=environment, capture_output=True, check=False
    )
    survives = point == "sql.staged" and database_url.startswith("sqlite")  # SQLite has no such point
    assert done.returncode == (0 if survives else -9)
    assert sum(page.num_rows for page in target.read("thing")) == (100 if survives else 0)
    rows = pa.table({"id": [str(number) for number in range(100)], "v": ["x"] * 100})
    assert set(target.upsert("thing", rows, key="id")["outcome"].to_pylist()) == {
        "unchanged" if survives else "created"
    }
    target.close()


def test_a_kill_before_an_index_is_committed_leaves_its_foreign_key_due(database_url: str) -> None:
    target = SqlTarget(parse({"url": database_url}))
    link = FieldSchema("to", FieldType.REFERENCE, references=("thing",))
    target.prepare([THING, ObjectSchema("near", "id", (FieldSchema("id", FieldType.ID), link))])
    (due,) = target.pending_indexes()
    build = f"import sys\nfrom connectors.sql import open_target\nopen_target({{'url': sys.argv[1]}}).build_index({due!r})"
    environment = {**os.environ, "MIGRATOR_KILL_AT": "index.built#1"}
    done = subprocess.run(
        [sys.executable, "-c", build, database_url], env=environment, capture_output=True, check=False
    )
    assert done.returncode == -9
    assert target.pending_indexes() == (due,)
    target.build_index(due)
    assert target.pending_indexes() == ()
    lost = target.upsert("near", pa.table({"id": ["1"], "to": ["nobody"]}), key="id").to_pylist()
    assert [item["code"] for item in lost] == ["constraint.foreign-key"]
    target.close()


def test_a_null_byte_is_no_crash_of_the_driver(postgres_url: str) -> None:
    with (
        psycopg.connect(postgres_url.replace("+psycopg", "")) as connection,
        pytest.raises(psycopg.DataError),
    ):
        connection.execute("SELECT %s", ("\x00",))
