"""Two small CRMs in SQLite files, with users who edit them and can be locked out: the world in which a cutover is drilled.

Each table carries `version`, `stamp` and `changed_by`; deletes are logged. It is the fast variant: what takes a minute on
sandboxes over HTTP takes seconds here, so that many schedules of failures can be tried.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from migrator.commands.project import Project, load_project
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.core.twoway import (
    CHANGED,
    ID,
    VERSION,
    Answer,
    CompareAndSet,
    Create,
    Delete,
    Evidence,
    EvidenceKind,
    FeedPage,
    Outcome,
    Record,
    ScanPage,
    Side,
    SideFacts,
    Update,
)
from migrator.testing.users import LockedOut, Users

INTEGRATION = "integration"
_OURS = "version INTEGER NOT NULL DEFAULT 1, stamp TEXT NOT NULL DEFAULT '', changed_by TEXT NOT NULL DEFAULT 'user'"
_TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "old": {"company": ("name", "city", "new_id"), "contact": ("name", "phone", "company_id", "new_id")},
    "new": {"account": ("name", "city", "legacy_id"), "person": ("name", "phone", "account", "legacy_id")},
}
"""Side → table → its fields."""
_MAPPINGS = {
    "company": """\
mapping: company
target: {system: new, object: account, key: legacy_id}
source: {system: old, object: company, drop: {version: ours, stamp: ours, changed_by: ours, new_id: ours}}
fields:
  name: {from: name}
  city: {from: city}
sync: {direction: both, key: new_id, policy: {default: new_wins}, delete: propagate}
""",
    "contact": """\
mapping: contact
target: {system: new, object: person, key: legacy_id}
source: {system: old, object: contact, drop: {version: ours, stamp: ours, changed_by: ours, new_id: ours}}
fields:
  name: {from: name, pii: name}
  phone: {from: phone, pii: phone}
  account: {from: company_id, lookup: company}
sync: {direction: both, key: new_id, policy: {default: new_wins}, delete: propagate}
""",
}
_PARTNER = {"company": "account", "contact": "person"}
_EDITED = {"company": "city", "contact": "phone"}


class Twin:
    """Both systems, and the users in them."""

    own_writes = f"--modifier changed_by --integration {INTEGRATION}"
    """What tells a freeze proof on the old side which writes are the sync's own."""

    def __init__(self, folder: Path, *, seed: int = 7, companies: int = 20) -> None:
        self.folder = folder
        self.project = self._make(companies)
        desks = {side: DatabaseDesk(folder / f"{side}.db", side) for side in _TABLES}
        self.users = Users(desks, seed)

    def _make(self, companies: int) -> Project:
        (self.folder / "mappings").mkdir(parents=True)
        for name, text in _MAPPINGS.items():
            (self.folder / "mappings" / f"{name}.yaml").write_text(text, encoding="utf-8")
        (self.folder / "migration.yaml").write_text(
            "project: drill\nsystems:\n  old: {connector: sql, url: 'sqlite:///old.db'}\n"
            "  new: {connector: sql, url: 'sqlite:///new.db'}\nengine: {memory_limit: 500MB, threads: 1}\n",
            encoding="utf-8",
        )
        for side, tables in _TABLES.items():
            with closing(sqlite3.connect(self.folder / f"{side}.db")) as connection, connection:
                for table, fields in tables.items():
                    columns = ", ".join(f"{name} TEXT{' UNIQUE' if name in _KEYS else ''}" for name in fields)
                    connection.execute(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, {columns}, {_OURS})")
                connection.execute("CREATE TABLE gone (tab TEXT, id TEXT, version INTEGER, stamp TEXT)")
                connection.execute("CREATE TABLE marker (text TEXT)")
        old = DatabaseDesk(self.folder / "old.db", "old")
        for kind, number in (("company", companies), ("contact", companies * 2)):
            for count in range(number):
                old.create(kind, f"{kind} 客户 {count:04d}", f"of {count}")
        return load_project(self.folder)

    def open_system(self, project: Project, name: str) -> Side:
        """A side of this world; `project` may be a copy of it."""
        return DatabaseSide(project.folder / f"{name}.db", _TABLES[name])


