"""Describe answers as schemas: types by a table (types.csv), keys, references, option values, and what cannot be written."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

from connectors.fxiaoke.settings import FxiaokeSettings
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

ID = "_id"
OWNER = "owner"
CREATED = frozenset({"create_time", "created_by"})
"""Set when a record is created, with the switches, and never after."""
_SYSTEM = frozenset(
    {
        ID, "last_modified_time", "last_modified_by", "version", "tenant_id", "object_describe_api_name",
        "object_describe_id", "is_deleted", "life_status", "lock_status", "lock_user", "lock_rule",
        "life_status_before_invalid", "relevant_team", "package", "extend_obj_data_id", "total_num", "searchAfterId",
    }
)  # fmt: skip
_DERIVED = ("__r", "__l", "__v", "__p", "__relation_ids", "__e")
"""Endings of fields that the system makes of others; `__o`, the words for 'other', can be written."""
_REFERRED: Mapping[str, str] = {
    "employee": "PersonnelObj", "employee_many": "PersonnelObj", "out_employee": "PersonnelObj",
    "department": "DepartmentObj", "department_many": "DepartmentObj",
}  # fmt: skip
_PII = {"phone_number": "phone", "email": "email", "location": "address"}


class Shape(Enum):
    """How a value stands in JSON."""

    TEXT = "text"
    NUMBER = "number"
    """A text of digits, whatever the type."""
    DAY = "day"
    """Milliseconds of a midnight in the tenant's zone."""
    INSTANT = "instant"
    """Milliseconds since 1970."""
    TIME = "time"
    """Milliseconds since midnight."""
    FLAG = "flag"
    ONE = "one"
    """A list of one text."""
    TEXTS = "texts"
    """A list of texts; in staging joined by ';'."""
    JSON = "json"
    """Kept as it is."""
    COMPUTED = "computed"
    """Text, never written."""


@dataclass(frozen=True, slots=True)
class Described:
    """One object: its schema, and how its values stand in JSON."""

    schema: ObjectSchema
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """How the values of a field stand in JSON."""
        return self.shapes.get(name, Shape.TEXT)


def describe(raw: Mapping[str, Any], name: str, settings: FxiaokeSettings) -> Described:
    """The object in a describe answer; raises `FatalError` for an answer that is none."""
    raw_fields = raw.get("fields")
    if not isinstance(raw_fields, dict):
        raise FatalError(f"{name}: the description has no fields", hint="may the app's user see this object?")
    shapes: dict[str, Shape] = {ID: Shape.TEXT}
    made = {ID: FieldSchema(ID, FieldType.ID, "id", required=True, unique=True, read_only=True)}
    for api_name, item in raw_fields.items():
        if not isinstance(item, dict) or item.get("is_active") is False or api_name == ID:
            continue
        kind = str(item.get("type") or "")
        known = _types().get(kind, (FieldType.TEXT, Shape.JSON))
        shapes[api_name] = known[1]
        made[api_name] = _field(api_name, item, known, settings)
    key = settings.record_ids.get(name, ID)
    label = str(raw.get("display_name") or "")
    return Described(
        ObjectSchema(name, key if key in made else ID, tuple(made.values()), label=label), shapes
    )


@cache
def _types() -> Mapping[str, tuple[FieldType, Shape]]:
    lines = csv.reader((files("connectors.fxiaoke") / "types.csv").read_text("utf-8").splitlines()[1:])
    return {line[0]: (FieldType(line[1]), Shape(line[2])) for line in lines}


def _field(
    name: str, raw: Mapping[str, Any], known: tuple[FieldType, Shape], settings: FxiaokeSettings
) -> FieldSchema:
    kind, (field_type, shape) = str(raw.get("type") or ""), known
    options = [item for item in raw.get("options") or () if isinstance(item, dict) and "value" in item]
    target = raw.get("target_api_name") or _REFERRED.get(kind)
    closed = tuple(str(item["value"]) for item in options)
    return FieldSchema(
        name,
        field_type,
        label=str(raw.get("label") or ""),
        required=raw.get("is_required") is True,
        unique=raw.get("is_unique") is True,
        length=_whole(raw.get("max_length")) if field_type in (FieldType.STRING, FieldType.TEXT) else None,
        scale=_whole(raw.get("decimal_places")) if field_type is FieldType.DECIMAL else None,
        references=(str(target),) if target and field_type is FieldType.REFERENCE else (),
        values=closed,
        labels={str(item["value"]): str(item.get("label") or item["value"]) for item in options},
        read_only=_is_read_only(name, shape, settings),
        pii=_PII.get(kind, ""),
    )


def _is_read_only(name: str, shape: Shape, settings: FxiaokeSettings) -> bool:
    if name in CREATED:
        return not settings.audit
    return shape is Shape.COMPUTED or name in _SYSTEM or name.endswith(_DERIVED)


def _whole(value: object) -> int | None:
    """A length or scale, which stands as a number or as its digits."""
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value >= 0 else None
