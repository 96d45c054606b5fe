"""The records of a sandbox in SQLite: written under the rules of a CRM, read as sets, soft-deleted, late when wanted."""

from __future__ import annotations

import functools
import heapq
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path as FilePath
from typing import TypeVar

from connectors.sandbox import checks
from connectors.sandbox.checks import Row
from connectors.sandbox.reading import Read, count_sql, read_sql
from connectors.sandbox.shape import (
    DuplicateRule,
    Names,
    Shape,
    ValidationRule,
    column_sql,
    shaped,
    table_sql,
)
from connectors.sandbox.values import instant
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import Compare, Operator, Path, Rows, SqlValue, Where, quoted
from migrator.core.clock import Clock, SystemClock
from migrator.core.schema import FieldSchema, ObjectSchema

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Write:
    """How one write is to be done."""

    accept_duplicates: bool = False
    """Duplicate rules that only alert let it pass."""
    late: float = 0.0
    """Seconds until others see it, under the stamp of now: a transaction that commits late, an index that lags."""
    locked: bool = False
    """Another transaction holds the record: the write is refused."""


PLAIN = Write()


@dataclass(frozen=True, slots=True)
class Deletion:
    """That a record went to the bin or was purged, and when."""

    id: str
    at: str
    version: int


@dataclass(order=True, slots=True)
class _Late:
    due: float
    number: int
    action: Callable[[], None] = field(compare=False)


@functools.lru_cache(1_000)
def _insert(shape: Shape, names: tuple[str, ...]) -> str:
    """The INSERT of a record with these fields."""
    columns = ['"__id"', '"__version"', '"__hidden"', *(shape.column(name) for name in names)]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {quoted(shape.schema.name)} ({', '.join(columns)}) VALUES ({marks})"


