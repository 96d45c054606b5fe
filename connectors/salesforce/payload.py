"""Rows as they are sent: JSON for collections, CSV for Bulk API 2.0; numbers exact, nulls as each of the two says them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from connectors.salesforce.described import RECORD_TYPE, Described
from connectors.salesforce.soql import instant_literal
from migrator.core.connector import OUTCOMES
from migrator.core.errors import FatalError

NULL = "#N/A"
"""What clears a field in a Bulk API CSV; an empty cell leaves it as it is (vendor's "Valid CSV Record Rows")."""


def prepared(rows: pa.Table, found: Described) -> pa.Table:
    """The rows with record types by id: their developer names are the same everywhere, their ids are not."""
    if RECORD_TYPE not in rows.column_names:
        return rows
    place = rows.column_names.index(RECORD_TYPE)
    names = pa.array(found.record_types, pa.string())
    ids = pa.array(found.record_types.values(), pa.string())
    column = rows.column(place).cast(pa.string())
    known = ids.take(pc.index_in(column, value_set=names))
    return rows.set_column(place, "RecordTypeId", pc.coalesce(known, column))


def json_records(rows: pa.Table, object_name: str) -> list[str]:
    """One JSON object a row, with its type; a boolean that is null is left out: there it is true or false, never null."""
    attributes = f'"attributes":{{"type":{json.dumps(object_name)}}}'
    columns = [_fragments(rows.column(name), name) for name in rows.column_names]
    return [
        "{" + ",".join([attributes, *(part for part in parts if part)]) + "}"
        for parts in (zip(*columns, strict=True) if columns else [()] * rows.num_rows)
    ]


def collection(records: Sequence[str]) -> bytes:
    """The body of a collections request in which every record stands for itself."""
    return ('{"allOrNone":false,"records":[' + ",".join(records) + "]}").encode()


def bulk_csv(rows: pa.Table) -> bytes:
    """The CSV of an ingest job: UTF-8, LF, every value quoted."""
    texts = pa.Table.from_arrays(
        [_cells(rows.column(name), name) for name in rows.column_names], names=rows.column_names
    )
    sink = io.BytesIO()
    csv.write_csv(texts, sink, csv.WriteOptions(quoting_style="all_valid"))
    return sink.getvalue()


def holds_null_sign(rows: pa.Table) -> bool:
    """Whether a text is the very sign that means null in a Bulk API CSV: then only JSON can say it."""
    return any(
        pc.any(pc.equal(column, NULL)).as_py()
        for column in rows.columns
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )


def outcomes(answers: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Answers as the contract's table."""
    return pa.Table.from_pylist([dict(item) for item in answers], schema=OUTCOMES)


def _cells(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    if not pa.types.is_string(column.type):
        _require_finite(column, name)
        column = pa.chunked_array([[_plain(value) for value in column.to_pylist()]], pa.string())
    return pc.fill_null(column, NULL)


def _fragments(column: pa.ChunkedArray, name: str) -> list[str]:
    """`"name":value` for every row; '' for what is left out."""
    _require_finite(column, name)
    head, values = f"{json.dumps(name)}:", column.to_pylist()
    if pa.types.is_boolean(column.type):
        return ["" if value is None else head + ("true" if value else "false") for value in values]
    return [head + ("null" if value is None else _json(value)) for value in values]


def _json(value: Any) -> str:
    match value:
        case int() | float() | Decimal():
            return _plain(value) or "null"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return json.dumps(_plain(value))


def _plain(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case int() | Decimal():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        case float():
            return repr(value)
        case datetime():
            return instant_literal(value)
        case date():
            return value.isoformat()
        case time():
            return value.isoformat(timespec="milliseconds") + "Z"
        case _:
            raise FatalError(f"a value of the type {type(value).__name__} cannot be written to Salesforce")


def _require_finite(column: pa.ChunkedArray, name: str) -> None:
    if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column)).as_py():
        raise FatalError(
            f"{name}: a number that is none (NaN or infinite) cannot be written", hint="map it to null"
        )
