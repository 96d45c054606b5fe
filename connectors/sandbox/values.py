"""How the record store holds values: text, whole numbers and bytes that sort as their types do."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import SqlValue
from migrator.core.schema import FieldSchema, FieldType

SQL_TYPES = {
    FieldType.INTEGER: "INTEGER",
    FieldType.BOOLEAN: "INTEGER",
    FieldType.FLOAT: "REAL",
    FieldType.FILE: "BLOB",
}
"""Column types; everything else is text: decimals keep every digit, instants sort as they stand."""

_PLAIN = frozenset(
    {FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST, FieldType.JSON}
)
"""Types whose text is the value itself."""
_WORDS = {"true": 1, "1": 1, "false": 0, "0": 0}


def instant(value: datetime) -> str:
    """An instant as the store holds it: UTC, fixed width, so that text order is time order."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> datetime:
    """The inverse of `instant`; also reads any ISO 8601 instant with an offset ('Z', '+0000', '+08:00').

    Raises ValueError for other texts and for instants without an offset.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"no offset: {text}")
    return found.astimezone(UTC)


def encoded(field: FieldSchema, value: object) -> SqlValue:
    """A value as the column of `field` holds it; '' and null are both empty, as CRMs have it.

    Text is taken as the wire formats write the type. Raises `Violation` when the value is not of the type.
    """
    if value is None or value == "":
        return None
    if field.type in _PLAIN and isinstance(value, str):
        return value
    try:
        return _encoded(field.type, value)
    except (ValueError, TypeError, KeyError, InvalidOperation) as error:
        raise Violation(
            Refused.TYPE, f"{value!r:.120} is not a value of type {field.type.value}", fields=(field.name,)
        ) from error


def _encoded(kind: FieldType, value: object) -> SqlValue:  # noqa: PLR0911 (one a type)
    match kind:
        case FieldType.INTEGER:
            return _whole(value)
        case FieldType.DECIMAL:
            return _decimal(value)
        case FieldType.FLOAT:
            return float(_decimal(value))
        case FieldType.BOOLEAN:
            return int(value) if isinstance(value, bool) else _WORDS[str(value).casefold()]
        case FieldType.DATE:
            return _day(value)
        case FieldType.DATETIME:
            return instant(value if isinstance(value, datetime) else parse_instant(_text(value)))
        case FieldType.TIME:
            return (
                value if isinstance(value, time) else time.fromisoformat(_text(value).rstrip("Z"))
            ).isoformat("milliseconds")
        case FieldType.FILE:
            return value if isinstance(value, bytes) else _text(value).encode()
        case FieldType.JSON:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case FieldType.MULTI_PICKLIST if isinstance(value, list):
            return ";".join(_text(item) for item in value)
        case _:
            return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise TypeError(f"not text: {type(value).__name__}")


def _whole(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError("a truth value is not a number")
    found = Decimal(_text(value))
    if found != found.to_integral_value() or not -(2**63) <= found < 2**63:
        raise ValueError("not a whole number of 64 bits")
    return int(found)


def _decimal(value: object) -> str:
    if isinstance(value, bool):
        raise TypeError("a truth value is not a number")
    found = Decimal(_text(value).strip())
    if not found.is_finite():
        raise ValueError("not a finite number")
    return format(found, "f")


def _day(value: object) -> str:
    if isinstance(value, datetime):
        raise TypeError("an instant is not a day")
    found = value if isinstance(value, date) else date.fromisoformat(_text(value)[:10])
    if isinstance(value, str) and len(value) > 10:
        parse_instant(value)  # some systems write a day as an instant
    return found.isoformat()
