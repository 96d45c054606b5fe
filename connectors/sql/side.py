"""A database as one side of the two-way sync, exact: versions that every writer advances, and proof of deletes.

Each table needs a version column that a trigger (or every writer) advances with each change: an update says which version it
expects, and 0 affected rows mean that the record is not as it was read. Writes are read back in their own transaction, so
that what triggers did is in the answer. A physical delete leaves no row: proof comes from a soft-delete column or from a
delete log that a trigger fills; where neither is, a record that is not there is merely missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.sql.catalog import describe, relations
from connectors.sql.database import Database
from connectors.sql.failures import refusal
from connectors.sql.settings import SqlSettings
from migrator.core.errors import FatalError, Location, ProjectError, WatermarkExpired
from migrator.core.schema import ObjectSchema
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
    Native,
    Outcome,
    Record,
    ScanPage,
    SideFacts,
    Update,
)

NAMES = ("version", "stamp", "created", "deleted", "delete_log", "marker", "longest_transaction")
_PAGE, _BATCH = 5_000, 1_000


@dataclass(frozen=True, slots=True)
class Columns:
    """How tables of this database say what the sync must know; the same names in every table."""

    version: str
    """A whole number that grows with every change of the row."""
    stamp: str = ""
    """When the row was last changed, by the database's clock; without it every pull compares everything."""
    created: str = ""
    """When the row was made, by the same clock; it is never changed."""
    deleted: str = ""
    """True where the row counts as deleted."""
    delete_log: str = ""
    """A table (object_name, id, version, deleted_at) that triggers fill."""
    marker: str = ""
    """A table (name, value) in which the sync keeps its one word."""
    longest_transaction: float = 600.0


def columns(raw: Mapping[str, Any]) -> Columns:
    """The setting `sync` of an SQL system; raises `ProjectError`."""
    unknown = [name for name in raw if name not in NAMES]
    if unknown or not isinstance(raw.get("version"), str):
        raise ProjectError.at(
            Location("migration.yaml"),
            f"sync of a database cannot be read: {dict(raw)!r}",
            "sync: {version: row_version, stamp: changed_at, delete_log: deleted_rows}",
        )
    return Columns(**{name: raw[name] for name in NAMES if name in raw})


