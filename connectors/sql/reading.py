"""What to read from a table or view and in which pieces, whatever the database.

With a key there is one query a page (`key > last ORDER BY key LIMIT n`): no offset, so page 1,000 costs what page 1 costs,
and the place in between survives a restart. Without a key rows are streamed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa

from connectors.sql.catalog import Relation
from connectors.sql.database import driver, literal, quote
from connectors.sql.delivery import Delivery, as_text, to_arrow

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row with a value that its delivered type cannot hold; `row` is the row as text, `values` as the driver gave it."""

    row: dict[str, str | None]
    field: str
    message: str
    values: tuple[Any, ...]


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
    only: tuple[str, Key] | None = None
    """A column and values: only rows that have one of them there."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every page."""
        return pa.schema([pa.field(item.name, item.type) for item in self.deliveries])


class Reader(Protocol):
    """One dialect's way to read."""

    def __call__(self, connection: sa.Connection, request: Request) -> Iterator[Chunk]:
        """Chunks until the rows end."""
        ...


_ORDERED = (sa.Integer, sa.String, sa.Uuid, sa.Date, sa.DateTime, sa.Numeric)
"""Types whose values can stand in a cursor and be compared after a restart."""


def paging_key(connection: sa.Connection, kind: str, relation: Relation) -> tuple[str, ...]:
    """The primary key where rows can be paged by it, else nothing."""
    columns = [relation.column(name) for name in relation.primary_key]
    if any(item is None or not isinstance(item.type, _ORDERED) for item in columns):
        return ()
    if kind == "sqlite" and not _sqlite_key_is_safe(connection, relation):
        return ()
    return relation.primary_key


def _sqlite_key_is_safe(connection: sa.Connection, relation: Relation) -> bool:
    """False when SQLite let a null or bytes into the primary key: such rows have no place in its order."""
    if not relation.primary_key:
        return False
    odd = " OR ".join(f"typeof({quote(name)}) IN ('null', 'blob')" for name in relation.primary_key)
    query = f"SELECT 1 FROM {table_name(relation)} WHERE {odd} LIMIT 1"
    return driver(connection).execute(query).fetchone() is None


def table_name(relation: Relation) -> str:
    """The relation in SQLite's and PostgreSQL's SQL."""
    return ".".join(quote(part) for part in (relation.namespace, relation.name) if part)


def core_table(relation: Relation) -> sa.Table:
    """The relation for SQLAlchemy's Core, every name quoted."""
    return sa.Table(
        sa.quoted_name(relation.name, quote=True),
        sa.MetaData(),
        *(sa.Column(sa.quoted_name(item.name, quote=True), item.type) for item in relation.columns),
        schema=relation.namespace,
    )


def select(
    request: Request,
    after: Key | None,
    expression: Callable[[Delivery], str],
    value: Callable[[object], str] = literal,
) -> str:
    """One page's query for SQLite and PostgreSQL; `expression` writes a column, `value` a part of the last key."""
    columns = ", ".join(expression(item) for item in request.deliveries)
    query = f"SELECT {columns} FROM {table_name(request.relation)}"
    if request.only is not None:
        column, values = request.only
        return f"{query} WHERE {quote(column)} IN ({', '.join(value(part) for part in values)})"
    if not request.key:
        return query
    names = ", ".join(quote(name) for name in request.key)
    if after is not None:
        query += f" WHERE ({names}) > ({', '.join(value(part) for part in after)})"
    return f"{query} ORDER BY {names} LIMIT {request.page_rows:d}"


def chunk_of(rows: Sequence[Sequence[Any]], request: Request, key: Key | None) -> Chunk:
    """A driver's rows as a chunk; rows with a value that does not fit go into its misfits."""
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
                tuple(row),
            )
    return None


def with_misfits(
    chunk: Chunk, deliveries: Sequence[Delivery], loose: frozenset[str]
) -> tuple[pa.Table, frozenset[str]]:
    """All rows of a chunk, misfits last, and which columns are text for their sake: those in `loose`, and any that has one."""
    rows = chunk.rows
    given = list(zip(*(misfit.values for misfit in chunk.misfits), strict=True)) or [()] * len(deliveries)
    loose |= {item.name for item, values in zip(deliveries, given, strict=True) if not _fits(values, item)}
    odd = []
    for place, (item, values) in enumerate(zip(deliveries, given, strict=True)):
        if item.name in loose:
            rows = rows.set_column(place, item.name, as_text(rows[item.name]))
            odd.append(pa.array([misfit.row[item.name] for misfit in chunk.misfits], pa.string()))
        else:
            odd.append(to_arrow(values, item))
    return pa.concat_tables([rows, pa.Table.from_arrays(odd, schema=rows.schema)]), loose


def _fits(values: Sequence[Any], delivery: Delivery) -> bool:
    try:
        to_arrow(values, delivery)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError):
        return False
    return True


def _printable(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
