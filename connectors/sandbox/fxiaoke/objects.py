"""The objects a Fxiaoke sandbox starts with (objects.json: those the shipped mappings write), and their describe answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_from_json

ID, OWNER, USER_ID = "_id", "owner", "user_id"
PERSONNEL = "PersonnelObj"
POOLS = {"AccountObj": "high_seas_id", "LeadsObj": "leads_pool_id"}
_SYSTEM = (
    FieldSchema(ID, FieldType.ID, "id"),
    FieldSchema(OWNER, FieldType.REFERENCE, "负责人", references=(PERSONNEL,)),
    FieldSchema("created_by", FieldType.REFERENCE, "创建人", references=(PERSONNEL,)),
    FieldSchema("create_time", FieldType.DATETIME, "创建时间"),
    FieldSchema("last_modified_by", FieldType.REFERENCE, "最后修改人", references=(PERSONNEL,)),
    FieldSchema("last_modified_time", FieldType.DATETIME, "最后修改时间"),
    FieldSchema("record_type", FieldType.STRING, "业务类型"),
    FieldSchema("life_status", FieldType.STRING, "生命状态"),
    FieldSchema("lock_status", FieldType.STRING, "锁定状态"),
    FieldSchema("is_deleted", FieldType.BOOLEAN, "已删除"),
    FieldSchema("version", FieldType.INTEGER, "版本"),
)
_TYPES = {
    FieldType.ID: "text", FieldType.STRING: "text", FieldType.TEXT: "long_text", FieldType.INTEGER: "number",
    FieldType.DECIMAL: "currency", FieldType.FLOAT: "number", FieldType.BOOLEAN: "true_or_false",
    FieldType.DATE: "date", FieldType.DATETIME: "date_time", FieldType.TIME: "time",
    FieldType.PICKLIST: "select_one", FieldType.MULTI_PICKLIST: "select_many",
    FieldType.JSON: "array", FieldType.REFERENCE: "object_reference",
}  # fmt: skip


def standard() -> tuple[ObjectSchema, ...]:
    """Employees, accounts, contacts and the rest, system fields and pools included."""
    text = (files("connectors.sandbox.fxiaoke") / "objects.json").read_text("utf-8")
    return tuple(completed(item) for item in schemas_from_json(text))


def completed(schema: ObjectSchema) -> ObjectSchema:
    """An object with the fields that the system gives to each of its kind; its key is `_id`."""
    extra = list(_SYSTEM)
    if schema.name == PERSONNEL:
        extra.append(FieldSchema(USER_ID, FieldType.STRING, "员工ID"))
    if schema.name in POOLS:
        extra.append(FieldSchema(POOLS[schema.name], FieldType.STRING, "池"))
    there = {item.name for item in extra}
    own = tuple(
        # what stands there is the name of a file, not its bytes
        replace(item, type=FieldType.STRING) if item.type is FieldType.FILE else item
        for item in schema.fields
        if item.name not in there
    )
    return replace(schema, key=ID, fields=(*extra, *own))


def is_employee(item: FieldSchema) -> bool:
    """Whether a field holds an employee: a list of one id on the wire."""
    return item.type is FieldType.REFERENCE and item.references == (PERSONNEL,)


def listed(schemas: Sequence[ObjectSchema]) -> list[dict[str, Any]]:
    """What object/list answers."""
    return [
        {
            "describeApiName": item.name,
            "describeDisplayName": item.label or item.name,
            "defineType": "custom" if item.name.endswith("__c") else "package",
            "isActive": True,
        }
        for item in schemas
    ]


def described(schema: ObjectSchema) -> dict[str, Any]:
    """What describe answers."""
    return {
        "api_name": schema.name,
        "display_name": schema.label or schema.name,
        "is_active": True,
        "fields": {item.name: _field(schema, item) for item in schema.fields},
    }


def _field(schema: ObjectSchema, item: FieldSchema) -> dict[str, Any]:
    kind = "employee" if is_employee(item) else _TYPES[item.type]
    told: dict[str, Any] = {
        "api_name": item.name,
        "type": "record_type" if item.name == "record_type" else kind,
        "label": item.label or item.name,
        "is_required": item.required,
        "is_unique": item.unique or (item.name == USER_ID and schema.name == PERSONNEL),
        "is_active": True,
        "define_type": "custom" if item.name.endswith("__c") else "package",
    }
    if item.length is not None:
        told["max_length"] = item.length
    if item.type in (FieldType.DECIMAL, FieldType.INTEGER):
        told["decimal_places"] = item.scale or 0
    if kind == "object_reference" and item.references:
        told["target_api_name"] = item.references[0]
    if item.values:
        told["options"] = [{"label": item.labels.get(one, one), "value": one} for one in item.values]
    return told
