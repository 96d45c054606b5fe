"""Tryton's JSON-RPC: signing in, calls, its values on the wire, and what its models are made of."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.http import Client
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, RetryableError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_CONTEXT = {"active_test": False}
"""Records that were put away (active = false) are records too."""
_TYPES = {
    "char": FieldType.STRING, "text": FieldType.TEXT, "selection": FieldType.PICKLIST, "many2one": FieldType.REFERENCE,
    "reference": FieldType.STRING, "integer": FieldType.INTEGER, "biginteger": FieldType.INTEGER, "float": FieldType.FLOAT,
    "numeric": FieldType.DECIMAL, "boolean": FieldType.BOOLEAN, "date": FieldType.DATE, "datetime": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
}  # fmt: skip
"""Kinds of fields that hold a value of their own; one2many and many2many are read from the other side."""
_ARROW = {
    FieldType.INTEGER: pa.int64(), FieldType.FLOAT: pa.float64(), FieldType.DECIMAL: pa.decimal128(38, 9),
    FieldType.BOOLEAN: pa.bool_(), FieldType.DATE: pa.date32(), FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
}  # fmt: skip
_OWN = frozenset({"create_uid", "create_date", "write_uid", "write_date"})
"""Set by the server and by nobody else."""


class Refused(Exception):
    """The server understood the call and said no; nothing of it was done."""


@dataclass(slots=True)
class _SignIn:
    """A session of one user, made at the first request and again when it has run out."""

    client: Client
    path: str
    user: str
    password: str = field(repr=False)
    header: str = ""

    def headers(self) -> Mapping[str, str]:
        """The session's header."""
        if not self.header:
            asked = {"id": 1, "method": "common.db.login", "params": [self.user, {"password": self.password}]}
            found = self.client.post(self.path, document=asked).object().get("result")
            if not found:
                hint = "check user, password and database"
                raise FatalError(f"{self.client.address}: {self.user} may not sign in", hint=hint)
            told = f"{self.user}:{found[0]}:{found[1]}"
            self.header = f"Session {base64.b64encode(told.encode()).decode()}"
        return {"Authorization": self.header}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Forget the session that was refused."""
        if refused.get("Authorization") == self.header:
            self.header = ""
        return True


class Rpc:
    """Calls to one database."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        address, password = str(settings["url"]), str(settings["password"])
        self.database, self.user = str(settings["database"]), str(settings.get("user", "admin"))
        self.models = tuple(settings.get("objects") or ["party.party"])
        self._path = f"{self.database}/rpc/"
        how: dict[str, Any] = {"ca_file": settings.get("ca_file"), "hidden": (password,)}
        self.client = Client(address, _SignIn(Client(address, **how), self._path, self.user, password), **how)
        self._schemas: dict[str, ObjectSchema] = {}

    def call(self, model: str, verb: str, *params: Any) -> Any:
        """The result of a method of a model; raises `Refused` for what the server's rules forbid."""
        name = f"model.{model}.{verb}"
        document = {"id": 1, "method": name, "params": [*params, _CONTEXT]}
        answer = self.client.post(self._path, document=document, scope=name).object()
        error = answer.get("error")
        match error:
            case None:
                return answer.get("result")
            case ["UserError" | "UserWarning" as kind, [*words], *_]:
                raise Refused(kind, " ".join(word for word in words if isinstance(word, str) and word))
            case ["ConcurrencyException", *_]:
                raise RetryableError(f"{name}: somebody wrote at the same moment", hint="run again")
            case _:
                hint = "is the module installed, and may this user do that?"
                raise FatalError(f"{name} failed: {error}", hint=hint)

    def schema(self, model: str) -> ObjectSchema:
        """What a model is made of; raises `FatalError` for one that the settings do not name."""
        if model not in self.models:
            hint = did_you_mean(model, self.models, noun="models")
            raise FatalError(f"tryton: no such model {model!r} in the setting objects", hint=hint)
        if model not in self._schemas:
            told: Mapping[str, Mapping[str, Any]] = self.call(model, "fields_get", [])
            own = [
                _field(name, told[name])
                for name in sorted(told)
                if told[name]["type"] in _TYPES and name != "id"
            ]
            key = FieldSchema("id", FieldType.ID, read_only=True)
            self._schemas[model] = ObjectSchema(model, "id", (key, *own))
        return self._schemas[model]

    def field(self, model: str, name: str) -> FieldSchema:
        """A field of a model; raises `FatalError` when there is none."""
        schema = self.schema(model)
        found = schema.field(name)
        if found is None:
            hint = did_you_mean(name, schema.field_names, noun="fields")
            raise FatalError(f"{model} has no such field {name!r}", hint=hint)
        return found

    def rows(self, model: str, domain: list[Any], names: Sequence[str], limit: int | None = None) -> pa.Table:
        """Records that fit a domain, by id, as typed columns."""
        kinds = {name: self.field(model, name).type for name in names}
        found = self.call(model, "search_read", domain, 0, limit, [["id", "ASC"]], list(kinds))
        return pa.table(
            {
                name: pa.array([_read(row.get(name), kind) for row in found], _ARROW.get(kind, pa.string()))
                for name, kind in kinds.items()
            }
        )

    def value(self, model: str, name: str, value: Any) -> Any:
        """A value as the wire has it."""
        if self.field(model, name).type in {FieldType.REFERENCE, FieldType.ID} and str(value).isdigit():
            return int(value)
        match value:
            case datetime():
                parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
                moment = value.astimezone(UTC)
                return {"__class__": "datetime", **{part: getattr(moment, part) for part in parts}}
            case date():
                return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
            case Decimal():
                return {"__class__": "Decimal", "decimal": str(value)}
            case _:
                return value


def _field(name: str, told: Mapping[str, Any]) -> FieldSchema:
    kind, choices = _TYPES[told["type"]], told.get("selection")
    labels = (
        {str(value): str(label) for value, label in choices if value} if isinstance(choices, list) else {}
    )
    return FieldSchema(
        name,
        kind,
        label=str(told.get("string", "")),
        required=bool(told.get("required")),
        length=told["size"] if isinstance(told.get("size"), int) else None,
        references=(str(told["relation"]),) if told["type"] == "many2one" else (),
        values=tuple(labels),
        labels=labels,
        read_only=bool(told.get("readonly")) or name in _OWN,
    )


def _read(value: Any, kind: FieldType) -> Any:
    match value:
        case {"__class__": "datetime", **parts}:
            return datetime(**parts, tzinfo=UTC)  # type: ignore[arg-type]  # on the wire it is naive UTC
        case {"__class__": "date", **parts}:
            return date(**parts)  # type: ignore[arg-type]
        case {"__class__": "Decimal", "decimal": digits}:
            return Decimal(digits)
        case Decimal():
            return float(value)
        case _:
            return value if value is None or kind in _ARROW else str(value)
