"""`Session` on Spark: queries in the engine's dialect, carried to the cluster; what cannot be carried runs beside, and is told.

Every relation is known twice: to the cluster, and to an engine of this machine over the same Parquet files. So a query
that the dialect refuses still has its rows, and a project may change its engine between two steps. What the cluster
materialises is Parquet too, in a scratch folder of the project, which it must be able to reach.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp

from migrator.core.clock import new_id
from migrator.core.errors import FatalError
from migrator.staging.dialects.kinds import NotCarried
from migrator.staging.dialects.spark_text import name as spark_name
from migrator.staging.dialects.statement import Table, arrow_columns, carried, read_relations
from migrator.staging.engine import DuckSession, flush_and_rename, part_file, quote
from migrator.staging.queries import Queries
from migrator.staging.spark_cluster import root_cause

Told = Callable[[str], None]
"""Is told, once for each reason, why something runs on this machine."""


@dataclass(slots=True)
class _Files:
    """A relation of Parquet files."""

    paths: tuple[Path, ...]


@dataclass(slots=True)
class _View:
    """A relation that is a query, and what it reads by name."""

    sql: str
    reads: frozenset[str]


@dataclass(slots=True)
class _Rows:
    """A table of the engine beside: what this machine itself put in."""


_Relation = _Files | _View | _Rows


@dataclass(slots=True)
class _Known:
    """What all cursors of a session share."""

    relations: dict[str, tuple[str, _Relation]] = field(default_factory=dict)
    """Lower-case name → name and what it is."""
    columns: dict[str, Table] = field(default_factory=dict)
    """Lower-case name → its columns, once the cluster knows it."""
    functions: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    spark: Any = None


class SparkSession:
    """`Session` on a cluster; `beside` is the engine of this machine, `scratch` a folder that both reach."""

    def __init__(
        self,
        connect: Callable[[], Any],
        beside: DuckSession,
        scratch: Path,
        told: Told,
        known: _Known | None = None,
    ) -> None:
        self._connect = connect
        self._beside = beside
        self._scratch = scratch
        self._told = told
        self._known = known or _Known()
        self._owner = known is None
        self._queries = Queries(self._stop_jobs)

    @property
    def _spark(self) -> Any:
        """The cluster; asked for by the first query that runs there, for a step with nothing to do needs none."""
        if self._known.spark is None:
            self._known.spark = self._connect()
        return self._known.spark

    def _stop_jobs(self) -> None:
        if self._known.spark is not None:
            self._known.spark.sparkContext.cancelAllJobs()

    # ---- relations -----------------------------------------------------------------------------

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """See `Session.view`."""
        found: _Relation = _Files(tuple(files)) if files else _Rows()
        if files and self._known.relations.get(name.lower()) == (name, found):
            return  # files never change, and reading what they hold again costs a job
        self._beside.view(name, files, schema)
        self._enter(name, found)

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """See `Session.table`."""
        self._beside.table(name, rows)
        self._enter(name, _Rows())

    def function(self, name: str, call: Callable[..., pa.Array], takes: Sequence[str], gives: str) -> None:
        """See `Session.function`."""
        self._beside.function(name, call, takes, gives)
        self._known.functions.add(name.lower())

    def execute(self, sql: str) -> None:
        """See `Session.execute`."""
        tree = sqlglot.parse_one(sql, dialect="duckdb")
        query, table = tree.args.get("expression"), tree.find(exp.Table)
        name = table.name if table is not None else ""
        match tree:
            case exp.Create(kind="VIEW") if query is not None:
                self._forget(name)
                self._beside.execute(sql)
                self._enter(name, _View(query.sql("duckdb"), frozenset(read_relations(query))))
            case exp.Create(kind="TABLE") if query is not None:
                self._materialise(name, query.sql("duckdb"), sql)
            case exp.Create(kind="TABLE"):
                self._forget(name)
                self._beside.execute(sql)
                self._enter(name, _Rows())
            case exp.Insert() if query is not None:
                self._append(name, query.sql("duckdb"), sql)
            case exp.Drop() if name.lower() in self._known.relations:
                self._forget(name)
            case _:
                self._beside.execute(sql)

    def _enter(self, name: str, relation: _Relation) -> None:
        self._known.relations[name.lower()] = (name, relation)
        self._outdate(name.lower())

    def _forget(self, name: str) -> None:
        if name.lower() in self._known.relations:
            self._beside.forget(name)
            del self._known.relations[name.lower()]
            self._outdate(name.lower())

    def _outdate(self, key: str) -> None:
        """What the cluster knows of a relation, and of every view that reads it, is asked anew."""
        self._known.columns.pop(key, None)
        for other, (_, relation) in self._known.relations.items():
            if isinstance(relation, _View) and key in relation.reads and other != key:
                self._outdate(other)

    def _materialise(self, name: str, query: str, sql: str) -> None:
        files = self._made(query)
        if files is None:
            self._forget(name)
            self._beside.execute(sql)
            self._enter(name, _Rows())
        else:
            self._forget(name)
            self.view(name, files)

    def _append(self, name: str, query: str, sql: str) -> None:
        found = self._known.relations.get(name.lower())
        files = self._made(query)
        if files is None:
            self._beside.execute(sql)
        elif found is not None and isinstance(found[1], _Files):
            self.view(name, [*found[1].paths, *files])
            return
        else:
            listed = self._own_name()
            self._beside.view(listed, files)
            self._beside.execute(f"INSERT INTO {quote(name)} SELECT * FROM {quote(listed)}")
        self._enter(name, _Rows())

    # ---- queries ---------------------------------------------------------------------------------

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See `Session.fetch`."""
        query = None if parameters else self._carried(sql)
        if query is None:
            return self._beside.fetch(sql, parameters)
        with _translated():
            found = self._queries.run(lambda: self._spark.sql(query).toArrow())
        return _as(found, self._shape(sql))

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """See `Session.stream`."""
        files = self._made(sql)
        if files is None:
            yield from self._beside.stream(sql, rows)
            return
        shape = self._shape(sql)
        for path in files:
            with pq.ParquetFile(path) as opened:
                for batch in opened.iter_batches(rows):
                    yield from _as(pa.Table.from_batches([batch]), shape).to_batches(rows)
            path.unlink()

    def write(self, sql: str, path: Path, *, row_group: int = 100_000) -> int:
        """See `Session.write`."""
        files = self._made(sql)
        if files is None:
            return self._beside.write(sql, path, row_group=row_group)
        name = self._own_name()
        self._beside.view(name, files)
        return self._beside.write(f"SELECT * FROM {quote(name)}", path, row_group=row_group)

    def write_parts(self, sql: str, folder: Path) -> Sequence[Path]:
        """See `Session.write_parts`."""
        files = self._made(sql, folder / ".writing")
        if files is None:
            return self._beside.write_parts(sql, folder)
        named = [folder / part_file(number) for number in range(len(files))]
        for file, path in zip(files, named, strict=True):
            flush_and_rename(file, path)
        shutil.rmtree(folder / ".writing", ignore_errors=True)
        return named

    def explain(self, sql: str) -> None:
        """See `Session.explain`."""
        self._beside.explain(sql)

    def cursor(self) -> SparkSession:
        """See `Session.cursor`."""
        return SparkSession(self._connect, self._beside.cursor(), self._scratch, self._told, self._known)

    def close(self) -> None:
        """See `Session.close`."""
        self._queries.close()
        self._beside.close()
        if self._owner:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # ---- carrying ----------------------------------------------------------------------------------

    def _carried(self, sql: str) -> str | None:
        """The query in the cluster's words, everything it reads known there; None when it runs beside."""
        tree = sqlglot.parse_one(sql, dialect="duckdb")
        if not self._reads_files(tree):
            return None
        try:
            return self._in_spark(tree)[0]
        except NotCarried as reason:
            self._tell(str(reason))
            return None

    def _in_spark(self, tree: exp.Expr) -> tuple[str, Table]:
        for called in tree.find_all(exp.Anonymous):
            if str(called.this).lower() in self._known.functions:
                raise NotCarried("a function of the project (python)")
        tables = {name: self._columns(name) for name in read_relations(tree)}
        return carried(tree, tables)

    def _reads_files(self, tree: exp.Expr) -> bool:
        """Whether a query reads anything but what this machine itself put in."""
        return any(
            isinstance(found, _Files)
            or (
                isinstance(found, _View) and self._reads_files(sqlglot.parse_one(found.sql, dialect="duckdb"))
            )
            for name in read_relations(tree)
            for _, found in [self._known.relations.get(name, (name, _Rows()))]
        )

    def _columns(self, key: str) -> Table:
        """The columns of a relation, which the cluster knows from now on; raises `NotCarried`."""
        if key in self._known.columns:
            return self._known.columns[key]
        if key not in self._known.relations:
            raise NotCarried(f"the relation {key!r}")
        name, relation = self._known.relations[key]
        match relation:
            case _View(sql, _):
                query, columns = self._in_spark(sqlglot.parse_one(sql, dialect="duckdb"))
                frame = self._spark.sql(query)
            case _Files(paths):
                frame, columns = self._read(paths), arrow_columns(pq.read_schema(paths[0]))
            case _Rows():
                paths = (self._scratch / f"{new_id()}.parquet",)
                self._beside.write(f"SELECT * FROM {quote(name)}", paths[0])
                frame, columns = self._read(paths), arrow_columns(pq.read_schema(paths[0]))
        frame.createOrReplaceTempView(spark_name(name))
        self._known.columns[key] = columns
        return columns

    def _read(self, paths: Sequence[Path]) -> Any:
        """Files as they are named: a '*' in a folder's name is one, and a folder 'year=2024' is no column."""
        reader = self._spark.read.option("__globPaths__", "false").option("recursiveFileLookup", "true")
        return reader.parquet(*(f"file:{path.resolve()}" for path in paths))

    def _made(self, sql: str, folder: Path | None = None) -> list[Path] | None:
        """The rows of a query as files that the cluster wrote, those without rows left out but for the first; or None."""
        query = self._carried(sql)
        if query is None:
            return None
        folder = folder or self._scratch / new_id()
        with _translated():
            self._queries.run(
                lambda: self._spark.sql(query).write.mode("overwrite").parquet(f"file:{folder.resolve()}")
            )
        files = sorted(folder.glob("part-*.parquet"))
        return [path for path in files if pq.read_metadata(path).num_rows] or files[:1]

    def _shape(self, sql: str) -> pa.Schema:
        """What the engine of this machine would answer with."""
        return self._beside.fetch(f"SELECT * FROM ({sql}) LIMIT 0").schema

    def _own_name(self) -> str:
        return f"__spark:{new_id()}"

    def _tell(self, reason: str) -> None:
        if reason not in self._known.told:
            self._known.told.add(reason)
            self._told(reason)


def _as(found: pa.Table, shape: pa.Schema) -> pa.Table:
    """The same rows in the types that the engine of this machine gives."""
    return found.rename_columns(shape.names).cast(shape)


@contextmanager
def _translated() -> Iterator[None]:
    """What the cluster cannot do, as an error of ours; a query that it does not understand is a bug of ours."""
    from py4j.protocol import Py4JError
    from pyspark.errors import AnalysisException, ParseException, PySparkException

    try:
        yield
    except (AnalysisException, ParseException):
        raise
    except (Py4JError, PySparkException) as error:
        raise FatalError(
            f"the cluster could not run a query: {root_cause(error)}",
            hint="look into the logs of the master and the executors; does every machine reach the project's folder?",
        ) from error