class Store:
    """Objects and their records; every call may come from any thread, and each is one transaction.

    Values go in as Python values or as the text of the wire formats, and come out as the store holds them
    (`connectors.sandbox.values`). Refusals are `Violation`s, and leave nothing behind.
    """

    def __init__(
        self,
        *,
        names: Names,
        new_id: Callable[[str, int], str],
        path: FilePath | None = None,
        clock: Clock | None = None,
        collation: str = "NOCASE",
        tick: timedelta = timedelta(seconds=1),
    ) -> None:
        self.names = names
        self.clock = clock or SystemClock()
        self._new_id, self._collation, self._tick = new_id, collation, tick
        self._lock = threading.RLock()
        self._shapes: dict[str, Shape] = {}
        self._late: list[_Late] = []
        self._queued: list[_Late] = []
        self._numbered = itertools.count()
        self._held: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._depth = 0
        self._database = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None, cached_statements=512
        )
        for setting in ("synchronous = OFF", "journal_mode = MEMORY", "cache_size = -200000"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(
            'CREATE TABLE IF NOT EXISTS "__deletions" '
            "(object TEXT, id TEXT, version INTEGER, at TEXT, PRIMARY KEY (object, id))"
        )
        self.version = 0
        """The version of the last write; every write has the next one."""

    # -- objects ---------------------------------------------------------------------------------------------

    def define(
        self,
        schema: ObjectSchema,
        *,
        keys: Sequence[tuple[str, ...]] = (),
        rules: Sequence[ValidationRule] = (),
        duplicates: Sequence[DuplicateRule] = (),
    ) -> None:
        """Make an object, or give one more fields and other rules; records stay."""
        shape = shaped(schema, self.names, keys=tuple(keys), rules=tuple(rules), duplicates=tuple(duplicates))
        with self._lock:
            statements = list(table_sql(shape, self._collation))
            self._database.execute(statements[0])
            name = quoted(schema.name)
            there = {row[1].casefold() for row in self._database.execute(f"PRAGMA table_info({name})")}
            for item in schema.fields:
                column = shape.column(item.name)
                if not column.startswith('"__') and item.name.casefold() not in there:
                    self._database.execute(
                        f"ALTER TABLE {name} ADD COLUMN {column_sql(item, self._collation)}"
                    )
            for statement in statements[1:]:
                self._database.execute(statement)
            self._shapes[schema.name.casefold()] = shape
            self._database.execute(f'UPDATE {name} SET "__hidden" = 0 WHERE "__hidden" = 1')
            newest = self._database.execute(f'SELECT max("__version"), count(*) FROM {name}').fetchone()
            self.version = max(self.version, newest[0] or 0)
            self._numbers[schema.name] = newest[1]

    def extend(self, schema: ObjectSchema) -> None:
        """Give an object more fields; its keys and rules stay. An object not there yet is made."""
        old = self._shapes.get(schema.name.casefold())
        self.define(
            schema,
            keys=old.keys if old else (),
            rules=old.rules if old else (),
            duplicates=old.duplicates if old else (),
        )

    def schemas(self) -> list[ObjectSchema]:
        """All objects, in the order in which they were made."""
        return [shape.schema for shape in self._shapes.values()]

    def shape(self, name: str) -> Shape:
        """What is known of an object; raises `Violation` when there is none of this name."""
        found = self._shapes.get(name.casefold())
        if found is None:
            raise Violation(Refused.NO_OBJECT, f"no such object: {name}", object_name=name)
        return found

    def field(self, object_name: str, name: str) -> FieldSchema:
        """A field of an object; raises `Violation`."""
        return self.shape(object_name).field(name)

    # -- writes ----------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is done or, when an exception leaves it, nothing; may stand inside another."""
        with self._lock:
            self._settle()
            mark, queued = f"s{self._depth}", len(self._queued)
            self._depth += 1
            self._database.execute(f"SAVEPOINT {mark}")
            try:
                yield
            except BaseException:
                self._database.execute(f"ROLLBACK TO {mark}")
                del self._queued[queued:]
                raise
            finally:
                self._database.execute(f"RELEASE {mark}")
                self._depth -= 1
            if self._depth == 0:
                while self._queued:
                    heapq.heappush(self._late, self._queued.pop())

    def now(self) -> str:
        """The stamp a write of now gets, no finer than the system's own stamps."""
        return instant(self._floor(self.clock.now()))

    def _floor(self, at: datetime) -> datetime:
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return day + (at - day) // self._tick * self._tick

    def insert(
        self, object_name: str, values: Mapping[str, object], *, write: Write = PLAIN, record: str = ""
    ) -> str:
        """Create a record and return its id; `record` is an id of the caller's own choice.

        Stamps that `values` holds are kept: whether the caller may set them is the protocol's matter.
        """
        with self.transaction():
            shape, now = self.shape(object_name), self.now()
            row = checks.encoded_row(shape, values)
            row.pop(shape.schema.key, None)
            for name in shape.stamps:
                row.setdefault(name, now)
            if record:
                self._refuse_taken(shape, record)
            else:
                record = self.fresh_id(object_name)
            checks.check_required(shape, row, creating=True)
            self._check(shape, record, row, row, write)
            self._put(shape, record, row, hidden=bool(write.late))
            checks.check_rules(shape, record, self.shape, self._database)
            if write.late:
                self._later(write.late, lambda: self._show(shape, record))
            return record

    def update(
        self,
        object_name: str,
        record: str,
        values: Mapping[str, object],
        *,
        write: Write = PLAIN,
        if_version: int | None = None,
    ) -> None:
        """Set fields of a live record; with `if_version` only when nobody wrote it since that version."""
        with self.transaction():
            shape = self.shape(object_name)
            before = self._live(shape, record)
            if if_version is not None and before["__version"] != if_version:
                raise Violation(Refused.CHANGED, "the version of the record is another", record=record)
            row = checks.encoded_row(shape, values)
            row.pop(shape.schema.key, None)
            checks.check_required(shape, row, creating=False)
            self._check(shape, record, row, before | row, write)
            row |= dict.fromkeys(shape.modified, self.now())
            if write.late:
                self._later(write.late, lambda: self._set(shape, record, row))
                return
            self._set(shape, record, row)
            checks.check_rules(shape, record, self.shape, self._database)

    def delete(self, object_name: str, record: str, *, write: Write = PLAIN) -> None:
        """Move a live record to the bin."""
        with self.transaction():
            shape = self.shape(object_name)
            self._live(shape, record)
            self._refuse_held(record, write)
            now = self.now()
            self._later(write.late, lambda: self._bin(shape, record, now))

    def undelete(self, object_name: str, record: str) -> None:
        """Bring a record back from the bin, under its own id, where its keys are still free."""
        with self.transaction():
            shape = self.shape(object_name)
            row = self._row(shape, record)
            if row is None or not row["__deleted"]:
                raise Violation(Refused.NO_RECORD, "not in the recycle bin", record=record)
            checks.check_keys(shape, record, row, self._database)
            self._database.execute(
                'DELETE FROM "__deletions" WHERE object = ? AND id = ?', [shape.schema.name, record]
            )
            self._set(shape, record, {**dict.fromkeys(shape.modified, self.now()), "__deleted": 0})

    def purge(self, object_name: str, record: str) -> None:
        """Delete a record for good, live or in the bin; the feed of deletions still tells of it."""
        with self.transaction():
            shape = self.shape(object_name)
            row = self._row(shape, record)
            if row is None:
                raise Violation(Refused.NO_RECORD, "no such record", record=record)
            if not row["__deleted"]:
                self._bin(shape, record, self.now())
            self._database.execute(f'DELETE FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record])

    def hold(self, record: str, seconds: float) -> None:
        """Lock a record, and writes of records that refer to it, as a transaction of somebody else would."""
        self._held[record] = self.clock.monotonic() + seconds

    def load(self, object_name: str, rows: Iterable[tuple[str, Row]]) -> int:
        """Many records as the store holds them, by id: seeds, unchecked but for their keys; returns how many."""
        with self.transaction():
            shape, now, before = self.shape(object_name), self.now(), self.version
            for record, row in rows:
                for name in shape.stamps:
                    row.setdefault(name, now)
                self._put(shape, record, row)
                if row.get(self.names.deleted):
                    self._note_deletion(shape, record, str(row[shape.modified[0]]) if shape.modified else now)
            return self.version - before

    # -- reads -----------------------------------------------------------------------------------------------

    def rows(self, read: Read, *, block: int = 2_000) -> Iterator[list[tuple[SqlValue, ...]]]:
        """The records of a read in blocks, lazily; what is written meanwhile may or may not be among them."""
        with self._lock:
            self._settle()
            cursor = self._database.execute(*read_sql(read, self.shape))
        while True:
            with self._lock:
                found = cursor.fetchmany(block)
            if not found:
                return
            yield found

    def select(self, read: Read) -> list[tuple[SqlValue, ...]]:
        """All records of a read at once."""
        with self._lock:
            self._settle()
            return self._database.execute(*read_sql(read, self.shape)).fetchall()

    def count(self, object_name: str, where: Where | None = None, *, rows: Rows = Rows.LIVE) -> int:
        """How many records there are."""
        read = Read(object_name, (), rows=rows) if where is None else Read(object_name, (), where, rows=rows)
        with self._lock:
            self._settle()
            return int(self._database.execute(*count_sql(read, self.shape)).fetchone()[0])

    def get(self, object_name: str, record: str, *, rows: Rows = Rows.LIVE) -> dict[str, SqlValue] | None:
        """One record by id, every field by name, or None."""
        shape = self.shape(object_name)
        paths = tuple(Path(name) for name in shape.schema.field_names)
        own = Compare(Path(shape.schema.key), Operator.EQUAL, record)
        found = self.select(Read(object_name, paths, own, rows=rows))
        return dict(zip(shape.schema.field_names, found[0], strict=True)) if found else None

    def find(self, object_name: str, /, **values: object) -> list[str]:
        """Ids of live records that have these values, hidden ones too: as the unique index sees them."""
        shape = self.shape(object_name)
        row = checks.encoded_row(shape, values)
        tests = " AND ".join(f"{shape.column(name)} = ?" for name in row)
        with self._lock:
            self._settle()
            found = self._database.execute(
                f'SELECT "__id" FROM {quoted(shape.schema.name)} WHERE {tests} AND "__deleted" = 0 ORDER BY "__id"',
                list(row.values()),
            ).fetchall()
        return [str(item[0]) for item in found]

    def version_of(self, object_name: str, record: str) -> int | None:
        """The version of a record, in the bin or not, or None when there is no such record."""
        with self._lock:
            found = self._database.execute(
                f'SELECT "__version" FROM {quoted(self.shape(object_name).schema.name)} WHERE "__id" = ?',
                [record],
            ).fetchone()
        return None if found is None else int(found[0])

    def deletions(self, object_name: str, *, since: int = 0) -> list[Deletion]:
        """Records deleted after a version, purged ones too, in the order of their deletion."""
        with self._lock:
            self._settle()
            found = self._database.execute(
                'SELECT id, at, version FROM "__deletions" WHERE object = ? AND version > ? ORDER BY version',
                [self.shape(object_name).schema.name, since],
            ).fetchall()
        return [Deletion(*row) for row in found]

    def close(self) -> None:
        """Release the database."""
        with self._lock:
            self._database.close()

    # -- inside a transaction --------------------------------------------------------------------------------

    def _check(self, shape: Shape, record: str, row: Row, whole: Row, write: Write) -> None:
        self._refuse_held(record, write)
        if self._held:
            for value in row.values():
                self._refuse_held(str(value), write)
        checks.check_references(shape, row, self.shape, self._database)
        checks.check_keys(shape, record, whole, self._database)
        checks.check_duplicates(
            shape, record, whole, self._database,
            wanted=lambda rule: rule.alert and write.accept_duplicates,
        )  # fmt: skip

    def _refuse_held(self, record: str, write: Write) -> None:
        if write.locked or self._held.get(record, 0.0) > self.clock.monotonic():
            raise Violation(Refused.LOCKED, "unable to obtain exclusive access to this record", record=record)

    def _refuse_taken(self, shape: Shape, record: str) -> None:
        if self._row(shape, record) is not None:
            raise Violation(Refused.EXISTS, f"a record with this id exists: {record}", record=record)

    def _live(self, shape: Shape, record: str) -> Row:
        row = self._row(shape, record)
        if row is None or row["__hidden"]:
            raise Violation(Refused.NO_RECORD, "no such record", object_name=shape.schema.name, record=record)
        if row["__deleted"]:
            raise Violation(
                Refused.DELETED, "entity is deleted", object_name=shape.schema.name, record=record
            )
        return row

    def _row(self, shape: Shape, record: str) -> Row | None:
        cursor = self._database.execute(
            f'SELECT * FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record]
        )
        found = cursor.fetchone()
        return (
            None if found is None else dict(zip((item[0] for item in cursor.description), found, strict=True))
        )

    def _put(self, shape: Shape, record: str, row: Row, *, hidden: bool = False) -> None:
        self.version += 1
        try:
            self._database.execute(
                _insert(shape, tuple(row)), [record, self.version, int(hidden), *row.values()]
            )
        except sqlite3.IntegrityError as error:
            raise Violation(
                Refused.UNIQUE, str(error), object_name=shape.schema.name, record=record
            ) from error

    def _set(self, shape: Shape, record: str, row: Row) -> None:
        self.version += 1
        columns = [quoted(name) if name.startswith("__") else shape.column(name) for name in row]
        parts = ", ".join(f"{name} = ?" for name in ('"__version"', *columns))
        self._database.execute(
            f'UPDATE {quoted(shape.schema.name)} SET {parts} WHERE "__id" = ?',
            [self.version, *row.values(), record],
        )

    def _bin(self, shape: Shape, record: str, at: str) -> None:
        self._set(shape, record, {**dict.fromkeys(shape.modified, at), "__deleted": 1})
        self._note_deletion(shape, record, at)

    def _note_deletion(self, shape: Shape, record: str, at: str) -> None:
        self._database.execute(
            'INSERT OR REPLACE INTO "__deletions" VALUES (?, ?, ?, ?)',
            [shape.schema.name, record, self.version, at],
        )

    def _show(self, shape: Shape, record: str) -> None:
        self._set(shape, record, {"__hidden": 0})

    def fresh_id(self, object_name: str) -> str:
        """An id that no record of the object has."""
        shape = self.shape(object_name)
        while True:
            self._numbers[shape.schema.name] += 1
            record = self._new_id(shape.schema.name, self._numbers[shape.schema.name])
            if self._row(shape, record) is None:
                return record

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if not seconds:
            action()
            return
        self._queued.append(_Late(self.clock.monotonic() + seconds, next(self._numbered), action))

    def _settle(self) -> None:
        while self._late and self._depth == 0 and self._late[0].due <= self.clock.monotonic():
            heapq.heappop(self._late).action()
