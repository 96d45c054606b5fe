"""A run of the sync that changes nothing: a ledger that is thrown away, and systems that only listen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from sqlalchemy.engine import Connection

from migrator.core.schema import ObjectSchema
from migrator.core.twoway import (
    Answer,
    Create,
    Delete,
    Evidence,
    FeedPage,
    Outcome,
    Record,
    ScanPage,
    Side,
    SideFacts,
    Update,
)
from migrator.staging.ledger import Ledger, open_ledger

CODE = "dry-run"


class RehearsedLedger(Ledger):
    """The ledger as seen from one open transaction: everything that is written there is read again, and none of it stays."""

    def __init__(self, ledger: Ledger, connection: Connection) -> None:
        super().__init__(ledger.engine, ledger.clock)
        self.run = ledger.run or "rehearsal"
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A part of the one transaction, by itself all or nothing."""
        with self._connection.begin_nested():
            yield self._connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """The one transaction."""
        yield self._connection


@contextmanager
def rehearsed(ledger: Ledger) -> Iterator[Ledger]:
    """A ledger that forgets everything at the end. Nobody waits for it: SQLite gets a copy, for it knows one writer only."""
    if ledger.engine.dialect.name == "sqlite":
        with _copied(ledger) as copy:
            yield copy
        return
    with ledger.engine.connect() as connection, connection.begin() as transaction:
        try:
            yield RehearsedLedger(ledger, connection)
        finally:
            transaction.rollback()


@contextmanager
def _copied(ledger: Ledger) -> Iterator[Ledger]:
    with TemporaryDirectory(prefix="migrator-rehearsal-") as folder:
        path = Path(folder) / "ledger.db"
        with ledger.engine.connect() as connection, closing(sqlite3.connect(path)) as copy:
            source = cast("sqlite3.Connection", connection.connection.driver_connection)
            source.backup(copy)
        opened = open_ledger(f"sqlite:///{path}", ledger.clock)
        opened.run = ledger.run or "rehearsal"
        try:
            yield opened
        finally:
            opened.close()


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """A row that a run would write."""

    system: str
    object: str
    kind: str
    """'create', 'update' or 'delete'."""
    id: str
    """Of the record; of one to be created its external key."""
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self, *, unmask: bool) -> dict[str, Any]:
        """For `--json`: names of fields, and values only when asked for."""
        told: Any = dict(self.values) if unmask else sorted(self.values)
        return {
            "system": self.system,
            "object": self.object,
            "kind": self.kind,
            "id": self.id,
            "fields": told,
        }


class ListeningSide:
    """See `Side`: reads as the side does, and refuses every write once it is noted."""

    def __init__(self, system: str, side: Side, planned: list[PlannedWrite]) -> None:
        self._system, self._side, self._planned = system, side, planned

    @property
    def facts(self) -> SideFacts:
        """Of the side."""
        return self._side.facts

    def describe(self) -> Sequence[ObjectSchema]:
        """See `Side`."""
        return self._side.describe()

    def server_time(self) -> datetime:
        """See `Side`."""
        return self._side.server_time()

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """See `Side`."""
        return self._side.changes(object_name, since, overlap)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """See `Side`."""
        return self._side.scan(object_name, fields)

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """See `Side`."""
        return self._side.fetch(object_name, ids, fields)

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """See `Side`."""
        return self._side.evidence(object_name, ids)

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """See `Side`."""
        return self._side.find(object_name, key_field, keys, fields)

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """Note what would be created."""
        return [
            self._noted(object_name, "create", row.key, {key_field: row.key, **row.values}) for row in rows
        ]

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Note what would be changed."""
        return [self._noted(object_name, "update", row.id, row.values) for row in rows]

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """Note what would be deleted."""
        return [self._noted(object_name, "delete", row.id, {}) for row in rows]

    def _noted(self, object_name: str, kind: str, name: str, values: Mapping[str, Any]) -> Answer:
        row = PlannedWrite(self._system, object_name, kind, name, dict(values))
        if row not in self._planned:
            self._planned.append(row)
        return Answer(Outcome.REFUSED, code=CODE, message="nothing is written in a dry run")

    def marker(self) -> str:
        """See `Side`."""
        return self._side.marker()

    def set_marker(self, text: str) -> None:
        """Nothing is kept there."""

    def close(self) -> None:
        """See `Side`."""
        self._side.close()
