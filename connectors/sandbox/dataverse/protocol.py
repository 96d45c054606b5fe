"""The Web API of a Dataverse sandbox: every request, alone or inside a batch, is one `Ask` with one `Reply`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

from connectors.http_answers import encode
from connectors.sandbox.dataverse import wire
from connectors.sandbox.dataverse.definitions import definitions
from connectors.sandbox.dataverse.faults import Refusal, error_body, refusal
from connectors.sandbox.dataverse.model import CLOSED, set_name
from connectors.sandbox.dataverse.multipart import Ask, Reply, carry_out, parse, render, within
from connectors.sandbox.dataverse.reads import Reader, Wanted
from connectors.sandbox.dataverse.writes import BLOCK, Writer
from connectors.sandbox.records import Store
from connectors.sandbox.violations import Violation
from migrator.core.schema import ObjectSchema

ORGANISATION = "0f000000-0000-4000-8000-000000000001"
_BULK = re.compile(r"(\w+)/Microsoft\.Dynamics\.CRM\.(CreateMultiple|UpdateMultiple|UpsertMultiple)")
_ONE = re.compile(r"(\w+)\((.*)\)(?:/(\w+))?(/\$value|/\$ref)?", re.DOTALL)


class _SetAside(Exception):
    """A change set is undone."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@dataclass(slots=True)
