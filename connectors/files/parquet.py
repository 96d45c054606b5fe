"""Parquet files as Arrow pages in the types the contract knows, by row group, in bounded memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.files.naming import Header, name_columns
from connectors.files.part import PartPage, places
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

_ENGINE_DIGITS = 38
"""Decimals with more digits are read as text: the engine has no type for them."""


@dataclass
class ParquetReader:
    """Reads one Parquet file."""

    place: str
    path: Callable[[], Path]
    _schema: pa.Schema | None = field(default=None, repr=False)
    _rows: int = 0

    def _look(self) -> pa.Schema:
        if self._schema is None:
            with self._file() as file:
                self._schema, self._rows = file.schema_arrow, file.metadata.num_rows
        return self._schema

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path(), pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise FatalError(
                f"{self.place}: this is no whole Parquet file: {error}", hint="copy or export it again"
            ) from error

    def _header(self) -> Header:
        return name_columns(self._look().names)

    def fields(self) -> Sequence[FieldSchema]:
        """Columns with the types that the file declares."""
        schema = self._look()
        names = self._header().names
        return [field_schema(name, item) for name, item in zip(names, schema, strict=True)]

    def notes(self) -> Sequence[str]:
        """Columns renamed, and those whose instants have no zone."""
        naive = [
            item.name for item in self._look() if pa.types.is_timestamp(item.type) and item.type.tz is None
        ]
        zones = [f"column {name!r} holds times without a zone: they are read as text" for name in naive]
        return (*self._header().notes, *zones)

    def count(self) -> int | None:
        """From the file's own metadata."""
        self._look()
        return self._rows

    def pages(self, *, skip: int, page_rows: int) -> Iterator[PartPage]:
        """See `PartReader.pages`; places are '#row N' from 1."""
        names = list(self._header().names)
        with self._file() as file:
            passed = 0
            for batch in file.iter_batches(batch_size=page_rows):
                passed += batch.num_rows
                left_out = max(batch.num_rows - max(passed - skip, 0), 0)
                if left_out == batch.num_rows:
                    continue
                rows = batch.slice(left_out)
                columns = [self._column(*each) for each in zip(names, rows.columns, strict=True)]
                numbers = pa.array(range(passed - rows.num_rows + 1, passed + 1), pa.int64())
                table = pa.Table.from_arrays(columns, names=names)
                yield PartPage(table, places(f"{self.place}#row ", numbers), (), passed)

    def _column(self, name: str, column: pa.Array) -> pa.Array:
        try:
            return to_contract(column)
        except pa.ArrowInvalid as error:
            raise FatalError(
                f"{self.place}: column {name!r}: {error}",
                hint="nothing is rounded here: write the column with microseconds, or as text",
            ) from error


def field_schema(name: str, item: pa.Field) -> FieldSchema:
    """The contract's type for an Arrow field."""
    kind = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
    required = not item.nullable
    if pa.types.is_decimal(kind) and kind.precision <= _ENGINE_DIGITS:
        return FieldSchema(
            name, FieldType.DECIMAL, required=required, precision=kind.precision, scale=kind.scale
        )
    if kind == pa.uint64():
        return FieldSchema(name, FieldType.DECIMAL, required=required, precision=20, scale=0)
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return FieldSchema(name, FieldType.STRING, required=required)
    return FieldSchema(name, _simple_type(kind), required=required)


def _simple_type(kind: pa.DataType) -> FieldType:
    tests = (
        (pa.types.is_boolean, FieldType.BOOLEAN),
        (pa.types.is_integer, FieldType.INTEGER),
        (pa.types.is_floating, FieldType.FLOAT),
        (pa.types.is_date, FieldType.DATE),
        (pa.types.is_timestamp, FieldType.DATETIME),
        (pa.types.is_time, FieldType.TIME),
        (pa.types.is_nested, FieldType.JSON),
    )
    return next((found for fits, found in tests if fits(kind)), FieldType.STRING)


def to_contract(column: pa.Array) -> pa.Array:
    """A column in a type the contract knows; nothing is rounded.

    Integers → int64 (unsigned 64 bits → decimal), instants → UTC microseconds, times without a zone → ISO text (which zone
    is the mapping's to say), nested values → JSON text, bytes → base64 text, decimals of
    more than 38 digits → text. Raises `ArrowInvalid` for instants finer than microseconds.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return to_contract(column.dictionary_decode())
    if pa.types.is_timestamp(kind):
        return _instants(column)
    if pa.types.is_nested(kind):
        return pa.array([_json(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array(
            [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()],
            pa.string(),
        )
    target = _target(kind)
    return column if target == kind else pc.cast(column, target)


def _instants(column: pa.Array) -> pa.Array:
    if column.type.tz is None:
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%S")
    return pc.cast(column, pa.timestamp("us", tz="UTC"))


def _target(kind: pa.DataType) -> pa.DataType:  # noqa: PLR0911 (one line a type)
    if kind == pa.uint64():
        return pa.decimal128(20, 0)
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_decimal(kind) and kind.precision > _ENGINE_DIGITS:
        return pa.string()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_large_string(kind) or pa.types.is_null(kind) or kind == pa.string_view():
        return pa.string()
    return kind


def _json(value: Any) -> str | None:
    return (
        None if value is None else json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    )
