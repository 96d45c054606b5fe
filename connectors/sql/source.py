"""Tables and views of a database as a source."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.sql.catalog import Relation, describe, elsewhere, key_column, key_parts, pk_name, relations
from connectors.sql.database import Database, driver
from connectors.sql.delivery import (
    Delivery,
    as_text,
    joined_key,
    source_delivery,
    sqlite_misfits,
    text,
)
from connectors.sql.reading import Chunk, Misfit, Request, core_table, paging_key, table_name
from connectors.sql.reading_rows import reader
from connectors.sql.settings import SqlSettings
from migrator.core.connector import Page, Reject, SourceFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError
from migrator.core.schema import FieldType, ObjectSchema


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where to go on: after this key, with the same columns delivered as text as before."""

    after: tuple[int | float | str, ...]
    as_text: tuple[str, ...]

    def dump(self) -> str:
        """The cursor as the text a page carries."""
        return json.dumps({"after": self.after, "text": self.as_text}, ensure_ascii=False)

    @classmethod
    def load(cls, written: str) -> Cursor:
        """The inverse of `dump`."""
        raw = json.loads(written)
        return cls(tuple(raw["after"]), tuple(raw["text"]))


class SqlSource:
    """Reads tables and views; the database is opened so that it refuses writes itself where it can.

    One `read` is one transaction (PostgreSQL: one snapshot of the data). Columns of bytes are FILE fields: their value
    names the bytes and `open_file` fetches them; in an object without a key they are base64 text.
    """

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._database = Database(settings, "r")
        self._relations: dict[str, Relation] | None = None

    @property
    def facts(self) -> SourceFacts:
        """A database is live: what was read yesterday is not taken for current."""
        return SourceFacts(live=True, typed=True)

    def describe(self) -> Sequence[ObjectSchema]:
        """All tables and views that the settings let through."""
        self._relations = relations(self._database)
        return [describe(self._shown(item), self._settings.keys) for item in self._relations.values()]

    def notes(self, object_name: str) -> Sequence[str]:
        """Schemas that are not read; and which objects are views, whose rows may stand in tables too."""
        if object_name:
            is_view = self._relation(object_name).is_view
            return ["a view: its rows may come from tables that are read too"] if is_view else []
        own = self._settings.schema or "the default schema"
        return [
            f"only {own} is read; schema {name} holds {count} tables and views more: set `schema: {name}` to read it"
            for name, count in elsewhere(self._database).items()
        ]

    def count(self, object_name: str) -> int | None:
        """Rows of a table; None for views, whose query may be dear."""
        relation = self._relation(object_name)
        if relation.is_view:
            return None
        with self._database.begin() as connection:
            query = sa.select(sa.func.count()).select_from(core_table(relation))
            return int(connection.execute(query).scalar_one())

    def fingerprint(self, object_name: str) -> str:
        """Always '': a database does not tell cheaply whether a table changed."""
        self._relation(object_name)
        return ""

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages in the order of the primary key, each with a cursor; without a primary key, unordered and without."""
        relation = self._relation(object_name)
        start = Cursor.load(cursor) if cursor else None
        with self._database.apart() as connection:
            key = paging_key(connection, self._database.kind, relation)
            deliveries = self._deliveries(connection, relation, start)
            request = Request(relation, deliveries, key, start.after if start else None, page_rows)
            texts = tuple(item.name for item in deliveries if pa.types.is_string(item.type))
            yielded = False
            for chunk in reader(self._database.kind)(connection, request):
                yielded = True
                yield self._page(chunk, request, texts)
            if not yielded:
                yield self._page(Chunk(request.schema.empty_table(), None), request, texts)

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes of one column of one row, as a FILE field's value names them."""
        relation = self._relation(object_name)
        column, *key = json.loads(reference)
        table = core_table(relation)
        same_row = [
            sa.cast(table.c[name], sa.Text()) == value
            if not isinstance(table.c[name].type, (sa.Integer, sa.String))
            else table.c[name] == (int(value) if isinstance(table.c[name].type, sa.Integer) else value)
            for name, value in zip(self._key(relation), key, strict=True)
        ]
        with self._database.begin() as connection:
            found = connection.execute(sa.select(table.c[column]).where(*same_row)).scalar_one_or_none()
        if found is None:
            raise FatalError(
                f"{self._database.label}: {object_name}.{column} of {key} is gone",
                hint="the row was deleted or emptied since it was read: extract again",
            )
        return io.BytesIO(found if isinstance(found, bytes) else text(found).encode())

    def close(self) -> None:
        """Release the connection; may be called twice."""
        self._database.close()

    def _relation(self, name: str) -> Relation:
        if self._relations is None:
            self._relations = relations(self._database)
        if name not in self._relations:
            hint = did_you_mean(name, self._relations, noun="tables")
            raise FatalError(f"{self._database.label}: there is no table or view {name!r}", hint=hint)
        return self._relations[name]

    def _shown(self, relation: Relation) -> Relation:
        """The relation with columns of bytes as TEXT where there is no key to name them by."""
        if self._key(relation):
            return relation
        columns = tuple(
            replace(item, schema=replace(item.schema, type=FieldType.TEXT))
            if item.schema.type is FieldType.FILE
            else item
            for item in relation.columns
        )
        return replace(relation, columns=columns)

    def _key(self, relation: Relation) -> tuple[str, ...]:
        """The columns that together name a row; empty when only the whole row does."""
        one = key_column(relation, self._settings.keys)
        return (one,) if one else relation.primary_key

    def _deliveries(
        self, connection: sa.Connection, relation: Relation, start: Cursor | None
    ) -> tuple[Delivery, ...]:
        found = tuple(
            self._file_delivery(item, relation) if item.column.schema.type is FieldType.FILE else item
            for item in (source_delivery(column, self._database.kind) for column in relation.columns)
        )
        if self._database.kind != "sqlite":
            return found
        loose = start.as_text if start else _columns_with_misfits(connection, relation, found)
        return tuple(Delivery(item.column, pa.string()) if item.name in loose else item for item in found)

    def _file_delivery(self, delivery: Delivery, relation: Relation) -> Delivery:
        return Delivery(delivery.column, pa.bool_() if self._key(relation) else pa.string())

    def _page(self, chunk: Chunk, request: Request, texts: tuple[str, ...]) -> Page:
        relation = request.relation
        rows = _with_files(chunk.rows, request.deliveries, self._key(relation))
        if not key_column(relation, self._settings.keys):
            rows = rows.add_column(0, pk_name(relation), _made_key(rows, relation))
        rejects = tuple(self._reject(item, relation) for item in chunk.misfits)
        cursor = Cursor(chunk.key, texts).dump() if chunk.key is not None else None
        return Page(rows, rejects=rejects, cursor=cursor)

    def _reject(self, misfit: Misfit, relation: Relation) -> Reject:
        key = "|".join(str(misfit.row.get(name)) for name in self._key(relation)) or "?"
        return Reject(
            place=f"{self._database.label}/{relation.name}:{key}",
            rule="sql.value-type",
            message=f"{misfit.field}: {misfit.message}",
            raw=json.dumps(misfit.row, ensure_ascii=False),
        )


