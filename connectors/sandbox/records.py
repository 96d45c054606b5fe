"""The records of a sandbox in SQLite: written under the rules of a CRM, read as sets, soft-deleted, late when wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP
from pathlib import Path as FilePath

from connectors.sandbox import checks
from connectors.sandbox.checks import Row
from connectors.sandbox.reading import Read, count_sql, read_sql
from connectors.sandbox.shape import DuplicateRule, Names, Shape, ValidationRule, shaped
from connectors.sandbox.tables import Deletion, Tables
from connectors.sandbox.transactions import Transactions
from connectors.sandbox.values import instant
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import Compare, Operator, Path, Rows, SqlValue, Where, quoted
from migrator.core.clock import Clock, SystemClock
from migrator.core.schema import FieldSchema, ObjectSchema


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
        rounding: str | None = ROUND_HALF_UP,
    ) -> None:
        self.names = names
        self.clock = clock or SystemClock()
        self._tick, self._rounding = tick, rounding
        self._held: dict[str, float] = {}
        self._tables = Tables(names, new_id, path, collation)
        self._turn = Transactions(self._tables.database, self.clock)

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
        shape = shaped(
            schema, self.names, keys=tuple(keys), rules=tuple(rules), duplicates=tuple(duplicates),
            rounding=self._rounding,
        )  # fmt: skip
        with self._turn.reading():
            self._tables.define(shape)

    def extend(self, schema: ObjectSchema) -> None:
        """Give an object more fields; its keys and rules stay. An object not there yet is made."""
        old = self.known(schema.name)
        self.define(
            schema,
            keys=old.keys if old else (),
            rules=old.rules if old else (),
            duplicates=old.duplicates if old else (),
        )

    def schemas(self) -> list[ObjectSchema]:
        """All objects, in the order in which they were made."""
        return [shape.schema for shape in self._tables.shapes.values()]

    def known(self, name: str) -> Shape | None:
        """What is known of an object, or None when there is none of this name."""
        return self._tables.shapes.get(name.casefold())

    def shape(self, name: str) -> Shape:
        """What is known of an object; raises `Violation` when there is none of this name."""
        return self._tables.shape(name)

    def field(self, object_name: str, name: str) -> FieldSchema:
        """A field of an object; raises `Violation`."""
        return self.shape(object_name).field(name)

    @property
    def version(self) -> int:
        """The version of the last write; every write has the next one."""
        return self._tables.version

    # -- writes ----------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is done or, when an exception leaves it, nothing; may stand inside another."""
        return self._turn.writing()

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
            row = checks.written_row(shape, values)
            row.pop(shape.schema.key, None)
            for name in shape.stamps:
                row.setdefault(name, now)
            if record:
                self._refuse_taken(shape, record)
            else:
                record = self.fresh_id(object_name)
            checks.check_required(shape, row, creating=True)
            self._check(shape, record, row, row, write)
            self._tables.put(shape, record, row, hidden=bool(write.late))
            checks.check_rules(shape, record, self.shape, self._tables.database)
            if write.late:
                self._turn.later(write.late, lambda: self._tables.set(shape, record, {"__hidden": 0}))
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
            row = checks.written_row(shape, values)
            row.pop(shape.schema.key, None)
            checks.check_required(shape, row, creating=False)
            self._check(shape, record, row, before | row, write)
            row |= dict.fromkeys(shape.modified, self.now())
            if write.late:
                self._turn.later(write.late, lambda: self._tables.set(shape, record, row))
                return
            self._tables.set(shape, record, row)
            checks.check_rules(shape, record, self.shape, self._tables.database)

    def delete(self, object_name: str, record: str, *, write: Write = PLAIN) -> None:
        """Move a live record to the bin."""
        with self.transaction():
            shape = self.shape(object_name)
            self._live(shape, record)
            self._refuse_held(record, write)
            now = self.now()
            self._turn.later(write.late, lambda: self._bin(shape, record, now))

    def undelete(self, object_name: str, record: str) -> None:
        """Bring a record back from the bin, under its own id, where its keys are still free."""
        with self.transaction():
            shape = self.shape(object_name)
            row = self._tables.row(shape, record)
            if row is None or not row["__deleted"]:
                raise Violation(Refused.NO_RECORD, "not in the recycle bin", record=record)
            checks.check_keys(shape, record, row, self._tables.database)
            self._tables.forget_deletion(shape, record)
            self._tables.set(shape, record, {**dict.fromkeys(shape.modified, self.now()), "__deleted": 0})

    def purge(self, object_name: str, record: str) -> None:
        """Delete a record for good, live or in the bin; the feed of deletions still tells of it."""
        with self.transaction():
            shape = self.shape(object_name)
            row = self._tables.row(shape, record)
            if row is None:
                raise Violation(Refused.NO_RECORD, "no such record", record=record)
            if not row["__deleted"]:
                self._bin(shape, record, self.now())
            self._tables.remove(shape, record)

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
                self._tables.put(shape, record, row)
                if row.get(self.names.deleted):
                    self._tables.note_deletion(
                        shape, record, str(row[shape.modified[0]]) if shape.modified else now
                    )
            return self.version - before

    # -- reads -----------------------------------------------------------------------------------------------

    def rows(self, read: Read, *, block: int = 2_000) -> Iterator[list[tuple[SqlValue, ...]]]:
        """The records of a read in blocks, lazily; what is written meanwhile may or may not be among them."""
        with self._turn.reading():
            cursor = self._tables.database.execute(*read_sql(read, self.shape))
        while True:
            with self._turn.reading():
                found = cursor.fetchmany(block)
            if not found:
                return
            yield found

    def select(self, read: Read) -> list[tuple[SqlValue, ...]]:
        """All records of a read at once."""
        with self._turn.reading():
            return self._tables.database.execute(*read_sql(read, self.shape)).fetchall()

    def count(self, object_name: str, where: Where | None = None, *, rows: Rows = Rows.LIVE) -> int:
        """How many records there are."""
        read = Read(object_name, (), rows=rows) if where is None else Read(object_name, (), where, rows=rows)
        with self._turn.reading():
            return int(self._tables.database.execute(*count_sql(read, self.shape)).fetchone()[0])

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
        with self._turn.reading():
            found = self._tables.database.execute(
                f'SELECT "__id" FROM {quoted(shape.schema.name)} WHERE {tests} AND "__deleted" = 0 ORDER BY "__id"',
                list(row.values()),
            ).fetchall()
        return [str(item[0]) for item in found]

    def version_of(self, object_name: str, record: str) -> int | None:
        """The version of a record, in the bin or not, or None when there is no such record."""
        with self._turn.reading():
            return self._tables.version_of(self.shape(object_name), record)

    def deletions(self, object_name: str, *, since: int = 0) -> list[Deletion]:
        """Records deleted after a version, purged ones too, in the order of their deletion."""
        with self._turn.reading():
            return self._tables.deletions(self.shape(object_name), since)

    def close(self) -> None:
        """Release the database."""
        with self._turn.reading():
            self._tables.database.close()

    # -- inside a transaction --------------------------------------------------------------------------------

    def _check(self, shape: Shape, record: str, row: Row, whole: Row, write: Write) -> None:
        self._refuse_held(record, write)
        if self._held:
            for value in row.values():
                self._refuse_held(str(value), write)
        checks.check_references(shape, row, self.shape, self._tables.database)
        checks.check_keys(shape, record, whole, self._tables.database)
        checks.check_duplicates(
            shape, record, whole, self._tables.database,
            wanted=lambda rule: rule.alert and write.accept_duplicates,
        )  # fmt: skip

    def _refuse_held(self, record: str, write: Write) -> None:
        if write.locked or self._held.get(record, 0.0) > self.clock.monotonic():
            raise Violation(Refused.LOCKED, "unable to obtain exclusive access to this record", record=record)

    def _refuse_taken(self, shape: Shape, record: str) -> None:
        if self._tables.row(shape, record) is not None:
            raise Violation(Refused.EXISTS, f"a record with this id exists: {record}", record=record)

    def _live(self, shape: Shape, record: str) -> Row:
        row = self._tables.row(shape, record)
        if row is None or row["__hidden"]:
            raise Violation(Refused.NO_RECORD, "no such record", object_name=shape.schema.name, record=record)
        if row["__deleted"]:
            raise Violation(
                Refused.DELETED, "entity is deleted", object_name=shape.schema.name, record=record
            )
        return row

    def _bin(self, shape: Shape, record: str, at: str) -> None:
        self._tables.set(shape, record, {**dict.fromkeys(shape.modified, at), "__deleted": 1})
        self._tables.note_deletion(shape, record, at)

    def fresh_id(self, object_name: str) -> str:
        """An id that no record of the object has."""
        with self._turn.reading():
            return self._tables.fresh_id(self.shape(object_name))
