"""Functions of this package called on a cluster's machines, where their Python has it: the same version, or none is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from migrator import __version__
from migrator.staging.engine import OnBatch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Batches = Iterator[pa.RecordBatch]


def in_executors(frame: DataFrame, call: OnBatch, takes: pa.Schema, gives: pa.Schema, rows: int) -> DataFrame:
    """What copies of `call` make of a frame's rows, at most `rows` at a time: they get them as `takes`, and answer as `gives`."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def mapped(batches: Batches) -> Batches:
        return map(call, in_chunks(batches, takes, rows))

    return frame.mapInArrow(mapped, from_arrow_schema(gives))


def in_chunks(batches: Batches, takes: pa.Schema, rows: int) -> Batches:
    """The same rows in batches of `rows` rows, and what is left, under the names and in the types of `takes`."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        rest = batch
        while size + rest.num_rows >= rows:
            yield from _joined([*held, rest.slice(0, rows - size)], takes)
            rest, held, size = rest.slice(rows - size), [], 0
        if rest.num_rows:
            held.append(rest)
            size += rest.num_rows
    if held:
        yield from _joined(held, takes)


def _joined(held: list[pa.RecordBatch], takes: pa.Schema) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = (
        pa.Table.from_batches(held).rename_columns(takes.names).cast(takes).combine_chunks().to_batches()
    )
    return found


def lacking(spark: Any) -> str:
    """Why executors cannot call functions of this package; '' when they can."""
    (row,) = spark.range(1).mapInArrow(version_there(), "version string").collect()
    if row.version == __version__:
        return ""
    found = f"crm-migrator {row.version}" if row.version else "no crm-migrator"
    return (
        f"executors have {found}, and rules about single rows need {__version__} there:"
        " install it in the Python that PYSPARK_PYTHON or spark.pyspark.python names, or send it with spark.archives"
    )


def version_there() -> Callable[[Batches], Batches]:
    """A function that executors get by value, for they may not have this module."""

    def asked(batches: Batches) -> Batches:
        import pyarrow

        try:
            from migrator import __version__ as version
        except ImportError:
            version = ""
        for batch in batches:
            yield pyarrow.RecordBatch.from_pydict({"version": [version] * batch.num_rows})

    return asked