class SqlSide:
    """See `migrator.core.twoway.Side`."""

    def __init__(self, settings: SqlSettings, how: Columns) -> None:
        self._how, self._settings = how, settings
        self._database = Database(settings, "w")
        self._tables: dict[str, sa.Table] = {}

    @property
    def facts(self) -> SideFacts:
        """Exact, with post-images."""
        return SideFacts(
            cas=CompareAndSet.EXACT,
            conditional_deletes=True,
            unique_key=True,
            post_image=True,
            longest_transaction=self._how.longest_transaction,
            page_rows=_PAGE,
            batch_rows=min(self._settings.batch_rows, _BATCH),
            evidence=frozenset({EvidenceKind.DELETED})
            if self._how.deleted or self._how.delete_log
            else frozenset(),
            marker=bool(self._how.marker),
            read_only=self._settings.read_only,
        )

    def describe(self) -> Sequence[ObjectSchema]:
        """Tables and views as they are now."""
        return [describe(item, self._settings.keys) for item in relations(self._database).values()]

    def server_time(self) -> datetime:
        """The database's clock."""
        with self._database.begin() as connection:
            return _now(connection)

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """Rows stamped since, by (stamp, id); the watermark is the clock of the database when the reading starts."""
        table = self._table(object_name)
        with self._database.begin() as connection:
            start = _now(connection)
            if since is None:
                yield FeedPage(watermark=start.isoformat())
                return
            if not self._how.stamp:
                raise WatermarkExpired(f"{object_name} has no column that says when a row was changed")
            floor = datetime.fromisoformat(since) - timedelta(seconds=overlap)
            stamp, key = table.c[self._how.stamp], self._key(table)
            query = (
                sa.select(key, table.c[self._how.version], *self._flag(table))
                .where(stamp >= _stored(floor, stamp))
                .order_by(stamp, key)
            )
            rows = connection.execute(query).all()
            proofs = [*self._soft(object_name, rows), *self._logged(connection, object_name, floor, None)]
        live = [row for row in rows if not _is_deleted(row)]
        table_ = pa.table(
            {ID: _ids(object_name, live), VERSION: [str(row[1]) for row in live]}, schema=CHANGED
        )
        yield FeedPage(table_, tuple(proofs), start.isoformat())

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """Every live row, in pages by key; the page that holds fewer rows than asked for is the last."""
        table = self._table(object_name)
        key = self._key(table)
        last: Any = None
        while True:
            query = self._select(table, fields).order_by(key).limit(_PAGE)
            with self._database.begin() as connection:
                rows = connection.execute(query if last is None else query.where(key > last)).all()
            yield ScanPage(_page(object_name, rows, fields), last=len(rows) < _PAGE)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """Live rows by key."""
        with self._database.begin() as connection:
            return self._records(connection, object_name, ids, fields)

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """What the soft-delete column and the delete log say of these keys."""
        table = self._table(object_name)
        key = self._key(table)
        with self._database.begin() as connection:
            found = list(self._logged(connection, object_name, None, ids))
            if self._how.deleted:
                query = sa.select(key, table.c[self._how.version], *self._flag(table)).where(
                    key.in_(_keys(key, ids))
                )
                found += self._soft(object_name, connection.execute(query).all())
        return found

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """Live rows by the external key."""
        table = self._table(object_name)
        column = table.c[key_field]
        query = self._select(table, (*fields, key_field)).where(column.in_(_keys(column, keys)))
        with self._database.begin() as connection:
            return [
                Record(str(row[0]), str(row[1]), _values(row, fields), None, str(row[-1]))
                for row in connection.execute(query)
            ]

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """Insert, row by row within one transaction."""
        table = self._table(object_name)
        with self._database.begin() as connection:
            return [self._create(connection, table, key_field, row) for row in rows]

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Set the changed columns where the version is the expected one."""
        table = self._table(object_name)
        with self._database.begin() as connection:
            return [self._update(connection, table, row) for row in rows]

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """Delete, or flag as deleted, where the version is the expected one."""
        table = self._table(object_name)
        with self._database.begin() as connection:
            return [self._delete(connection, table, row) for row in rows]

    def marker(self) -> str:
        """The sync's word."""
        with self._database.begin() as connection:
            found = connection.execute(sa.select(_MARK.c.value).where(_MARK.c.name == "sync")).scalar()
            return str(found or "")

    def set_marker(self, text: str) -> None:
        """Keep it."""
        with self._database.begin() as connection:
            connection.execute(_MARK.delete().where(_MARK.c.name == "sync"))
            connection.execute(_MARK.insert().values(name="sync", value=text))

    def close(self) -> None:
        """Release connections."""
        self._database.close()

    # ---- rows

    def _create(self, connection: sa.Connection, table: sa.Table, key_field: str, row: Create) -> Answer:
        values = {**row.values, key_field: row.key}
        own = self._key(table)
        if values.get(own.name) is None and not _assigned(own):
            return Answer(
                Outcome.REFUSED,
                code="key.not-assigned",
                field=own.name,
                message=f"{table.name}.{own.name} is not given by the database: map it on the way back, "
                "give it a default, or let the mapping flow forward only",
            )
        try:
            with connection.begin_nested():
                done = connection.execute(table.insert().values(_bound(table, values)))
                key = done.inserted_primary_key
        except sa.exc.DBAPIError as error:
            return self._refused(connection, table, error, (key_field, row.key))
        return self._image(connection, table, Outcome.CREATED, str(key[0] if key else row.key))

    def _update(self, connection: sa.Connection, table: sa.Table, row: Update) -> Answer:
        key = self._key(table)
        where = key == _key(key, row.id)
        version = table.c[self._how.version]
        statement = table.update().where(where, version == int(row.version)).values(_bound(table, row.values))
        try:
            with connection.begin_nested():
                count = connection.execute(statement).rowcount
        except sa.exc.DBAPIError as error:
            return self._refused(connection, table, error, None)
        if count == 0:
            there = connection.execute(sa.select(key).where(where, *self._live(table))).first()
            return Answer(Outcome.STALE if there else Outcome.MISSING, row.id)
        done = self._image(connection, table, Outcome.UPDATED, row.id)
        if done.version == row.version:
            raise FatalError(
                f"{table.name}.{self._how.version} did not grow with an update",
                hint="a trigger must advance it with every change, whoever makes it",
            )
        return done

    def _delete(self, connection: sa.Connection, table: sa.Table, row: Delete) -> Answer:
        key = self._key(table)
        where = (key == _key(key, row.id), table.c[self._how.version] == int(row.version))
        statement: Any = (
            table.update().where(*where).values({self._how.deleted: True})
            if self._how.deleted
            else table.delete().where(*where)
        )
        try:
            with connection.begin_nested():
                count = connection.execute(statement).rowcount
        except sa.exc.DBAPIError as error:
            return self._refused(connection, table, error, None)
        if count == 0:
            there = connection.execute(sa.select(key).where(where[0], *self._live(table))).first()
            return Answer(Outcome.STALE if there else Outcome.MISSING, row.id)
        proofs = list(self._logged(connection, table.name, None, [row.id]))
        return Answer(Outcome.DELETED, row.id, proofs[-1].version if proofs else row.version)

    def _image(self, connection: sa.Connection, table: sa.Table, outcome: Outcome, name: str) -> Answer:
        """The row as it stands at the end of our own transaction, triggers included."""
        fields = [column.name for column in table.c]
        (record,) = self._records(connection, table.name, [name], fields) or (None,)
        if record is None:
            return Answer(Outcome.UNKNOWN, name)
        return Answer(outcome, name, record.version, record.values)

    def _refused(
        self,
        connection: sa.Connection,
        table: sa.Table,
        error: sa.exc.DBAPIError,
        key: tuple[str, str] | None,
    ) -> Answer:
        """What the database says against one row; a key that is taken means that an earlier attempt succeeded."""
        found = refusal(error)
        if found is None:
            raise error
        if key is not None and found.code == "constraint.unique":
            column = table.c[key[0]]
            there = connection.execute(
                sa.select(self._key(table)).where(column == _key(column, key[1]), *self._live(table))
            ).scalar()
            if there is not None:
                return Answer(Outcome.EXISTS, str(there))
        return Answer(Outcome.REFUSED, code=found.code, field=found.field or "", message=found.message)

    # ---- reading

    def _records(
        self, connection: sa.Connection, object_name: str, ids: Sequence[str], fields: Sequence[str]
    ) -> list[Record]:
        table = self._table(object_name, connection)
        key = self._key(table)
        times = [name for name in (self._how.stamp, self._how.created) if name]
        query = self._select(table, fields).add_columns(*(table.c[name] for name in times))
        found = []
        for row in connection.execute(query.where(key.in_(_keys(key, ids)))):
            told = dict(zip(times, map(_aware, row[len(row) - len(times) :]), strict=True))
            stamp, created = told.get(self._how.stamp), told.get(self._how.created)
            found.append(Record(str(row[0]), str(row[1]), _values(row, fields), stamp, created=created))
        return found

    def _select(self, table: sa.Table, fields: Sequence[str]) -> sa.Select[Any]:
        """Key, version, then the fields; what is flagged as deleted is not there."""
        wanted = [table.c[name] for name in fields]
        labels = [column.label(f"f{at}") for at, column in enumerate(wanted)]
        return sa.select(self._key(table), table.c[self._how.version].label("v"), *labels).where(
            *self._live(table)
        )

    def _live(self, table: sa.Table) -> list[Any]:
        if not self._how.deleted:
            return []
        flag = table.c[self._how.deleted]
        return [sa.or_(flag.is_(None), flag == sa.false())]

    def _flag(self, table: sa.Table) -> list[Any]:
        return [table.c[self._how.deleted].label("deleted")] if self._how.deleted else []

    def _soft(self, object_name: str, rows: Sequence[Any]) -> list[Evidence]:
        how = f"{object_name}.{self._how.deleted}"
        return [
            Evidence(EvidenceKind.DELETED, str(row[0]), str(row[1]), how=how)
            for row in rows
            if _is_deleted(row)
        ]

    def _logged(
        self,
        connection: sa.Connection,
        object_name: str,
        floor: datetime | None,
        ids: Sequence[str] | None,
    ) -> Iterator[Evidence]:
        if not self._how.delete_log:
            return
        log = self._table(self._how.delete_log, connection)
        query = sa.select(log.c.id, log.c.version, log.c.deleted_at).where(log.c.object_name == object_name)
        if floor is not None:
            query = query.where(log.c.deleted_at >= _stored(floor, log.c.deleted_at))
        if ids is not None:
            query = query.where(log.c.id.in_(_keys(log.c.id, ids)))
        for row in connection.execute(query.order_by(log.c.deleted_at, log.c.id)):
            yield Evidence(
                EvidenceKind.DELETED,
                str(row.id),
                str(row.version),
                _aware(row.deleted_at),
                how=self._how.delete_log,
            )

    def _table(self, name: str, connection: sa.Connection | None = None) -> sa.Table:
        """As the database describes it; `connection` is of a transaction that is open already."""
        if name not in self._tables:
            with self._database.begin() if connection is None else nullcontext(connection) as asked:
                self._tables[name] = sa.Table(
                    name, sa.MetaData(), schema=self._settings.schema, autoload_with=asked, resolve_fks=False
                )
        return self._tables[name]

    def _key(self, table: sa.Table) -> sa.Column[Any]:
        named = self._settings.keys.get(table.name)
        if named:
            return table.c[named]
        if len(table.primary_key.columns) != 1:
            raise FatalError(
                f"{table.name} has no primary key of one column", hint="name it in the setting keys"
            )
        return next(iter(table.primary_key.columns))


