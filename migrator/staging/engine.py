"""The analytical engine behind one small protocol: SQL over staged Parquet, bounded in memory, spilling to disk.

SQL is written in DuckDB's dialect with every identifier quoted. Nothing outside this package knows which engine runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import duckdb
import pyarrow as pa

from migrator.core.errors import FatalError, ProjectError


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much of this machine the engine may take."""

    memory_limit: str = "1GB"
    """What the engine itself keeps in memory; past it, it spills to `temp_directory`."""
    threads: int = 0
    """0: as many as the machine has cores, at most 8."""
    temp_directory: str = ""
    """Where spills go; default: inside the project's workspace."""


class Session(Protocol):
    """One connection to the engine; names registered in it live as long as it does."""

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """Make Parquet files queryable as `name`; with no files, an empty relation of `schema`."""
        ...

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Materialise Arrow rows as `name` inside the engine."""
        ...

    def execute(self, sql: str) -> None:
        """Run a statement for its effect (CREATE TEMP TABLE …)."""
        ...

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Run a query whose answer is small and fetch it whole."""
        ...

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """Run a query whose answer is large; batches of about `rows`, in the order of the query."""
        ...

    def write(self, sql: str, path: Path, *, row_group: int = 100_000) -> int:
        """Write a query's rows to one Parquet file, whole or not at all; returns the number of rows."""
        ...

    def explain(self, sql: str) -> None:
        """Bind a query without running it; raises `ProjectError` with the engine's words when it does not bind."""
        ...

    def cursor(self) -> Session:
        """A second session over the same registered names, for use while a stream is open."""
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


class DuckSession:
    """`Session` on DuckDB."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """See `Session.view`."""
        if not files:
            if schema is None:
                raise ValueError(f"{name}: no files and no schema")
            self.table(name, schema.empty_table())
            return
        listed = ", ".join(literal(str(file)) for file in files)
        self.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS SELECT * FROM read_parquet([{listed}])")

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """See `Session.table`."""
        self._connection.register("__incoming", rows)
        try:
            self.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS SELECT * FROM __incoming")
        finally:
            self._connection.unregister("__incoming")

    def execute(self, sql: str) -> None:
        """See `Session.execute`."""
        with _translated():
            self._connection.execute(sql).fetchall()

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See `Session.fetch`."""
        with _translated():
            relation = (
                self._connection.sql(sql, params=list(parameters))
                if parameters
                else self._connection.sql(sql)
            )
            return cast("pa.Table", relation.to_arrow_table())

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """See `Session.stream`."""
        with _translated():
            yield from self._connection.sql(sql).to_arrow_reader(rows)

    def write(self, sql: str, path: Path, *, row_group: int = 100_000) -> int:
        """See `Session.write`."""
        temporary = path.with_name(f".{path.name}.writing")
        with _translated():
            written = self._connection.execute(
                f"COPY ({sql}) TO {literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group:d})"
            ).fetchall()
            flush_and_rename(temporary, path)
        return int(written[0][0])

    def explain(self, sql: str) -> None:
        """See `Session.explain`."""
        try:
            self._connection.execute(f"EXPLAIN {sql}").fetchall()
        except duckdb.Error as error:
            raise ProjectError.at("mapping", f"the engine refuses the compiled query: {error}") from error

    def cursor(self) -> DuckSession:
        """See `Session.cursor`."""
        return DuckSession(self._connection.cursor())

    def close(self) -> None:
        """See `Session.close`."""
        self._connection.close()


def open_engine(settings: EngineSettings, workspace: Path) -> DuckSession:
    """A fresh session that reads and writes only below `workspace`, downloads nothing, and thinks in UTC."""
    spill = Path(settings.temp_directory) if settings.temp_directory else workspace / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.memory_limit,
            "threads": settings.threads or min(os.cpu_count() or 2, 8),
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    allowed = ", ".join(literal(str(path.resolve())) for path in (workspace, spill))
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    return DuckSession(connection)


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
def _translated() -> Iterator[None]:
    """Turn the engine's resource errors into ours; anything else is a bug in a query of ours."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise FatalError(
            f"the engine ran out of memory: {error}", hint="raise engine.memory_limit in migration.yaml"
        ) from error
    except (duckdb.IOException, OSError) as error:
        raise FatalError(
            f"the engine cannot read or write its files: {error}",
            hint="is the disk full, or the project folder read-only?",
        ) from error
