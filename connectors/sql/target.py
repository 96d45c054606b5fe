"""A database as a target: tables made with proper types, batches written whole or not at all, each row answered for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.sql import tables
from connectors.sql.catalog import Relation, describe, relations
from connectors.sql.checks import checked
from connectors.sql.database import Database
from connectors.sql.delivery import Delivery, as_text, target_delivery
from connectors.sql.failures import Refusal
from connectors.sql.fit import differences, listed
from connectors.sql.indexes import DueIndex, build_index, due_indexes, note_references
from connectors.sql.reading import Request, paging_key, with_misfits
from connectors.sql.reading_rows import reader
from connectors.sql.settings import SqlSettings
from connectors.sql.writing import Answers, Batch, Verb, Writer
from connectors.sql.writing_generic import write_generic
from connectors.sql.writing_postgres import write_postgres
from connectors.sql.writing_sqlite import write_sqlite
from migrator.core.connector import OUTCOMES, Gate, Limits, OpenGate, TargetFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import ObjectSchema

_KEYS_A_QUERY = 500
"""How many keys one query names: below the least number of parameters that any database takes."""
_AT_ONCE = {"postgresql": 2}
"""Calls in flight by kind of database: while PostgreSQL works on one batch, the next is made ready and sent."""
_WRITERS: dict[str, Writer] = {"postgresql": write_postgres, "sqlite": write_sqlite}


class SqlTarget:
    """Writes records into tables; one call is one transaction, and the external key is the record's id."""

    def __init__(self, settings: SqlSettings, writer: Writer | None = None) -> None:
        """`writer` replaces the dialect's own way of writing; the way for any database works everywhere."""
        self._settings = settings
        self._database = Database(settings, "r" if settings.read_only else "w")
        self._write = writer or _WRITERS.get(self._database.kind, write_generic)
        self._relations: dict[str, Relation] | None = None
        self._indexed = False
        self._gate: Gate = OpenGate()

    @property
    def facts(self) -> TargetFacts:
        """SQL makes tables, upserts by key and checks references itself."""
        return TargetFacts(
            batch_rows=self._settings.batch_rows,
            assigns_ids=False,
            creates_objects=self._settings.create_tables,
        )

    @property
    def limits(self) -> Limits:
        """As many calls at once as speed the database up; a project may set a rate."""
        return Limits(parallel=_AT_ONCE.get(self._database.kind, 1))

    def pace(self, gate: Gate) -> None:
        """From now on every write and every fetch asks this gate first."""
        self._gate = gate

    def describe(self) -> Sequence[ObjectSchema]:
        """All tables and views that the settings let through."""
        return [describe(item, self._settings.keys) for item in relations(self._database).values()]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Check every table that exists, then make those that are missing, all in one transaction where that can be.

        Raises `ProjectError` for names that cannot be, `SafetyStop` with every difference, before anything is made.
        """
        self._refuse_when_read_only("prepare tables")
        tables.check_names(schemas, self._database.kind)
        existing = relations(self._database, every=True)
        missing = [schema for schema in schemas if schema.name not in existing]
        found = [
            item
            for schema in schemas
            if schema.name in existing
            for item in differences(schema, existing[schema.name], self._database.kind)
        ]
        if not self._settings.create_tables:
            found += [f"{schema.name} is missing, and create_tables is false: make it" for schema in missing]
        if found:
            raise SafetyStop(
                f"{self._database.label}: the target does not fit what is to be written\n{listed(found)}",
                hint="change the tables or the mapping as said, and run again: nothing was changed",
            )
        self._create(schemas, [schema.name for schema in missing])
        self._relations, self._indexed = None, False

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Create or update rows by `key`; rows as they are already are 'unchanged' and not touched."""
        return self._written(Verb.UPSERT, object_name, rows, key)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set the columns given on rows that exist."""
        return self._written(Verb.UPDATE, object_name, rows, key)

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete rows by `key`; a row that others refer to is refused."""
        if not self._indexed:  # who refers to a row is asked for each row that goes
            for name in self.pending_indexes():
                self.build_index(name)
            self._indexed = True
        return self._written(Verb.DELETE, object_name, pa.table({key: pa.array(keys, pa.string())}), key)

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Rows in the order of the primary key, in the types they are written in.

        From the first page on that has a value which is not of its column's type (SQLite takes any), that column comes
        as text, and rows with such values stand last in their page.
        """
        relation = self._relation(object_name)
        wanted = tuple(columns) if columns is not None else relation.names
        for name in wanted:
            self._require_column(relation, name)
        with self._database.apart() as connection:
            key = paging_key(connection, self._database.kind, relation)
            request = Request(relation, _deliveries(relation, (*wanted, *key)), key, page_rows=page_rows)
            empty = True
            loose: frozenset[str] = frozenset()
            for chunk in reader(self._database.kind)(connection, request):
                empty = False
                page, loose = with_misfits(chunk, request.deliveries, loose)
                yield page.select(wanted)
            if empty:
                yield request.schema.empty_table().select(wanted)

    def pending_indexes(self) -> Sequence[str]:
        """Indexes of tables that were made here, or by a load that was killed, and are yet to be built; foreign keys go with them."""
        return tuple(self._due())

    def build_index(self, name: str) -> None:
        """Build one of them."""
        self._refuse_when_read_only("build an index")
        due = self._due()
        if name in due:
            build_index(self._database, due[name])
            self._relations = None  # there may be a foreign key more

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """Rows with these keys, in the types they are written in."""
        self._gate.admit()
        relation = self._relation(object_name)
        for name in (key, *columns):
            self._require_column(relation, name)
        request = Request(relation, _deliveries(relation, columns))
        found = [request.schema.empty_table()]
        column = relation.column(key)
        values = _key_values(keys, target_delivery(column).type) if column is not None else []
        with self._database.apart() as connection:
            for start in range(0, len(values), _KEYS_A_QUERY):
                only = (key, tuple(values[start : start + _KEYS_A_QUERY]))
                found += self._pages(connection, replace(request, only=only))
        return pa.concat_tables(found).select(list(columns))

    def close(self) -> None:
        """Release the connection; may be called twice."""
        self._database.close()

    def _pages(self, connection: sa.Connection, request: Request) -> Iterator[pa.Table]:
        for chunk in reader(self._database.kind)(connection, request):
            if chunk.misfits:
                first = chunk.misfits[0]
                place = f"{self._database.label}: {request.relation.name}.{first.field}"
                raise FatalError(
                    f"{place} holds what its type does not: {first.message}",
                    hint="somebody else wrote it; correct the row in the target",
                )
            yield chunk.rows

    # -- tables

    def _due(self) -> Mapping[str, DueIndex]:
        space = self._settings.schema
        with self._database.begin() as connection:
            return due_indexes(connection, space, sa.inspect(connection).get_multi_indexes(schema=space))

    def _create(self, schemas: Sequence[ObjectSchema], missing: Sequence[str]) -> None:
        if not missing:
            return
        metadata = tables.define(schemas, self._database.kind, self._settings.schema, missing)
        chosen = [table for table in metadata.tables.values() if table.name in missing]
        with self._database.begin() as connection:
            metadata.create_all(connection, tables=chosen, checkfirst=False)
            note_references(connection, chosen)

    def _relation(self, name: str) -> Relation:
        if self._relations is None:
            self._relations = relations(self._database, every=True)
        if name not in self._relations:
            hint = did_you_mean(name, self._relations, noun="tables")
            raise FatalError(
                f"{self._database.label}: there is no table {name!r}",
                hint=hint or "the load makes it: run that first, or check the url",
            )
        return self._relations[name]

    def _require_column(self, relation: Relation, name: str) -> None:
        if relation.column(name) is None:
            hint = did_you_mean(name, relation.names, noun="columns")
            raise FatalError(f"{self._database.label}: {relation.name} has no column {name!r}", hint=hint)

    def _refuse_when_read_only(self, what: str) -> None:
        if self._settings.read_only:
            raise FatalError(
                f"{self._database.label}: will not {what}: the system is marked read_only",
                hint="take read_only out of migration.yaml if this database is to be written to",
            )

    # -- writing

    def _written(self, verb: Verb, name: str, rows: pa.Table, key: str) -> pa.Table:
        """Check, write what passes, and answer for every key."""
        self._refuse_when_read_only(verb.value)
        self._gate.admit()
        relation = self._relation(name)
        for column in (key, *rows.column_names):
            self._require_column(relation, column)
        keys = as_text(rows[key])
        clean, refused = self._checked(relation, rows, key, keys)
        sent = [number for number in range(rows.num_rows) if number not in refused]
        answers = Answers({}, {})
        if sent:
            batch = Batch(relation, key, clean.take(pa.array(sent)) if refused else clean)
            with self._database.begin() as connection:
                answers = self._write(connection, verb, batch)
        if not refused and not answers.refused:
            return _all_written(keys, [answers.outcomes[number] for number in sent])
        outcomes = {sent[number]: outcome for number, outcome in answers.outcomes.items()}
        refused |= {sent[number]: reason for number, reason in answers.refused.items()}
        return _answered(keys.to_pylist(), outcomes, refused)

    def _checked(
        self, relation: Relation, rows: pa.Table, key: str, keys: pa.Array
    ) -> tuple[pa.Table, dict[int, Refusal]]:
        refused = _bad_keys(keys, key)
        columns = []
        for name in rows.column_names:
            column = relation.column(name)
            assert column is not None  # noqa: S101 (checked just before)
            taken, bad = checked(rows[name], column, self._database.kind)
            columns.append(taken)
            for number, reason in bad.items():
                refused.setdefault(number, reason)
        return pa.Table.from_arrays(columns, names=rows.column_names), refused


def _deliveries(relation: Relation, names: Sequence[str]) -> tuple[Delivery, ...]:
    wanted = frozenset(names)
    return tuple(target_delivery(item) for item in relation.columns if item.name in wanted)


def _key_values(keys: Sequence[str], type_: pa.DataType) -> list[int | str]:
    """Keys as every driver takes them in a comparison; one that cannot be a value of the column is the key of no row."""
    texts = pa.array(keys, pa.string())
    try:
        values = texts.cast(type_).to_pylist()
    except pa.ArrowInvalid:
        values = [value for text in keys for value in _cast(text, type_)]
    return [value if isinstance(value, (int, str)) else str(value) for value in values]


def _cast(text: str, type_: pa.DataType) -> list[Any]:
    try:
        return list(pa.array([text]).cast(type_).to_pylist())
    except pa.ArrowInvalid:
        return []


def _bad_keys(keys: pa.Array, name: str) -> dict[int, Refusal]:
    """Rows without a key, and all rows that share one: which of them is meant nobody can say."""
    if not keys.null_count and len(pc.unique(keys)) == len(keys):
        return {}
    texts = keys.to_pylist()
    counts = Counter(texts)
    missing = Refusal("key.missing", f"{name}: a row without its key cannot be written", name)
    return {
        number: missing
        if value is None
        else Refusal(
            "key.duplicate", f"{name}: {counts[value]} rows of this call carry the key {value!r}", name
        )
        for number, value in enumerate(texts)
        if value is None or counts[value] > 1
    }


def _all_written(keys: pa.Array, outcomes: Sequence[str]) -> pa.Table:
    """One answer per key when no row was refused: the usual case, without a look at single rows."""
    outcome = pa.array(outcomes, pa.string())
    nothing = pa.nulls(len(keys), pa.string())
    ids = pc.if_else(pc.equal(outcome, "missing"), nothing, keys)
    return pa.Table.from_arrays([keys, ids, outcome, nothing, nothing, nothing], schema=OUTCOMES)


def _answered(keys: Sequence[str | None], outcomes: dict[int, str], refused: dict[int, Refusal]) -> pa.Table:
    """One answer per key; rows without a key share the answer for ''."""
    answered: dict[str, int] = {}
    for number, key in enumerate(keys):
        answered.setdefault(key or "", number)
    reasons = {number: refused.get(number) for number in answered.values()}
    return pa.table(
        {
            "key": list(answered),
            "target_id": [
                None if reasons[number] or outcomes[number] == "missing" else key
                for key, number in answered.items()
            ],
            "outcome": ["refused" if reasons[number] else outcomes[number] for number in answered.values()],
            "code": [reason.code if reason else None for reason in reasons.values()],
            "field": [reason.field if reason else None for reason in reasons.values()],
            "message": [reason.message if reason else None for reason in reasons.values()],
        },
        schema=OUTCOMES,
    )
