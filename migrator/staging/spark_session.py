"""`Session` on Spark: queries in the engine's dialect, carried to the cluster; what cannot be carried runs beside, and is told.

Every relation is known twice: to the cluster, and to an engine of this machine over the same Parquet files. So a query
that the dialect refuses still has its rows, and a project may change its engine between two steps. What the cluster
materialises is Parquet too, in a scratch folder of the project, which it must be able to reach; or in the place that machines
share, where there is one that it can read: then it reads and writes nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp

from migrator.core.clock import new_id
from migrator.core.errors import ConnectorError, FatalError
from migrator.staging.depot import ONLY_HERE, Depot, File, Files, Wanted
from migrator.staging.dialects.changed import changed_query
from migrator.staging.dialects.in_place import GIVEN, batch_function
from migrator.staging.dialects.kinds import NotCarried, Type, engine_type, on_the_wire
from migrator.staging.dialects.spark_text import name as spark_name
from migrator.staging.dialects.spark_text import type_name
from migrator.staging.dialects.statement import (
    Table,
    arrow_columns,
    arrow_types,
    carried,
    read_relations,
)  # fmt: skip
from migrator.staging.engine import SMALL, DuckSession, OnBatch, flush_and_rename, part_file, quote
from migrator.staging.queries import Queries
from migrator.staging.spark_beside import Beside
from migrator.staging.spark_cluster import root_cause
from migrator.staging.spark_executors import in_executors, lacking

Told = Callable[[str], None]
"""Is told, once for each reason, why something runs on this machine."""
_ANSWERS = 64
"""Rows read at once of what functions in the executors answer: each of them may be long."""


@dataclass(slots=True)
class _Files:
    """A relation of Parquet files."""

    files: Files
    shape: pa.Schema | None = None
    """Its columns as the engine of this machine has them, where the files do not say so."""
    made: tuple[Wanted, ...] = ()
    """Those of the files that are of no use beyond it."""


@dataclass(slots=True)
class _View:
    """A relation that is a query, and what it reads by name."""

    sql: str
    reads: frozenset[str]


@dataclass(slots=True)
class _Rows:
    """A table of the engine beside: what this machine itself put in."""

    empty: bool = False
    """Whether nothing has been put in yet."""


_Relation = _Files | _View | _Rows


@dataclass(slots=True)
class _Known:
    """What all cursors of a session share."""

    relations: dict[str, tuple[str, _Relation]] = field(default_factory=dict)
    """Lower-case name → name and what it is."""
    columns: dict[str, Table] = field(default_factory=dict)
    """Lower-case name → its columns, once the cluster knows it."""
    functions: set[str] = field(default_factory=set)
    macros: dict[str, str] = field(default_factory=dict)
    """Lower-case name → the statement that made it."""
    computed: dict[str, Type] = field(default_factory=dict)
    """Functions of the cluster that compute in place → their types."""
    told: set[str] = field(default_factory=set)
    lacking: str | None = None
    """What keeps executors from calling functions of this package, '' when nothing does; None until it was asked."""
    spark: Any = None


class SparkSession:
    """`Session` on a cluster; `beside` is the engine of this machine, `scratch` a folder that both reach.

    With `computes`, what no rule carries and asks for one row only is computed by the engine in the executors, which need it.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        beside: DuckSession | Beside,
        scratch: Path,
        told: Told,
        known: _Known | None = None,
        *,
        computes: bool = False,
        depot: Depot = ONLY_HERE,
    ) -> None:
        self._connect = connect
        self._beside = beside if isinstance(beside, Beside) else Beside(beside)
        self._depot = depot
        self._scratch = scratch
        self._told = told
        self._known = known or _Known()
        self._computes = computes
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
        found: _Relation = _Files(self._known_files(files)) if files else _Rows()
        if files and self._known.relations.get(name.lower()) == (name, found):
            return  # files never change, and reading what they hold again costs a job
        self._release(name)
        self._beside.view(name, files, schema)
        self._enter(name, found)

    def _known_files(self, files: Sequence[Path]) -> Files:
        """The same files with where they are kept; the cluster may not reach those that only this machine has."""
        return files if isinstance(files, Files) else Files([File(path, 0) for path in files], ONLY_HERE)

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """See `Session.table`."""
        self._beside.table(name, rows)
        self._release(name)
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
                self._enter(name, _Rows(empty=True))
            case exp.Create(kind="MACRO"):
                self._beside.execute(sql)
                self._known.macros[name.lower()] = sql
            case exp.Insert() if query is not None:
                self._append(name, query.sql("duckdb"), sql)
            case exp.Update() | exp.Delete() if self._is_of_files(name):
                self._materialise(name, changed_query(tree).sql("duckdb"), sql)
            case exp.Alter(actions=[exp.AlterRename() as renamed]) if name.lower() in self._known.relations:
                self._rename(name, renamed.this.name, sql)
            case exp.Drop() if name.lower() in self._known.relations:
                self._forget(name)
            case _:
                self._beside.execute(sql)

    def _is_of_files(self, name: str) -> bool:
        return isinstance(self._known.relations.get(name.lower(), (name, None))[1], _Files)

    def _rename(self, name: str, other: str, sql: str) -> None:
        _, relation = self._known.relations[name.lower()]
        self._forget(other)
        if isinstance(relation, _Files):
            self._beside.forget(name)
            self._view_made(other, relation)
        else:
            self._beside.execute(sql)
        del self._known.relations[name.lower()]
        self._outdate(name.lower())
        self._enter(other, relation)

    def _enter(self, name: str, relation: _Relation) -> None:
        self._known.relations[name.lower()] = (name, relation)
        self._outdate(name.lower())

    def _forget(self, name: str) -> None:
        if name.lower() in self._known.relations:
            self._beside.forget(name)
            self._release(name)
            self._outdate(name.lower())

    def _release(self, name: str) -> None:
        """What the cluster made for a relation that is no more goes."""
        _, relation = self._known.relations.pop(name.lower(), (name, _Rows()))
        if isinstance(relation, _Files):
            self._drop(relation.made)

    def _outdate(self, key: str) -> None:
        """What the cluster knows of a relation, and of every view that reads it, is asked anew."""
        self._known.columns.pop(key, None)
        for other, (_, relation) in self._known.relations.items():
            if isinstance(relation, _View) and key in relation.reads and other != key:
                self._outdate(other)

    def _materialise(self, name: str, query: str, sql: str) -> None:
        shape = self._shape(query)
        files = self._made(query, shape=shape) or self._made_here(query)
        self._forget(name)
        if files is None:
            self._beside.execute(sql)
            self._enter(name, _Rows())
        else:
            self._enter_made(name, _Files(files, shape, files.wanted))

    def _append(self, name: str, query: str, sql: str) -> None:
        _, found = self._known.relations.get(name.lower(), (name, _Rows()))
        if isinstance(found, _Rows) and not found.empty:
            files = self._made(query)
            if files is None:
                self._beside.execute(sql)
            else:
                listed = self._own_name()
                self._beside.view(listed, files)
                self._beside.execute(f"INSERT INTO {quote(name)} SELECT * FROM {quote(listed)}")
            self._enter(name, _Rows())
            return
        known = found if isinstance(found, _Files) else _Files(Files((), self._depot))
        shape = self._shape(f"SELECT * FROM {quote(name)}")
        files = self._made(query, shape=shape) or self._made_here(query, shape, always=bool(known.files))
        if files is None:
            self._beside.execute(sql)
            self._enter(name, _Rows())
            return
        every = Files((*known.files.wanted, *files.wanted), self._depot)
        self._enter_made(name, _Files(every, shape, (*known.made, *files.wanted)))

    def _enter_made(self, name: str, relation: _Files) -> None:
        self._view_made(name, relation)
        self._enter(name, relation)

    def _view_made(self, name: str, relation: _Files) -> None:
        """For the engine of this machine, in the types that it would have given them itself."""
        if relation.shape is None:
            self._beside.view(name, relation.files)
            return
        listed = self._own_name()
        self._beside.view(listed, relation.files)
        columns = ", ".join(
            f"CAST({quote(column)} AS {engine_type(kind)}) AS {quote(column)}"
            if on_the_wire(kind) != kind
            else quote(column)
            for column, kind in zip(relation.shape.names, arrow_types(relation.shape), strict=True)
        )
        self._beside.forget(name)
        self._beside.execute(f"CREATE VIEW {quote(name)} AS SELECT {columns} FROM {quote(listed)}")

    def _made_here(self, query: str, shape: pa.Schema | None = None, *, always: bool = False) -> Files | None:
        """The rows of a query that runs on this machine, in a file for the cluster; None where it reads no files."""
        if not always and not self._reads_files(read_relations(sqlglot.parse_one(query, dialect="duckdb"))):
            return None
        path = self._scratch / f"{new_id()}.parquet"
        try:
            return self._write_for_cluster(query, shape or self._shape(query), path)
        except NotCarried:  # a column of a type that the cluster does not know: nothing there can read it
            return None

    def _write_for_cluster(self, query: str, shape: pa.Schema, path: Path) -> Files:
        """A file that has every column in a type that both engines and Parquet have."""
        given = [f"c{number}" for number in range(len(shape))]
        columns = ", ".join(
            f"CAST({column} AS {engine_type(on_the_wire(kind))}) AS {quote(name)}"
            for column, kind, name in zip(given, arrow_types(shape), shape.names, strict=True)
        )
        self._beside.write(f"SELECT {columns} FROM ({query}) AS q({', '.join(given)})", path)
        self._depot.put(path)
        return Files([File(path, path.stat().st_size)], self._depot)

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
        yield from self._read_once(files, self._shape(sql), rows)

    def _read_once(self, files: Files, shape: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """What is in files that go as soon as they are read."""
        for number, item in enumerate(files.wanted):
            with pq.ParquetFile(files[number]) as opened:
                for batch in opened.iter_batches(rows):
                    yield from _as(pa.Table.from_batches([batch]), shape).to_batches(rows)
            self._drop([item])

    def map_batches(self, sql: str, call: OnBatch, gives: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Session.map_batches`; this machine calls it where executors have not the package that it is of."""
        query = self._carried(sql)
        if query is None or not self._is_on_executors():
            yield from self._beside.map_batches(sql, call, gives, rows)
            return
        with _translated():
            mapped = in_executors(self._spark.sql(query), call, self._shape(sql), gives, rows)
            files = self._written(mapped, self._scratch / new_id())
        yield from self._read_once(files, gives, _ANSWERS)

    def _is_on_executors(self) -> bool:
        if self._known.lacking is None:
            with _translated():
                self._known.lacking = self._queries.run(lambda: lacking(self._spark))
        if self._known.lacking:
            self._tell(self._known.lacking)
        return not self._known.lacking

    def write(self, sql: str, path: Path, *, row_group: int = 100_000, compression: str = SMALL) -> int:
        """See `Session.write`."""
        shape = self._shape(sql)
        files = self._made(sql, shape=shape)
        if files is None:
            return self._beside.write(sql, path, row_group=row_group, compression=compression)
        name = self._own_name()
        self._view_made(name, _Files(files, shape))
        written = self._beside.write(
            f"SELECT * FROM {quote(name)}", path, row_group=row_group, compression=compression
        )
        self._drop(files.wanted)
        return written

    def write_parts(self, sql: str, folder: Path) -> Sequence[Path]:
        """See `Session.write_parts`."""
        if any(on_the_wire(kind) != kind for kind in arrow_types(self._shape(sql))):
            path = folder / part_file(0)
            self.write(sql, path)
            return [path]
        if self._depot is not ONLY_HERE:  # each file there has a name of its own, and is whole when it has it
            made = self._made(sql, folder)
            return self._beside.write_parts(sql, folder) if made is None else made.places
        files = self._made(sql, folder / ".writing")
        if files is None:
            return self._beside.write_parts(sql, folder)
        named = [folder / part_file(number) for number in range(len(files))]
        for file, path in zip(files, named, strict=True):
            flush_and_rename(file, path)
        shutil.rmtree(folder / ".writing", ignore_errors=True)
        return named

    def lay_aside(self, name: str, sql: str) -> None:
        """See `Session.lay_aside`."""
        self.execute(f"CREATE OR REPLACE TABLE {quote(name)} AS {sql}")

    def lay_aside_shared(self, name: str, columns: Sequence[str], relation: str) -> None:
        """See `Session.lay_aside_shared`."""
        listed = ", ".join(map(quote, columns))
        self.lay_aside(name, f"SELECT {listed} FROM {relation} GROUP BY {listed} HAVING count(*) > 1")

    def explain(self, sql: str) -> None:
        """See `Session.explain`."""
        self._beside.explain(sql)

    def cursor(self) -> SparkSession:
        """See `Session.cursor`."""
        return SparkSession(
            self._connect,
            self._beside.cursor(),
            self._scratch,
            self._told,
            self._known,
            computes=self._computes,
            depot=self._depot,
        )

    def close(self) -> None:
        """See `Session.close`."""
        self._queries.close()
        self._beside.close()
        if self._owner:
            shutil.rmtree(self._scratch, ignore_errors=True)
            with suppress(ConnectorError):  # the next command sweeps what cannot be reached now
                self._depot.delete(self._scratch)

    def _drop(self, files: Iterable[Wanted]) -> None:
        for item in files:
            item.place.unlink(missing_ok=True)
            self._depot.delete(item.place)

    # ---- carrying ----------------------------------------------------------------------------------

    def _carried(self, sql: str) -> str | None:
        """The query in the cluster's words, everything it reads known there; None when it runs beside."""
        tree = sqlglot.parse_one(sql, dialect="duckdb")
        if not self._reads_files(read_relations(tree)):
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
        return carried(tree, tables, self._in_place if self._computes else None)

    def _in_place(self, sql: str, kinds: Sequence[Type]) -> tuple[str, Type]:
        """See `InPlace`."""
        columns = ", ".join(f"CAST(c{n} AS {engine_type(kind)}) AS c{n}" for n, kind in enumerate(kinds))
        macros = [text for name, text in sorted(self._known.macros.items()) if f"{name}(" in sql.lower()]
        key = _digest("\n".join((sql, columns, *macros)))
        if key not in self._known.computed:
            nothing = ", ".join(f"NULL::{engine_type(kind)} AS c{n}" for n, kind in enumerate(kinds))
            try:
                shape = self._beside.shape(f"SELECT {sql} AS x FROM (SELECT {nothing})")
            except duckdb.Error as error:
                raise NotCarried(f"{sql[:60]}: {error}") from error
            (gives,) = arrow_columns(shape).values()
            wire = on_the_wire(gives)
            query = f"SELECT CAST(({sql}) AS {engine_type(wire)}) AS x FROM (SELECT {columns} FROM {GIVEN})"
            self._register(key, batch_function(query, macros, len(kinds)), wire)
            self._known.computed[key] = gives
        return key, self._known.computed[key]

    def _register(self, name: str, call: Callable[..., Any], gives: Type) -> None:
        from pyspark.sql.functions import arrow_udf

        # what it infers of a sum of many choices grows with the power of their number
        self._spark.conf.set("spark.sql.constraintPropagation.enabled", "false")
        self._spark.udf.register(name, arrow_udf(call, type_name(gives)))

    def _reads_files(self, names: Iterable[str]) -> bool:
        """Whether any of these relations holds anything but what this machine itself put in."""
        found = [self._known.relations.get(name, (name, _Rows()))[1] for name in names]
        return any(
            isinstance(one, _Files) or (isinstance(one, _View) and self._reads_files(one.reads))
            for one in found
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
            case _Files(files, shape) if files.depot is self._depot or self._depot is ONLY_HERE:
                frame, columns = self._read(files), arrow_columns(shape or _schema(files))
            case _:
                path, every = self._scratch / f"{new_id()}.parquet", f"SELECT * FROM {quote(name)}"
                shape = self._shape(every)
                frame = self._read(self._write_for_cluster(every, shape, path))
                columns = arrow_columns(shape)
        frame.createOrReplaceTempView(spark_name(name))
        self._known.columns[key] = columns
        return columns

    def _read(self, files: Files) -> Any:
        """Files as they are named: a '*' in a folder's name is one, and a folder 'year=2024' is no column."""
        reader = self._spark.read.option("__globPaths__", "false").option("recursiveFileLookup", "true")
        paths = files if self._depot is ONLY_HERE else files.places
        return reader.parquet(*map(self._url, paths))

    def _url(self, path: Path) -> str:
        """How the cluster finds a file or a folder."""
        return self._depot.url(path) or f"file:{path.resolve()}"

    def _made(self, sql: str, folder: Path | None = None, shape: pa.Schema | None = None) -> Files | None:
        """The rows of a query as files that the cluster wrote, those without rows left out but for the first; or None.

        With a `shape`, in its names and types.
        """
        query = self._carried(sql)
        if query is None:
            return None
        folder = folder or self._scratch / new_id()
        with _translated():
            frame = self._spark.sql(query)
            if shape is not None:
                frame = _shaped(frame, shape)
            return self._written(frame, folder)

    def _written(self, frame: Any, folder: Path) -> Files:
        self._queries.run(lambda: frame.write.mode("overwrite").parquet(self._url(folder)))
        found = [File(folder / name, size) for name, size in sorted(self._sizes(folder).items())]
        full = [item for item in found if self._rows(item)]
        return Files(full or found[:1], self._depot)

    def _sizes(self, folder: Path) -> dict[str, int]:
        """What the cluster wrote: name → bytes."""
        if self._depot is ONLY_HERE:
            return {path.name: path.stat().st_size for path in folder.glob("part-*.parquet")}
        return {
            name: size
            for name, size in self._depot.sizes(folder).items()
            if name.startswith("part-") and name.endswith(".parquet")
        }

    def _rows(self, item: Wanted) -> int:
        with self._depot.open(item.place) as stream:
            return int(pq.read_metadata(stream).num_rows)

    def _shape(self, sql: str) -> pa.Schema:
        """What the engine of this machine would answer with."""
        return self._beside.shape(sql)

    def _own_name(self) -> str:
        return f"__spark:{new_id()}"

    def _tell(self, reason: str) -> None:
        if reason not in self._known.told:
            self._known.told.add(reason)
            self._told(reason)


def _schema(files: Files) -> pa.Schema:
    with files.depot.open(files.places[0]) as stream:
        return pq.read_schema(stream)


def _as(found: pa.Table, shape: pa.Schema) -> pa.Table:
    """The same rows in the types that the engine of this machine gives."""
    return found.rename_columns(shape.names).cast(shape)


def _shaped(frame: Any, shape: pa.Schema) -> Any:
    """A frame of the cluster under other names, and in the types that those have there."""
    named = frame.toDF(*shape.names)
    wanted = [type_name(on_the_wire(kind)) for kind in arrow_types(shape)]
    return named.select(
        *(named[spark_name(name)].cast(kind) for name, kind in zip(shape.names, wanted, strict=True))
    )


def _digest(text: str) -> str:
    return f"in_place_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


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
            hint="look into the logs of the master and the executors; does every machine reach the project's folder, or what `staging` names?",
        ) from error
