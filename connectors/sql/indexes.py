"""Indexes of new tables, built once the rows of a first load are there.

Until then an index over no rows stands in for each, under its name and a mark: it costs nothing while rows come, whoever
looks at the database sees it, and whichever load comes next knows what is still to be built.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from connectors.sql.database import Database, driver, literal
from connectors.sql.failures import translated
from migrator.core.boundary import boundary

_PARTIAL = ("sqlite", "postgresql")
"""Databases with indexes over a part of the rows, and with tables and indexes made in transactions."""
_MARK = "_due"
_STANDS_IN = re.compile(rf"ix_.+_[0-9a-f]{{12}}{_MARK}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DueIndex:
    """An index that is still to be built."""

    table: str
    column: str
    name: str


def index_for(table: sa.Table, column: str, kind: str) -> sa.Index:
    """The index of a column of a table that is about to be made, or what stands in for it."""
    name = _index_name(table.name, column)
    if kind not in _PARTIAL:
        return sa.Index(name, table.c[column])
    return sa.Index(
        name + _MARK, table.c[column], sqlite_where=sa.text("0"), postgresql_where=sa.text("false")
    )


def due_indexes(database: Database) -> Mapping[str, DueIndex]:
    """Name → index that something stands in for, in alphabetical order."""
    if database.kind not in _PARTIAL:
        return {}
    with database.begin() as connection:
        there = sa.inspect(connection).get_multi_indexes(schema=database.settings.schema)
    found = {}
    for (_, table), indexes in there.items():
        for item in indexes:
            mark, column = item["name"], item["column_names"][0]
            if mark and column is not None and _STANDS_IN.fullmatch(mark):
                name = mark.removesuffix(_MARK)
                found[name] = DueIndex(table, column, name)
    return dict(sorted(found.items()))


def build_index(database: Database, due: DueIndex) -> None:
    """Build it in place of what stands in for it, in one transaction."""
    column: sa.Column[object] = sa.Column(sa.quoted_name(due.column, quote=True))
    sa.Table(sa.quoted_name(due.table, quote=True), sa.MetaData(), column, schema=database.settings.schema)
    with _sorting_beside(database), database.begin() as connection:
        sa.Index(due.name, column).create(connection)
        sa.Index(due.name + _MARK, column).drop(connection)
        boundary("index.built")


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
