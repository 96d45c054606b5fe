"""Writing to PostgreSQL: COPY into a temporary table, then one merge; a batch with bad rows is taken apart on savepoints."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from pyarrow import csv

from connectors.sql.catalog import ForeignKey, stored_field
from connectors.sql.database import driver, quote
from connectors.sql.failures import Refusal, refusal
from connectors.sql.reading import table_name
from connectors.sql.writing import Answers, Batch, Verb, isolate, settle
from migrator.core.boundary import boundary
from migrator.core.schema import FieldType

_INCOMING = 'pg_temp."__incoming"'
_NUMBER = '"__n"'
_COPY_BYTES = 1 << 20
_WITHOUT_EQUALITY = (FieldType.JSON, FieldType.TEXT)


def write_postgres(connection: sa.Connection, verb: Verb, batch: Batch) -> Answers:
    """Write a batch; see `writing.Writer`."""
    return _PostgresWrite(driver(connection), batch).run(verb)


class _PostgresWrite:
    """One batch on its way in; the rows lie in a temporary table under their numbers."""

    def __init__(self, connection: psycopg.Connection[Any], batch: Batch) -> None:
        self._cursor = connection.cursor()
        self._batch = batch
        self._table = table_name(batch.relation)

    def run(self, verb: Verb) -> Answers:
        """Stage, write, and say what became of each row."""
        self._make_incoming()
        refused = self._stage()
        boundary("sql.staged")
        outcomes: dict[int, str] = {}
        if verb is Verb.DELETE:
            refused |= self._delete(outcomes)
        else:
            refused |= self._merge(verb, outcomes)
        boundary("sql.merged")
        self._run(f"DROP TABLE {_INCOMING}")
        rest = "unchanged" if verb is Verb.UPSERT else "missing"
        return Answers(
            {
                number: outcomes.get(number, rest)
                for number in range(self._batch.rows.num_rows)
                if number not in refused
            },
            refused,
        )

    # -- staging

    def _make_incoming(self) -> None:
        columns = ", ".join(quote(name) for name in self._batch.rows.column_names)
        self._run(
            f'CREATE TEMP TABLE "__incoming" ON COMMIT DROP AS '
            f"SELECT 0 AS {_NUMBER}, {columns} FROM {self._table} WITH NO DATA"
        )

    def _stage(self) -> dict[int, Refusal]:
        """COPY all rows; where a value is not of its column's type, all but the rows that have one."""
        return isolate(self._attempt(self._copy), range(self._batch.rows.num_rows))

    def _copy(self, numbers: Sequence[int]) -> None:
        rows = self._batch.rows.slice(numbers[0], len(numbers))
        numbered = rows.add_column(0, "__n", pa.array(numbers, pa.int32()))
        buffer = io.BytesIO()
        csv.write_csv(_without_zones(numbered), buffer, csv.WriteOptions(include_header=False))
        data = buffer.getbuffer()
        columns = ", ".join(quote(name) for name in numbered.column_names)
        with self._cursor.copy(f"COPY {_INCOMING} ({columns}) FROM STDIN (FORMAT csv)") as copy:
            for start in range(0, len(data), _COPY_BYTES):
                copy.write(data[start : start + _COPY_BYTES])

    # -- merging

    def _merge(self, verb: Verb, outcomes: dict[int, str]) -> dict[int, Refusal]:
        """Merge all staged rows in one statement, again without the refused ones until it goes through."""
        refused: dict[int, Refusal] = {}
        statement = self._upsert if verb is Verb.UPSERT else self._update
        if verb is Verb.UPSERT and self._none_is_there() and self._write_all(self._insert, outcomes) is None:
            return refused
        while reason := self._write_all(statement, outcomes):
            bad = self._orphans(verb) if reason.code == "constraint.foreign-key" else {}
            bad = bad or self._found_by_halves(statement)
            if not bad:  # no row fails by itself: they only stand in each other's way when written at once
                return refused | self._by_parts(statement, outcomes)
            refused |= bad
            self._run(f"DELETE FROM {_INCOMING} WHERE {_NUMBER} = ANY({_array(bad)})")
        return refused

    def _write_all(
        self, statement: Callable[[str], Iterable[tuple[int, str]]], outcomes: dict[int, str]
    ) -> Refusal | None:
        return self._attempt(lambda numbers: self._write_checked(statement, numbers, outcomes))(())

    def _write_checked(
        self,
        statement: Callable[[str], Iterable[tuple[int, str]]],
        numbers: Sequence[int],
        written: dict[int, str],
    ) -> None:
        chosen = f"WHERE i.{_NUMBER} = ANY({_array(numbers)})" if numbers else ""
        found = dict(statement(chosen))
        self._run("SET CONSTRAINTS ALL IMMEDIATE")
        self._run("SET CONSTRAINTS ALL DEFERRED")
        written.update(found)

    def _found_by_halves(self, statement: Callable[[str], Iterable[tuple[int, str]]]) -> dict[int, Refusal]:
        """The rows that fail by themselves; leaves nothing written."""
        self._run("SAVEPOINT halves")
        found = self._by_parts(statement, {})
        self._run("ROLLBACK TO SAVEPOINT halves")
        self._run("RELEASE SAVEPOINT halves")
        return found

    def _by_parts(
        self, statement: Callable[[str], Iterable[tuple[int, str]]], outcomes: dict[int, str]
    ) -> dict[int, Refusal]:
        """Write in as many parts as it takes; returns the rows that fail even alone and after the others."""
        attempt = self._attempt(lambda numbers: self._write_checked(statement, numbers, outcomes))
        return settle(attempt, self._staged())

    def _staged(self) -> list[int]:
        self._cursor.execute(f"SELECT {_NUMBER} FROM {_INCOMING} ORDER BY 1")
        return [number for (number,) in self._cursor.fetchall()]

    def _insert(self, _chosen: str) -> Iterable[tuple[int, str]]:
        """All rows, where none of their keys is there yet: the first load, without the cost of a merge."""
        columns = ", ".join(quote(name) for name in self._batch.rows.column_names)
        self._run(f"INSERT INTO {self._table} ({columns}) SELECT {columns} FROM {_INCOMING}")
        return dict.fromkeys(self._staged(), "created").items()

    def _none_is_there(self) -> bool:
        key = quote(self._batch.key)
        # OFFSET 0 keeps it one index look-up a row; a join with LIMIT tempts the planner to scan the whole table
        same = f"SELECT 1 FROM {self._table} t WHERE t.{key} = i.{key} OFFSET 0"
        self._run(f"SELECT 1 FROM {_INCOMING} i WHERE EXISTS ({same}) LIMIT 1")
        return self._cursor.fetchone() is None

    def _upsert(self, chosen: str) -> Iterable[tuple[int, str]]:
        batch, key = self._batch, quote(self._batch.key)
        columns = ", ".join(quote(name) for name in batch.rows.column_names)
        conflict = "NOTHING"
        if batch.others:
            sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in batch.others)
            conflict = f"UPDATE SET {sets} WHERE {self._differs('t', 'excluded')}"
        query = (
            f"WITH done AS (INSERT INTO {self._table} AS t ({columns}) SELECT {columns} FROM {_INCOMING} i {chosen} "
            f"ON CONFLICT ({key}) DO {conflict} RETURNING t.{key} AS k, t.xmax = 0 AS fresh) "
            f"SELECT i.{_NUMBER}, done.fresh FROM done JOIN {_INCOMING} i ON i.{key} = done.k"
        )
        # a row that ON CONFLICT updated carries its locker in xmax; a new one carries none
        self._cursor.execute(query)
        return [(number, "created" if fresh else "updated") for number, fresh in self._cursor.fetchall()]

    def _update(self, chosen: str) -> Iterable[tuple[int, str]]:
        key = quote(self._batch.key)
        where = chosen.replace("WHERE", "AND", 1)
        found: dict[int, str] = {}
        self._cursor.execute(
            f"SELECT i.{_NUMBER} FROM {_INCOMING} i JOIN {self._table} t ON t.{key} = i.{key} {chosen}"
        )
        found.update((number, "unchanged") for (number,) in self._cursor.fetchall())
        if self._batch.others:
            sets = ", ".join(f"{quote(name)} = i.{quote(name)}" for name in self._batch.others)
            self._cursor.execute(
                f"UPDATE {self._table} AS t SET {sets} FROM {_INCOMING} i "
                f"WHERE t.{key} = i.{key} AND {self._differs('t', 'i')} {where} RETURNING i.{_NUMBER}"
            )
            found.update((number, "updated") for (number,) in self._cursor.fetchall())
        return found.items()

    def _differs(self, left: str, right: str) -> str:
        def side(alias: str) -> str:
            return ", ".join(f"{alias}.{quote(name)}{self._comparable(name)}" for name in self._batch.others)

        return f"ROW({side(left)}) IS DISTINCT FROM ROW({side(right)})"

    def _comparable(self, name: str) -> str:
        """Types without an equality (json, xml, point) are compared as text."""
        column = self._batch.relation.column(name)
        if column is None or isinstance(column.type, sa.String):
            return ""
        return "::text" if stored_field(column, "postgresql").type in _WITHOUT_EQUALITY else ""

    # -- references

    def _orphans(self, verb: Verb) -> dict[int, Refusal]:
        """Staged rows with a reference to a record that is neither there nor comes with this batch."""
        found: dict[int, Refusal] = {}
        for foreign_key in self._batch.relation.foreign_keys:
            if foreign_key.column in self._batch.rows.column_names:
                self._cursor.execute(self._orphan_query(foreign_key, verb))
                for number, value in self._cursor.fetchall():
                    message = f"{foreign_key.column}: there is no {foreign_key.table} {value!r}"
                    found[number] = Refusal("constraint.foreign-key", message, foreign_key.column)
        return found

    def _orphan_query(self, foreign_key: ForeignKey, verb: Verb) -> str:
        column, referred = quote(foreign_key.column), quote(foreign_key.referred)
        parent = ".".join(quote(part) for part in (self._batch.relation.namespace, foreign_key.table) if part)
        query = (
            f"SELECT i.{_NUMBER}, i.{column}::text FROM {_INCOMING} i WHERE i.{column} IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.{referred} = i.{column})"
        )
        itself = verb is Verb.UPSERT and foreign_key.table == self._batch.relation.name
        if itself and foreign_key.referred in self._batch.rows.column_names:
            query += f" AND NOT EXISTS (SELECT 1 FROM {_INCOMING} j WHERE j.{referred} = i.{column})"
        return query

    # -- deleting

    def _delete(self, outcomes: dict[int, str]) -> dict[int, Refusal]:
        key = quote(self._batch.key)

        def delete(numbers: Sequence[int]) -> None:
            self._cursor.execute(
                f"DELETE FROM {self._table} t USING {_INCOMING} i "
                f"WHERE t.{key} = i.{key} AND i.{_NUMBER} = ANY({_array(numbers)}) RETURNING i.{_NUMBER}"
            )
            gone = self._cursor.fetchall()
            self._run("SET CONSTRAINTS ALL IMMEDIATE")
            self._run("SET CONSTRAINTS ALL DEFERRED")
            outcomes.update((number, "deleted") for (number,) in gone)

        return settle(self._attempt(delete), self._staged())

    # -- plumbing

    def _attempt(self, write: Callable[[Sequence[int]], None]) -> Callable[[Sequence[int]], Refusal | None]:
        """`write` on a savepoint: what the database says against rows is an answer, anything else is raised."""

        def attempt(numbers: Sequence[int]) -> Refusal | None:
            reason = None
            self._run("SAVEPOINT attempt")
            try:
                write(numbers)
            except psycopg.Error as error:
                reason = refusal(error)
                if reason is None:
                    raise
                self._run("ROLLBACK TO SAVEPOINT attempt")
            self._run("RELEASE SAVEPOINT attempt")
            return reason

        return attempt

    def _run(self, statement: str) -> None:
        self._cursor.execute(statement)


def _without_zones(rows: pa.Table) -> pa.Table:
    """Instants as plain times: the session is in UTC, and Arrow writes them many times faster so."""
    plain = [
        pa.field(field.name, pa.timestamp("us") if pa.types.is_timestamp(field.type) else field.type)
        for field in rows.schema
    ]
    return rows.cast(pa.schema(plain))


def _array(numbers: Iterable[int]) -> str:
    return "ARRAY[" + ", ".join(f"{number:d}" for number in numbers) + "]::int[]"
