"""A session of Spark that runs every query on the engine of this machine as well, and holds the rows of both to be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.staging.depot import Files
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.spark_cluster import connected
from migrator.staging.spark_session import SparkSession


class Compared(SparkSession):
    """`SparkSession` that notices every row that is not the same."""

    carried = 0
    """Queries that ran on the cluster."""
    _last: str | None = None

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Both answers, compared."""
        self._last = None
        found = super().fetch(sql, parameters)
        if self._last is not None:
            self._compare(sql, found)
        return found

    def _carried(self, sql: str) -> str | None:
        self._last = super()._carried(sql)
        return self._last

    def _made(self, sql: str, folder: Path | None = None, shape: pa.Schema | None = None) -> Files | None:
        files = super()._made(sql, folder, shape)
        if files is not None:
            self._compare(sql, pa.concat_tables(pq.ParquetFile(path).read() for path in files), shape)
        return files

    def _compare(self, sql: str, found: pa.Table, shape: pa.Schema | None = None) -> None:
        self.carried += 1
        here = self._beside.fetch(sql)
        if shape is not None:
            here = here.rename_columns(shape.names).cast(shape)
        one, two = rows_of(here), rows_of(found.rename_columns(here.column_names).cast(here.schema))
        assert one == two, f"{sql}\n  only here: {one - two}\n  only on Spark: {two - one}"


def rows_of(table: pa.Table) -> Counter[str]:
    """Rows with their names, however they are ordered."""
    return Counter(repr(row) for row in table.to_pylist())


def open_compared(
    settings: EngineSettings, folder: Path, told: list[str], *, computes: bool = False
) -> Compared:
    """A session that tells into `told`."""
    scratch = folder / "spark"
    scratch.mkdir(exist_ok=True)

    def connect() -> Any:
        return connected(settings)

    return Compared(connect, open_engine(settings, folder), scratch, told.append, computes=computes)