def _columns_with_misfits(
    connection: sa.Connection, relation: Relation, deliveries: Sequence[Delivery]
) -> tuple[str, ...]:
    """Columns of an SQLite table with a value that is not of the declared type; one scan for all of them."""
    conditions = {item.name: sqlite_misfits(item) for item in deliveries if not item.is_presence}
    checked = {name: condition for name, condition in conditions.items() if condition}
    if not checked:
        return ()
    tests = ", ".join(f"coalesce(max({condition}), 0)" for condition in checked.values())
    found = driver(connection).execute(f"SELECT {tests} FROM {table_name(relation)}").fetchone()
    return tuple(name for name, odd in zip(checked, found, strict=True) if odd)


def _with_files(rows: pa.Table, deliveries: Sequence[Delivery], key: Sequence[str]) -> pa.Table:
    """Replace what says that there are bytes by the text that names them: ["column", "key", …]."""
    for place, delivery in enumerate(deliveries):
        if delivery.is_presence:
            keys = zip(*(as_text(rows[name]).to_pylist() for name in key), strict=True)
            names = [
                json.dumps([delivery.name, *parts], ensure_ascii=False) if present else None
                for present, parts in zip(rows[delivery.name].to_pylist(), keys, strict=True)
            ]
            rows = rows.set_column(place, delivery.name, pa.array(names, pa.string()))
    return rows


def _made_key(rows: pa.Table, relation: Relation) -> pa.Array:
    joined = joined_key([pc.fill_null(as_text(rows[name]), "\x00") for name in key_parts(relation)])
    if relation.primary_key:
        return joined
    digests = [hashlib.sha256(row.encode()).hexdigest()[:32] for row in joined.to_pylist()]
    return pa.array(digests, pa.string())