class DatabaseDesk:
    """Users who write into the file; a file has no users, so being locked out is their word."""

    def __init__(self, path: Path, side: str) -> None:
        self._path, self._side, self._open = path, side, True

    def rows(self, kind: str) -> Mapping[str, str]:
        """Every row."""
        sql = f"SELECT name, {_EDITED[kind]} FROM {self._table(kind)} ORDER BY name"
        with closing(sqlite3.connect(self._path)) as connection:
            return {name: value or "" for name, value in connection.execute(sql)}

    def edit(self, kind: str, name: str, value: str) -> None:
        """One row, its version and its stamp."""
        self._do(
            f"UPDATE {self._table(kind)} SET {_EDITED[kind]} = ?, version = version + 1, stamp = ?, changed_by = 'user'"
            " WHERE name = ?",
            (value, _now(), name),
        )

    def create(self, kind: str, name: str, value: str) -> None:
        """One row; a contact belongs to a company."""
        values = {"id": uuid4().hex, "name": name, "stamp": _now()}
        values[_EDITED[kind]] = value
        if kind == "contact":
            values[_PARENT[self._side]] = self._first_company()
        marks = ", ".join("?" for _ in values)
        self._do(
            f"INSERT INTO {self._table(kind)} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )

    def delete(self, kind: str, name: str) -> None:
        """One row, into the log of deletes."""
        table = self._table(kind)
        self._do(
            f"INSERT INTO gone SELECT '{table}', id, version + 1, ? FROM {table} WHERE name = ?",
            (_now(), name),
        )
        self._do(f"DELETE FROM {table} WHERE name = ?", (name,))

    def lock(self) -> None:
        """From now on they are refused."""
        self._open = False

    def unlock(self) -> None:
        """From now on they are not."""
        self._open = True

    def _do(self, sql: str, values: tuple[str, ...]) -> None:
        if not self._open:
            raise LockedOut(self._side)
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(sql, values)

    def _first_company(self) -> str:
        with closing(sqlite3.connect(self._path)) as connection:
            ((found,),) = connection.execute(f"SELECT id FROM {self._table('company')} ORDER BY id LIMIT 1")
        return str(found)

    def _table(self, kind: str) -> str:
        return kind if self._side == "old" else _PARTNER[kind]


_PARENT = {"old": "company_id", "new": "account"}
_KEYS = frozenset({"new_id", "legacy_id"})


def _now() -> str:
    return datetime.now(UTC).isoformat()


class DatabaseSide:
    """One SQLite file as a side: exact versions, post-images, a log of deletes."""

    facts = SideFacts(
        cas=CompareAndSet.EXACT, conditional_deletes=True, post_image=True, marker=True,
        evidence=frozenset({EvidenceKind.DELETED}),
    )  # fmt: skip

    def __init__(self, path: Path, tables: Mapping[str, tuple[str, ...]]) -> None:
        self._connection, self._tables = sqlite3.connect(path, isolation_level=None), tables

    def describe(self) -> Sequence[ObjectSchema]:
        """Every table and its fields."""
        return [
            ObjectSchema(
                name,
                "id",
                (FieldSchema("id", FieldType.ID), *(FieldSchema(one, FieldType.TEXT) for one in fields)),
            )
            for name, fields in self._tables.items()
        ]

    def server_time(self) -> datetime:
        """The clock of this machine."""
        return datetime.now(UTC)

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """Rows by their stamp, and deletes from the log."""
        now = _now()
        if since is None:
            yield FeedPage(watermark=now)
            return
        start = (datetime.fromisoformat(since) - timedelta(seconds=overlap)).isoformat()
        rows = self._all(
            f"SELECT id, version FROM {object_name} WHERE stamp >= ? ORDER BY stamp, id", (start,)
        )
        table = pa.table(
            {ID: [row[0] for row in rows], VERSION: [str(row[1]) for row in rows]}, schema=CHANGED
        )
        yield FeedPage(table, tuple(self._proofs(object_name, start)), now)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """Every row."""
        rows = self._all(
            f"SELECT id, version{''.join(f', {one}' for one in fields)} FROM {object_name} ORDER BY id"
        )
        columns = (
            dict(zip((ID, VERSION, *fields), zip(*rows, strict=True), strict=True))
            if rows
            else dict.fromkeys((ID, VERSION, *fields), ())
        )
        texts = {
            name: pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
            for name, cells in columns.items()
        }
        yield ScanPage(pa.table(texts), last=True)

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """Rows by id."""
        return list(self._records(object_name, "id", ids, fields))

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """What the log of deletes says."""
        return [item for item in self._proofs(object_name, "") if item.id in set(ids)]

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """Rows by external key."""
        return list(self._records(object_name, key_field, keys, fields))

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """Insert, unless the key is there."""
        return [self._create(object_name, key_field, row) for row in rows]

    def _create(self, of: str, key_field: str, row: Create) -> Answer:
        known = self._all(f"SELECT id FROM {of} WHERE {key_field} = ?", (row.key,))
        if known:
            return Answer(Outcome.EXISTS, known[0][0])
        (number,) = self._all(f"SELECT count(*) FROM {of}")[0]
        values = {
            **row.values,
            key_field: row.key,
            "id": f"s{number + 1:06d}-{row.key}",
            "stamp": _now(),
            "changed_by": INTEGRATION,
        }
        marks = ", ".join("?" for _ in values)
        self._connection.execute(
            f"INSERT INTO {of} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        return self._answer(Outcome.CREATED, of, str(values["id"]))

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Set fields where the version is as expected."""
        return [self._update(object_name, row) for row in rows]

    def _update(self, of: str, row: Update) -> Answer:
        sets = ", ".join(f"{name} = ?" for name in row.values)
        done = self._connection.execute(
            f"UPDATE {of} SET {sets}, version = version + 1, stamp = ?, changed_by = ? WHERE id = ? AND version = ?",
            (*row.values.values(), _now(), INTEGRATION, row.id, int(row.version)),
        )
        if done.rowcount:
            return self._answer(Outcome.UPDATED, of, row.id)
        there = self._all(f"SELECT 1 FROM {of} WHERE id = ?", (row.id,))
        return Answer(Outcome.STALE if there else Outcome.MISSING, row.id)

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """Delete where the version is as expected, and log it."""
        answers = []
        for row in rows:
            done = self._connection.execute(
                f"DELETE FROM {object_name} WHERE id = ? AND version = ?", (row.id, int(row.version))
            )
            if done.rowcount:
                self._connection.execute(
                    "INSERT INTO gone VALUES (?, ?, ?, ?)",
                    (object_name, row.id, int(row.version) + 1, _now()),
                )
            answers.append(Answer(Outcome.DELETED if done.rowcount else Outcome.MISSING, row.id))
        return answers

    def marker(self) -> str:
        """The text that was kept."""
        return "".join(text for (text,) in self._all("SELECT text FROM marker"))

    def set_marker(self, text: str) -> None:
        """Keep a text."""
        self._connection.execute("DELETE FROM marker")
        self._connection.execute("INSERT INTO marker VALUES (?)", (text,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _records(self, of: str, by: str, values: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        marks = ", ".join("?" for _ in values)
        names = ", ".join(("id", "version", by, *fields))
        for row in self._all(f"SELECT {names} FROM {of} WHERE {by} IN ({marks})", tuple(values)):
            yield Record(row[0], str(row[1]), dict(zip(fields, row[3:], strict=True)), key=str(row[2]))

    def _answer(self, outcome: Outcome, of: str, name: str) -> Answer:
        ((version, *values),) = self._all(
            f"SELECT version, {', '.join(self._tables[of])} FROM {of} WHERE id = ?", (name,)
        )
        return Answer(outcome, name, str(version), dict(zip(self._tables[of], values, strict=True)))

    def _proofs(self, of: str, since: str) -> Iterator[Evidence]:
        for name, version in self._all(
            "SELECT id, version FROM gone WHERE tab = ? AND stamp >= ?", (of, since)
        ):
            yield Evidence(EvidenceKind.DELETED, name, str(version), how="delete log")

    def _all(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise FatalError(f"the database does not answer: {error}") from error
