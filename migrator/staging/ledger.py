"""The ledger: a relational database that vouches for every dataset, batch and run, on SQLite or PostgreSQL alike.

What it says is written in the same transaction as what it tells of: a dataset exists only once its row is committed,
so a crash leaves at most files that nobody vouches for, and those are swept away.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.clock import Clock, SystemClock, new_id
from migrator.core.errors import (
    ConnectorError,
    FatalError,
    Location,
    MigratorError,
    ProjectError,
    RetryableError,
    SafetyStop,
)
from migrator.staging.lease import HERE, held_by, lost, works
from migrator.staging.ledger_tables import leases, meta, runs
from migrator.staging.ledger_upgrade import FORMAT, bring_up_to_date, check_revision, is_up_to_date
from migrator.staging.prepared import SQLITE, Prepared
from migrator.staging.process import machine

BUSY_SECONDS = 10.0
"""How long SQLite waits for another writer."""
LEASE_SECONDS = 60
"""A lease not renewed for so long may be taken over; its holder renews it from a thread, four times as often."""


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
        self._held: tuple[str, int] | None = None
        self._here = threading.local()
        self._readers: list[sqlite3.Connection] = []

    def close(self) -> None:
        """Close its connections; may be called twice."""
        while self._readers:
            self._readers.pop().close()
        self._here = threading.local()
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that may write: all of it or nothing; database trouble becomes an error of ours.

        Raises `RetryableError` when the database may answer later and `FatalError` when it will not.
        """
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and that no writer waits for."""
        with _translated(), self.engine.connect() as connection:
            connection.execution_options(migrator_reads_only=True)
            with connection.begin():
                yield connection

    def fetch(self, statement: Prepared, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows of one prepared statement that reads, as they are committed now; errors as of `read`."""
        if self.engine.dialect.name != SQLITE:
            with self.read() as connection:
                return statement.all(connection, values)
        with _translated():
            return statement.fetch(self._reader(), self.engine.dialect, values)

    def _reader(self) -> sqlite3.Connection:
        """A connection of this thread that is never in a transaction: opening one for each statement costs ten times the statement."""
        found: sqlite3.Connection | None = getattr(self._here, "reader", None)
        if found is None:
            try:
                opened: Any = self.engine.raw_connection()
            except sqlite3.Error as error:
                raise sa.exc.DBAPIError.instance("", (), error, sqlite3.Error) from error
            found = opened.driver_connection
            opened.detach()
            self._here.reader = found
            self._readers.append(found)
        return found

    @property
    def identity(self) -> str:
        """A random text made with the ledger: files on disk say by it whose they are."""
        with self.read() as connection:
            return str(connection.execute(sa.select(meta.c.value).where(meta.c.name == "identity")).scalar())

    def start_run(self, command: str, version: str) -> str:
        """Note that a command begins; its id stamps everything it writes."""
        self.run = f"{self.clock.now():%Y%m%dT%H%M%S}-{new_id()[:6]}"
        with self.begin() as connection:
            connection.execute(
                runs.insert().values(
                    id=self.run, command=storable(command)[:200], state="running", started_at=self.clock.now(),
                    host=socket.gethostname()[:200], pid=os.getpid(), version=version, message="",
                )
            )  # fmt: skip
        return self.run

    def finish_run(self, state: str, message: str = "") -> None:
        """Note how the command ended: 'done' or 'failed'. A killed command stays 'running' without a lease."""
        with self.begin() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.id == self.run)
                .values(state=state, finished_at=self.clock.now(), message=storable(message))
            )

    def note(self, name: str, value: str) -> None:
        """Keep one text under a name of at most 64 characters; the last one stands."""
        with self.begin() as connection:
            connection.execute(meta.delete().where(meta.c.name == name))
            connection.execute(meta.insert().values(name=name, value=storable(value)))

    def noted(self, name: str) -> str:
        """The text kept under a name; '' when there is none."""
        with self.read() as connection:
            return connection.execute(sa.select(meta.c.value).where(meta.c.name == name)).scalar() or ""

    def list_runs(self, limit: int = 20) -> Sequence[RunRecord]:
        """The newest runs first."""
        query = sa.select(
            runs.c.id, runs.c.command, runs.c.state, runs.c.started_at, runs.c.finished_at, runs.c.message
        ).order_by(runs.c.started_at.desc())
        with self.read() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query.limit(limit))]

    @contextmanager
    def lease(self, name: str = "project") -> Iterator[int]:
        """Hold the project alone; yields the fencing number, which only ever grows.

        While it is held a thread renews it, so that one long query does not lose it, and every dataset that is
        written checks it in the same transaction. A lease whose owner died on this machine, or which expired, is
        taken over. Raises `SafetyStop` when somebody holds it.
        """
        owner = new_id()
        fence = self._take_lease(name, owner)
        self._held = (name, fence)
        HERE.add(owner)
        stop = threading.Event()
        renewer = threading.Thread(target=self._keep_renewing, args=(stop, fence, name), daemon=True)
        renewer.start()
        try:
            yield fence
        finally:
            stop.set()
            renewer.join()
            self._held = None
            HERE.discard(owner)
            # A ledger that cannot be reached now must not hide how the work ended: the lease expires by itself.
            with suppress(ConnectorError), self.begin() as connection:
                connection.execute(
                    leases.update()
                    .where(leases.c.name == name, leases.c.owner == owner)
                    .values(expires_at=self.clock.now() - timedelta(seconds=1))
                )

    def _take_lease(self, name: str, owner: str) -> int:
        now = self.clock.now()
        values = {
            "owner": owner,
            "host": machine(),
            "pid": os.getpid(),
            "expires_at": now + timedelta(seconds=LEASE_SECONDS),
        }
        try:
            with self.begin() as connection:
                held = connection.execute(
                    sa.select(leases).where(leases.c.name == name).with_for_update()
                ).one_or_none()
                check_revision(connection)
                if held is None:
                    connection.execute(leases.insert().values(name=name, fence=1, **values))
                    return 1
                if held.expires_at > now and works(held.owner, held.host, held.pid):
                    raise held_by(held.host, held.pid)
                connection.execute(
                    leases.update().where(leases.c.name == name).values(fence=held.fence + 1, **values)
                )
                return int(held.fence) + 1
        except sa.exc.IntegrityError as error:  # two began in the very same moment, the other was first
            raise held_by("another machine", 0) from error

    def _keep_renewing(self, stop: threading.Event, fence: int, name: str) -> None:
        while not stop.wait(LEASE_SECONDS / 4):
            try:
                self.renew_lease(fence, name)
            except SafetyStop:
                return  # the main thread finds out at its next write
            except ConnectorError:
                continue  # three more tries before it expires

    def renew_lease(self, fence: int, name: str = "project") -> None:
        """Say that the holder still works. Raises `SafetyStop` when somebody else took over."""
        with self.begin() as connection:
            kept = connection.execute(
                leases.update()
                .where(leases.c.name == name, leases.c.fence == fence)
                .values(expires_at=self.clock.now() + timedelta(seconds=LEASE_SECONDS))
            )
            if kept.rowcount != 1:
                raise lost()

    def check_fence(self, connection: Connection) -> None:
        """Inside a transaction: raise `SafetyStop` when the lease this ledger held was taken over; no lease, no check."""
        if self._held is None:
            return
        name, fence = self._held
        found = _FENCE.all(connection, {"lease": name})
        if not found or found[0].fence != fence:
            raise lost()


