"""Values as REST and Bulk answer them, made Arrow columns: one text form for both ways, and typed columns from that.

REST says `2026-01-02T17:38:59.000+0000` and `1.0E7` where Bulk says `2026-01-02T17:38:59.000Z` and `10000000.0`: the same
record must look the same whichever way it came. Salesforce keeps no empty texts, so empty is null on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.salesforce.client import unexpected
from connectors.salesforce_export.ids import canonical_ids
from migrator.core.schema import FieldSchema, FieldType

_IDS = (FieldType.ID, FieldType.REFERENCE)
_MOST_DIGITS = 38
_TYPED = {
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
    FieldType.TIME: pa.time64("us"),
}


def arrow_type(field: FieldSchema) -> pa.DataType:
    """The type in which a target reads a field back."""
    if field.type is FieldType.DECIMAL:
        return pa.decimal128(min(field.precision or _MOST_DIGITS, _MOST_DIGITS), field.scale or 0)
    return _TYPED.get(field.type, pa.string())


def from_records(records: Sequence[Mapping[str, Any]], fields: Sequence[FieldSchema]) -> pa.Table:
    """Records of a REST answer as text columns; parents' fields are found along the dots of their names."""
    columns = [canonical(_column(records, item.name), item) for item in fields]
    return pa.Table.from_arrays(columns, names=[item.name for item in fields])


def from_texts(rows: pa.Table, fields: Sequence[FieldSchema]) -> pa.Table:
    """Text columns of a Bulk answer in the fields' order; names differ in letter case at most."""
    places = {name.casefold(): place for place, name in enumerate(rows.column_names)}
    missing = [item.name for item in fields if item.name.casefold() not in places]
    if missing:
        raise unexpected("Bulk API query", f"one with the columns {', '.join(missing[:5])}")
    columns = [canonical(rows.column(places[item.name.casefold()]), item) for item in fields]
    return pa.Table.from_arrays(columns, names=[item.name for item in fields])


def canonical(column: pa.ChunkedArray, field: FieldSchema) -> pa.ChunkedArray:
    """The one text form of a field's values; what is not of that type stays as it stands."""
    column = pc.if_else(pc.equal(column, ""), None, column)
    if field.type in _IDS:
        return canonical_ids(column)
    match field.type:
        case FieldType.DATETIME:
            return pc.replace_substring_regex(column, r"(\.\d+)?\+0000$", r"\1Z")
        case FieldType.DECIMAL | FieldType.FLOAT:
            return _plain(column)
        case _:
            return column


def typed(column: pa.ChunkedArray, field: FieldSchema) -> pa.ChunkedArray:
    """A text column in the field's own type; raises ArrowInvalid when a value does not fit it."""
    kind = arrow_type(field)
    if pa.types.is_string(kind):
        return column
    if pa.types.is_time(kind):
        day = pc.binary_join_element_wise("1970-01-01T", pc.replace_substring_regex(column, "Z$", ""), "")
        return day.cast(pa.timestamp("us")).cast(kind)
    return column.cast(kind)


def typed_rows(rows: pa.Table, fields: Sequence[FieldSchema], loose: set[str]) -> pa.Table:
    """The columns of `fields`, typed; one with a value that does not fit is text from then on."""
    columns = []
    for item in fields:
        column = rows.column(item.name)
        if item.name not in loose:
            try:
                column = typed(column, item)
            except pa.ArrowInvalid:
                loose.add(item.name)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=[item.name for item in fields])


def _column(records: Sequence[Mapping[str, Any]], name: str) -> pa.ChunkedArray:
    first, *further = name.split(".")
    values = [item.get(first) for item in records]
    for step in further:
        values = [item.get(step) if isinstance(item, Mapping) else None for item in values]
    try:
        return pa.chunked_array([pa.array(values, pa.string())], pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.chunked_array([pa.array([_text(value, name) for value in values], pa.string())])


def _text(value: Any, name: str) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            raise unexpected("query", f"one in which {name} is a single value")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers without exponent and without zeros at the end: '1.0E7' and '10000000.0' are '10000000'."""
    exponents = pc.fill_null(pc.match_substring_regex(column, "[eE]"), fill_value=False)
    if pc.any(exponents).as_py():
        column = pa.chunked_array(
            [pa.array([_without_exponent(text) for text in column.to_pylist()], pa.string())]
        )
    trimmed = pc.replace_substring_regex(column, r"^(-?\d+\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(trimmed, r"^(-?\d+)\.$", r"\1")


def _without_exponent(text: str | None) -> str | None:
    if text is None or "e" not in text.lower():
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 400 else text
