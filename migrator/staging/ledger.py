"""The ledger: a relational database that vouches for every dataset, batch and run, on SQLite or PostgreSQL alike.

What it says is written in the same transaction as what it tells of: a dataset exists only once its row is committed,
so a crash leaves at most files that nobody vouches for, and those are swept away.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.clock import Clock, SystemClock, new_id
from migrator.core.errors import FatalError, ProjectError, RetryableError, SafetyStop

LEDGER_VERSION = 1
LEASE_SECONDS = 60

metadata = sa.MetaData()

meta = sa.Table(
    "migrator_meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

runs = sa.Table(
    "migrator_run",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("command", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
)

datasets = sa.Table(
    "migrator_dataset",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, default=0),
    sa.Column("detail", sa.JSON, nullable=False, default=dict),
    sa.Column("run", sa.String(32)),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("completed_at", sa.DateTime(timezone=True)),
    sa.Index("ix_migrator_dataset_current", "kind", "name", "state"),
)

parts = sa.Table(
    "migrator_part",
    metadata,
    sa.Column("dataset", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("file", sa.String(300), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("cursor", sa.Text),
    sa.Column("detail", sa.JSON, nullable=False, default=dict),
)

leases = sa.Table(
    "migrator_lease",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One command that was run on this project."""

    id: str
    command: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    message: str


class Ledger:
    """The ledger of one project; opening it creates its tables. `run` is the id of the command now running."""

    def __init__(self, engine: sa.Engine, clock: Clock | None = None) -> None:
        self.engine = engine
        self.clock = clock or SystemClock()
        self.run = ""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing; database trouble becomes a `ConnectorError` of ours."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise RetryableError(
                f"the ledger database did not answer: {error.orig}",
                hint="is it running, writable, and is there room on its disk?",
            ) from error

    def start_run(self, command: str, version: str) -> str:
        """Note that a command begins; its id stamps everything it writes."""
        self.run = f"{self.clock.now():%Y%m%dT%H%M%S}-{new_id()[:6]}"
        with self.begin() as connection:
            connection.execute(
                runs.insert().values(
                    id=self.run, command=command[:200], state="running", started_at=self.clock.now(),
                    host=socket.gethostname(), pid=os.getpid(), version=version, message="",
                )
            )  # fmt: skip
        return self.run

    def finish_run(self, state: str, message: str = "") -> None:
        """Note how the command ended: 'done' or 'failed'. A killed command stays 'running' without a lease."""
        with self.begin() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.id == self.run)
                .values(state=state, finished_at=self.clock.now(), message=message)
            )

    def list_runs(self, limit: int = 20) -> Sequence[RunRecord]:
        """The newest runs first."""
        query = sa.select(
            runs.c.id, runs.c.command, runs.c.state, runs.c.started_at, runs.c.finished_at, runs.c.message
        ).order_by(runs.c.started_at.desc())
        with self.begin() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query.limit(limit))]

    @contextmanager
    def lease(self, name: str = "project") -> Iterator[int]:
        """Hold the project alone; yields the fencing number, which only ever grows.

        A lease whose owner died on this host, or which expired, is taken over. Raises `SafetyStop` when it is held.
        """
        owner = new_id()
        fence = self._take_lease(name, owner)
        try:
            yield fence
        finally:
            with self.begin() as connection:
                connection.execute(
                    leases.update()
                    .where(leases.c.name == name, leases.c.owner == owner)
                    .values(expires_at=self.clock.now() - timedelta(seconds=1))
                )

    def _take_lease(self, name: str, owner: str) -> int:
        now = self.clock.now()
        values = {
            "owner": owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "expires_at": now + timedelta(seconds=LEASE_SECONDS),
        }
        with self.begin() as connection:
            held = connection.execute(
                sa.select(leases).where(leases.c.name == name).with_for_update()
            ).one_or_none()
            if held is None:
                connection.execute(leases.insert().values(name=name, fence=1, **values))
                return 1
            if _aware(held.expires_at) > now and _is_alive(held.host, held.pid):
                raise SafetyStop(
                    f"another command works on this project (process {held.pid} on {held.host})",
                    hint="wait for it to end; two at once could send a record twice",
                )
            connection.execute(
                leases.update().where(leases.c.name == name).values(fence=held.fence + 1, **values)
            )
            return int(held.fence) + 1

    def renew_lease(self, fence: int, name: str = "project") -> None:
        """Say that the holder still works; called at every batch. Raises `SafetyStop` when somebody else took over."""
        with self.begin() as connection:
            kept = connection.execute(
                leases.update()
                .where(leases.c.name == name, leases.c.fence == fence)
                .values(expires_at=self.clock.now() + timedelta(seconds=LEASE_SECONDS))
            )
            if kept.rowcount != 1:
                raise SafetyStop("another command took this project over while this one was stalled")


def open_ledger(url: str, clock: Clock | None = None) -> Ledger:
    """Open (and if need be create) the ledger at an SQLAlchemy URL; raises `FatalError` when it cannot be reached."""
    try:
        engine = sa.create_engine(url)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError) as error:
        raise ProjectError.at(
            "migration.yaml",
            f"ledger is not a database URL: {error}",
            "for example sqlite:///.migrator/ledger.db",
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _tune_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    try:
        metadata.create_all(engine)
        with engine.begin() as connection:
            _check_version(connection)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise FatalError(
            f"cannot open the ledger {engine.url.render_as_string(hide_password=True)}: {error.orig}",
            hint="check the URL, the server and that the folder can be written",
        ) from error
    return Ledger(engine, clock)


def _check_version(connection: Connection) -> None:
    found = connection.execute(sa.select(meta.c.value).where(meta.c.name == "version")).scalar()
    if found is None:
        connection.execute(meta.insert().values(name="version", value=str(LEDGER_VERSION)))
    elif int(found) != LEDGER_VERSION:
        raise ProjectError.at(
            "ledger", f"this ledger has version {found}, this migrator writes version {LEDGER_VERSION}",
            "use the migrator that made it, or start a new project folder",
        )  # fmt: skip


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: see _begin_immediate
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads and then writes can fail half-way when another writer came between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_alive(host: str, pid: int) -> bool:
    """Whether a lease's owner may still work; a process on another host is taken for alive until its lease expires."""
    if host != socket.gethostname():
        return True
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
