"""Rows of a table or view as Arrow pages, in the order of the key, with memory bounded by the page.

With a key there is one query a page (`key > last ORDER BY key LIMIT n`): no offset, so page 1,000 costs what page 1 costs,
and the place in between survives a restart. Without a key rows are streamed once. PostgreSQL hands pages out
by COPY, which Arrow parses without a Python object per value.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import pq
from pyarrow import csv
from sqlalchemy.dialects import postgresql

from connectors.sql.catalog import Relation
from connectors.sql.database import driver, literal, quote
from connectors.sql.delivery import Delivery, to_arrow

_PAGE_BYTES = 64 << 20
"""A page is cut early when its rows are this heavy."""
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row with a value that its delivered type cannot hold; `row` is the row as text."""

    row: dict[str, str | None]
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the key of the last one; `key` is None where reading cannot go on from there."""

    rows: pa.Table
    key: Key | None
    misfits: tuple[Misfit, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What to read: columns of a relation, ordered by `key` (empty: unordered), from after `after`."""

    relation: Relation
    deliveries: tuple[Delivery, ...]
    key: tuple[str, ...] = ()
    after: Key | None = None
    page_rows: int = 50_000

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every page."""
        return pa.schema([pa.field(item.name, item.type) for item in self.deliveries])


class Reader(Protocol):
    """One dialect's way to read."""

    def __call__(self, connection: sa.Connection, request: Request) -> Iterator[Chunk]:
        """Chunks until the rows end."""
        ...


def reader(kind: str) -> Reader:
    """The best way to read from a kind of database."""
    return {"postgresql": read_postgres, "sqlite": read_sqlite}.get(kind, read_generic)


def table_name(relation: Relation) -> str:
    """The relation in SQLite's and PostgreSQL's SQL."""
    return ".".join(quote(part) for part in (relation.namespace, relation.name) if part)


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def read_postgres(connection: sa.Connection, request: Request) -> Iterator[Chunk]:
    """Pages by COPY … TO STDOUT, parsed by Arrow."""
    after = request.after
    while True:
        received = 0
        for data, rows in _copied(
            connection, _select(request, after, _postgres_expression), request.page_rows
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
        Misfit(texts.slice(number, 1).to_pylist()[0], name, reason) for number, (name, reason) in bad.items()
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


# -- SQLite -------------------------------------------------------------------------------------------------------


def read_sqlite(connection: sa.Connection, request: Request) -> Iterator[Chunk]:
    """Pages through the driver itself: SQLAlchemy's rows would double the time."""
    raw = driver(connection)
    done = 0
    try:
        for chunk in _sqlite_chunks(raw, request, done):
            done += chunk.rows.num_rows + len(chunk.misfits)
            request = replace(request, after=chunk.key)
            yield chunk
    except sqlite3.OperationalError as error:
        if "Could not decode" not in str(error):
            raise
        # Text that is not UTF-8: read on from here with every byte kept, and refuse just those rows.
        raw.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")
        yield from _sqlite_chunks(raw, request, done)


def _sqlite_chunks(raw: sqlite3.Connection, request: Request, done: int) -> Iterator[Chunk]:
    """Chunks from after the request's key; without a key, from after `done` rows of this same transaction's scan."""
    cursor = raw.cursor()
    places = [request.schema.names.index(name) for name in request.key]
    query = _select(request, request.after, _plain_expression, _placeholder)
    cursor.execute(query if places else f"{query} LIMIT -1 OFFSET {done:d}", request.after or ())
    while rows := cursor.fetchmany(request.page_rows):
        after = tuple(rows[-1][place] for place in places) if places else None
        yield _chunk(rows, request, after)
        if places:
            cursor.execute(_select(request, after, _plain_expression, _placeholder), after or ())


def _plain_expression(delivery: Delivery) -> str:
    return f"{quote(delivery.name)} IS NOT NULL" if delivery.is_presence else quote(delivery.name)


def _placeholder(_value: object) -> str:
    return "?"  # a text with a NUL in it can stand in a parameter only


def _chunk(rows: Sequence[Sequence[Any]], request: Request, key: Key | None) -> Chunk:
    columns = list(zip(*rows, strict=True))
    try:
        return Chunk(_table(columns, request), key)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError):
        return _chunk_with_misfits(rows, request, key)


