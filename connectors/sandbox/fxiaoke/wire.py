"""Values of a Fxiaoke sandbox between JSON and the store: numbers as text, days and instants in milliseconds, employees in lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sandbox.fxiaoke.objects import ID, PERSONNEL, USER_ID, is_employee
from connectors.sandbox.values import parse_instant
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import SqlValue
from migrator.core.schema import FieldSchema, FieldType

ZONE = ZoneInfo("Asia/Shanghai")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
OPEN_USER = "FSUID_"
"""Before an employee's number, where the old sign-in calls him by his open id."""


def taken(item: FieldSchema, value: Any) -> Any:  # noqa: PLR0911 (one a type)
    """A value as a client sends it, for the store; raises `Violation` when it is not spelled as the type is."""
    if value is None or value in ("", []):
        return None
    match item.type:
        case FieldType.REFERENCE if is_employee(item):
            return _one(item, value)
        case FieldType.MULTI_PICKLIST:
            return _texts(item, value)
        case FieldType.DATE:
            return _instant(item, value).astimezone(ZONE).date()
        case FieldType.DATETIME:
            return _instant(item, value)
        case FieldType.TIME:
            return (_EPOCH + _whole(item, value) * _MS).time()
        case FieldType.BOOLEAN:
            return _checked(item, value, bool)
        case FieldType.DECIMAL | FieldType.INTEGER:
            return _checked(item, value, str)
        case FieldType.JSON:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        case _:
            return _checked(item, value, str)


def sought(item: FieldSchema, text: Any) -> Any:
    """A value of a filter: a text whatever the type."""
    match item.type:
        case FieldType.DATE | FieldType.DATETIME | FieldType.TIME:
            return taken(item, int(text)) if str(text).lstrip("-").isdigit() else _wrong(item, text)
        case FieldType.BOOLEAN:
            return {"true": True, "false": False}.get(str(text).lower(), text)
        case _:
            return str(text)


def given(item: FieldSchema, value: SqlValue) -> Any:  # noqa: PLR0911 (one a type)
    """A value of the store as it is answered."""
    if value is None:
        return None
    match item.type:
        case FieldType.REFERENCE if is_employee(item):
            return [str(value)]
        case FieldType.MULTI_PICKLIST:
            return str(value).split(";")
        case FieldType.DATE:
            day = date.fromisoformat(str(value))
            return _ms(datetime(day.year, day.month, day.day, tzinfo=ZONE))
        case FieldType.DATETIME:
            return _ms(parse_instant(str(value)))
        case FieldType.TIME:
            at = time.fromisoformat(str(value))
            return (at.hour * 3600 + at.minute * 60 + at.second) * 1000 + at.microsecond // 1000
        case FieldType.BOOLEAN:
            return bool(value)
        case FieldType.JSON:
            return json.loads(str(value))
        case FieldType.INTEGER if item.name == "version":
            return value
        case _:
            return str(value)


def record(
    object_name: str, fields: Mapping[str, FieldSchema], row: Mapping[str, SqlValue], prefix: str = ""
) -> dict[str, Any]:
    """A record as it is answered, empty fields left out; `prefix` stands before employees for those who sign in the old way."""
    told = {name: given(fields[name], value) for name, value in row.items() if value is not None}
    for name in told if prefix else ():
        if is_employee(fields[name]):
            told[name] = [f"{prefix}{one}" for one in told[name]]
    if row.get("is_deleted"):
        told["life_status"] = "invalid"
    if object_name == PERSONNEL and ID in told:
        told[USER_ID] = f"{prefix}{told[ID]}"
    return told


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def _instant(item: FieldSchema, value: Any) -> datetime:
    return _EPOCH + _whole(item, value) * _MS


def _whole(item: FieldSchema, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong(item, value)
    return int(value)


def _one(item: FieldSchema, value: Any) -> str:
    found = _texts(item, value)
    if len(found) != 1:
        _wrong(item, value)
    return found[0].removeprefix(OPEN_USER)


def _texts(item: FieldSchema, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        _wrong(item, value)
    return list(value)


def _checked(item: FieldSchema, value: Any, kind: type) -> Any:
    if isinstance(value, Decimal) or not isinstance(value, kind):
        _wrong(item, value)
    return value


def _wrong(item: FieldSchema, value: Any) -> Any:
    raise Violation(
        Refused.TYPE, f"[{item.label or item.name}]类型不匹配: {value!r:.60}", fields=(item.name,)
    )