_MARK = sa.table("migrator_marker", sa.column("name"), sa.column("value"))


def _is_deleted(row: Any) -> bool:
    return bool(getattr(row, "deleted", False))


def _now(connection: sa.Connection) -> datetime:
    found = connection.execute(sa.select(sa.func.current_timestamp())).scalar()
    return _aware(found) or datetime.now(UTC)


def _aware(value: Any) -> datetime | None:
    """An instant with its zone; databases without zones keep UTC."""
    if value is None:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stored(value: datetime, column: Any) -> Any:
    """An instant as a column keeps it."""
    if isinstance(column.type, sa.String):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return value if getattr(column.type, "timezone", False) else value.astimezone(UTC).replace(tzinfo=None)


def _keys(column: Any, values: Sequence[str]) -> list[Any]:
    return [_key(column, value) for value in values]


def _key(column: Any, value: str) -> Any:
    return int(value) if isinstance(column.type, sa.Integer) and value.lstrip("-").isdigit() else value


def _native(value: Any) -> Native:
    """A value of the driver as the contract speaks of it."""
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, str | int | float | bool | date) or value is None:
        return value
    return value if type(value).__name__ in ("Decimal", "time") else str(value)


def _values(row: Any, fields: Sequence[str]) -> dict[str, Native]:
    return {name: _native(row[at + 2]) for at, name in enumerate(fields)}


