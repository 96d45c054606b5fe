"""The columns of a Bulk API upload, and what its job does with each row."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.jobs import Job
from connectors.sandbox.salesforce.metadata import Entity, Info
from connectors.sandbox.salesforce.writes import Writer


class Columns:
    """The columns of an upload, and what to do with a row of it."""

    def __init__(self, writer: Writer, entity: Entity, job: Job, header: list[str]) -> None:
        self.writer, self.entity, self.operation = writer, entity, job.operation
        self.header = header
        self.key = writer.key(entity, job.key) if job.operation == "upsert" else None
        self.id = next((place for place, name in enumerate(header) if name.casefold() == "id"), None)
        if job.operation in {"update", "delete", "hardDelete"} and self.id is None:
            raise SalesforceError("INVALIDBATCH", "InvalidBatch : Field name not found : Id")
        self.fields = [self._field(name) for name in header]

    def _field(self, name: str) -> tuple[str, Info | None]:
        """A column's field, or the relationship and key of a parent: 'Account.Ext__c', 'Who:Contact.Email'."""
        first, _, rest = name.partition(".")
        relationship = first.partition(":")[0]
        info = self.entity.find(first) if not rest else self.entity.through(relationship)
        if info is None:
            raise SalesforceError("INVALIDBATCH", f"InvalidBatch : Field name not found : {name}")
        return (name if rest else info.name), info

    def id_in(self, row: list[str]) -> str:
        """The id the row names itself."""
        return row[self.id] if self.id is not None and self.id < len(row) else ""

    def write(self, row: list[str]) -> tuple[str, bool]:
        """Do what the job is for; returns the record's id and whether it is new."""
        if len(row) != len(self.header):
            raise SalesforceError(
                "INVALIDBATCH", f"The row has {len(row)} columns, the header {len(self.header)}"
            )
        match self.operation:
            case "insert":
                return self.writer.create(self.entity, self._body(row)), True
            case "upsert" if self.key is not None:
                body = self._body(row)
                value = self.id_in(row) if self.key.name == "Id" else str(body.pop(self.key.name, "") or "")
                if self.key.name == "Id" and not value:
                    return self.writer.create(self.entity, body), True
                return self.writer.upsert(self.entity, self.key, value, body)
            case "update":
                self.writer.update(self.entity, self._own(row), self._body(row))
            case "delete":
                self.writer.delete(self.entity, self._own(row))
            case _:
                self.writer.org.store.purge(self.entity.name, self._own(row))
        return self._own(row), False

    def _own(self, row: list[str]) -> str:
        if not self.id_in(row):
            raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        return self.writer.id_of(self.entity, self.id_in(row))

    def _body(self, row: list[str]) -> dict[str, Any]:
        """Values by field; an empty cell says nothing, #N/A empties the field."""
        body: dict[str, Any] = {}
        for (name, info), text in zip(self.fields, row, strict=True):
            if text == "" or name == "Id" or info is None:
                continue
            value = None if text == "#N/A" else text
            if "." in name:
                parent, _, key = name.partition(".")
                relationship, _, kind = parent.partition(":")
                body[relationship] = {key: value, **({"type": kind} if kind else {})}
            else:
                body[name] = value
        return body
