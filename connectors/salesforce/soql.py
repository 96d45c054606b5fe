"""SOQL text from names and values: names are checked, values are escaped, nothing of the data can leave its literal.

Escapes and literals: vendor's "Quoted String Escape Sequences" and "Date Formats and Date Literals" of SOQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import quote_plus

from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*){0,5}")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)
LONGEST = 12_000
"""Characters of a query in a URL: proxies and servers take some 16,000 in all."""


def name(text: str) -> str:
    """The name of an object or field, parents' with dots; raises `FatalError` for what can be none."""
    if not _NAME.fullmatch(text):
        raise FatalError(f"{text!r} cannot be the name of an object or field in Salesforce")
    return text


def text_literal(value: str) -> str:
    """A text in quotes."""
    return f"'{value.translate(_ESCAPES)}'"


def instant_literal(value: datetime) -> str:
    """An instant in UTC, to the millisecond."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def key_literal(field: FieldSchema, key: str) -> str | None:
    """A key as a literal of its field's type; None for what no record can have there."""
    if field.type not in {FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT}:
        return text_literal(key)
    try:
        number = Decimal(key)
    except InvalidOperation:
        return None
    return format(number, "f") if number.is_finite() else None


def select(fields: Sequence[str], object_name: str, *conditions: str, order: Sequence[str] = ()) -> str:
    """A query for fields of an object; all conditions hold."""
    soql = f"SELECT {','.join(name(item) for item in fields)} FROM {name(object_name)}"
    if conditions:
        soql += f" WHERE {' AND '.join(conditions)}"
    return f"{soql} ORDER BY {','.join(name(item) for item in order)}" if order else soql


def one_of(field: str, literals: Sequence[str], room: int) -> Iterator[str]:
    """Conditions that together name all literals, none of them longer than `room` characters in a URL."""
    start, used = 0, 0
    for place, literal in enumerate(literals):
        size = len(quote_plus(literal)) + 3
        if place > start and used + size > room:
            yield f"{name(field)} IN ({','.join(literals[start:place])})"
            start, used = place, 0
        used += size
    if start < len(literals):
        yield f"{name(field)} IN ({','.join(literals[start:])})"
