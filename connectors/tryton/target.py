"""Tryton as a target: records found by their external key, made many in a call, changed one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from connectors.tryton.rpc import Refused, Rpc
from migrator.core.connector import OUTCOMES, Identity, TargetFacts
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import ObjectSchema

Row = Mapping[str, Any]


class TrytonTarget:
    """Writes to the models of the settings. A call is a transaction of the server: all of it or nothing."""

    facts = TargetFacts(batch_rows=200, assigns_ids=True, creates_objects=False)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._rpc = Rpc(settings)

    def identify(self) -> Identity:
        """Signs in; Tryton does not say whether real users work there."""
        self._rpc.client.credentials.headers()
        return Identity("Tryton", self._rpc.client.address, self._rpc.database, self._rpc.user)

    def describe(self) -> Sequence[ObjectSchema]:
        """The models of the settings."""
        return [self._rpc.schema(name) for name in self._rpc.models]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Every field must be there and writable; models are made by Tryton's own modules."""
        for wanted in schemas:
            fields = [self._rpc.field(wanted.name, item.name) for item in wanted.fields]
            fixed = [item.name for item in fields if item.read_only and item.name != "id"]
            if fixed:
                hint = "leave them out of the mapping"
                raise SafetyStop(f"Tryton: {wanted.name}: cannot be written: {', '.join(fixed)}", hint=hint)

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Change what is there, then make the rest in one call, halved while the server refuses it."""
        changed, new = self._changed(object_name, rows, key)
        return _answered(changed + self._made(object_name, new, key))

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set the columns given on records that exist."""
        changed, lost = self._changed(object_name, rows, key)
        return _answered(changed + [_said(str(row[key]), "missing") for row in lost])

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete one by one, so that a record others need keeps only itself."""
        there = self._there(object_name, keys, key, [key])
        return _answered(
            [
                self._tried(one, there[one]["id"], "deleted", object_name, "delete", [int(there[one]["id"])])
                if one in there
                else _said(one, "missing")
                for one in keys
            ]
        )

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Records in the order of their ids."""
        names = list(columns or self._rpc.schema(object_name).field_names)
        last, rows = 0, None
        while rows is None or rows.num_rows == page_rows:
            rows = self._rpc.rows(object_name, [["id", ">", last]], [*names, "id"], page_rows)
            last = int(rows.column("id")[-1].as_py()) if rows.num_rows else last
            yield rows.select(names)

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """Records by external key or by id."""
        asked = [self._rpc.value(object_name, key, one) for one in keys]
        return self._rpc.rows(object_name, [[key, "in", asked]], columns)

    def close(self) -> None:
        """Release the connections."""
        self._rpc.client.close()

    def _there(self, model: str, keys: Sequence[str], key: str, names: Sequence[str]) -> dict[str, Row]:
        """What the server holds under some keys, by key."""
        found = self.fetch(model, keys, key=key, columns=[*names, "id"]).to_pylist()
        by_key = {str(row[key]): row for row in found}
        if len(by_key) < len(found):
            hint = "an external key must be unique: choose another field, or merge them"
            raise FatalError(f"{model}: several records share a value of {key}", hint=hint)
        return by_key

    def _changed(self, model: str, rows: pa.Table, key: str) -> tuple[list[Row], list[Row]]:
        """Answers for the records that are there, changed where they differ; and the rows of those that are not."""
        keys = [str(value) for value in rows.column(key).to_pylist()]
        there = self._there(model, keys, key, rows.column_names)
        answers, new = [], []
        for one, row in zip(keys, rows.to_pylist(), strict=True):
            if one not in there:
                new.append(row)
                continue
            record = there[one]["id"]
            other = self._values(
                model, {name: value for name, value in row.items() if value != there[one][name]}
            )
            answers.append(
                self._tried(one, record, "updated", model, "write", [int(record)], other)
                if other
                else _said(one, "unchanged", record)
            )
        return answers, new

    def _made(self, model: str, rows: Sequence[Row], key: str) -> list[Row]:
        if not rows:
            return []
        try:
            ids = self._rpc.call(model, "create", [self._values(model, row) for row in rows])
        except Refused as error:
            if len(rows) == 1:
                return [_said(str(rows[0][key]), "refused", None, error)]
            half = len(rows) // 2
            return self._made(model, rows[:half], key) + self._made(model, rows[half:], key)
        return [_said(str(row[key]), "created", str(made)) for row, made in zip(rows, ids, strict=True)]

    def _values(self, model: str, row: Row) -> dict[str, Any]:
        return {name: self._rpc.value(model, name, value) for name, value in row.items()}

    def _tried(self, key: str, record: str, outcome: str, model: str, verb: str, *params: Any) -> Row:
        try:
            self._rpc.call(model, verb, *params)
        except Refused as error:
            return _said(key, "refused", record, error)
        return _said(key, outcome, record)


def _said(key: str, outcome: str, record: str | None = None, error: Refused | None = None) -> Row:
    code, message = error.args if error else (None, None)
    return {"key": key, "target_id": record, "outcome": outcome, "code": code, "field": None, "message": message}  # fmt: skip


def _answered(answers: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(answers), schema=OUTCOMES)
