"""Writing to SQLite: executemany in one transaction; the driver's own progress tells which row was refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.sql.catalog import ForeignKey
from connectors.sql.database import driver, quote
from connectors.sql.decimals import stored_decimals, written
from connectors.sql.failures import Refusal, refusal
from connectors.sql.reading import table_name
from connectors.sql.writing import Answers, Batch, Verb
from migrator.core.boundary import boundary

Row = tuple[Any, ...]


def write_sqlite(connection: sa.Connection, verb: Verb, batch: Batch) -> Answers:
    """Write a batch; see `writing.Writer`."""
    return _SqliteWrite(driver(connection), batch).run(verb)


def storable(values: pa.ChunkedArray | pa.Array) -> list[Any]:
    """A column as SQLite stores it: decimals as number or digits (see `decimals`), times as ISO text."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_decimal(whole.type):
        return stored_decimals(written(whole))
    if pa.types.is_timestamp(whole.type):
        # without the zone for the cast: with it Arrow takes fifteen times as long, and it is UTC anyway
        naive = whole.cast(pa.timestamp("us")).cast(pa.string())
        whole = pc.binary_join_element_wise(naive, "Z", "")
    elif pa.types.is_temporal(whole.type):
        whole = whole.cast(pa.string())
    elif pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.int8())
    if pa.types.is_string(whole.type) or not whole.null_count:
        found: list[Any] = whole.to_numpy(zero_copy_only=False).tolist()
        return found
    return list(whole.to_pylist())


