"""The analytical engine behind one small protocol: SQL over staged Parquet, bounded in memory, spilling to disk.

SQL is written in DuckDB's dialect with every identifier quoted. Nothing outside this package knows which engine runs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from pathlib import Path
from typing import Protocol, cast

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from migrator.core.clock import new_id
from migrator.core.dialect import Dialect
from migrator.core.errors import FatalError, MigratorError, ProjectError
from migrator.staging.process import is_alive, machine
from migrator.staging.queries import Queries

SMALL, QUICK = "zstd", "lz4_raw"
"""How a Parquet file is compressed: to be small, as all are, or to be read with little work, a third larger."""
ROW_GROUP_BYTES = 16 << 20
"""A row group is closed at so many bytes of values: each thread holds one while it writes and one for each file it reads,
outside of what the engine can spill, and rows may be as wide as they like."""

HASHED_ROWS = 5_000_000
"""Hashes that are counted at a time when equal values are looked for: more rows take more passes, not more memory."""
_COLLIDING = '"v:colliding"'
OnBatch = Callable[[pa.RecordBatch], pa.RecordBatch]
"""What is called with some rows of a query."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much of this machine the engine may take."""

    memory_limit: str = "1GB"
    """What the engine itself keeps in memory; past it, it spills to `temp_directory`."""
    threads: int = 0
    """0: as many as the machine has cores, at most 8."""
    temp_directory: str = ""
    """Where spills go; default: inside the project's workspace."""
    kind: Dialect = Dialect.DUCKDB
    """Which engine does the work that reads whole datasets."""
    master: str = ""
    """The cluster, in its own words; default: as many threads of this machine."""
    conf: Mapping[str, str] = field(default_factory=dict)
    """Settings of the cluster, under its own names."""


