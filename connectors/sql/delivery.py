"""How a column's values become an Arrow column: exactly, or as text, never approximately.

For a *source*, whatever has no exact type is text, just as in an export file: timestamps without a zone (the mapping says
which zone they are in), decimals without a declared scale, arrays and JSON, intervals, addresses. On SQLite, where
a declared type binds nobody, dates and decimals are text as they stand, and whole numbers, floats and booleans are
typed only while every value of the column really is one; otherwise that column is text too.

For a *target*, values come back as the types they are written as: timestamps without a zone are UTC there, because we
write UTC into them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.catalog import Column
from migrator.core.schema import FieldType

INSTANT = pa.timestamp("us", tz="UTC")
_EXACT = {
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: INSTANT,
    FieldType.TIME: pa.time64("us"),
}
_MOST_DIGITS = 76
"""Arrow's widest decimal."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A column and the Arrow type it is delivered in."""

    column: Column
    type: pa.DataType

    @property
    def name(self) -> str:
        """The column's own name."""
        return self.column.name

    @property
    def is_presence(self) -> bool:
        """Bytes are not delivered, only whether there are any: a file is opened by name when it is wanted."""
        return self.column.schema.type is FieldType.FILE and pa.types.is_boolean(self.type)


def source_delivery(column: Column, kind: str) -> Delivery:
    """How a source delivers the column."""
    if kind == "sqlite" and column.schema.type not in (FieldType.INTEGER, FieldType.FLOAT, FieldType.BOOLEAN):
        return Delivery(column, pa.string())
    if column.schema.type is FieldType.DATETIME and not getattr(column.type, "timezone", False):
        return Delivery(column, pa.string())
    return Delivery(column, arrow_type(column))


def target_delivery(column: Column) -> Delivery:
    """How a target delivers, and takes, the column."""
    return Delivery(column, arrow_type(column))


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type that holds every value of the column's field type exactly."""
    schema = column.schema
    if schema.type is FieldType.DECIMAL:
        return decimal_type(schema.precision, schema.scale)
    if schema.type is FieldType.TIME and getattr(column.type, "timezone", False):
        return pa.string()
    return _EXACT.get(schema.type, pa.string())


def decimal_type(precision: int | None, scale: int | None) -> pa.DataType:
    """The Arrow decimal of this size; text where there is none so wide, or no size at all."""
    if precision is None or not 0 < precision <= _MOST_DIGITS or not 0 <= (scale or 0) <= precision:
        return pa.string()
    return pa.decimal128(precision, scale or 0) if precision <= 38 else pa.decimal256(precision, scale or 0)


def to_arrow(values: Sequence[Any], delivery: Delivery) -> pa.Array:
    """A driver's values as an Arrow column; raises ArrowInvalid, ValueError or TypeError when one does not fit."""
    type_ = delivery.type
    if delivery.column.schema.type is FieldType.FILE and pa.types.is_string(type_):
        return pa.array([None if value is None else _base64(value) for value in values], type_)
    if pa.types.is_string(type_):
        return _texts(values)
    if pa.types.is_boolean(type_):
        return pa.array(values, pa.int64() if _has_ints(values) else pa.bool_()).cast(pa.bool_())
    if pa.types.is_decimal(type_):
        return pa.array([None if value is None else plain(value) for value in values], pa.string()).cast(
            type_
        )
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_) or pa.types.is_time(type_):
        return _times(values, type_)
    return pa.array(values, type_)


def _times(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Days, times and instants; all written by us is parsed by Arrow, anything else value by value."""
    try:
        return pa.array(values, pa.string()).cast(type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        convert = (
            instant if pa.types.is_timestamp(type_) else _day if pa.types.is_date(type_) else _time_of_day
        )
        return pa.array([None if value is None else convert(value) for value in values], type_)


def _time_of_day(value: object) -> time:
    return value if isinstance(value, time) else time.fromisoformat(str(value))


def _base64(value: object) -> str:
    raw = value if isinstance(value, (bytes, memoryview, bytearray)) else str(value).encode()
    return base64.b64encode(raw).decode("ascii")


def text(value: object) -> str:
    """One value as text, exactly: numbers without exponent, times in ISO 8601."""
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8")
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, (float, Decimal)) else str(value)


def plain(value: object) -> str:
    """A number as decimal digits without an exponent; a float's are the shortest that mean it."""
    if isinstance(value, str):
        return value
    written = repr(value) if isinstance(value, float) else str(value)
    return format(Decimal(written), "f") if "e" in written or "E" in written else written


def instant(value: object) -> datetime:
    """A timestamp in UTC; one without a zone is in UTC already."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _texts(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else text(value) for value in values], pa.string())


def _has_ints(values: Sequence[Any]) -> bool:
    return any(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _day(value: object) -> date:
    return value.date() if isinstance(value, datetime) else date.fromisoformat(str(value))


def joined_key(parts: Sequence[pa.ChunkedArray | pa.Array]) -> pa.Array:
    r"""The parts of composite keys as one text each: 'a|b', with '\' before a '|' or '\' inside a part."""
    if len(parts) == 1:
        return as_text(parts[0])
    escaped = [
        pc.replace_substring(pc.replace_substring(as_text(part), "\\", "\\\\"), "|", "\\|") for part in parts
    ]
    return pc.binary_join_element_wise(*escaped, "|", null_handling="replace", null_replacement="")


def as_text(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A key column as text."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole.cast(pa.string())


def sqlite_misfits(delivery: Delivery) -> str | None:
    """SQL that is true for a row whose value is not of the delivered type; None where any value is delivered as it is."""
    name = '"' + delivery.name.replace('"', '""') + '"'
    match delivery.column.schema.type:
        case _ if pa.types.is_string(delivery.type):
            return None
        case FieldType.BOOLEAN:
            return f"{name} NOT IN (0, 1)"
        case FieldType.INTEGER:
            return f"typeof({name}) NOT IN ('integer', 'null')"
        case _:
            return f"typeof({name}) NOT IN ('real', 'integer', 'null')"
