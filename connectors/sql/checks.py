"""Checks on whole columns before anything is sent, so that a value is refused the same way by every database.

SQLite enforces neither length nor type nor range, and PostgreSQL rounds decimals without a word: what would be cut,
rounded or misread is refused here, with its field and rule.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.sql.catalog import Column, stored_field
from connectors.sql.decimals import fits_float, is_exact, written
from connectors.sql.delivery import Delivery, target_delivery, to_arrow
from connectors.sql.failures import Refusal

_INTEGER_BYTES = {sa.SmallInteger: 2, sa.BigInteger: 8, sa.Integer: 4}


def checked(
    values: pa.ChunkedArray | pa.Array, column: Column, kind: str
) -> tuple[pa.Array, dict[int, Refusal]]:
    """The values as the column takes them, and by row number why a value cannot be taken (null stands in its place)."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    taken, refused = _converted(whole, _stored_delivery(column, kind))
    for mask, code, message in _violations(taken, column, kind):
        for number in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
            refused.setdefault(number, Refusal(code, f"{column.name}: {message}", column.name))
    return taken, refused


def _stored_delivery(column: Column, kind: str) -> Delivery:
    stored = stored_field(column, kind)
    plain = Column(stored, column.type, column.declared, column.nullable, column.fills_itself)
    return target_delivery(plain)


def _converted(values: pa.Array, delivery: Delivery) -> tuple[pa.Array, dict[int, Refusal]]:
    wanted = delivery.type
    if values.type == wanted:
        return values, {}
    if pa.types.is_decimal(values.type) and pa.types.is_decimal(wanted):
        return _rescaled(values, wanted)
    try:
        return to_arrow_cast(values, wanted), {}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _converted_one_by_one(values, delivery)


def to_arrow_cast(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A cast that loses nothing, or raises."""
    if pa.types.is_timestamp(values.type) and values.type.tz is None and pa.types.is_timestamp(wanted):
        return pc.assume_timezone(values, "UTC").cast(wanted)
    return values.cast(wanted)


def _rescaled(values: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, dict[int, Refusal]]:
    try:
        return values.cast(wanted), {}
    except pa.ArrowInvalid:
        pass
    refused, kept = {}, []
    for number, value in enumerate(values.to_pylist()):
        try:
            kept.append(pa.scalar(value, values.type).cast(wanted).as_py())
        except pa.ArrowInvalid:
            message = f"{value} does not fit DECIMAL({wanted.precision},{wanted.scale})"
            refused[number] = Refusal("value.range", message)
            kept.append(None)
    return pa.array(kept, wanted), refused


def _converted_one_by_one(values: pa.Array, delivery: Delivery) -> tuple[pa.Array, dict[int, Refusal]]:
    refused: dict[int, Refusal] = {}
    kept: list[object] = []
    for number, value in enumerate(values.to_pylist()):
        try:
            kept.append(to_arrow([value], delivery)[0].as_py())
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError):
            message = f"{value!r} is not {delivery.type}"
            refused[number] = Refusal("value.type", message, delivery.name)
            kept.append(None)
    return pa.array(kept, delivery.type), refused


def _violations(values: pa.Array, column: Column, kind: str) -> Iterator[tuple[pa.Array, str, str]]:
    if not column.nullable and values.null_count:
        yield values.is_null(), "constraint.not-null", "is required, but empty"
    if pa.types.is_string(values.type):
        yield from _text_violations(values, column, kind)
    elif pa.types.is_int64(values.type):
        yield from _integer_violations(values, column, kind)
    elif pa.types.is_floating(values.type) and kind == "sqlite":
        yield pc.is_nan(values), "value.range", "SQLite has no NaN and would store null"
    elif pa.types.is_decimal(values.type) and kind == "sqlite" and not is_exact(column.declared):
        yield pc.invert(fits_float(written(values))), "value.range", "more digits than SQLite's floats keep"


def _text_violations(values: pa.Array, column: Column, kind: str) -> Iterator[tuple[pa.Array, str, str]]:
    length = stored_field(column, kind).length
    if length and not isinstance(column.type, (sa.Uuid, sa.Enum)):
        message = f"longer than {length} characters"
        yield pc.greater(pc.utf8_length(values), length), "value.too-long", message
    if b"\x00" in _bytes_of(values):
        yield pc.match_substring(values, "\x00"), "value.character", "holds a NUL character"


def _bytes_of(values: pa.Array) -> memoryview | bytes:
    data = values.buffers()[2]
    return data.to_pybytes() if data is not None else b""


def _integer_violations(values: pa.Array, column: Column, kind: str) -> Iterator[tuple[pa.Array, str, str]]:
    size = next((size for type_, size in _INTEGER_BYTES.items() if isinstance(column.type, type_)), 8)
    if kind == "sqlite" or size == 8:
        return
    limit = 1 << (8 * size - 1)
    outside = pc.or_kleene(pc.less(values, -limit), pc.greater_equal(values, limit))
    yield outside, "value.range", f"does not fit a whole number of {size} bytes"