PLACE = Location("migration.yaml")
_FENCE = Prepared(
    sa.select(leases.c.fence).where(leases.c.name == sa.bindparam("lease")).with_for_update(read=True)
)


def open_ledger(
    url: str, clock: Clock | None = None, *, project: str = "", place: Location = PLACE
) -> Ledger:
    """Open (and if need be create) the ledger at an SQLAlchemy URL.

    On PostgreSQL `project` names the schema that holds the tables ('migrator_PROJECT'), so that many projects share
    one database; on SQLite each project has a file of its own. `place` is where the URL is written. Raises `FatalError`
    when it cannot be used, `RetryableError` when it may answer later, and `ProjectError` when the URL is none or the
    ledger belongs to another project.
    """
    engine = _engine(url, place)
    schema = None
    match engine.dialect.name:
        case "sqlite":
            if not engine.url.database or engine.url.database == ":memory:":
                raise ProjectError.at(
                    place,
                    "a ledger in memory would be forgotten",
                    "give it a file: sqlite:///.migrator/ledger.db",
                )
            _make_folder(engine)
            sa.event.listen(engine, "connect", _tune_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        case "postgresql":
            schema = schema_name(project) if project else None
            engine = engine.execution_options(schema_translate_map={None: schema})
        case other:
            raise ProjectError.at(place, f"the ledger cannot live in {other}", "use SQLite or PostgreSQL")
    try:
        _prepare(engine, schema, project, place, clock or SystemClock())
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise _unopened(engine.url, error) from error
    except MigratorError:
        engine.dispose()
        raise
    return Ledger(engine, clock)


def _prepare(engine: sa.Engine, schema: str | None, project: str, place: Location, clock: Clock) -> None:
    """Tables and identity as they must be; a ledger that has both is only read, and keeps no writer waiting."""
    with engine.connect() as connection:
        connection.execution_options(migrator_reads_only=True)
        with connection.begin():
            if is_up_to_date(connection, schema):
                _check_project(connection, project, place)
                return
    with engine.begin() as connection:
        bring_up_to_date(connection, schema, clock.now())
        if not connection.execute(sa.select(meta.c.name)).first():
            made = {"version": FORMAT, "identity": new_id(), "project": project}
            connection.execute(
                meta.insert(), [{"name": name, "value": storable(value)} for name, value in made.items()]
            )
        _check_project(connection, project, place)


def _engine(url: str, place: Location) -> sa.Engine:
    try:
        return sa.create_engine(url)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError) as error:
        raise ProjectError.at(
            place,
            "ledger is not a database URL (not shown: it may hold a password)",
            "for example sqlite:///.migrator/ledger.db, or postgresql+psycopg://USER@HOST/DATABASE",
        ) from error
    except ImportError as error:
        raise ProjectError.at(
            place, f"the ledger's driver is not installed: {error.name}", "use SQLite or PostgreSQL"
        ) from error


