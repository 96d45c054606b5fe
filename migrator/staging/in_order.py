"""Rows that are too wide for the engine to sort in little memory, put in order slice by slice.

The rows of a query are dealt to slices, by a column that the order begins with; each slice is then read, sorted and written
behind the one before. So memory holds a slice, however many there are, and the disk holds the rows once more meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrator.staging.engine import ROW_GROUP_BYTES, Session, flush_and_rename, quote
from migrator.staging.store import ROW_GROUP, writing

SLICE_ROWS = 50_000
"""About how many rows a slice has."""
MOST_SLICES = 256
"""Each is an open file while the rows are dealt; more rows than these hold make larger slices."""
_SLICE = "__slice"
_PAGE = 20_000
"""Rows read at once."""
_A_SLICE = 256
"""Rows of each slice, about, that are dealt at once where there are many: a handful costs more to write than it holds."""
_DEALT_BYTES = 32 << 20
"""With so many bytes no more rows are waited for."""


@dataclass(frozen=True, slots=True)
class Order:
    """By a column of whole numbers from 0 to below `end`, and by `then` where they are equal."""

    first: str
    end: int
    then: str


def write_in_order(session: Session, sql: str, order: Order, path: Path, *, rows: int) -> int:
    """Write a query's rows, about `rows` of them, to one Parquet file in that order, whole or not at all; returns their number.

    Numbers of `order.end` and above are in order too, in a slice that has them all. Raises `FatalError` when there is no room.
    """
    temporary = path.with_name(f".{path.name}.writing")
    folder = path.with_name(f".{path.name}.slices")
    with writing(path, temporary):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            schema = _deal(session, sql, order, folder, min(-(-rows // SLICE_ROWS), MOST_SLICES))
            written = _gather(folder, schema, order, temporary)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        flush_and_rename(temporary, path)
    return written


def _deal(session: Session, sql: str, order: Order, folder: Path, slices: int) -> pa.Schema:
    """Give each row to the file of its slice; returns the schema of the rows."""
    schema = session.fetch(f"SELECT * FROM ({sql}) LIMIT 0").schema
    wanted = f"CAST({quote(order.first)} AS BIGINT) * {slices:d} // {max(order.end, 1):d}"
    dealt = f"SELECT *, CAST(least({wanted}, {max(slices, 1) - 1:d}) AS INTEGER) AS {_SLICE} FROM ({sql})"
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as files:
        open_slices: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for page in _larger(session.stream(dealt, _PAGE), slices * _A_SLICE):
            rows = page.take(pc.sort_indices(page.column(_SLICE)))
            for number, start, end in runs(rows.column(_SLICE)):
                if number not in open_slices:
                    sink = files.enter_context(pa.OSFile(str(_file(folder, number)), "wb"))
                    open_slices[number] = files.enter_context(
                        pa.ipc.new_stream(sink, schema, options=options)
                    )
                part = rows.slice(start, end - start).drop_columns([_SLICE])
                open_slices[number].write_table(part.cast(schema))
    return schema


def _larger(pages: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in pages of so many or more, unless they are wide; one chunk to each column."""
    held: list[pa.RecordBatch] = []
    for page in pages:
        held.append(page)
        if sum(map(len, held)) >= rows or sum(item.nbytes for item in held) >= _DEALT_BYTES:
            yield pa.Table.from_batches(held).combine_chunks()
            held = []
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def _gather(folder: Path, schema: pa.Schema, order: Order, path: Path) -> int:
    written = 0
    by = [(order.first, "ascending"), (order.then, "ascending")]
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for slice_file in sorted(folder.iterdir()):
            with pa.OSFile(str(slice_file)) as source, pa.ipc.open_stream(source) as reader:
                rows = reader.read_all().sort_by(by)
            slice_file.unlink()
            a_row = max(rows.nbytes // rows.num_rows, 1)
            file.write_table(rows, row_group_size=max(min(ROW_GROUP, ROW_GROUP_BYTES // a_row), 1))
            written += rows.num_rows
    return written


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.arrow"


def runs(numbers: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each run of equal numbers."""
    total = len(numbers)
    if not total:
        return
    changes = pc.indices_nonzero(pc.not_equal(numbers.slice(1), numbers.slice(0, total - 1))).to_pylist()
    starts = [0, *(place + 1 for place in changes)]
    for start, end in zip(starts, [*starts[1:], total], strict=True):
        yield numbers[start].as_py(), start, end