def _table(columns: Sequence[Sequence[Any]], request: Request) -> pa.Table:
    arrays = [
        to_arrow(values, delivery) for values, delivery in zip(columns, request.deliveries, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=request.schema)


def _chunk_with_misfits(rows: Sequence[Sequence[Any]], request: Request, key: Key | None) -> Chunk:
    good, misfits = [], []
    for row in rows:
        found = _misfit(row, request)
        if found:
            misfits.append(found)
        else:
            good.append(row)
    columns = list(zip(*good, strict=True)) or [()] * len(request.deliveries)
    return Chunk(_table(columns, request), key, tuple(misfits))


def _misfit(row: Sequence[Any], request: Request) -> Misfit | None:
    for value, delivery in zip(row, request.deliveries, strict=True):
        try:
            to_arrow([value], delivery)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError) as error:
            shown = {
                item.name: None if each is None else _printable(each)
                for item, each in zip(request.deliveries, row, strict=True)
            }
            return Misfit(
                shown,
                delivery.name,
                f"{_printable(value)!r} does not fit {delivery.type}: {_printable(error)}",
            )
    return None


def _printable(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _select(
    request: Request,
    after: Key | None,
    expression: Callable[[Delivery], str],
    value: Callable[[object], str] = literal,
) -> str:
    columns = ", ".join(expression(item) for item in request.deliveries)
    query = f"SELECT {columns} FROM {table_name(request.relation)}"
    if not request.key:
        return query
    names = ", ".join(quote(name) for name in request.key)
    if after is not None:
        query += f" WHERE ({names}) > ({', '.join(value(part) for part in after)})"
    return f"{query} ORDER BY {names} LIMIT {request.page_rows:d}"


def sqlite_key_is_safe(connection: sa.Connection, relation: Relation) -> bool:
    """False when SQLite let a null or bytes into the primary key: such rows have no place in its order."""
    if not relation.primary_key:
        return False
    odd = " OR ".join(f"typeof({quote(name)}) IN ('null', 'blob')" for name in relation.primary_key)
    query = f"SELECT 1 FROM {table_name(relation)} WHERE {odd} LIMIT 1"
    return driver(connection).execute(query).fetchone() is None


# -- any other database -------------------------------------------------------------------------------------------


def read_generic(connection: sa.Connection, request: Request) -> Iterator[Chunk]:
    """Pages through SQLAlchemy's Core."""
    table = core_table(request.relation)
    columns = [
        table.c[item.name].is_not(None) if item.is_presence else table.c[item.name]
        for item in request.deliveries
    ]
    key = [table.c[name] for name in request.key]
    after = request.after
    while True:
        statement = sa.select(*columns)
        if key:
            statement = statement.order_by(*key).limit(request.page_rows)
        if key and after is not None:
            statement = statement.where(_beyond(key, after))
        received = 0
        result = connection.execution_options(stream_results=True).execute(statement)
        for rows in result.partitions(request.page_rows):
            received += len(rows)
            after = _generic_key(rows[-1], request)
            yield _chunk(rows, request, after)
        if not key or received < request.page_rows:
            return


def core_table(relation: Relation) -> sa.Table:
    """The relation for SQLAlchemy's Core, every name quoted."""
    return sa.Table(
        sa.quoted_name(relation.name, quote=True),
        sa.MetaData(),
        *(sa.Column(sa.quoted_name(item.name, quote=True), item.type) for item in relation.columns),
        schema=relation.namespace,
    )


def _generic_key(row: Sequence[Any], request: Request) -> Key | None:
    places = [request.schema.names.index(name) for name in request.key]
    return tuple(row[place] for place in places) if places else None


def _beyond(key: Sequence[sa.ColumnElement[Any]], after: Key) -> sa.ColumnElement[bool]:
    """(a, b) > (x, y) spelled out: not every database compares rows."""
    first, value = key[0], after[0]
    beyond: sa.ColumnElement[bool] = first > value
    if len(key) == 1:
        return beyond
    return sa.or_(beyond, sa.and_(first == value, _beyond(key[1:], after[1:])))
