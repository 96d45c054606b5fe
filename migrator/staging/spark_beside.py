"""The engine of this machine beside a cluster: of files that only the cluster needs it knows the columns, and no more.

A relation of files that are in a place that machines share stands here as one small file without its rows. Only a query that
runs here brings what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import sqlglot
from sqlglot import exp

from migrator.staging.depot import Files
from migrator.staging.dialects.statement import read_relations
from migrator.staging.engine import SMALL, DuckSession, OnBatch, literal, quote


@dataclass(slots=True)
class _Hollow:
    """What all cursors share."""

    files: dict[str, tuple[str, Files]] = field(default_factory=dict)
    """Lower-case name → name and the files that are not read yet."""
    reads: dict[str, frozenset[str]] = field(default_factory=dict)
    """Lower-case name of a view → what it reads."""


class Beside:
    """`Session` on DuckDB, and what a cluster's session needs besides."""

    def __init__(self, engine: DuckSession, hollow: _Hollow | None = None) -> None:
        self._engine = engine
        self._hollow = hollow or _Hollow()

    def view(self, name: str, files: Sequence[Path], schema: pa.Schema | None = None) -> None:
        """See `Session.view`; files that are elsewhere are not brought yet."""
        self._unknow(name)
        if not isinstance(files, Files) or files.are_here:
            self._engine.view(name, files, schema)
            return
        (smallest,) = files.smallest
        self._engine.forget(name)
        listed = literal(str(smallest))
        self._engine.execute(
            f"CREATE VIEW {quote(name)} AS SELECT * FROM read_parquet([{listed}], hive_partitioning = false) LIMIT 0"
        )
        self._hollow.files[name.lower()] = (name, files)

    def _bring(self, sql: str) -> None:
        """What a query reads, before it runs."""
        if self._hollow.files:
            self._fill(read_relations(sqlglot.parse_one(sql, dialect="duckdb")))

    def _fill(self, names: Iterable[str]) -> None:
        for key in names:
            if key in self._hollow.files:
                name, files = self._hollow.files.pop(key)
                self._engine.view(name, files)
            self._fill(self._hollow.reads.get(key, frozenset()))

    def table(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """See `Session.table`."""
        self._unknow(name)
        self._engine.table(name, rows)

    def function(self, name: str, call: Callable[..., pa.Array], takes: Sequence[str], gives: str) -> None:
        """See `Session.function`."""
        self._engine.function(name, call, takes, gives)

    def execute(self, sql: str) -> None:
        """See `Session.execute`; to make a view of files needs none of them."""
        if self._hollow.files:
            tree = sqlglot.parse_one(sql, dialect="duckdb")
            query, table = tree.args.get("expression"), tree.find(exp.Table)
            if (
                isinstance(tree, exp.Create)
                and tree.kind == "VIEW"
                and query is not None
                and table is not None
            ):
                self._unknow(table.name)
                self._hollow.reads[table.name.lower()] = frozenset(read_relations(query))
            elif not isinstance(tree, exp.Drop) and not (
                isinstance(tree, exp.Create) and tree.kind == "MACRO"
            ):
                self._fill(read_relations(tree))
        self._engine.execute(sql)

    def _unknow(self, name: str) -> None:
        self._hollow.files.pop(name.lower(), None)
        self._hollow.reads.pop(name.lower(), None)

    def shape(self, sql: str) -> pa.Schema:
        """The columns that a query would answer with."""
        return self._engine.fetch(f"SELECT * FROM ({sql}) LIMIT 0").schema

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See `Session.fetch`."""
        self._bring(sql)
        return self._engine.fetch(sql, parameters)

    def stream(self, sql: str, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """See `Session.stream`."""
        self._bring(sql)
        return self._engine.stream(sql, rows)

    def map_batches(self, sql: str, call: OnBatch, gives: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Session.map_batches`."""
        self._bring(sql)
        return self._engine.map_batches(sql, call, gives, rows)

    def write(self, sql: str, path: Path, *, row_group: int = 100_000, compression: str = SMALL) -> int:
        """See `Session.write`."""
        self._bring(sql)
        return self._engine.write(sql, path, row_group=row_group, compression=compression)

    def write_parts(self, sql: str, folder: Path) -> Sequence[Path]:
        """See `Session.write_parts`."""
        self._bring(sql)
        return self._engine.write_parts(sql, folder)

    def explain(self, sql: str) -> None:
        """See `Session.explain`."""
        self._engine.explain(sql)

    def cursor(self) -> Beside:
        """See `Session.cursor`."""
        return Beside(self._engine.cursor(), self._hollow)

    def forget(self, name: str) -> None:
        """Make room for a name."""
        self._unknow(name)
        self._engine.forget(name)

    def close(self) -> None:
        """See `Session.close`."""
        self._engine.close()
