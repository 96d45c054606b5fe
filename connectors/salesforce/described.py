"""An object of Salesforce as its describe call tells it: the schema, and what may be done with each field.

Meaning of the properties: vendor's "DescribeSObjectResult" and "Field". Compound fields (address, location) are left
out: their components are fields of their own. A record type is also seen by its developer name, as a field of the parent
`RecordType.DeveloperName`, which is the same in every organisation while its id is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.salesforce.client import unexpected
from connectors.salesforce_export.standard_fields import field_schema
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

RECORD_TYPE = "RecordType.DeveloperName"
AUDIT = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById")
STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Fields that tell when a record changed, the most truthful first."""
_TYPES: Mapping[str, FieldType] = {
    "id": FieldType.ID,
    "string": FieldType.STRING,
    "textarea": FieldType.TEXT,
    "picklist": FieldType.PICKLIST,
    "multipicklist": FieldType.MULTI_PICKLIST,
    "reference": FieldType.REFERENCE,
    "boolean": FieldType.BOOLEAN,
    "int": FieldType.INTEGER,
    "long": FieldType.INTEGER,
    "double": FieldType.DECIMAL,
    "currency": FieldType.DECIMAL,
    "percent": FieldType.DECIMAL,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "time": FieldType.TIME,
    "base64": FieldType.FILE,
    "json": FieldType.JSON,
}
_COMPOUND = frozenset({"address", "location", "complexvalue"})
_PII = {"email": "email", "phone": "phone"}
_LENGTHS = (FieldType.STRING, FieldType.TEXT)


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be done with a field, and what it is as a key."""

    createable: bool
    updateable: bool
    required: bool
    """A record cannot be created without it."""
    key: bool
    """Records can be upserted by it."""
    unique: bool
    case_sensitive: bool


@dataclass(frozen=True, slots=True)
class Described:
    """One object."""

    schema: ObjectSchema
    rights: Mapping[str, Rights]
    record_types: Mapping[str, str]
    """Developer name → id."""
    createable: bool
    replicateable: bool
    """getDeleted answers for it."""

    @property
    def name(self) -> str:
        """The API name."""
        return self.schema.name

    def stamp(self) -> str | None:
        """The field that tells when a record changed, if it has one."""
        return next((item for item in STAMPS if self.schema.field(item) is not None), None)

    def files(self) -> tuple[str, ...]:
        """Names of the fields that hold binary members."""
        return tuple(item.name for item in self.schema.fields if item.type is FieldType.FILE)


def described(raw: Any) -> Described:
    """From the JSON of `/sobjects/X/describe`; raises `FatalError` when it is something else."""
    found = _Raw(raw, "describe")
    name = found.text("name")
    record_types = _record_types(found)
    fields: list[FieldSchema] = []
    rights: dict[str, Rights] = {}
    for item in found.each("fields"):
        if item.text("type") not in _COMPOUND:
            rights[item.text("name")] = _rights(item)
            fields.append(_field(name, item))
    if "RecordTypeId" in rights and record_types:
        fields.append(_record_type_field(found, rights["RecordTypeId"]))
        rights[RECORD_TYPE] = rights["RecordTypeId"]
    return Described(
        ObjectSchema(name, "Id", tuple(fields), label=found.text("label")),
        rights,
        record_types,
        createable=found.flag("createable"),
        replicateable=found.flag("replicateable"),
    )


class _Raw:
    """JSON read strictly: a property that is there has the type it should have."""

    def __init__(self, raw: Any, doing: str) -> None:
        if not isinstance(raw, Mapping):
            raise unexpected(doing, "the description of an object")
        self._raw, self._doing = raw, doing

    def _get(self, name: str, kind: type, default: Any) -> Any:
        value = self._raw.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise unexpected(self._doing, f"one whose {name!r} is {kind.__name__}")
        return value

    def text(self, name: str) -> str:
        return str(self._get(name, str, ""))

    def flag(self, name: str) -> bool:
        return bool(self._get(name, bool, default=False))

    def number(self, name: str) -> int | None:
        found: int | None = self._get(name, int, None)
        return found or None

    def each(self, name: str) -> Sequence[_Raw]:
        return [_Raw(item, self._doing) for item in self._get(name, list, [])]

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self._get(name, list, []))


def _rights(item: _Raw) -> Rights:
    createable = item.flag("createable")
    required = (
        createable
        and not item.flag("nillable")
        and not item.flag("defaultedOnCreate")
        and item.text("type") != "boolean"
    )
    return Rights(
        createable,
        item.flag("updateable"),
        required,
        key=item.flag("externalId") or item.flag("idLookup"),
        unique=item.flag("unique") or item.text("type") == "id",
        case_sensitive=item.flag("caseSensitive") or item.text("type") not in {"string", "email"},
    )


def _field(object_name: str, item: _Raw) -> FieldSchema:
    name, kind = item.text("name"), item.text("type")
    type_ = _TYPES.get(kind, FieldType.STRING)
    picks = item.each("picklistValues")
    rights = _rights(item)
    values = tuple(one.text("value") for one in picks if one.flag("active"))
    is_amount = type_ is FieldType.DECIMAL
    return FieldSchema(
        name,
        type_,
        label=item.text("label"),
        required=rights.required,
        unique=rights.unique,
        length=item.number("length") if type_ in _LENGTHS else None,
        precision=item.number("precision") if is_amount else None,
        scale=(item.number("scale") or 0) if is_amount else None,
        references=item.texts("referenceTo"),
        values=values if item.flag("restrictedPicklist") else (),
        labels={one.text("value"): one.text("label") for one in picks},
        read_only=not (rights.createable or rights.updateable),
        pii=_PII.get(kind) or field_schema(object_name, name, ()).pii,
    )


def _record_types(found: _Raw) -> dict[str, str]:
    """The master record type is what records have that have none."""
    return {
        item.text("developerName"): item.text("recordTypeId")
        for item in found.each("recordTypeInfos")
        if item.text("developerName") and not item.flag("master")
    }


def _record_type_field(found: _Raw, rights: Rights) -> FieldSchema:
    infos = [item for item in found.each("recordTypeInfos") if not item.flag("master")]
    return FieldSchema(
        RECORD_TYPE,
        FieldType.PICKLIST,
        label="Record Type",
        values=tuple(item.text("developerName") for item in infos if item.text("developerName")),
        labels={item.text("developerName"): item.text("name") for item in infos},
        read_only=not (rights.createable or rights.updateable),
    )
