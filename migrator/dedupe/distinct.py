"""Python work on distinct values only: what SQL cannot do is done once per value, page by page, and joined back."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.staging.engine import Session

PAGE_ROWS = 10_000
_TEXT = pa.string()


def translate_distinct(
    session: Session,
    texts: str,
    translate: Callable[[pa.Array], pa.Array],
    table: str,
    scratch: Path,
    *,
    made: pa.DataType = _TEXT,
) -> int:
    """Make `table` (raw, value) from the query `texts` of distinct texts in one column; returns its rows.

    `made` is the type of what `translate` makes of a text.

    The texts pass through the file `scratch`, so that memory is bounded by a page and the engine is free while
    Python works; the file is gone afterwards.
    """
    rows = session.write(texts, scratch)
    schema = pa.schema([pa.field("raw", _TEXT), pa.field("value", made)])
    pages = _pages(scratch, translate, schema) if rows else iter(())
    session.table(table, pa.RecordBatchReader.from_batches(schema, pages))
    scratch.unlink()
    return rows


def _pages(
    scratch: Path, translate: Callable[[pa.Array], pa.Array], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(scratch, pre_buffer=False) as file:
        for batch in file.iter_batches(PAGE_ROWS):
            raw = batch.column(0).cast(_TEXT)
            with _uncollected():
                value = translate(raw).cast(schema.field("value").type)
            yield pa.record_batch([raw, value], schema=schema)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for objects that refer to each other in circles: what a page makes never does, and to look through
    it again and again while it grows costs half as much as making it.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