def _bound(table: sa.Table, values: Mapping[str, Native]) -> dict[str, Any]:
    return {
        name: _stored(value, table.c[name]) if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _assigned(key: sa.Column[Any]) -> bool:
    """Whether the database gives a new row its key by itself."""
    if key.server_default is not None or key.identity is not None:
        return True
    return isinstance(key.type, sa.Integer) and key.autoincrement in (True, "auto")


def _ids(object_name: str, rows: Sequence[Any]) -> list[str]:
    """Keys as text; a row without one cannot be kept in step, nor be passed over."""
    lacking = sum(row[0] is None or row[0] == "" for row in rows)
    if lacking:
        raise FatalError(
            f"{object_name}: {lacking} row(s) have no key", hint="give them one, or leave them out by a view"
        )
    return [str(row[0]) for row in rows]


def _page(object_name: str, rows: Sequence[Any], fields: Sequence[str]) -> pa.Table:
    cells = {
        ID: pa.array(_ids(object_name, rows), pa.string()),
        VERSION: pa.array([str(row[1]) for row in rows], pa.string()),
    }
    for at, name in enumerate(fields):
        values = [_native(row[at + 2]) for row in rows]
        found = pa.array(values)
        cells[name] = found.cast(pa.string()) if pa.types.is_null(found.type) else found
    return pa.table(cells)
