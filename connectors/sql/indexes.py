"""Indexes and, on PostgreSQL, foreign keys of new tables, made once the rows of a first load are there.

Until then an index over no rows stands in for each, under its name and a mark: it costs nothing while rows come, whoever
looks at the database sees it, and whichever load comes next knows what is still to be made. Its comment tells the
foreign key: to check one for every row that comes locks, and so writes, the row that is referred to (a third of a load's
CPU), where one join checks them all. SQLite can add no foreign key to a table, and checks each row from the start.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.database import Database, driver, literal, quote
from connectors.sql.failures import translated
from migrator.core.boundary import boundary
from migrator.core.errors import FatalError

_PARTIAL = ("sqlite", "postgresql")
"""Databases with indexes over a part of the rows, and with tables and indexes made in transactions."""
DEFERRED: Mapping[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
"""Foreign keys on PostgreSQL: rows of one batch may refer to each other, in any order."""
_MARK = "_due"
_REFERENCE = "reference"
_STANDS_IN = re.compile(rf"ix_.+_[0-9a-f]{{12}}{_MARK}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a foreign key refers to."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class DueIndex:
    """An index that is still to be built, and the foreign key of its column that is still to be checked."""

    table: str
    column: str
    name: str
    reference: Reference | None = None


def index_for(table: sa.Table, column: str, kind: str, refers: sa.Column[Any] | None = None) -> bool:
    """Give a column of a table that is about to be made its index, or what stands in for it.

    Returns whether the foreign key to `refers` comes with the index, so that the table is made without.
    """
    name = _index_name(table.name, column)
    if kind not in _PARTIAL:
        sa.Index(name, table.c[column])
        return False
    due = refers is not None and kind == "postgresql"
    reference = Reference(refers.table.name, refers.name) if due and refers is not None else None
    sa.Index(
        name + _MARK, table.c[column], sqlite_where=sa.text("0"), postgresql_where=sa.text("false"),
        info={_REFERENCE: reference},
    )  # fmt: skip
    return due


def note_references(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Write the foreign keys that are due beside the indexes of these tables, which were just made."""
    for table, index in ((made, index) for made in tables for index in made.indexes):
        reference = index.info.get(_REFERENCE)
        if reference is not None:
            told = json.dumps({_REFERENCE: asdict(reference)}, ensure_ascii=False)
            name = ".".join(quote(part) for part in (table.schema, str(index.name)) if part)
            driver(connection).execute(f"COMMENT ON INDEX {name} IS {literal(told)}")


def due_indexes(
    connection: sa.Connection, namespace: str | None, there: Mapping[Any, Sequence[Any]]
) -> Mapping[str, DueIndex]:
    """Name → index that something stands in for, in alphabetical order; `there` are all indexes as SQLAlchemy reflects them."""
    marked = [
        (table, item["column_names"][0], item["name"])
        for (_, table), indexes in there.items()
        for item in indexes
        if _STANDS_IN.fullmatch(item["name"] or "")
    ]
    noted = _noted(connection, namespace) if marked else {}
    found = [
        DueIndex(table, column, mark.removesuffix(_MARK), noted.get(mark))
        for table, column, mark in marked
        if mark is not None and column is not None
    ]
    return {item.name: item for item in sorted(found, key=lambda item: item.name)}


def _noted(connection: sa.Connection, namespace: str | None) -> dict[str, Reference]:
    """Index → what its comment says about a foreign key."""
    if connection.dialect.name != "postgresql":
        return {}
    query = sa.text(
        "SELECT c.relname, d.description FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0"
        " WHERE c.relkind = 'i' AND n.nspname = coalesce(:space, current_schema())"
    )
    rows = connection.execute(query, {"space": namespace}).all()
    return {
        name: Reference(**json.loads(told)[_REFERENCE]) for name, told in rows if _STANDS_IN.fullmatch(name)
    }


def build_index(database: Database, due: DueIndex) -> None:
    """Build it in place of what stands in for it, and put its foreign key in force, in one transaction.

    Raises `FatalError` where rows refer to what is not there; nothing is changed then.
    """
    column = _column(database, due.table, due.column)
    with _sorting_beside(database), database.begin() as connection:
        sa.Index(due.name, column).create(connection)
        if due.reference is not None:
            _refer(connection, database, column, due.reference)
        sa.Index(due.name + _MARK, column).drop(connection)
        boundary("index.built")


def _refer(
    connection: sa.Connection, database: Database, column: sa.Column[Any], reference: Reference
) -> None:
    other = _column(database, reference.table, reference.column, column.table.metadata)
    key = sa.ForeignKeyConstraint([column], [other], **DEFERRED)
    try:
        with connection.begin_nested():
            column.table.append_constraint(key)
            connection.execute(sa.schema.AddConstraint(key))
    except sa.exc.IntegrityError as error:
        place = f"{database.label}: {column.table.name}.{column.name}"
        raise FatalError(
            f"{place} leads to no {other.table.name} in {_lost(connection, column, other)}: its foreign key cannot be"
            " put in force",
            hint="somebody deleted what they refer to while the tables were being filled: put it back, or empty or correct "
            "these values, and run it again",
        ) from error


def _lost(connection: sa.Connection, column: sa.Column[Any], other: sa.Column[Any]) -> str:
    """How many rows refer to what is not there, and the first of the values, in words."""
    parent = other.table.alias()
    there = sa.exists().where(parent.c[other.name] == column)
    lost = sa.select(column.label("value")).where(column.is_not(None), ~there).subquery()
    count = sa.select(sa.func.count()).select_from(lost)
    rows, values = connection.execute(count.add_columns(sa.func.count(lost.c.value.distinct()))).one()
    first = connection.execute(sa.select(lost.c.value).distinct().order_by(lost.c.value).limit(3)).scalars()
    return f"{rows:,} rows ({', '.join(map(repr, first))}{', …' if values > 3 else ''})"


def _column(database: Database, table: str, name: str, metadata: sa.MetaData | None = None) -> sa.Column[Any]:
    """A column that is there, to be named in a statement."""
    made = sa.Table(
        sa.quoted_name(table, quote=True), metadata or sa.MetaData(),
        sa.Column(sa.quoted_name(name, quote=True)),
        schema=database.settings.schema, extend_existing=True,
    )  # fmt: skip
    return made.c[name]


@contextmanager
def _sorting_beside(database: Database) -> Iterator[None]:
    """SQLite sorts in files of its own: beside the database, where there is room, not in a /tmp that may be memory."""
    place = database.settings.url.database
    if database.kind != "sqlite" or not place or place == ":memory:":
        yield
        return
    # https://www.sqlite.org/pragma.html#pragma_temp_store_directory: deprecated for what it does to other threads, of
    # which none sorts here; its successor is read once, when the program begins
    with translated(database.label):
        connection = driver(database.connection)  # no transaction: the setting cannot be changed in one
        connection.execute(f"PRAGMA temp_store_directory = {literal(str(Path(place).absolute().parent))}")
    try:
        yield
    finally:
        connection.execute("PRAGMA temp_store_directory = ''")


def _index_name(table: str, column: str) -> str:
    """Unique in the database and within every limit, mark included: index names share one namespace with each other."""
    digest = hashlib.sha256(f"{table}\x00{column}".encode()).hexdigest()[:12]
    readable = f"ix_{table}_{column}".encode()[:46].decode("utf-8", "ignore")
    return f"{readable}_{digest}"