class _SqliteWrite:
    """One batch on its way in."""

    def __init__(self, connection: sqlite3.Connection, batch: Batch) -> None:
        self._connection = connection
        self._batch = batch
        self._table = table_name(batch.relation)
        self._keys = storable(batch.rows[batch.key])

    def run(self, verb: Verb) -> Answers:
        """Write, again without orphans until none is left, and say what became of each row."""
        refused: dict[int, Refusal] = {}
        while True:
            outcomes, bad = self._once(verb, refused)
            if not bad:
                boundary("sql.merged")
                return Answers(outcomes, refused)
            refused |= bad

    def _once(self, verb: Verb, refused: dict[int, Refusal]) -> tuple[dict[int, str], dict[int, Refusal]]:
        """One try on a savepoint; with rows whose references stay open, nothing is written and they are returned."""
        self._connection.execute("SAVEPOINT batch")
        at_the_end = self._checks_at_the_end(verb)
        if at_the_end:
            self._connection.execute("PRAGMA defer_foreign_keys = ON")
        numbers = [number for number in range(len(self._keys)) if number not in refused]
        outcomes, failed = self._write(verb, numbers)
        orphans = self._orphans(verb, outcomes) if at_the_end else {}
        if orphans:
            self._connection.execute("ROLLBACK TO batch")
            outcomes = {}
        else:
            refused |= failed
        self._connection.execute("RELEASE batch")
        return outcomes, orphans

    def _write(self, verb: Verb, numbers: Sequence[int]) -> tuple[dict[int, str], dict[int, Refusal]]:
        if verb is Verb.DELETE:
            return self._delete(numbers)
        values = [storable(column) for column in self._batch.rows.columns]
        whole = len(numbers) == len(self._keys)
        if verb is Verb.UPSERT and whole and self._key_is_unique() and self._all_new(values):
            return dict.fromkeys(numbers, "created"), {}
        present = self._present()
        rows: list[Row] = list(zip(*values, strict=True))
        new = [(number, rows[number]) for number in numbers if number not in present]
        changed = [
            (number, rows[number])
            for number in numbers
            if self._batch.others and number in present and present[number] != rows[number]
        ]
        outcomes = dict.fromkeys((number for number in numbers if number in present), "unchanged")
        if verb is Verb.UPDATE:
            outcomes |= {number: "missing" for number, _ in new}
            new = []
        else:
            outcomes |= {number: "created" for number, _ in new}
        outcomes |= {number: "updated" for number, _ in changed}
        failed = self._many(self._insert_statement(), new) | self._many(
            self._update_statement(), self._update_rows(changed)
        )
        kept = {number: outcome for number, outcome in outcomes.items() if number not in failed}
        return kept, failed | self._said_in_full(failed)

    def _key_is_unique(self) -> bool:
        """Whether the database itself refuses a second row with the same key."""
        relation, key = self._batch.relation, self._batch.key
        return relation.primary_key == (key,) or key in relation.unique

    def _all_new(self, values: Sequence[Sequence[Any]]) -> bool:
        """Insert all rows at once, as most batches of a first load can be; nothing is written when one of them cannot."""
        self._connection.execute("SAVEPOINT inserted")
        try:
            self._connection.executemany(self._insert_statement(), zip(*values, strict=True))
            written = True
        except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError):
            self._connection.execute("ROLLBACK TO inserted")
            written = False
        self._connection.execute("RELEASE inserted")
        return written

    def _present(self) -> dict[int, Row]:
        """What is there now under the keys of this batch, by row number."""
        columns = ", ".join(f"t.{quote(name)}" for name in self._batch.rows.column_names)
        query = (
            f"SELECT k.key, {columns} FROM json_each(?) k CROSS JOIN {self._table} t "
            f"ON t.{quote(self._batch.key)} = k.value"
        )
        return {row[0]: row[1:] for row in self._connection.execute(query, (json.dumps(self._keys),))}

    def _insert_statement(self) -> str:
        names = self._batch.rows.column_names
        columns = ", ".join(quote(name) for name in names)
        # ABORT: a table declared ON CONFLICT REPLACE would lose the row that is there
        return f"INSERT OR ABORT INTO {self._table} ({columns}) VALUES ({', '.join('?' * len(names))})"

    def _update_statement(self) -> str:
        sets = ", ".join(f"{quote(name)} = ?" for name in self._batch.others)
        return f"UPDATE {self._table} SET {sets} WHERE {quote(self._batch.key)} = ?"

    def _update_rows(self, rows: Sequence[tuple[int, Row]]) -> list[tuple[int, Row]]:
        place = self._batch.rows.column_names.index(self._batch.key)
        return [(number, (*row[:place], *row[place + 1 :], row[place])) for number, row in rows]

    def _many(self, statement: str, rows: Sequence[tuple[int, Row]]) -> dict[int, Refusal]:
        """Run a statement for all rows; those refused get another chance after the others, while that helps."""
        pending = list(rows)
        while pending:
            failed = self._pass(statement, pending)
            if not failed or len(failed) == len(pending):
                return failed
            pending = [item for item in pending if item[0] in failed]
        return {}

    def _pass(self, statement: str, rows: Sequence[tuple[int, Row]]) -> dict[int, Refusal]:
        failed: dict[int, Refusal] = {}
        current = -1

        def parameters() -> Iterator[Row]:
            nonlocal current
            for number, row in remaining:
                current = number
                yield row

        remaining = iter(rows)
        while True:
            try:
                # the driver takes one row at a time, so the row it took last is the one that was refused
                self._connection.executemany(statement, parameters())
            except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as error:
                reason = refusal(error)
                if reason is None:
                    raise
                failed[current] = reason
            else:
                return failed

    def _delete(self, numbers: Sequence[int]) -> tuple[dict[int, str], dict[int, Refusal]]:
        key = quote(self._batch.key)
        query = f"SELECT k.key FROM json_each(?) k CROSS JOIN {self._table} t ON t.{key} = k.value"
        present = {row[0] for row in self._connection.execute(query, (json.dumps(self._keys),))}
        there = [(number, (self._keys[number],)) for number in numbers if number in present]
        failed = self._many(f"DELETE FROM {self._table} WHERE {key} = ?", there)
        outcomes = {number: "deleted" if number in present else "missing" for number in numbers}
        return {number: outcome for number, outcome in outcomes.items() if number not in failed}, failed

    # -- references that are checked at the end only

    def _said_in_full(self, failed: Mapping[int, Refusal]) -> dict[int, Refusal]:
        """Which reference it is that leads nowhere: SQLite itself does not say."""
        outcomes = {n: "refused" for n, reason in failed.items() if reason.code == "constraint.foreign-key"}
        return self._leading_nowhere(outcomes) if outcomes else {}

    def _checks_at_the_end(self, verb: Verb) -> bool:
        """Whether a row may come before what it refers to: then every reference is looked up once more."""
        if verb is Verb.DELETE:
            return True
        relation, columns = self._batch.relation, self._batch.rows.column_names
        changed = {name.casefold() for name in self._batch.others}
        return any(
            item.deferred
            or (item.table == relation.name and (verb is Verb.UPSERT or item.referred.casefold() in changed))
            for item in relation.foreign_keys
            if item.column in columns
        )

    def _orphans(self, verb: Verb, outcomes: dict[int, str]) -> dict[int, Refusal]:
        return self._still_referred(outcomes) if verb is Verb.DELETE else self._leading_nowhere(outcomes)

    def _leading_nowhere(self, outcomes: Mapping[int, str]) -> dict[int, Refusal]:
        found: dict[int, Refusal] = {}
        for foreign_key in self._batch.relation.foreign_keys:
            if foreign_key.column in self._batch.rows.column_names:
                found |= self._pointing_nowhere(foreign_key, outcomes)
        return found

    def _pointing_nowhere(self, foreign_key: ForeignKey, outcomes: Mapping[int, str]) -> dict[int, Refusal]:
        values = storable(self._batch.rows[foreign_key.column])
        named = {values[number] for number, outcome in outcomes.items() if outcome != "missing"} - {None}
        query = (
            f"SELECT k.value FROM json_each(?) k WHERE NOT EXISTS (SELECT 1 FROM {quote(foreign_key.table)} p "
            f"WHERE p.{quote(foreign_key.referred)} = k.value)"
        )
        lost = {value for (value,) in self._connection.execute(query, (json.dumps(sorted(named)),))}
        return {
            number: Refusal(
                "constraint.foreign-key",
                f"{foreign_key.column}: there is no {foreign_key.table} {values[number]!r}",
                foreign_key.column,
            )
            for number in (outcomes if lost else ())
            if values[number] in lost and outcomes[number] != "missing"
        }

    def _still_referred(self, outcomes: dict[int, str]) -> dict[int, Refusal]:
        """Deleted rows that rows which stay point to."""
        found: dict[int, Refusal] = {}
        deleted = {number for number, outcome in outcomes.items() if outcome == "deleted"}
        keys = json.dumps({str(number): self._keys[number] for number in deleted})
        for table, column, referred in self._pointing_here():
            if referred == self._batch.key:
                query = (
                    f"SELECT k.key FROM json_each(?) k WHERE EXISTS "
                    f"(SELECT 1 FROM {quote(table)} c WHERE c.{quote(column)} = k.value)"
                )
                for (number,) in self._connection.execute(query, (keys,)):
                    message = f"{table}.{column} still refers to it"
                    found[int(number)] = Refusal("constraint.foreign-key", message)
        return found

    def _pointing_here(self) -> list[tuple[str, str, str]]:
        """(table, column, referred column) of every foreign key in the database that refers to this table."""
        query = (
            'SELECT m.name, f."from", f."to" FROM sqlite_master m, pragma_foreign_key_list(m.name) f '
            "WHERE m.type = 'table' AND lower(f.\"table\") = lower(?)"
        )
        rows = self._connection.execute(query, (self._batch.relation.name,)).fetchall()
        own = (*self._batch.relation.primary_key, "")[0]
        return [(table, column, referred or own) for table, column, referred in rows]
