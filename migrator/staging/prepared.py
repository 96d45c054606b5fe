"""Statements that are compiled once: on SQLite they go straight to the driver, at a tenth of what SQLAlchemy's own way costs there."""

from __future__ import annotations

import json
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

SQLITE = "sqlite"
Make = Callable[[str], sa.Executable]
"""Name of a dialect → the statement there."""
Convert = Callable[[Any], Any]
"""A value as the driver takes or gives it."""


def among(dialect: str, *columns: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether a column, or several together, are among `ids`: one statement, however many there are."""
    one = columns[0] if len(columns) == 1 else sa.tuple_(*columns)
    if dialect != SQLITE:
        return one.in_(sa.bindparam("ids", expanding=True))
    parts = ", ".join(f"value ->> {place}" for place in range(len(columns))) if len(columns) > 1 else "value"
    return one.in_(sa.text(f"SELECT {parts} FROM json_each(:ids)"))


@dataclass(frozen=True, slots=True)
class _Ready:
    """A statement as SQLite's driver takes it."""

    text: str
    takes: tuple[tuple[str, Any, Convert | None], ...]
    """Of each place: the name of its value, the value where none is given, and how it is converted."""
    row: Callable[..., Any]
    gives: tuple[Convert | None, ...]
    """How each column is converted; nothing where none has to be."""

    def bound(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in their places."""
        found = []
        for name, otherwise, convert in self.takes:
            value = values.get(name, otherwise)
            if convert is not None:
                value = convert(value)
            elif isinstance(value, list | tuple):
                value = json.dumps(value, ensure_ascii=False)
            found.append(value)
        return tuple(found)

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """Rows with names, and with the types of their columns."""
        if not self.gives:
            return [self.row(*cells) for cells in found]
        return [
            self.row(
                *(
                    convert(cell) if convert is not None else cell
                    for convert, cell in zip(self.gives, cells, strict=True)
                )
            )
            for cells in found
        ]


class Prepared:
    """A statement whose parts never change but for bound values; made once, at the head of a module."""

    def __init__(self, make: Make | sa.Executable) -> None:
        self._make: Make = (lambda _: make) if isinstance(make, sa.Executable) else make
        self._plain: dict[str, sa.Executable] = {}
        self._ready: _Ready | None = None

    def all(self, connection: Connection, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows, with their columns as attributes and `_asdict`."""
        if connection.dialect.name == SQLITE:
            return self.fetch(_driver(connection), connection.dialect, values)
        return connection.execute(self._statement(connection.dialect.name), dict(values or {})).all()

    def fetch(
        self, driver: sqlite3.Connection, dialect: sa.Dialect, values: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """The same at SQLite's driver; outside a transaction it sees what is committed at that moment."""
        ready = self._ready or self._compiled(dialect, ())
        bound = ready.bound(values or {})
        with _as_sqlalchemy_tells(ready.text, bound):
            return ready.rows(driver.execute(ready.text, bound).fetchall())

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Carry it out for each of the rows, which have the same names; returns how many records it touched. None: nothing."""
        if not rows:
            return 0
        if connection.dialect.name != SQLITE:
            given = [dict(row) for row in rows]
            statement = self._statement(connection.dialect.name)
            return connection.execute(statement, given[0] if len(given) == 1 else given).rowcount
        ready = self._ready or self._compiled(connection.dialect, tuple(rows[0]))
        bound = [ready.bound(row) for row in rows]
        with _as_sqlalchemy_tells(ready.text, ()):
            if len(bound) == 1:
                return _driver(connection).execute(ready.text, bound[0]).rowcount
            return _driver(connection).executemany(ready.text, bound).rowcount

    def _statement(self, dialect: str) -> sa.Executable:
        if dialect not in self._plain:
            self._plain[dialect] = self._make(dialect)
        return self._plain[dialect]

    def _compiled(self, dialect: sa.Dialect, names: tuple[str, ...]) -> _Ready:
        statement: Any = self._statement(SQLITE)
        keys = list(names) if isinstance(statement, sa.Insert) else None
        compiled: Any = statement.compile(dialect=dialect, column_keys=keys)
        takes = tuple(
            (name, compiled.params.get(name), _taking(compiled.binds[name].type, dialect))
            for name in compiled.positiontup or ()
        )
        columns = list(statement.selected_columns) if statement.is_select else []
        gives = tuple(_giving(column.type, dialect) for column in columns)
        row = namedtuple("Row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
        self._ready = _Ready(str(compiled), takes, row, gives if any(gives) else ())
        return self._ready


def _taking(kind: Any, dialect: sa.Dialect) -> Convert | None:
    found: Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


def _giving(kind: Any, dialect: sa.Dialect) -> Convert | None:
    found: Convert | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return found


def _driver(connection: Connection) -> sqlite3.Connection:
    """What is under a connection; in a transaction, which SQLAlchemy begins by itself for its own statements only."""
    if not connection.in_transaction():
        connection.begin()
    found: Any = connection.connection.driver_connection
    return found  # type: ignore[no-any-return]


@contextmanager
def _as_sqlalchemy_tells(text: str, bound: Any) -> Iterator[None]:
    """Trouble of the driver as the error that SQLAlchemy makes of it, so that it is told in one way."""
    try:
        yield
    except sqlite3.Error as error:
        told = sa.exc.DBAPIError.instance(text, bound, error, sqlite3.Error)
        raise told from error