class Service:
    """The protocol over a store."""

    store: Store
    user: str
    bulk: bool = True
    """Whether tables know the messages for many rows."""
    days: int = 7
    kind: str = "CustomerTest"
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.store, self.user)

    def answer(self, ask: Ask) -> Reply:
        """The reply to one request."""
        try:
            if ask.path == "$batch":
                return self._batch(ask)
            return self._routed(ask)
        except Violation as error:
            said = refusal(error)
        except Refusal as error:
            said = error
        return Reply(
            said.status,
            error_body(said.code, said.message),
            {"Content-Type": "application/json; odata.metadata=minimal"},
        )

    def _batch(self, ask: Ask) -> Reply:
        root = ask.root.partition("://")[2].partition("/")[2]
        items = within(ask, parse(ask.body, ask.headers.get("content-type", ""), root))

        def together(asks: tuple[Ask, ...]) -> tuple[Reply, ...] | Reply:
            try:
                with self.store.transaction():
                    return tuple(self._in_set(one) for one in asks)
            except _SetAside as error:
                return error.reply

        go_on = "odata.continue-on-error" in ask.headers.get("prefer", "")
        return render(carry_out(items, self.answer, together, go_on=go_on))

    def _in_set(self, ask: Ask) -> Reply:
        reply = self.answer(ask)
        if reply.status >= 400:
            raise _SetAside(reply)
        return Reply(reply.status, reply.body, {**reply.headers, "Content-ID": ask.content_id})

    def _routed(self, ask: Ask) -> Reply:  # noqa: PLR0911 (one a kind of address)
        path = unquote(ask.path)
        options = dict(parse_qsl(ask.query, keep_blank_values=True))
        if path.startswith("EntityDefinitions"):
            return _json(definitions(self.store, path, options))
        if path in _FUNCTIONS or path.startswith("Retrieve"):
            return _json(self._function(path, options))
        if path in CLOSED and ask.method == "POST":
            self.writer.close(path, _document(ask), ask.write)
            return Reply(204)
        if (bulk := _BULK.fullmatch(path)) and ask.method == "POST":
            return self._many(bulk, ask)
        if one := _ONE.fullmatch(path):
            return self._one(one, ask, options)
        schema = self._table(path)
        wanted = Wanted(options, ask.headers.get("prefer", ""), f"{ask.root}{path}")
        if ask.method == "GET":
            applied = {"Preference-Applied": "odata.track-changes"} if wanted.tracked else {}
            page = Reader(self.store, schema, self.days).page(wanted)
            return _json({"@odata.context": f"{ask.root}$metadata#{path}", **page}, headers=applied)
        if ask.method == "POST":
            return self._written(schema, self.writer.create(schema, _document(ask), ask.write), ask, 201)
        raise Refusal(405, "0x80060888", f"The method {ask.method} is not allowed here")

    # -- one record

    def _one(
        self,
        found: re.Match[str],
        ask: Ask,
        options: Mapping[str, str],
    ) -> Reply:
        schema = self._table(found[1])
        record, given = self._addressed(schema, found[2])
        if found[3]:
            return self._file(schema, record, found[3], ask, options)
        match ask.method:
            case "GET":
                wanted = Wanted(options, ask.headers.get("prefer", ""), f"{ask.root}{found[1]}")
                row = Reader(self.store, schema, self.days).one(wanted, record)
                if row is None:
                    raise _gone(schema, record or found[2])
                return _json({"@odata.context": f"{ask.root}$metadata#{found[1]}/$entity", **row})
            case "PATCH":
                return self._patch(schema, record, given, ask)
            case "DELETE":
                self._require(schema, record, found[2])
                self.store.delete(schema.name, record, write=ask.write)
                return Reply(204)
            case _:
                raise Refusal(405, "0x80060888", f"The method {ask.method} is not allowed here")

    def _patch(
        self,
        schema: ObjectSchema,
        record: str,
        given: Mapping[str, Any],
        ask: Ask,
    ) -> Reply:
        there = bool(record) and self.store.get(schema.name, record) is not None
        match = ask.headers.get("if-match", "")
        if there and ask.headers.get("if-none-match") == "*":
            raise Refusal(412, "0x80060882", "A record with matching key values already exists.")
        if there:
            version = re.fullmatch(r'W/"(\d+)"', match)
            self.writer.change(
                schema, record, _document(ask), ask.write, version=int(version[1]) if version else None
            )
            return self._written(schema, record, ask, 200)
        if match:
            raise _gone(schema, record)
        own = given or {schema.key: record}
        return self._written(
            schema, self.writer.create(schema, _document(ask), ask.write, given=own), ask, 201
        )

    def _file(
        self, schema: ObjectSchema, record: str, column: str, ask: Ask, options: Mapping[str, str]
    ) -> Reply:
        self._require(schema, record, record)
        match ask.method:
            case "GET":
                data = self.writer.file(schema, record, column)
                return (
                    Reply(204)
                    if data is None
                    else Reply(200, data, {"Content-Type": "application/octet-stream"})
                )
            case "DELETE":
                self.store.update(schema.name, record, {column: None, f"{column}_name": None})
                return Reply(204)
            case "PATCH" if "sessiontoken" in options:
                done = self.writer.block(
                    options["sessiontoken"], ask.headers.get("content-range", ""), ask.body
                )
                return Reply(204 if done else 206)
            case "PATCH" if ask.headers.get("x-ms-transfer-mode") == "chunked":
                token = self.writer.begin_file(schema, record, column, options.get("x-ms-file-name", ""))
                link = f"{ask.root}{set_name(schema.name)}({record})/{column}?sessiontoken={token}"
                return Reply(
                    200, b"", {"Location": link, "x-ms-chunk-size": str(BLOCK), "Accept-Ranges": "bytes"}
                )
            case _:
                self.writer.put_file(
                    schema.name, record, column, ask.headers.get("x-ms-file-name", ""), ask.body
                )
                return Reply(204)

    def _written(self, schema: ObjectSchema, record: str, ask: Ask, status: int) -> Reply:
        link = f"{ask.root}{set_name(schema.name)}({record})"
        if "return=representation" not in ask.headers.get("prefer", ""):
            return Reply(204, b"", {"OData-EntityId": link, "Location": link, "OData-Version": "4.0"})
        options = dict(parse_qsl(ask.query))
        row = Reader(self.store, schema, self.days).one(
            Wanted(options, ask.headers.get("prefer", ""), link), record
        )
        return _json(row, status=status, headers={"OData-EntityId": link})

    # -- many records

    def _many(self, found: re.Match[str], ask: Ask) -> Reply:
        schema, message = self._table(found[1]), found[2]
        if not self.bulk:
            raise Refusal(
                404, "0x80060888", f"Resource not found for the segment 'Microsoft.Dynamics.CRM.{message}'."
            )
        targets = _document(ask).get("Targets")
        if not isinstance(targets, list) or not targets:
            raise Refusal(400, "0x80048d19", f"{message} needs Targets")
        ids = self.writer.many(schema, message, targets, ask.write)
        return Reply(204) if ids is None else _json({"Ids": ids})

    # -- what is not a record

    def _function(self, path: str, options: Mapping[str, str]) -> dict[str, Any]:
        if path == "WhoAmI":
            return {"UserId": self.user, "BusinessUnitId": ORGANISATION, "OrganizationId": ORGANISATION}
        if path.startswith("RetrieveCurrentOrganization("):
            return {
                "Detail": {
                    "OrganizationId": ORGANISATION,
                    "FriendlyName": "Sandbox",
                    "OrganizationType": self.kind,
                }
            }
        if path.startswith("RetrieveTotalRecordCount("):
            names = json.loads(options.get("@p1", "[]"))
            counts = [self.store.count(name) for name in names]
            return {"EntityRecordCountCollection": {"Count": len(names), "Keys": names, "Values": counts}}
        raise Refusal(404, "0x80060888", f"Resource not found for the segment '{path[:60]}'.")

    def _table(self, named: str) -> ObjectSchema:
        found = next((item for item in self.store.schemas() if set_name(item.name) == named), None)
        if found is None:
            raise Refusal(404, "0x80060888", f"Resource not found for the segment '{named[:60]}'.")
        return found

    def _addressed(self, schema: ObjectSchema, text: str) -> tuple[str, dict[str, Any]]:
        """The record an address names, '' when there is none of that key, and the values of the key."""
        if re.fullmatch(r"[0-9a-fA-F-]{36}", text):
            return text.lower(), {}
        given = wire.key_values(self.store, schema.name, text)
        found = self.store.find(schema.name, **given)
        return (found[0] if found else "", given)

    def _require(self, schema: ObjectSchema, record: str, said: str) -> None:
        if not record or self.store.get(schema.name, record) is None:
            raise _gone(schema, said)


_FUNCTIONS = {"WhoAmI"}


def _gone(schema: ObjectSchema, record: str) -> Refusal:
    return Refusal(404, "0x80040217", f"{schema.name} With Id = {record} Does Not Exist")


def _document(ask: Ask) -> dict[str, Any]:
    try:
        found = json.loads(ask.body, parse_float=Decimal)
    except ValueError as error:
        raise Refusal(
            400, "0x80048d19", "Error identified in Payload provided by the user: it is no JSON"
        ) from error
    if not isinstance(found, dict):
        raise Refusal(400, "0x80048d19", "Error identified in Payload provided by the user: it is no object")
    return found


def _json(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    told = {
        "Content-Type": "application/json; odata.metadata=minimal",
        "OData-Version": "4.0",
        **(headers or {}),
    }
    return Reply(status, encode(document), told)
