"""The types a mapping can name, as written in YAML (`decimal(18,2)`) and as the engine stores them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from migrator.core.schema import FieldSchema, FieldType

_WRITTEN = re.compile(r"([a-z_]+)(?:\(\s*(\d{1,5})\s*(?:,\s*(\d{1,2})\s*)?\))?")
MAX_DIGITS = 38
"""Digits the engine's exact decimals hold."""
DEFAULT_DECIMAL = (38, 10)
"""What `decimal` without digits means."""

TEXTUAL = frozenset(
    {
        FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST,
        FieldType.MULTI_PICKLIST, FieldType.FILE, FieldType.JSON,
    }
)  # fmt: skip
"""Types that are text in the engine."""
FREE_TEXT = frozenset({FieldType.STRING, FieldType.TEXT})
"""Types where an empty text is a value of its own and not the same as null."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type with its size, for example `decimal(18,2)` or `string(80)`."""

    type: FieldType
    length: int | None = None
    precision: int | None = None
    scale: int | None = None

    def __str__(self) -> str:
        if self.precision is not None:
            return f"{self.type.value}({self.precision},{self.scale or 0})"
        return f"{self.type.value}({self.length})" if self.length is not None else self.type.value


@cache
def parse_kind(text: str) -> Kind:
    """A type as written in a mapping; raises ValueError with a message for people."""
    match = _WRITTEN.fullmatch(text.strip())
    names = {item.value for item in FieldType}
    if not match or match[1] not in names:
        raise ValueError(f"{text!r} is not a type")
    kind, first, second = FieldType(match[1]), match[2], match[3]
    if kind is FieldType.DECIMAL:
        return _decimal(text, first, second)
    if first is None:
        return Kind(kind)
    if kind not in TEXTUAL or second is not None or int(first) < 1:
        raise ValueError(f"{text!r}: {kind.value} does not take this size")
    return Kind(kind, length=int(first))


def _decimal(text: str, first: str | None, second: str | None) -> Kind:
    if first is None:
        return Kind(FieldType.DECIMAL, precision=DEFAULT_DECIMAL[0], scale=DEFAULT_DECIMAL[1])
    precision, scale = int(first), int(second or 0)
    if not 1 <= precision <= MAX_DIGITS or scale > precision:
        raise ValueError(
            f"{text!r}: a decimal has 1 to {MAX_DIGITS} digits, and no more behind the point than in all"
        )
    return Kind(FieldType.DECIMAL, precision=precision, scale=scale)


def kind_of(field: FieldSchema) -> Kind:
    """The kind of a field of a schema, made to fit what the engine can hold exactly."""
    if field.type is not FieldType.DECIMAL:
        return Kind(field.type, length=field.length if field.type in TEXTUAL else None)
    if field.precision is None or not 1 <= field.precision <= MAX_DIGITS:
        scale = DEFAULT_DECIMAL[1] if field.scale is None else min(field.scale, MAX_DIGITS)
        return Kind(FieldType.DECIMAL, precision=MAX_DIGITS, scale=max(scale, 0))
    return Kind(
        FieldType.DECIMAL, precision=field.precision, scale=min(max(field.scale or 0, 0), field.precision)
    )


_ENGINE_TYPES = {
    FieldType.INTEGER: "BIGINT",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.TIME: "TIME",
}


def engine_type(kind: Kind) -> str:
    """The column type in MAPPED, in DuckDB's words."""
    if kind.type is FieldType.DECIMAL:
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _ENGINE_TYPES.get(kind.type, "TEXT")
