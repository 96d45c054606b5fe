"""Pages of a source gathered into parts: one set of columns, one type a column, rows numbered, memory bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from migrator.core.connector import Page, Reject
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import ObjectSchema
from migrator.staging import columns

PART_ROWS = 200_000
PART_BYTES = 64 << 20
"""A part is closed before it grows past either; both are what is held in memory at once."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What becomes one part: rows in the columns of the schema, places, and what could not be read."""

    rows: pa.Table
    places: pa.ChunkedArray
    rejects: tuple[Reject, ...]
    cursor: str | None
    last: bool
    """Whether the source has nothing after it."""


def check_names(schema: ObjectSchema) -> None:
    """Raise `FatalError` for columns that could not stand beside each other, or beside ours, in a staged table."""
    seen: dict[str, str] = {name: name for name in (columns.ROW, columns.PLACE, columns.COPY)}
    for name in schema.field_names:
        other = seen.setdefault(name.lower(), name)
        if other is not name or name in (columns.ROW, columns.PLACE, columns.COPY):
            raise FatalError(
                f"{schema.name}: the column {name!r} cannot stand beside {other!r}",
                hint="column names may differ in more than case, and may not be __row, __place or __copy: rename it",
            )


def gather(pages: Iterable[Page], schema: ObjectSchema) -> Iterator[Bundle]:
    """Bundles of pages, each as large as a part may be; always at least one, and the last one says so.

    Raises `SafetyStop` when a page has a column that the schema does not know: it would be lost.
    """
    held: list[Page] = []
    for page in pages:
        _check_columns(page, schema)
        if held and _is_full([*held, page]):
            yield _bundle(held, schema, last=False)
            held = []
        held.append(page)
    yield _bundle(held, schema, last=True)


def unknown_types(rows: pa.Table) -> tuple[str, ...]:
    """Names of the columns that hold no value and therefore no type."""
    return tuple(item.name for item in rows.schema if pa.types.is_null(item.type))


def staged_table(rows: pa.Table, places: pa.ChunkedArray, first_row: int) -> pa.Table:
    """The rows with our columns beside them; columns of unknown type stand as text."""
    settled = settle(rows, {name: pa.string() for name in unknown_types(rows)})
    numbers = np.arange(first_row, first_row + settled.num_rows, dtype=np.int64)
    return (
        settled.append_column(columns.ROW, pa.array(numbers))
        .append_column(columns.PLACE, places)
        .append_column(columns.COPY, pa.array(np.zeros(settled.num_rows, dtype=np.int32)))
    )


_WIDENING = (pa.types.is_signed_integer, pa.types.is_unsigned_integer, pa.types.is_floating)
"""Kinds of types of which the wider holds every value of the narrower."""


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The narrowest type that holds every value of both without loss; text when there is none."""
    one, other = _plain(one), _plain(other)
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if any(family(one) and family(other) for family in _WIDENING):
        return max(one, other, key=lambda kind: kind.bit_width)
    if pa.types.is_decimal(one) and pa.types.is_decimal(other):
        scale = max(one.scale, other.scale)
        precision = scale + max(one.precision - one.scale, other.precision - other.scale)
        return pa.decimal128(precision, scale) if precision <= 38 else pa.string()
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        units = ("s", "ms", "us", "ns")
        return pa.timestamp(max(one.unit, other.unit, key=units.index), tz=one.tz and "UTC")
    return pa.string()


def common_types(schemas: Iterable[pa.Schema], unknown: Iterable[Sequence[str]]) -> dict[str, pa.DataType]:
    """Column → the type that holds what stands under that name in all `schemas`.

    `unknown` names, schema by schema, the columns that have no value there: their type says nothing.
    """
    types: dict[str, pa.DataType] = {}
    for schema, without in zip(schemas, unknown, strict=True):
        for item in schema:
            kind = pa.null() if item.name in without else item.type
            types[item.name] = common_type(types.get(item.name, pa.null()), kind)
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in types.items()}


def settle(rows: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The same rows with the columns named in `types` cast; nothing else about the columns is kept (no metadata)."""
    arrays, fields = [], []
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        kind = _plain(types.get(name, column.type))
        try:
            arrays.append(column if column.type == kind else column.cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise FatalError(
                f"column {name!r} has values of different kinds ({column.type}, {kind}): {error}",
                hint="make the source deliver one kind of value in this column",
            ) from error
        fields.append(pa.field(name, kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without encodings: texts are `string`, dictionaries are what they hold."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _check_columns(page: Page, schema: ObjectSchema) -> None:
    unknown = [name for name in page.rows.column_names if schema.field(name) is None]
    if unknown:
        raise SafetyStop(
            f"{schema.name}: the source delivers columns it did not describe: {', '.join(unknown)}",
            hint="the source changed while it was read; run again when nobody changes it",
        )


def _is_full(pages: Sequence[Page]) -> bool:
    return bool(
        sum(page.rows.num_rows for page in pages) > PART_ROWS
        or sum(page.rows.nbytes for page in pages) > PART_BYTES
    )


def _bundle(pages: Sequence[Page], schema: ObjectSchema, *, last: bool) -> Bundle:
    tables = [_complete(page.rows, schema) for page in pages]
    types = {}
    for name in schema.field_names:
        kind = pa.null()
        for table in tables:
            kind = common_type(kind, table.schema.field(name).type)
        types[name] = kind
    empty = pa.schema([pa.field(name, kind) for name, kind in types.items()]).empty_table()
    return Bundle(
        rows=pa.concat_tables([empty, *(settle(table, types) for table in tables)]),
        places=pa.chunked_array([chunk for page in pages for chunk in _places(page)], pa.string()),
        rejects=tuple(reject for page in pages for reject in page.rejects),
        cursor=pages[-1].cursor if pages else None,
        last=last,
    )


def _complete(rows: pa.Table, schema: ObjectSchema) -> pa.Table:
    """The page's columns in the order of the schema; one it lacks is null."""
    present = set(rows.column_names)
    if len(present) != rows.num_columns:
        raise FatalError(
            f"{schema.name}: the source delivers two columns of one name", hint="rename one of them"
        )
    arrays = [
        rows.column(name) if name in present else pa.chunked_array([pa.nulls(rows.num_rows)])
        for name in schema.field_names
    ]
    return pa.Table.from_arrays(arrays, names=list(schema.field_names))


def _places(page: Page) -> list[pa.Array]:
    match page.places:
        case None:
            return [pa.nulls(page.rows.num_rows, pa.string())]
        case pa.ChunkedArray():
            return [chunk.cast(pa.string()) for chunk in page.places.chunks]
        case _:
            return [page.places.cast(pa.string())]
