"""Writing to any database through SQLAlchemy's Core: look up, then insert or update, all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa

from connectors.sql.delivery import instant
from connectors.sql.failures import Refusal, refusal
from connectors.sql.reading import core_table
from connectors.sql.writing import Answers, Batch, Verb, settle
from migrator.core.boundary import boundary

_KEYS_A_QUERY = 500
"""Oracle takes at most 1,000 values in a list, SQL Server 2,100 parameters a statement."""
_DEFERRING = ("postgresql", "oracle")


def write_generic(connection: sa.Connection, verb: Verb, batch: Batch) -> Answers:
    """Write a batch; see `writing.Writer`."""
    return _GenericWrite(connection, batch).run(verb)


class _GenericWrite:
    """One batch on its way in."""

    def __init__(self, connection: sa.Connection, batch: Batch) -> None:
        self._connection = connection
        self._batch = batch
        self._table = core_table(batch.relation)
        self._key = self._table.c[batch.key]
        self._rows = [self._prepared(row) for row in batch.rows.to_pylist()]

    def run(self, verb: Verb) -> Answers:
        """Decide for each row, then write each kind together."""
        present = self._present()
        outcomes = {
            number: self._decided(verb, row, present.get(row[self._batch.key]))
            for number, row in enumerate(self._rows)
        }
        refused: dict[int, Refusal] = {}
        for outcome in ("created", "updated", "deleted"):
            numbers = [number for number, decided in outcomes.items() if decided == outcome]
            refused |= settle(partial(self._attempt, outcome), numbers)
        boundary("sql.merged")
        kept = {number: outcome for number, outcome in outcomes.items() if number not in refused}
        return Answers(kept, refused)

    def _decided(self, verb: Verb, row: Mapping[str, Any], there: Mapping[str, Any] | None) -> str:
        match verb:
            case Verb.DELETE:
                return "deleted" if there is not None else "missing"
            case Verb.UPSERT if there is None:
                return "created"
            case Verb.UPDATE if there is None:
                return "missing"
            case _:
                return "unchanged" if there == row else "updated"

    def _present(self) -> dict[Any, dict[str, Any]]:
        columns = [self._table.c[name] for name in self._batch.rows.column_names]
        keys = [row[self._batch.key] for row in self._rows]
        found: dict[Any, dict[str, Any]] = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            query = sa.select(*columns).where(self._key.in_(keys[start : start + _KEYS_A_QUERY]))
            for row in self._connection.execute(query).mappings():
                plain = {name: self._same(name, row[name]) for name in self._batch.rows.column_names}
                found[plain[self._batch.key]] = plain
        return found

    def _attempt(self, outcome: str, numbers: Sequence[int]) -> Refusal | None:
        """Write the numbered rows on a savepoint; an error about rows is an answer."""
        try:
            with self._connection.begin_nested():
                self._execute(outcome, [self._rows[number] for number in numbers])
                self._check_references()
        except sa.exc.DBAPIError as error:
            reason = refusal(error)
            if reason is None:
                raise
            return reason
        return None

    def _check_references(self) -> None:
        """Have deferred foreign keys answer for these rows, not for the whole transaction at its end."""
        if self._connection.dialect.name in _DEFERRING:
            self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            self._connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")

    def _execute(self, outcome: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if outcome == "created":
            self._connection.execute(self._table.insert(), rows)
            return
        mine = self._key == sa.bindparam("key_of_row")
        keyed = [{**row, "key_of_row": row[self._batch.key]} for row in rows]
        if outcome == "deleted":
            self._connection.execute(self._table.delete().where(mine), keyed)
            return
        changes: dict[str, Any] = {
            name: sa.bindparam(f"value_{place}") for place, name in enumerate(self._batch.others)
        }
        values = [
            {f"value_{place}": row[name] for place, name in enumerate(self._batch.others)}
            | {"key_of_row": row["key_of_row"]}
            for row in keyed
        ]
        self._connection.execute(self._table.update().where(mine).values(changes), values)

    def _prepared(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._same(name, value) for name, value in row.items()}

    def _same(self, name: str, value: object) -> object:
        """A value as the column takes and gives it: instants without a zone where the column has none."""
        if isinstance(value, datetime):
            found = instant(value)
            zoned = getattr(self._table.c[name].type, "timezone", False)
            return found.astimezone(UTC) if zoned else found.replace(tzinfo=None)
        if isinstance(value, float) and isinstance(self._table.c[name].type, sa.Numeric):
            return value if isinstance(self._table.c[name].type, sa.Float) else Decimal(repr(value))
        return value
