"""The tables of a record store: one an object, made and widened as its shape says, written and read record by record."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.sandbox.checks import Row
from connectors.sandbox.shape import Names, Shape, column_sql, table_sql
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import quoted


@dataclass(frozen=True, slots=True)
class Deletion:
    """That a record went to the bin or was purged, and when."""

    id: str
    at: str
    version: int


@functools.lru_cache(1_000)
def _insert(shape: Shape, names: tuple[str, ...]) -> str:
    """The INSERT of a record with these fields."""
    columns = ['"__id"', '"__version"', '"__hidden"', *(shape.column(name) for name in names)]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {quoted(shape.schema.name)} ({', '.join(columns)}) VALUES ({marks})"


class Tables:
    """A database of records. It locks nothing and checks nothing but what its indexes hold."""

    def __init__(
        self, names: Names, new_id: Callable[[str, int], str], path: Path | None, collation: str
    ) -> None:
        self.names, self._new_id, self._collation = names, new_id, collation
        self.shapes: dict[str, Shape] = {}
        """By folded name, in the order in which they were made."""
        self.version = 0
        """Of the last write."""
        self._numbers: dict[str, int] = {}
        self.database = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None, cached_statements=512
        )
        for setting in ("synchronous = OFF", "journal_mode = MEMORY", "cache_size = -200000"):
            self.database.execute(f"PRAGMA {setting}")
        self.database.execute(
            'CREATE TABLE IF NOT EXISTS "__deletions" '
            "(object TEXT, id TEXT, version INTEGER, at TEXT, PRIMARY KEY (object, id))"
        )

    def shape(self, name: str) -> Shape:
        """What is known of an object; raises `Violation`."""
        found = self.shapes.get(name.casefold())
        if found is None:
            raise Violation(Refused.NO_OBJECT, f"no such object: {name}", object_name=name)
        return found

    def define(self, shape: Shape) -> None:
        """Make the table of an object, or give it more columns and indexes."""
        name, (make, *indexes) = quoted(shape.schema.name), table_sql(shape, self._collation)
        self.database.execute(make)
        there = {row[1].casefold() for row in self.database.execute(f"PRAGMA table_info({name})")}
        for item in shape.schema.fields:
            column = shape.column(item.name)
            if not column.startswith('"__') and item.name.casefold() not in there:
                self.database.execute(f"ALTER TABLE {name} ADD COLUMN {column_sql(item, self._collation)}")
        for statement in indexes:
            self.database.execute(statement)
        if shape.schema.name.casefold() not in self.shapes:
            self._open(shape)
        self.shapes[shape.schema.name.casefold()] = shape

    def _open(self, shape: Shape) -> None:
        """Go on where the file was left: what was to be seen later is seen now."""
        name = quoted(shape.schema.name)
        self.database.execute(f'UPDATE {name} SET "__hidden" = 0 WHERE "__hidden" = 1')
        newest, count = self.database.execute(f'SELECT max("__version"), count(*) FROM {name}').fetchone()
        self.version = max(self.version, newest or 0)
        self._numbers[shape.schema.name] = count

    def fresh_id(self, shape: Shape) -> str:
        """An id that no record of the object has."""
        while True:
            self._numbers[shape.schema.name] += 1
            record = self._new_id(shape.schema.name, self._numbers[shape.schema.name])
            if self.version_of(shape, record) is None:
                return record

    def row(self, shape: Shape, record: str) -> Row | None:
        """A whole record, in the bin or not, by column."""
        cursor = self.database.execute(
            f'SELECT * FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record]
        )
        found = cursor.fetchone()
        names = (item[0] for item in cursor.description)
        return None if found is None else dict(zip(names, found, strict=True))

    def version_of(self, shape: Shape, record: str) -> int | None:
        """The version of a record, or None when there is none."""
        found = self.database.execute(
            f'SELECT "__version" FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record]
        ).fetchone()
        return None if found is None else int(found[0])

    def put(self, shape: Shape, record: str, row: Row, *, hidden: bool = False) -> None:
        """A new record; raises `Violation` when an index refuses it."""
        self.version += 1
        try:
            self.database.execute(
                _insert(shape, tuple(row)), [record, self.version, int(hidden), *row.values()]
            )
        except sqlite3.IntegrityError as error:
            raise Violation(
                Refused.UNIQUE, str(error), object_name=shape.schema.name, record=record
            ) from error

    def set(self, shape: Shape, record: str, row: Row) -> None:
        """Set fields, and columns of the store's own."""
        self.version += 1
        columns = [quoted(name) if name.startswith("__") else shape.column(name) for name in row]
        parts = ", ".join(f"{name} = ?" for name in ('"__version"', *columns))
        self.database.execute(
            f'UPDATE {quoted(shape.schema.name)} SET {parts} WHERE "__id" = ?',
            [self.version, *row.values(), record],
        )

    def remove(self, shape: Shape, record: str) -> None:
        """Delete a record for good."""
        self.database.execute(f'DELETE FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record])

    def note_deletion(self, shape: Shape, record: str, at: str) -> None:
        """Enter a record into the feed of deletions."""
        self.database.execute(
            'INSERT OR REPLACE INTO "__deletions" VALUES (?, ?, ?, ?)',
            [shape.schema.name, record, self.version, at],
        )

    def forget_deletion(self, shape: Shape, record: str) -> None:
        """Take a record out of the feed of deletions."""
        self.database.execute(
            'DELETE FROM "__deletions" WHERE object = ? AND id = ?', [shape.schema.name, record]
        )

    def deletions(self, shape: Shape, since: int) -> list[Deletion]:
        """The feed of deletions after a version, in its order."""
        found = self.database.execute(
            'SELECT id, at, version FROM "__deletions" WHERE object = ? AND version > ? ORDER BY version',
            [shape.schema.name, since],
        ).fetchall()
        return [Deletion(*row) for row in found]
