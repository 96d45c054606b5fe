"""A source and a target that live in memory: real connectors that keep every sentence of the contract, for tests and rehearsals."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, cast

import pyarrow as pa

from migrator.core.connector import OUTCOMES, Page, Reject, SourceFacts, TargetFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_TEXT = frozenset(
    {
        FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST,
        FieldType.MULTI_PICKLIST, FieldType.FILE, FieldType.JSON,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """One object of a `MemorySource`: its schema, its rows, and what could not be read of it."""

    schema: ObjectSchema
    rows: pa.Table
    rejects: tuple[Reject, ...] = ()
    """Delivered with the first page."""


class MemorySource:
    """Objects held as Arrow tables; cursors are row offsets."""

    def __init__(
        self,
        objects: Sequence[MemoryObject],
        *,
        facts: SourceFacts = SourceFacts(),  # noqa: B008 (frozen)
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.objects = {item.schema.name: item for item in objects}
        self.facts = facts
        self.files = dict(files or {})

    def describe(self) -> Sequence[ObjectSchema]:
        """Schemas in the order given."""
        return [item.schema for item in self.objects.values()]

    def count(self, object_name: str) -> int | None:
        """Rows of an object."""
        return int(self._object(object_name).rows.num_rows)

    def fingerprint(self, object_name: str) -> str:
        """A digest of the rows, or '' when the source is live."""
        if self.facts.live:
            return ""
        digest = hashlib.sha256()
        sink = pa.BufferOutputStream()
        found = self._object(object_name)
        with pa.ipc.new_stream(sink, found.rows.schema) as writer:
            writer.write_table(found.rows)
        digest.update(sink.getvalue())
        digest.update(repr(found.rejects).encode())
        return digest.hexdigest()[:32]

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Slices of the table; every page has a cursor, an empty object has one page without rows."""
        found = self._object(object_name)
        start = int(cursor) if cursor is not None else 0
        total = found.rows.num_rows
        for offset in range(start, total, page_rows) or ((0,) if cursor is None else ()):
            rows = found.rows.slice(offset, page_rows)
            end = offset + rows.num_rows
            yield Page(
                rows,
                pa.array(
                    [f"memory!{object_name}:{number}" for number in range(offset + 1, end + 1)], pa.string()
                ),
                found.rejects if offset == 0 else (),
                str(end),
            )

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes kept under `reference`."""
        if reference not in self.files:
            raise FatalError(f"{object_name}: there is no file {reference!r}", hint="check the export")
        return io.BytesIO(self.files[reference])

    def close(self) -> None:
        """Nothing to release."""

    def _object(self, name: str) -> MemoryObject:
        if name not in self.objects:
            raise FatalError(
                f"there is no object {name!r}", hint=did_you_mean(name, self.objects, noun="objects")
            )
        return self.objects[name]


@dataclass(frozen=True, slots=True)
class Call:
    """One write a `MemoryTarget` was asked for."""

    verb: str
    object: str
    keys: tuple[str, ...]


@dataclass
class _Stored:
    """An object of the target: its schema, and its records by record id."""

    schema: ObjectSchema
    records: dict[str, dict[str, Any]] = field(default_factory=dict)


class MemoryTarget:
    """A CRM in memory that checks types, lengths, required and unique fields, picklists and references, row by row.

    With `assigns_ids` a record's id is made by the target and stands in the object's key field, which is read-only;
    without, the external key is the record's id. References hold record ids. `calls` lists every write in order.
    """

    def __init__(
        self,
        schemas: Sequence[ObjectSchema] = (),
        *,
        assigns_ids: bool = False,
        facts: TargetFacts | None = None,
    ) -> None:
        self.facts = facts or TargetFacts(
            batch_rows=200, assigns_ids=assigns_ids, creates_objects=not assigns_ids
        )
        self.calls: list[Call] = []
        self._objects = {item.name: _Stored(item) for item in schemas}
        self._assigned = 0

    def describe(self) -> Sequence[ObjectSchema]:
        """Schemas in the order of their making."""
        return [item.schema for item in self._objects.values()]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Create missing objects when `creates_objects`; refuse what does not fit, before the first row."""
        wrong: list[str] = []
        for schema in schemas:
            stored = self._objects.get(schema.name)
            if stored is not None:
                wrong += _misfits(stored.schema, schema)
            elif not self.facts.creates_objects:
                wrong.append(f"{schema.name}: there is no such object")
        if wrong:
            raise SafetyStop(
                "the target does not fit what is to be written: " + "; ".join(wrong),
                hint="change the target or the mapping, then run again",
            )
        for schema in schemas:
            self._objects.setdefault(schema.name, _Stored(schema))

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Create or update each row on its own; see `Target.upsert`."""
        stored = self._begin("upsert", object_name, rows, key)
        by_key = self._ids_by_key(stored, key)
        answers = []
        for row in rows.to_pylist():
            record_id = by_key.get(str(row[key]))
            answers.append(
                self._create(stored, row, key)
                if record_id is None
                else self._change(stored, record_id, row, key)
            )
        return _outcomes(answers)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set the columns given on records that exist; see `Target.update`."""
        stored = self._begin("update", object_name, rows, key)
        by_key = self._ids_by_key(stored, key)
        answers = []
        for row in rows.to_pylist():
            record_id = by_key.get(str(row[key]))
            answers.append(
                _answer(row[key], None, "missing")
                if record_id is None
                else self._change(stored, record_id, row, key)
            )
        return _outcomes(answers)

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete by external key; a record that others point to is refused when references are checked."""
        stored = self._begin("delete", object_name, pa.table({key: pa.array(list(keys), pa.string())}), key)
        by_key = self._ids_by_key(stored, key)
        answers = []
        for value in keys:
            record_id = by_key.get(str(value))
            if record_id is None:
                answers.append(_answer(value, None, "missing"))
            elif self.facts.checks_references and (holder := self._holder(object_name, record_id)):
                answers.append(
                    _refusal(value, record_id, "referenced", None, f"{holder} points to this record")
                )
            else:
                del stored.records[record_id]
                answers.append(_answer(value, record_id, "deleted"))
        return _outcomes(answers)

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Records as held now, typed, in the order of their making; an empty object has one page without rows."""
        stored = self._object(object_name)
        wanted = [self._field(stored, name) for name in columns or stored.schema.field_names]
        schema = pa.schema([pa.field(item.name, arrow_type(item)) for item in wanted])
        records = list(stored.records.values())
        for start in range(0, len(records), page_rows) or (0,):
            page = records[start : start + page_rows]
            arrays = [
                pa.array([row.get(item.name) for row in page], schema.field(item.name).type)
                for item in wanted
            ]
            yield pa.Table.from_arrays(arrays, schema=schema)

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """Records by external key; see `Target.fetch`."""
        stored = self._object(object_name)
        wanted = [self._field(stored, name) for name in columns]
        ids = self._ids_by_key(stored, key)
        records = [stored.records[ids[one]] for one in keys if one in ids]
        return pa.Table.from_arrays(
            [pa.array([row.get(item.name) for row in records], arrow_type(item)) for item in wanted],
            names=[item.name for item in wanted],
        )

    def close(self) -> None:
        """Nothing to release."""

    def edit(self, object_name: str, record_id: str, **values: object) -> None:
        """What a user of this CRM does meanwhile: change one record behind the migration's back."""
        self._object(object_name).records[record_id].update(values)

    def _begin(self, verb: str, object_name: str, rows: pa.Table, key: str) -> _Stored:
        """Refuse a call that is wrong as a whole: nothing of it has happened then."""
        stored = self._object(object_name)
        if rows.num_rows > self.facts.batch_rows:
            raise FatalError(
                f"{object_name}: {rows.num_rows} rows in one call", hint=f"at most {self.facts.batch_rows}"
            )
        for name in rows.column_names:
            described = self._field(stored, name)
            if described.read_only or self._is_assigned(stored, name):
                raise FatalError(f"{object_name}.{name} cannot be written", hint="leave it out")
        if key not in rows.column_names:
            raise FatalError(f"{object_name}: the rows lack the key column {key!r}")
        keys = rows.column(key).to_pylist()
        if None in keys or len({str(value) for value in keys}) != len(keys):
            raise FatalError(f"{object_name}: every row of a call needs a key of its own in {key!r}")
        self.calls.append(Call(verb, object_name, tuple(str(value) for value in keys)))
        return stored

    def _create(self, stored: _Stored, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        record = {item.name: row.get(item.name) for item in stored.schema.fields}
        refusal = self._check(stored, None, record, row[key])
        if refusal is not None:
            return refusal
        record_id = str(row[key])
        if self.facts.assigns_ids:
            self._assigned += 1
            record_id = f"T{self._assigned:09d}"
            record[stored.schema.key] = record_id
        stored.records[record_id] = record
        return _answer(row[key], record_id, "created")

    def _change(self, stored: _Stored, record_id: str, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        before = stored.records[record_id]
        after = {**before, **row}
        if after == before:
            return _answer(row[key], record_id, "unchanged")
        refusal = self._check(stored, record_id, after, row[key])
        if refusal is not None:
            return refusal
        stored.records[record_id] = after
        return _answer(row[key], record_id, "updated")

    def _check(
        self, stored: _Stored, record_id: str | None, record: Mapping[str, Any], key: object
    ) -> dict[str, Any] | None:
        """The first thing wrong with a record about to be kept, as a refusal, or None."""
        for item in stored.schema.fields:
            value = record.get(item.name)
            if self._is_assigned(stored, item.name):
                continue
            if value is None:
                problem = ("required", "a value is required") if item.required else None
            else:
                problem = _misfit(item, value) or self._conflict(stored, record_id, item, value)
            if problem is not None:
                code, message = problem
                return _refusal(key, record_id, code, item.name, f"{item.name}: {message}")
        return None

    def _conflict(
        self, stored: _Stored, record_id: str | None, item: FieldSchema, value: object
    ) -> tuple[str, str] | None:
        if item.unique or item.name == stored.schema.key:
            for other_id, other in stored.records.items():
                if other_id != record_id and other.get(item.name) == value:
                    return "unique", f"{value!r} is taken by {other_id}"
        if item.type is FieldType.REFERENCE and item.references and self.facts.checks_references:
            targets = [self._objects[name] for name in item.references if name in self._objects]
            if not any(str(value) in target.records for target in targets):
                return "reference", f"there is no record {value!r} in {' or '.join(item.references)}"
        return None

    def _holder(self, object_name: str, record_id: str) -> str | None:
        """A record that points to this one, as 'object/id', or None."""
        for name, stored in self._objects.items():
            links = [item.name for item in stored.schema.fields if object_name in item.references]
            for other_id, record in stored.records.items():
                if (name, other_id) != (object_name, record_id) and any(
                    record.get(link) == record_id for link in links
                ):
                    return f"{name}/{other_id}"
        return None

    def _ids_by_key(self, stored: _Stored, key: str) -> dict[str, str]:
        return {str(record[key]): record_id for record_id, record in stored.records.items()}

    def _is_assigned(self, stored: _Stored, name: str) -> bool:
        return self.facts.assigns_ids and name == stored.schema.key

    def _field(self, stored: _Stored, name: str) -> FieldSchema:
        found = stored.schema.field(name)
        if found is None:
            raise FatalError(
                f"{stored.schema.name} has no field {name!r}",
                hint=did_you_mean(name, stored.schema.field_names, noun="fields"),
            )
        return found

    def _object(self, name: str) -> _Stored:
        if name not in self._objects:
            raise FatalError(
                f"there is no object {name!r}", hint=did_you_mean(name, self._objects, noun="objects")
            )
        return self._objects[name]


def arrow_type(item: FieldSchema) -> pa.DataType:  # noqa: PLR0911 (one line a type)
    """The Arrow type in which a field of this kind is read back."""
    match item.type:
        case FieldType.INTEGER:
            return pa.int64()
        case FieldType.DECIMAL:
            return pa.decimal128(item.precision or 38, item.scale if item.scale is not None else 9)
        case FieldType.FLOAT:
            return pa.float64()
        case FieldType.BOOLEAN:
            return pa.bool_()
        case FieldType.DATE:
            return pa.date32()
        case FieldType.DATETIME:
            return pa.timestamp("us", tz="UTC")
        case FieldType.TIME:
            return pa.time64("us")
        case _:
            return pa.string()


def _misfit(item: FieldSchema, value: object) -> tuple[str, str] | None:
    """Why a value cannot stand in a field, as code and message, or None."""
    if not _is_of_type(item.type, value):
        return "type", f"{value!r} is not {item.type.value}"
    if isinstance(value, str) and item.length is not None and len(value) > item.length:
        return "length", f"{len(value)} characters, at most {item.length}"
    if item.type is FieldType.PICKLIST and item.values and value not in item.values:
        return "picklist", f"{value!r} is not one of its values"
    if isinstance(value, Decimal) and item.precision is not None:
        scale = item.scale or 0
        exponent = cast("int", value.normalize().as_tuple().exponent)
        if -exponent > scale or abs(value) >= Decimal(10) ** (item.precision - scale):
            return "precision", f"{value} does not fit ({item.precision}, {scale})"
    return None


def _is_of_type(kind: FieldType, value: object) -> bool:  # noqa: PLR0911 (one line a type)
    match kind:
        case FieldType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case FieldType.DECIMAL:
            return isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool))
        case FieldType.FLOAT:
            return isinstance(value, float | int) and not isinstance(value, bool)
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.DATE:
            return isinstance(value, date) and not isinstance(value, datetime)
        case FieldType.DATETIME:
            return isinstance(value, datetime) and value.tzinfo is not None
        case FieldType.TIME:
            return isinstance(value, time)
        case _:
            return isinstance(value, str)


def _misfits(there: ObjectSchema, wanted: ObjectSchema) -> list[str]:
    """What of `wanted` the object that is there cannot take."""
    found = []
    for item in wanted.fields:
        place, has = f"{there.name}.{item.name}", there.field(item.name)
        if has is None:
            found.append(f"{place}: there is no such field")
        elif has.type is not item.type and not {has.type, item.type} <= _TEXT:
            found.append(f"{place}: is {has.type.value}, {item.type.value} is to be written")
        elif has.length is not None and (item.length is None or item.length > has.length):
            found.append(f"{place}: takes {has.length} characters, {item.length or 'any number'} may come")
    return found


def _answer(key: object, target_id: str | None, outcome: str) -> dict[str, Any]:
    return {
        "key": str(key), "target_id": target_id, "outcome": outcome, "code": None, "field": None, "message": None
    }  # fmt: skip


def _refusal(key: object, target_id: str | None, code: str, name: str | None, message: str) -> dict[str, Any]:
    return {**_answer(key, target_id, "refused"), "code": code, "field": name, "message": message}


def _outcomes(answers: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(item) for item in answers], schema=OUTCOMES)
