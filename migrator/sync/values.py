"""Native values as text of the store and back, exactly; and the fingerprints by which millions of rows are compared in bulk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.twoway import UNREADABLE, Native, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BETWEEN = "\x1f"
_UNREAD = "\x00"
_MARK = "\x00"
"""Before the name of a type: no field of any system is called so."""
_ONE = timedelta(microseconds=1)


def to_text(values: Mapping[str, Any]) -> str:
    """JSON of natives, types kept; equal mappings give equal texts, whatever the order of their keys."""
    return _ENCODER.encode(values)


def from_text(text: str) -> dict[str, Any]:
    """The inverse of `to_text`."""
    found: dict[str, Any] = _DECODER.decode(text)
    return found


def _tagged(value: object) -> object:
    match value:
        case Decimal():
            return {_MARK + "n": str(value)}
        case datetime():
            return {_MARK + "t": value.isoformat()}
        case date():
            return {_MARK + "d": value.isoformat()}
        case time():
            return {_MARK + "h": value.isoformat()}
        case _ if value is UNREADABLE:
            return {_MARK + "u": 1}
        case _:
            raise TypeError(f"{type(value).__name__} is no native value")


_ENCODER = json.JSONEncoder(default=_tagged, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

_UNTAG: Mapping[str, Any] = {
    _MARK + "n": Decimal,
    _MARK + "t": datetime.fromisoformat,
    _MARK + "d": date.fromisoformat,
    _MARK + "h": time.fromisoformat,
    _MARK + "u": lambda _: UNREADABLE,
}


def _untagged(found: dict[str, Any]) -> object:
    if len(found) == 1:
        ((tag, text),) = found.items()
        if tag in _UNTAG:
            return _UNTAG[tag](text)
    return found


_DECODER = json.JSONDecoder(object_hook=_untagged)


def row_fingerprints(rows: Sequence[Mapping[str, Value]], fields: Sequence[str]) -> list[int]:
    """A 64-bit fingerprint of the named values of each row, as `table_fingerprints` gives it of the same values."""
    return _hashed([_BETWEEN.join(_token(row.get(name, UNREADABLE)) for name in fields) for row in rows])


def table_fingerprints(rows: pa.Table, fields: Sequence[str]) -> list[int]:
    """One fingerprint a row of a page; a field without a column was not readable. Column by column, no loop over cells of text."""
    if not rows.num_rows:
        return []
    columns = [
        _tokens(rows.column(name)) if name in rows.column_names else pa.scalar(_UNREAD) for name in fields
    ]
    if not any(isinstance(column, pa.ChunkedArray | pa.Array) for column in columns):
        return _hashed([_BETWEEN.join([_UNREAD] * len(fields))] * rows.num_rows)
    return _hashed(pc.binary_join_element_wise(*columns, _BETWEEN).to_pylist())


def text_fingerprints(texts: Sequence[str], salt: int = 0) -> Any:
    """Hashes of texts as a numpy array of 64-bit integers, other ones for another `salt`."""
    import numpy as np
    import pandas as pd

    found = pd.util.hash_array(
        np.array(texts, dtype=object), hash_key=f"{salt % 10**16:016d}", categorize=False
    )
    return found.view(np.int64)


def _hashed(texts: Sequence[str]) -> list[int]:
    return [int(item) for item in text_fingerprints(texts)] if texts else []


def _token(value: Value) -> str:  # noqa: PLR0911 (one return a type)
    match value:
        case None:
            return ""
        case str():
            return "s" + value
        case bool():
            return "b1" if value else "b0"
        case int() | float() | Decimal():
            return "n" + _number(value)
        case datetime():
            return f"t{(value.astimezone(UTC) - _EPOCH) // _ONE}"
        case date():
            return f"d{value.isoformat()}"
        case time():
            return f"h{value.isoformat()}"
        case _:
            return _UNREAD


def _number(value: float | Decimal) -> str:
    if isinstance(value, int):
        return str(value)
    found = Decimal(str(value))
    if not found.is_finite():
        return str(found)
    text = f"{found:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _tokens(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The tokens of a column; texts and whole numbers at once, other types through their distinct values."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _marked("s", column.cast(pa.string()))
    if pa.types.is_integer(kind):
        return _marked("n", column.cast(pa.string()))
    packed = column.combine_chunks().dictionary_encode()
    if isinstance(packed, pa.ChunkedArray):
        packed = packed.chunk(0) if packed.num_chunks else pa.array([], kind).dictionary_encode()
    tokens = pa.array([_token(value) for value in packed.dictionary.to_pylist()], pa.string())
    return pc.fill_null(pc.take(tokens, packed.indices), "")


def _marked(mark: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.binary_join_element_wise(mark, texts, ""), "")


def natives_of(values: Mapping[str, Value]) -> dict[str, Native]:
    """Those that could be read."""
    return {name: value for name, value in values.items() if value is not UNREADABLE}
