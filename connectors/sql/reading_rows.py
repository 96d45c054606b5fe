"""Reading row by row through a driver: SQLite directly, any other database through SQLAlchemy's Core."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from connectors.sql.database import driver, quote
from connectors.sql.delivery import Delivery
from connectors.sql.reading import Chunk, Key, Reader, Request, chunk_of, core_table, select
from connectors.sql.reading_postgres import read_postgres


def reader(kind: str) -> Reader:
    """The best way to read from a kind of database."""
    return {"postgresql": read_postgres, "sqlite": read_sqlite}.get(kind, read_generic)


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
    query = select(request, request.after, _plain_expression, _placeholder)
    given = request.only[1] if request.only else request.after or ()
    cursor.execute(query if places else f"{query} LIMIT -1 OFFSET {done:d}", given)
    while rows := cursor.fetchmany(request.page_rows):
        after = tuple(rows[-1][place] for place in places) if places else None
        yield chunk_of(rows, request, after)
        if places:
            cursor.execute(select(request, after, _plain_expression, _placeholder), after or ())


def _plain_expression(delivery: Delivery) -> str:
    return f"{quote(delivery.name)} IS NOT NULL" if delivery.is_presence else quote(delivery.name)


def _placeholder(_value: object) -> str:
    return "?"  # a text with a NUL in it can stand in a parameter only


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
        if request.only is not None:
            statement = statement.where(table.c[request.only[0]].in_(request.only[1]))
        received = 0
        result = connection.execution_options(stream_results=True).execute(statement)
        for rows in result.partitions(request.page_rows):
            received += len(rows)
            after = _generic_key(rows[-1], request)
            yield chunk_of(rows, request, after)
        if not key or received < request.page_rows:
            return


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
