"""Whether an organisation can take what is to be written; every difference is named with what to do, none is worked around."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.salesforce.described import AUDIT, RECORD_TYPE, Described, Rights
from migrator.core.document import did_you_mean
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_TEXTS = frozenset(
    {
        FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.PICKLIST, FieldType.MULTI_PICKLIST,
        FieldType.REFERENCE, FieldType.JSON,
    }
)  # fmt: skip
_TAKES: Mapping[FieldType, frozenset[FieldType]] = {
    FieldType.INTEGER: frozenset({FieldType.INTEGER, FieldType.DECIMAL}),
    FieldType.DECIMAL: frozenset({FieldType.DECIMAL}),
    FieldType.FLOAT: frozenset({FieldType.DECIMAL}),
    FieldType.BOOLEAN: frozenset({FieldType.BOOLEAN}),
    FieldType.DATE: frozenset({FieldType.DATE}),
    FieldType.DATETIME: frozenset({FieldType.DATETIME}),
    FieldType.TIME: frozenset({FieldType.TIME}),
    FieldType.FILE: frozenset({FieldType.FILE}),
}
_AUDIT_HINT = (
    "switch on 'Set Audit Fields upon Record Creation' and give the user that permission, or unmap the field"
)


def differences(schema: ObjectSchema, found: Described) -> list[str]:
    """What stands against writing `schema`'s records into an object, one sentence each."""
    if not found.createable:
        return [f"{schema.name} cannot be created by this user: give him the permission"]
    told = [text for field in schema.fields for text in _of_field(schema, field, found)]
    told += _of_key(schema, found)
    mapped = {*schema.field_names, *(("RecordTypeId",) if schema.field(RECORD_TYPE) else ())}
    told += [
        f"{schema.name}.{name} is required and nothing is written to it: map it, or give it a default"
        for name, rights in found.rights.items()
        if rights.required and name not in mapped and name != RECORD_TYPE
    ]
    return told


def _of_key(schema: ObjectSchema, found: Described) -> list[str]:
    rights = found.rights.get(schema.key)
    place = f"{schema.name}.{schema.key}"
    if schema.key == "Id":
        return [f"{place} is made by Salesforce: use a custom field of your own as key (External ID, Unique)"]
    if rights is None or (rights.key and rights.unique):
        return []
    lacks = " and ".join(
        word for word, has in (("External ID", rights.key), ("Unique", rights.unique)) if not has
    )
    return [f"{place} is the key, but not {lacks}: tick that in Setup, or a rerun would make records twice"]


def _of_field(schema: ObjectSchema, field: FieldSchema, found: Described) -> list[str]:
    place, has, rights = (
        f"{schema.name}.{field.name}",
        found.schema.field(field.name),
        found.rights.get(field.name),
    )
    if has is None or rights is None:
        hint = did_you_mean(field.name, found.schema.field_names, noun="fields")
        return [f"{place} is missing, or the user may not see it: add it, or unmap it. {hint}".rstrip(". ")]
    if not _is_writable(rights):
        hint = _AUDIT_HINT if field.name in AUDIT else "unmap it, or check field-level security"
        return [f"{place} cannot be written: {hint}"]
    return _of_type(place, field, has) + _of_size(place, field, has)


def _is_writable(rights: Rights) -> bool:
    return rights.createable or rights.updateable


def _of_type(place: str, field: FieldSchema, has: FieldSchema) -> list[str]:
    takes = _TAKES.get(field.type, _TEXTS)
    if has.type in takes:
        return []
    return [
        f"{place} is {has.type.value}, but {field.type.value} is to be written: change the field or the mapping"
    ]


def _of_size(place: str, field: FieldSchema, has: FieldSchema) -> list[str]:
    told = []
    if has.length and field.length and field.length > has.length:
        told.append(
            f"{place} holds {has.length} characters, but {field.length} may come: widen it, or cut in the mapping"
        )
    unknown = [value for value in field.values if has.values and value not in has.values]
    if unknown and field.type in _TEXTS:
        told.append(f"{place} does not know the value {', '.join(map(repr, unknown[:5]))}: add it, or map it")
    if field.type is FieldType.DECIMAL and field.precision and has.precision:
        whole = has.precision - (has.scale or 0)
        if field.precision - (field.scale or 0) > whole or (field.scale or 0) > (has.scale or 0):
            told.append(
                f"{place} holds {whole} digits and {has.scale or 0} decimals, but"
                f" {field.precision - (field.scale or 0)} and {field.scale or 0} may come: widen it"
            )
    return told
