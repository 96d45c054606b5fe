"""Records of the store as the Web API sends them, and bodies of requests as values for the store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from connectors.sandbox.dataverse.catalogue import metadata_id
from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.dataverse.model import MASKS, PARTY, navigation, set_name
from connectors.sandbox.reading import Read
from connectors.sandbox.records import Store
from connectors.sandbox.where import In, Path, SqlValue
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

FORMATTED = "@OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "@Microsoft.Dynamics.CRM.lookuplogicalname"
_POINTER = re.compile(r"/?(?:.*/)?(\w+)\(([^)]*)\)$")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def column_of(schema: ObjectSchema, name: str) -> FieldSchema:
    """The column behind a property of a row; raises `Refusal`."""
    bare = name[1:-6] if name.startswith("_") and name.endswith("_value") else name
    found = schema.field(bare)
    if found is None or (found.type is FieldType.REFERENCE) != (bare != name) or found.type is FieldType.JSON:
        raise Refusal(
            400,
            "0x80060888",
            f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{schema.name}'.",
        )
    return found


class Rows:
    """Turns what a read finds into JSON rows."""

    def __init__(
        self, store: Store, schema: ObjectSchema, fields: Sequence[FieldSchema], *, annotated: bool
    ) -> None:
        self._store, self._schema, self._fields, self._annotated = store, schema, tuple(fields), annotated

    def paths(self) -> tuple[Path, ...]:
        """What to read: the key, the version where the table has one, and the columns."""
        version = "versionnumber" if self._schema.field("versionnumber") else self._schema.key
        return tuple(
            Path(name) for name in (self._schema.key, version, *(item.name for item in self._fields))
        )

    def told(self, found: Sequence[Sequence[SqlValue]]) -> list[dict[str, Any]]:
        """Rows as JSON objects."""
        names = self._names(found) if self._annotated else {}
        return [self._row(values, names) for values in found]

    def _row(self, values: Sequence[SqlValue], names: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
        record, version = str(values[0]), int(str(values[1])) if str(values[1]).isdecimal() else 0
        row: dict[str, Any] = {"@odata.etag": f'W/"{version}"', self._schema.key: record}
        for field, value in zip(self._fields, values[2:], strict=True):
            name = f"_{field.name}_value" if field.type is FieldType.REFERENCE else field.name
            row[name] = version if field.name == "versionnumber" else said(self._schema, field, value, record)
            if self._annotated and value is not None:
                row |= _annotations(name, field, value, names)
        return row

    def _names(self, found: Sequence[Sequence[SqlValue]]) -> dict[str, tuple[str, str]]:
        """Record → (table, name) of every record that the rows refer to."""
        told: dict[str, tuple[str, str]] = {}
        for number, field in enumerate(self._fields, 2):
            if field.type is not FieldType.REFERENCE:
                continue
            wanted = tuple({values[number] for values in found if values[number] is not None})
            for target in field.references:
                told |= self._named(target, wanted) if wanted else {}
        return told

    def _named(self, target: str, records: tuple[SqlValue, ...]) -> dict[str, tuple[str, str]]:
        schema = self._store.shape(target).schema
        name = next(
            (
                n
                for n in ("fullname", "name", "title", "subject", "lastname", "currencyname")
                if schema.field(n)
            ),
            schema.key,
        )
        rows = self._store.select(Read(target, (Path(schema.key), Path(name)), In(Path(schema.key), records)))
        return {str(row[0]): (target, str(row[1] or "")) for row in rows}


def said(schema: ObjectSchema, field: FieldSchema, value: SqlValue, record: str) -> Any:  # noqa: PLR0911 (one a type)
    """A value on the wire."""
    if value is None:
        return None
    match field.type:
        case FieldType.BOOLEAN:
            return bool(value)
        case FieldType.DECIMAL:
            return Decimal(str(value))
        case FieldType.FLOAT:
            return Decimal(repr(float(str(value))))
        case FieldType.PICKLIST:
            return int(str(value))
        case FieldType.MULTI_PICKLIST:
            return str(value).replace(";", ",")
        case FieldType.DATETIME:
            return re.sub(r"\.\d+Z$", "Z", str(value))
        case FieldType.FILE:
            return metadata_id(f"{schema.name}.{field.name}.{record}")
        case _:
            return value


def _annotations(
    name: str, field: FieldSchema, value: SqlValue, names: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    if field.type is FieldType.REFERENCE:
        table, label = names.get(str(value), ("", ""))
        return {f"{name}{LOOKUP_TABLE}": table, f"{name}{FORMATTED}": label} if table else {}
    return {f"{name}{FORMATTED}": field.labels[str(value)]} if str(value) in field.labels else {}


def values_of(
    store: Store, schema: ObjectSchema, body: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """Column values and parties that a body says; raises `Refusal` for what the table does not have."""
    pointers = {
        navigation(schema.name, field.name, target, len(field.references)): field
        for field in schema.fields
        for target in field.references
    }
    values: dict[str, Any] = {}
    parties: list[Mapping[str, Any]] = []
    for name, value in body.items():
        bound = name.removesuffix("@odata.bind")
        if bound != name:
            if bound not in pointers:
                raise _undeclared(schema, bound)
            values[pointers[bound].name] = None if value is None else _existing(store, str(value))
        elif name == f"{schema.name}_activity_parties":
            parties = list(value)
        elif "@" not in name:
            field = schema.field(name)
            if field is None or field.type in {FieldType.REFERENCE, FieldType.JSON, FieldType.FILE}:
                raise _undeclared(schema, name)
            if not field.read_only:
                values[name] = _taken(schema, field, value)
    return values, parties


def _taken(schema: ObjectSchema, field: FieldSchema, value: Any) -> Any:
    """A JSON value of the right JSON type: the service is strict."""
    if value is None:
        return None
    fits = {
        FieldType.BOOLEAN: lambda: isinstance(value, bool),
        FieldType.INTEGER: lambda: type(value) is int,
        FieldType.PICKLIST: lambda: type(value) is int,
        FieldType.DECIMAL: lambda: type(value) in {int, Decimal},
        FieldType.FLOAT: lambda: type(value) in {int, Decimal},
    }.get(field.type, lambda: isinstance(value, str))()
    if not fits:
        raise Refusal(
            400,
            "0x80048d19",
            f"Error identified in Payload provided by the user for Entity :'{set_name(schema.name)}': "
            f"Cannot convert the value of '{field.name}' attribute to the expected type.",
        )
    if field.type is FieldType.PICKLIST:
        return str(value)
    return value.replace(",", ";") if field.type is FieldType.MULTI_PICKLIST else value


def pointed(store: Store, address: str) -> tuple[str, str]:
    """Table and record that an address names, by id or by key; raises `Refusal`."""
    found = _POINTER.search(address)
    table = next((s.name for s in store.schemas() if found and set_name(s.name) == found[1]), None)
    if found is None or table is None:
        raise Refusal(404, "0x80060888", f"Resource not found for the segment '{address[:60]}'.")
    if _GUID.fullmatch(found[2]):
        return table, found[2].lower()
    record = find_by_key(store, table, found[2])
    if record is None:
        raise Refusal(
            404, "0x80060891", f"A record with the specified key values does not exist in {table} entity"
        )
    return table, record


def _existing(store: Store, address: str) -> str:
    """The record an address names, which must be in that table; raises `Refusal`."""
    table, record = pointed(store, address)
    if store.get(table, record) is None:
        raise Refusal(404, "0x80040217", f"{table} With Id = {record} Does Not Exist")
    return record


def key_values(store: Store, table: str, text: str) -> dict[str, Any]:
    """The columns and values of an alternate key in an address; raises `Refusal` when they are no key."""
    values: dict[str, Any] = {}
    for name, quoted, bare in re.findall(r"(\w+)=(?:'((?:[^']|'')*)'|([^,]+))(?:,|$)", text):
        values[name] = bare or quoted.replace("''", "'")
    if not values or tuple(sorted(values)) not in {tuple(sorted(key)) for key in store.shape(table).keys}:
        raise Refusal(
            400, "0x80060893", f"The specified key attributes are not a defined key for the {table} entity"
        )
    return values


def find_by_key(store: Store, table: str, text: str) -> str | None:
    """The record with an alternate key, or None."""
    found = store.find(table, **key_values(store, table, text))
    return found[0] if found else None


def write_parties(store: Store, activity: str, parties: Sequence[Mapping[str, Any]]) -> None:
    """Replace the parties of an activity."""
    for record in store.find(PARTY.name, activityid=activity):
        store.purge(PARTY.name, record)
    for item in parties:
        bound = next((value for name, value in item.items() if name.endswith("@odata.bind")), None)
        mask = item.get("participationtypemask")
        if mask not in MASKS.values():
            raise Refusal(400, "0x80040203", f"Invalid participationtypemask: {mask}")
        values = {
            "activityid": activity,
            "participationtypemask": mask,
            "addressused": item.get("addressused"),
        }
        store.insert(PARTY.name, values | ({"partyid": pointed(store, str(bound))[1]} if bound else {}))


def _undeclared(schema: ObjectSchema, name: str) -> Refusal:
    return Refusal(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'{set_name(schema.name)}': "
        f"The property '{name}' does not exist on type 'Microsoft.Dynamics.CRM.{schema.name}'.",
    )