class Session(Protocol):
    """One connection to the engine; names registered in it live as long as it does.

    While a `stream` is open, the same session refuses every other call: use a `cursor` for it.
    """

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """Make Parquet files queryable as `name`; with no files, an empty relation of `schema`."""
        ...

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Materialise Arrow rows as `name` inside the engine."""
        ...

    def execute(self, sql: str) -> None:
        """Run a statement for its effect (CREATE TABLE …); what it creates as TEMP, a `cursor` does not see."""
        ...

    def function(self, name: str, call: Callable[..., pa.Array], takes: Sequence[str], gives: str) -> None:
        """Make `call` a function of the engine: Arrow columns of a batch in, nulls too, one Arrow column out.

        `takes` and `gives` are engine types. What `call` raises of `MigratorError` comes out of the query that calls it.
        """
        ...

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run a query whose answer is small and fetch it whole."""
        ...

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """Run a query whose answer is large; batches of about `rows`, in the order of the query.

        Read it to its end or close the iterator: until then the session serves nothing else.
        """
        ...

    def map_batches(self, sql: str, call: OnBatch, gives: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """What `call` makes of a query's rows, at most `rows` at a time: batches of the schema `gives`, in any order.

        A cluster calls copies of it, several at once: what one call leaves behind may be unknown to the next. Read it as
        a `stream`, to its end.
        """
        ...

    def write(self, sql: str, path: Path, *, row_group: int = 100_000, compression: str = SMALL) -> int:
        """Write a query's rows to one Parquet file, whole or not at all; returns the number of rows.

        Its row groups have at most about `row_group` rows, and fewer where rows are wide. `compression` is `SMALL` or `QUICK`.
        """
        ...

    def write_parts(self, sql: str, folder: Path) -> Sequence[Path]:
        """Write a query's rows to the files `part_file(0)`, … of `folder`, as many as the engine makes of them, one at least.

        Each is whole and durable; when it fails, some may be there already.
        """
        ...

    def lay_aside(self, name: str, sql: str) -> None:
        """Compute a query once for the many that will ask for `name`, as files that go when the session is closed."""
        ...

    def lay_aside_shared(self, name: str, columns: Sequence[str], relation: str) -> None:
        """Lay aside what several rows of a relation (SQL) have in these columns: each combination once, null equal to null."""
        ...

    def explain(self, sql: str) -> None:
        """Bind a query without running it; raises `ProjectError` with the engine's words when it does not bind."""
        ...

    def cursor(self) -> Session:
        """A second session over the same views and tables, for use while a stream is open; close it too."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def quote(identifier: str) -> str:
    """An identifier that can stand in SQL whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """A text that can stand in SQL whatever characters it has."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def row_count(session: Session, relation: str) -> int:
    """How many rows a view, a table or a query in brackets has."""
    return int(session.fetch(f"SELECT count(*) AS n FROM {relation}").column("n")[0].as_py())


def part_file(number: int) -> str:
    """The name of a part's file."""
    return f"part-{number:06d}.parquet"


class DuckSession:
    """`Session` on DuckDB; `folder` is for files that it needs, and `on_close` runs once when it is closed."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._aside: dict[str, Path] = {}
        self._queries = Queries(connection.interrupt)
        self._on_close = on_close
        self._raised: list[MigratorError] = []
        """What functions of the running query raised; the engine passes on only the words."""

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """See `Session.view`."""
        if not files:
            if schema is None:
                raise ValueError(f"{name}: no files and no schema")
            self.table(name, schema.empty_table())
            return
        listed = ", ".join(literal(str(file)) for file in files)
        self.forget(name)
        # A folder above the project called 'year=2024' must not become a column.
        self.execute(
            f"CREATE VIEW {quote(name)} AS SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"
        )

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """See `Session.table`."""
        self.forget(name)
        self._connection.register("__incoming", rows)
        try:
            self.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM __incoming")
        finally:
            self._connection.unregister("__incoming")

    def function(self, name: str, call: Callable[..., pa.Array], takes: Sequence[str], gives: str) -> None:
        """See `Session.function`."""

        def noted(*columns: pa.ChunkedArray) -> pa.Array:
            try:
                return call(*columns)
            except MigratorError as error:
                self._raised.append(error)
                raise

        # the engine counts the parameters that a function declares
        given = [Parameter(f"column_{number}", Parameter.POSITIONAL_ONLY) for number in range(len(takes))]
        noted.__signature__ = Signature(given)  # type: ignore[attr-defined]
        with suppress(duckdb.InvalidInputException):  # there was none of that name
            self._connection.remove_function(name)
        # called volatile, so that the engine asks it exactly once for a row
        self._connection.create_function(
            name, noted, list(takes), gives, type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL, side_effects=True,
        )  # fmt: skip

    def execute(self, sql: str) -> None:
        """See `Session.execute`."""
        with _translated(self._raised):
            self._queries.run(lambda: self._connection.execute(sql).fetchall())

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See `Session.fetch`."""
        values = list(parameters) or None
        with _translated(self._raised):
            answer = self._queries.run(lambda: self._connection.sql(sql, params=values).to_arrow_table())
            return cast("pa.Table", answer)

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """See `Session.stream`."""
        begin, run = self._connection.sql, self._queries.run
        with _translated(self._raised), run(lambda: begin(sql).to_arrow_reader(rows)) as reader:
            while (batch := run(lambda: next(reader, None))) is not None:
                yield batch

    def map_batches(self, sql: str, call: OnBatch, gives: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Session.map_batches`."""
        for batch in self.stream(sql, rows):
            yield call(batch).cast(gives)

    def write(self, sql: str, path: Path, *, row_group: int = 100_000, compression: str = SMALL) -> int:
        """See `Session.write`."""
        temporary = path.with_name(f".{path.name}.writing")
        try:
            with _translated(self._raised):
                copy = (
                    f"COPY ({sql}) TO {literal(str(temporary))}"
                    f" (FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {row_group:d},"
                    f" ROW_GROUP_SIZE_BYTES {ROW_GROUP_BYTES:d})"
                )
                written = self._queries.run(lambda: self._connection.execute(copy).fetchall())
                flush_and_rename(temporary, path)
        except FatalError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)  # a full disk gets its room back
            raise
        return int(written[0][0])

    def write_parts(self, sql: str, folder: Path) -> Sequence[Path]:
        """See `Session.write_parts`."""
        path = folder / part_file(0)
        self.write(sql, path)
        return [path]

    def lay_aside(self, name: str, sql: str) -> None:
        """See `Session.lay_aside`."""
        path = self._folder / f"{new_id()}.parquet"
        self.write(sql, path, compression=QUICK)
        self.view(name, [path])
        if name in self._aside:
            self._aside[name].unlink(missing_ok=True)
        self._aside[name] = path

    def lay_aside_shared(self, name: str, columns: Sequence[str], relation: str) -> None:
        """See `Session.lay_aside_shared`: equal values have equal hashes, and only what collides is compared."""
        listed = ", ".join(map(quote, columns))
        slices = -(-row_count(self, relation) // HASHED_ROWS) or 1
        self.execute(f"CREATE OR REPLACE TABLE {_COLLIDING} (h UBIGINT)")
        for part in range(slices):
            self.execute(
                f"INSERT INTO {_COLLIDING} SELECT h FROM (SELECT hash({listed}) AS h FROM {relation})"
                f" WHERE h % {slices} = {part} GROUP BY h HAVING count(*) > 1"
            )
        doubtful = f"SELECT {listed} FROM {relation} WHERE hash({listed}) IN (SELECT h FROM {_COLLIDING})"
        self.lay_aside(name, f"{doubtful} GROUP BY {listed} HAVING count(*) > 1")
        self.execute(f"DROP TABLE {_COLLIDING}")

    def explain(self, sql: str) -> None:
        """See `Session.explain`."""
        try:
            self._connection.execute(f"EXPLAIN {sql}").fetchall()
        except duckdb.Error as error:
            raise ProjectError.at("mapping", f"the engine refuses the compiled query: {error}") from error

    def interrupt(self) -> None:
        """End the query that another thread runs here, if there is one: it raises there."""
        with suppress(duckdb.ConnectionException):  # closed since
            self._connection.interrupt()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """What runs the queries; only for libraries that bring SQL of their own."""
        return self._connection

    def cursor(self) -> DuckSession:
        """See `Session.cursor`."""
        return DuckSession(self._connection.cursor(), self._folder)

    def close(self) -> None:
        """See `Session.close`."""
        self._queries.close()
        self._connection.close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None

    def forget(self, name: str) -> None:
        """Make room for a name, whether a view or a table has it (OR REPLACE refuses to change the one into the other)."""
        try:
            self._connection.execute(f"DROP VIEW IF EXISTS {quote(name)}").fetchall()
        except duckdb.CatalogException:  # asking the catalogue first costs more than most queries
            self.execute(f"DROP TABLE {quote(name)}")


def open_engine(settings: EngineSettings, workspace: Path, *, few_files: bool = False) -> DuckSession:
    """A fresh session that reads and writes only below `workspace`, downloads nothing, thinks in UTC, and cannot be told otherwise.

    `few_files`: the same few files will be asked many things, so their footers are kept, within the memory limit.
    Raises `FatalError` when there is no room to work in and `ProjectError` when a setting is wrong.
    """
    spill = scratch_folder(Path(settings.temp_directory) if settings.temp_directory else workspace / "spill")
    try:
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": settings.memory_limit,
                "threads": settings.threads or min(os.cpu_count() or 2, 8),
                "temp_directory": str(spill),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # It would compute what two TRY share outside of both, where a failure ends the query.
                "disabled_optimizers": "common_subexpressions",
            },
        )
    except duckdb.Error as error:
        raise ProjectError.at("migration.yaml", f"an engine setting is wrong: {error}") from error
    connection.execute(f"SET GLOBAL parquet_metadata_cache = {few_files}")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET TimeZone = 'UTC'")
    # The engine looks through links: a folder of ours that was moved to a larger disk is still ours.
    moved = [path for path in workspace.iterdir() if path.is_symlink()]
    allowed = ", ".join(literal(str(path.resolve())) for path in (workspace, spill, *moved))
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")  # no query can open any of this again
    return DuckSession(connection, spill, lambda: shutil.rmtree(spill, ignore_errors=True))


def scratch_folder(parent: Path) -> Path:
    """A new folder of this process; those of processes of this machine that were killed go. Raises `FatalError`."""
    try:
        _remove_orphans(parent)
        made = parent / f"{_host_tag()}-{os.getpid()}-{new_id()}"
        made.mkdir(parents=True)
    except OSError as error:
        raise FatalError(
            f"the engine has no room to spill to: cannot make a folder in {parent}: {error.strerror}",
            hint="is the disk full? engine.temp_directory in migration.yaml names another folder",
        ) from error
    return made


def _host_tag() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def _remove_orphans(spills: Path) -> None:
    """Spill folders of processes of this machine that were killed: nobody will read them again."""
    for folder in spills.glob(f"{_host_tag()}-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not is_alive(machine(), int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def flush_and_rename(temporary: Path, path: Path) -> None:
    """Make a finished file durable under its final name: file, then name, then directory."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _translated(raised: list[MigratorError]) -> Iterator[None]:
    """Turn the engine's resource errors, and what functions `raised`, into ours; all else is a bug in a query of ours."""
    raised.clear()
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise FatalError(
            f"the engine ran out of memory, or of room to spill to: {_first_line(error)}",
            hint="raise engine.memory_limit in migration.yaml, or give engine.temp_directory a larger disk",
        ) from error
    except duckdb.InvalidInputException as error:
        if raised:
            raise raised[0] from error
        if "parquet" not in str(error).lower():
            raise
        raise _damaged(error) from error
    except (duckdb.IOException, OSError) as error:
        raise FatalError(
            f"the engine cannot read or write its files: {error}",
            hint="is the disk full, or the project folder read-only?",
        ) from error
    except duckdb.Error as error:
        # what the Parquet reader trips over in damaged bytes (Thrift, Zstandard) comes without a class of its own
        if type(error) is not duckdb.Error:
            raise
        raise _damaged(error) from error


def _damaged(error: duckdb.Error) -> FatalError:
    return FatalError(
        f"a staged file is damaged: {_first_line(error)}",
        hint="was it changed by hand? delete it (below .migrator/staging) and run again",
    )


def _first_line(error: duckdb.Error) -> str:
    """Without the engine's own advice, which speaks of settings that a project does not have."""
    return str(error).partition("\n")[0]
