"""Several parts read as one object: columns merged by name, never by position, and a cursor that goes on in the middle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.part import PartReader
from migrator.core.connector import Page
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

Finish: TypeAlias = Callable[[pa.Table], pa.Table]
"""What a connector does to the merged rows of a page."""


@dataclass(frozen=True, slots=True)
class MergedFields:
    """The fields of an object over all its parts, and what was changed to make them one, in words."""

    fields: tuple[FieldSchema, ...]
    notes: tuple[str, ...] = ()


def merge_fields(parts: Sequence[PartReader]) -> MergedFields:
    """Union in order of first appearance; names that differ in case only are one, types that differ become text."""
    merged: dict[str, FieldSchema] = {}
    notes: list[str] = []
    for part in parts:
        for item in part.fields():
            known = merged.setdefault(item.name.casefold(), item)
            if known.name != item.name:
                notes.append(f"column {item.name!r} is read as {known.name!r}")
            if (known.type, known.precision, known.scale) != (item.type, item.precision, item.scale):
                merged[item.name.casefold()] = FieldSchema(known.name, FieldType.STRING)
                notes.append(
                    f"column {known.name!r} has different types in different files: it is read as text"
                )
    return MergedFields(tuple(merged.values()), tuple(dict.fromkeys(notes)))


def read_parts(
    parts: Sequence[PartReader],
    fields: Sequence[FieldSchema],
    *,
    cursor: str | None,
    page_rows: int,
    finish: Finish = lambda rows: rows,
) -> Iterator[Page]:
    """Pages of all parts in order, each with all `fields`; one page without rows when there are no records at all.

    The cursor is JSON: the part's number from 0 and how many of its records are done.
    """
    first, skip = _parse_cursor(cursor, len(parts))
    schema = pa.schema([pa.field(item.name, arrow_type(item)) for item in fields])
    delivered = cursor is not None
    for number in range(first, len(parts)):
        for page in parts[number].pages(skip=skip, page_rows=page_rows):
            delivered = True
            yield Page(
                finish(fit(page.rows, schema)),
                page.places,
                page.rejects,
                json.dumps({"part": number, "records": page.consumed}),
            )
        skip = 0
    if not delivered:
        yield Page(finish(schema.empty_table()), pa.array([], pa.string()))


def _parse_cursor(cursor: str | None, parts: int) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    try:
        raw = json.loads(cursor)
        part, records = int(raw["part"]), int(raw["records"])
    except (ValueError, KeyError, TypeError) as error:
        raise FatalError(
            f"this is no cursor of these files: {cursor!r}", hint="extract the object anew"
        ) from error
    if not 0 <= part < max(parts, 1) or records < 0:
        raise FatalError(
            f"the cursor {cursor!r} points past the files there are", hint="extract the object anew"
        )
    return part, records


def fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, by name whatever the case; those a part lacks are null."""
    have = {name.casefold(): name for name in rows.column_names}
    columns = []
    for item in schema:
        name = have.get(item.name.casefold())
        if name is None:
            columns.append(pa.nulls(rows.num_rows, item.type))
        else:
            columns.append(_as(rows.column(name), item.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return pc.cast(column, kind)


def arrow_type(item: FieldSchema) -> pa.DataType:  # noqa: PLR0911 (one line a type)
    """The Arrow type that a field of these readers has."""
    match item.type:
        case FieldType.INTEGER:
            return pa.int64()
        case FieldType.DECIMAL if item.precision is not None:
            return pa.decimal128(item.precision, item.scale or 0)
        case FieldType.FLOAT:
            return pa.float64()
        case FieldType.BOOLEAN:
            return pa.bool_()
        case FieldType.DATE:
            return pa.date32()
        case FieldType.DATETIME:
            return pa.timestamp("us", tz="UTC")
        case FieldType.TIME:
            return pa.time64("us")
        case _:
            return pa.string()


def as_text(fields: Sequence[FieldSchema]) -> tuple[FieldSchema, ...]:
    """Fields whose declared type says what the text means, for staging as text."""
    return tuple(replace(item, type=FieldType.STRING, precision=None, scale=None) for item in fields)