def _unopened(url: sa.URL, error: sa.exc.DBAPIError) -> ConnectorError:
    """What keeps the ledger from opening: a lock or a server that is away passes, everything else does not."""
    shown = url.render_as_string(hide_password=True)
    words = " ".join(str(error.orig).split())
    if _passes(error):
        return RetryableError(
            f"the ledger {shown} does not answer: {words}",
            hint="check that the server runs and that nobody else keeps the database busy; then run again",
        )
    server = "check the URL, user and password, and that the database can be written"
    return FatalError(
        f"cannot open the ledger {shown}: {words}",
        hint=_DISK if url.get_backend_name() == "sqlite" else server,
    )


_DISK = "is its disk full, its file or folder read-only, or the file damaged?"
_SIGN_IN = (
    "authentication failed",
    "password",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
)


def _passes(error: sa.exc.DBAPIError) -> bool:
    text = str(error.orig).lower()
    if _sqlstate(error):
        return not _will_fail_again(error) and isinstance(error, sa.exc.OperationalError)
    if any(word in text for word in _SIGN_IN):
        return False
    return isinstance(error, sa.exc.OperationalError) and not _will_fail_again(error)


def schema_name(project: str) -> str:
    """The PostgreSQL schema of a project's ledger: readable, at most 63 bytes, distinct for distinct names."""
    slug = re.sub(r"[^a-z0-9]+", "_", project.lower()).strip("_")
    if slug == project and len(slug) <= 40:
        return f"migrator_{slug}"
    return f"migrator_{slug[:40]}_{hashlib.sha256(project.encode()).hexdigest()[:8]}"


def storable(text: str) -> str:
    """A text both databases can keep: without NUL and lone surrogates."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _make_folder(engine: sa.Engine) -> None:
    folder = Path(engine.url.database or "").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FatalError(
            f"cannot make the folder of the ledger, {folder}: {error.strerror}",
            hint="the project folder must be writable",
        ) from error


def _check_project(connection: Connection, project: str, place: Location) -> None:
    known = connection.execute(sa.select(meta.c.value).where(meta.c.name == "project")).scalar()
    if project and known and known != storable(project):
        raise ProjectError.at(
            place, f"this ledger belongs to the project {known!r}, not to {project!r}",
            "give this project a ledger of its own, or its old name back",
        )  # fmt: skip


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000:.0f}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes can fail half-way when another writer came between.
    reads = connection.get_execution_options().get("migrator_reads_only", False)
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise sa.exc.DBAPIError.instance("BEGIN", (), error, sqlite3.Error) from error


_HOPELESS = ("full", "readonly", "unable to open", "disk i/o", "malformed", "not a database")
"""Words in SQLite's messages for what waiting does not mend."""


@contextmanager
def _translated() -> Iterator[None]:
    """Turn database trouble into our errors; a broken constraint or statement is a bug of ours and stays what it is."""
    try:
        yield
    except (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError) as error:
        if _sqlstate(error) != "42501":  # insufficient privilege
            raise
        raise _unusable(error) from error
    except sa.exc.DBAPIError as error:
        if _will_fail_again(error):
            raise _unusable(error) from error
        raise RetryableError(
            f"the ledger database did not answer: {error.orig}",
            hint="is it running, and does another command keep it busy?",
        ) from error
    except sa.exc.TimeoutError as error:
        raise RetryableError(f"the ledger database did not answer: {error}") from error


def _will_fail_again(error: sa.exc.DBAPIError) -> bool:
    state = _sqlstate(error)
    if state:
        return (
            state.startswith(("53", "25", "28")) and state != "53300"
        )  # full, read-only, refused; not: too many
    return any(word in str(error.orig).lower() for word in _HOPELESS)


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _unusable(error: sa.exc.DBAPIError) -> FatalError:
    return FatalError(
        f"the ledger database cannot be used: {error.orig}",
        hint=_DISK,
    )
