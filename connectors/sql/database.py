"""One database behind a URL: opened at the first call, in UTC, with transactions that mean what they say."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from connectors.sql.failures import translated
from connectors.sql.settings import SqlSettings
from migrator.core.errors import FatalError

_CACHE_KIB = 32 << 10
"""Pages of an SQLite file kept in memory: what a batch of new rows touches; with its own 2 MiB every insert waits for the disk.

Four times as much loads a million rows no faster, and is memory that grows with the file until it is full.
"""
_BUSY_SECONDS = 10.0
"""How long SQLite waits for another program's lock before the call becomes retryable."""
_CONNECT_SECONDS = "15"
_POSTGRES_SESSION = (
    "SET timezone = 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'iso_8601'",
    "SET standard_conforming_strings = on",
    "SET client_encoding = 'UTF8'",
    "SET extra_float_digits = 1",
)


def quote(identifier: str) -> str:
    """An identifier in SQLite's and PostgreSQL's SQL, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A number or text in SQLite's and PostgreSQL's SQL, whatever characters it has."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


class Database:
    """The connection of a source or a target; `mode` is 'r' (the database itself refuses writes) or 'w'."""

    def __init__(self, settings: SqlSettings, mode: str) -> None:
        self.settings = settings
        self.mode = mode
        self.label = settings.label
        self.kind = settings.url.get_backend_name()
        self._engine: sa.Engine | None = None
        self._opening = threading.Lock()
        self._kept: dict[int, sa.Connection] = {}

    @property
    def connection(self) -> sa.Connection:
        """The kept connection of the thread that asks; made anew after it was lost."""
        kept = self._kept.get(threading.get_ident())
        if kept is not None and kept.invalidated:
            self.drop()
            kept = None
        if kept is None:
            kept = self._kept[threading.get_ident()] = self.connect()
        return kept

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One transaction on the kept connection: all of it or nothing; driver errors leave as ours."""
        with translated(self.label):
            connection = self.connection
            try:
                with connection.begin():
                    yield connection
            except psycopg.OperationalError:
                self.drop()  # it may be lost; a raw driver call does not tell SQLAlchemy so
                raise

    @contextmanager
    def apart(self) -> Iterator[sa.Connection]:
        """A transaction on a connection of its own, for a reader that is left open between pages."""
        with translated(self.label):
            connection = self.connect()
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.close()

    def connect(self) -> sa.Connection:
        """A fresh connection; raises `FatalError` or `RetryableError`."""
        with self._opening:
            if self._engine is None:
                self._engine = _engine(self.settings.url, self.mode, self.label)
        with translated(self.label):
            return self._engine.connect()

    def drop(self) -> None:
        """Forget the kept connection of this thread, so that its next call opens a new one."""
        kept = self._kept.pop(threading.get_ident(), None)
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Release everything, of all threads; may be called twice, and while no call is in flight."""
        while self._kept:
            self._kept.popitem()[1].close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def driver(connection: sa.Connection) -> Any:
    """The driver's own connection, for what SQLAlchemy has no words for (COPY, executemany over an iterator)."""
    return connection.connection.driver_connection


def _engine(url: sa.URL, mode: str, label: str) -> sa.Engine:
    match url.get_backend_name():
        case "sqlite":
            return _sqlite_engine(url, mode, label)
        case "postgresql":
            return _postgres_engine(url, mode)
        case _:
            return sa.create_engine(url, poolclass=NullPool, hide_parameters=True)


def _sqlite_engine(url: sa.URL, mode: str, label: str) -> sa.Engine:
    name = url.database or ":memory:"
    if mode == "r" and name != ":memory:" and not Path(name).exists():
        raise FatalError(f"{label}: there is no such file", hint="check the path in the system's url")

    def connect() -> sqlite3.Connection:
        in_memory = name == ":memory:"
        place = (
            "file::memory:" if in_memory else f"file:{url_quote(name)}?mode={'ro' if mode == 'r' else 'rwc'}"
        )
        return sqlite3.connect(
            place, uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
        )

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        # a writer takes its lock at once: to upgrade a reader later can fail without waiting
        connection.exec_driver_sql("BEGIN" if mode == "r" else "BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: sa.URL, mode: str) -> sa.Engine:
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _CONNECT_SECONDS})
    engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
    if mode == "r":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for statement in _POSTGRES_SESSION:
                cursor.execute(statement)
        connection.commit()
        connection.prepare_threshold = None  # poolers between us and the server lose prepared statements

    return engine
