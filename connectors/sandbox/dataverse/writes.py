"""Single rows and many: create, change, upsert, delete, states by their actions, files in blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from connectors.sandbox.dataverse import wire
from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.dataverse.model import CLOSED, OPEN_STATUS
from connectors.sandbox.records import Store, Write
from migrator.core.schema import FieldType, ObjectSchema

BLOCK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes in blocks."""

    table: str
    record: str
    column: str
    name: str
    data: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Writer:
    """Writes to the store as the Web API does."""

    store: Store
    user: str
    uploads: dict[str, Upload] = field(default_factory=dict)

    def create(
        self,
        schema: ObjectSchema,
        body: Mapping[str, Any],
        write: Write,
        *,
        given: Mapping[str, Any] | None = None,
    ) -> str:
        """A new record; `given` are the values of the key it was addressed by. Returns its id."""
        values, parties = wire.values_of(self.store, schema, body)
        values |= given or {}
        record = str(values.pop(schema.key, "") or "").lower()
        if values.get("statecode") not in {None, "0"}:
            raise _wrong_state(schema, values["statecode"])
        if schema.field("statecode"):
            values["statecode"] = "0"
            values.setdefault("statuscode", OPEN_STATUS.get(schema.name, "1"))
        if schema.field("ownerid"):
            values.setdefault("ownerid", self.user)
        if values.get("overriddencreatedon"):
            values["createdon"] = values["overriddencreatedon"]
            values["overriddencreatedon"] = self.store.now()
        with self.store.transaction():
            made = self.store.insert(schema.name, values, write=write, record=record)
            if parties:
                wire.write_parties(self.store, made, parties)
        return made

    def change(
        self,
        schema: ObjectSchema,
        record: str,
        body: Mapping[str, Any],
        write: Write,
        *,
        version: int | None = None,
    ) -> None:
        """Columns of a record."""
        values, parties = wire.values_of(self.store, schema, body)
        values.pop(schema.key, None)
        values.pop("overriddencreatedon", None)
        state = values.get("statecode")
        if state not in {None, "0"} and any(
            table == schema.name and state == to for table, to, _ in _CLOSINGS
        ):
            raise _wrong_state(schema, state)
        with self.store.transaction():
            self.store.update(schema.name, record, values, write=write, if_version=version)
            if parties:
                wire.write_parties(self.store, record, parties)

    def many(
        self, schema: ObjectSchema, message: str, targets: list[Mapping[str, Any]], write: Write
    ) -> list[str] | None:
        """CreateMultiple, UpdateMultiple, UpsertMultiple: all or nothing; ids for the first only."""
        kind = f"Microsoft.Dynamics.CRM.{schema.name}"
        ids: list[str] = []
        with self.store.transaction():
            for target in targets:
                if target.get("@odata.type") != kind:
                    raise Refusal(400, "0x80048d19", f"The @odata.type of a target is not {kind}")
                match message:
                    case "CreateMultiple":
                        ids.append(self.create(schema, target, write))
                    case "UpdateMultiple":
                        self.change(schema, self._pointed(schema, target, create=False)[0], target, write)
                    case _:
                        self._upsert(schema, target, write)
        return ids if message == "CreateMultiple" else None

    def _upsert(self, schema: ObjectSchema, target: Mapping[str, Any], write: Write) -> None:
        record, given = self._pointed(schema, target, create=True)
        if set(given) & set(target):
            raise Refusal(400, "0x80060893", "The key attributes must not be sent as columns too")
        if record:
            self.change(schema, record, target, write)
        else:
            self.create(schema, target, write, given=given)

    def _pointed(
        self, schema: ObjectSchema, target: Mapping[str, Any], *, create: bool
    ) -> tuple[str, dict[str, Any]]:
        """The record a target names, '' when it is to be made, and the values of its key."""
        address = target.get("@odata.id")
        if address is None:
            record = str(target.get(schema.key) or "").lower()
            there = bool(record) and self.store.get(schema.name, record) is not None
            if not there and not create:
                raise Refusal(404, "0x80040217", f"{schema.name} With Id = {record} Does Not Exist")
            return (record, {}) if there else ("", {schema.key: record} if record else {})
        inner = re.fullmatch(r"/?\w+\((.*)\)", str(address), re.DOTALL)
        if inner is None:
            raise Refusal(400, "0x80048d19", "The @odata.id of a target is no address")
        given = wire.key_values(self.store, schema.name, inner[1])
        found = self.store.find(schema.name, **given)
        return (found[0] if found else "", given)

    def close(self, action: str, body: Mapping[str, Any], write: Write) -> None:
        """Bring a record into its last state by its action."""
        table, state, usual = CLOSED[action]
        pointer = next(
            (value for part in body.values() if isinstance(part, dict) for name, value in part.items()
             if name == f"{table}id@odata.bind"), None,
        )  # fmt: skip
        if pointer is None:
            raise Refusal(400, "0x80048d19", f"{action} does not say which {table}")
        record = wire.pointed(self.store, str(pointer))[1]
        status = body.get("Status", -1)
        values = {"statecode": state, "statuscode": usual if status == -1 else str(status)}
        self.store.update(table, record, values, write=write)

    # -- files

    def begin_file(self, schema: ObjectSchema, record: str, column: str, name: str) -> str:
        """A session for the blocks of a file; its token."""
        self._file_column(schema, column)
        if self.store.get(schema.name, record) is None:
            raise Refusal(404, "0x80040217", f"{schema.name} With Id = {record} Does Not Exist")
        token = uuid4().hex
        self.uploads[token] = Upload(schema.name, record, column, name)
        return token

    def block(self, token: str, span: str, data: bytes) -> bool:
        """One block in its place; True when the file is whole and written."""
        upload = self.uploads.get(token)
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", span)
        if upload is None or found is None or int(found[1]) != len(upload.data) or len(data) > BLOCK:
            raise Refusal(400, "0x80048d1b", "The block does not follow the one before it")
        upload.data.extend(data)
        if len(upload.data) < int(found[3]):
            return False
        self.put_file(upload.table, upload.record, upload.column, upload.name, bytes(upload.data))
        del self.uploads[token]
        return True

    def put_file(self, table: str, record: str, column: str, name: str, data: bytes) -> None:
        """A whole file."""
        self._file_column(self.store.shape(table).schema, column)
        self.store.update(table, record, {column: data, f"{column}_name": name})

    def file(self, schema: ObjectSchema, record: str, column: str) -> bytes | None:
        """The bytes of a file column."""
        self._file_column(schema, column)
        found = self.store.get(schema.name, record)
        value = found.get(column) if found else None
        return value if isinstance(value, bytes) else None

    def _file_column(self, schema: ObjectSchema, column: str) -> None:
        found = schema.field(column)
        if found is None or found.type is not FieldType.FILE:
            raise Refusal(400, "0x80060888", f"'{column}' is no file column of {schema.name}")


_CLOSINGS = tuple(CLOSED.values())


def _wrong_state(schema: ObjectSchema, state: object) -> Refusal:
    return Refusal(
        400,
        "0x80048408",
        f"{state} is not a valid state code for {schema.name} here: use its action, or an update.",
    )
