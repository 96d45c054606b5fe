"""Reading from PostgreSQL by COPY, which Arrow parses without a Python object per value."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import pq
from pyarrow import csv
from sqlalchemy.dialects import postgresql

from connectors.sql.database import driver, quote
from connectors.sql.delivery import Delivery
from connectors.sql.reading import Chunk, Key, Misfit, Request, select

_PAGE_BYTES = 64 << 20
"""A page is cut early when its rows are this heavy."""


def read_postgres(connection: sa.Connection, request: Request) -> Iterator[Chunk]:
    """Pages by COPY … TO STDOUT, parsed by Arrow."""
    after = request.after
    while True:
        received = 0
        for data, rows in _copied(
            connection, select(request, after, _postgres_expression), request.page_rows
        ):
            received += rows
            chunk = _parsed(data, request)
            after = chunk.key
            yield chunk
        if not request.key or received < request.page_rows:
            return


def _copied(connection: sa.Connection, query: str, most: int) -> Iterator[tuple[bytes, int]]:
    """CSV of a query, in pieces of at most `most` whole rows that are `_PAGE_BYTES` heavy, or a little more.

    Through libpq itself: psycopg's own loop costs more per row than Arrow's parsing of it.
    """
    raw = driver(connection)
    raw.execute("SELECT 1")  # psycopg begins the transaction with its own first statement
    pg = raw.pgconn
    _require(pg, pg.exec_(f"COPY ({query}) TO STDOUT (FORMAT csv)".encode()), pq.ExecStatus.COPY_OUT)
    finished = False
    try:
        yield from _pieces(pg, most)
        finished = True
        _require(pg, pg.get_result(), pq.ExecStatus.COMMAND_OK)
    finally:
        if not finished:  # the reader stopped early, or the server did: leave the connection usable
            raw.cancel_safe()
            while pg.get_copy_data(0)[0] > 0:
                pass
        while pg.get_result():
            pass


def _pieces(pg: Any, most: int) -> Iterator[tuple[bytes, int]]:
    parts: list[bytes] = []
    weight = 0
    while (received := pg.get_copy_data(0))[0] > 0:
        parts.append(bytes(received[1]))
        weight += received[0]
        if weight >= _PAGE_BYTES or len(parts) == most:
            yield b"".join(parts), len(parts)
            parts, weight = [], 0
    if parts:
        yield b"".join(parts), len(parts)


def _require(pg: Any, result: Any, status: pq.ExecStatus) -> None:
    """Raise what the server says against a COPY."""
    if result is None or result.status != status:
        raise (
            psycopg.errors.error_from_result(result)
            if result
            else psycopg.OperationalError(pg.get_error_message())
        )


def _postgres_expression(delivery: Delivery) -> str:
    name = quote(delivery.name)
    if delivery.is_presence:
        return f"{name} IS NOT NULL"
    type_ = delivery.column.type
    if isinstance(type_, sa.DateTime) and not type_.timezone and pa.types.is_timestamp(delivery.type):
        return f"{name} AT TIME ZONE 'UTC'"
    shape = next((found for kind, found in _POSTGRES_SHAPES if isinstance(type_, kind)), "{}")
    return shape.replace("{}", name)


_POSTGRES_SHAPES: Sequence[tuple[type, str]] = (
    (sa.ARRAY, "to_json({})::text"),
    (sa.types._Binary, "translate(encode({}, 'base64'), chr(10), '')"),
    (postgresql.MONEY, "{}::numeric"),
    (sa.CHAR, "{}::text"),  # without the blanks that CHAR(n) pads with: they are not data
)


def _parsed(data: bytes, request: Request) -> Chunk:
    schema = request.schema
    try:
        rows = _parse(data, schema)
    except pa.ArrowInvalid:
        texts = _parse(data, _all_text(schema))
        rows, misfits = _parsed_one_by_one(texts, schema)
        return Chunk(rows, _last_key(texts, request), misfits)
    return Chunk(rows, _last_key(rows, request))


def _parse(data: bytes, schema: pa.Schema) -> pa.Table:
    names = [str(number) for number in range(len(schema))]
    found = csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=dict(zip(names, schema.types, strict=True)),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    return found.rename_columns(schema.names).cast(schema)


def _all_text(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in schema.names])


def _parsed_one_by_one(texts: pa.Table, schema: pa.Schema) -> tuple[pa.Table, tuple[Misfit, ...]]:
    """Rows whose values all fit, and the misfits ('infinity', years before Christ): only for a page that has some."""
    bad: dict[int, tuple[str, str]] = {}
    for field in schema:
        if pa.types.is_string(field.type):
            continue
        for number, value in enumerate(texts[field.name].to_pylist()):
            if value is not None and (reason := _unfit(value, field.type)):
                bad.setdefault(number, (field.name, reason))
    misfits = tuple(
        Misfit(row, name, reason, tuple(row.values()))
        for number, (name, reason) in bad.items()
        for row in texts.slice(number, 1).to_pylist()
    )
    good = texts.filter(pa.array([number not in bad for number in range(texts.num_rows)], pa.bool_()))
    columns = [_parse(_csv_column(good[field.name]), pa.schema([field])).column(0) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema), misfits


def _csv_column(values: pa.ChunkedArray) -> bytes:
    buffer = io.BytesIO()
    csv.write_csv(pa.table({"value": values}), buffer, csv.WriteOptions(include_header=False))
    return buffer.getvalue()


def _unfit(value: str, type_: pa.DataType) -> str:
    try:
        _parse(b'"' + value.replace('"', '""').encode() + b'"\n', pa.schema([pa.field("value", type_)]))
    except pa.ArrowInvalid:
        return f"{value!r} is outside what {type_} can hold"
    return ""


def _last_key(rows: pa.Table, request: Request) -> Key | None:
    if not request.key or not rows.num_rows:
        return None
    last = rows.slice(rows.num_rows - 1, 1)
    return tuple(_comparable(last[name][0].as_py()) for name in request.key)


def _comparable(value: object) -> int | float | str:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
