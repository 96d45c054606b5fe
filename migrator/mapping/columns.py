"""A staged column as SQL: its canonical text, or its value where it already has the type that is wanted."""

from __future__ import annotations

from migrator.core.schema import FieldType
from migrator.mapping.bound import Column, Stored
from migrator.mapping.casts import cast_text
from migrator.mapping.kinds import Kind, engine_type
from migrator.staging.engine import literal, quote

_BIGINT_DIGITS = 19
_SAME = {
    (Stored.INTEGER, FieldType.INTEGER), (Stored.INTEGER, FieldType.FLOAT), (Stored.FLOAT, FieldType.FLOAT),
    (Stored.BOOLEAN, FieldType.BOOLEAN), (Stored.DATE, FieldType.DATE), (Stored.TIME, FieldType.TIME),
    (Stored.INSTANT, FieldType.DATETIME),
}  # fmt: skip


def text_of(column: Column) -> str:
    """The column as text, the same text for the same value however it is stored (a whole float has no '.0')."""
    name = quote(column.engine)
    match column.stored:
        case Stored.TEXT:
            return name
        case Stored.FLOAT:
            whole = f"CAST(CAST({name} AS BIGINT) AS TEXT)"
            return f"CASE WHEN abs({name}) < 1e15 AND {name} = trunc({name}) THEN {whole} ELSE CAST({name} AS TEXT) END"
        case _:
            return f"CAST({name} AS TEXT)"


def filled(text: str) -> str:
    """A text without spaces at its ends; null when nothing is left."""
    return f"nullif(trim({text}), '')"


def typed(column: Column, kind: Kind, zone: str) -> str | None:
    """The column as `kind` where no text has to be read and no digit can be lost; else None."""
    name, target = quote(column.engine), engine_type(kind)
    sql: str | None = None
    match column.stored, kind.type:
        case Stored.LOCAL, FieldType.DATETIME:
            sql = f"timezone({literal(zone or 'UTC')}, CAST({name} AS TIMESTAMP))"
        case Stored.LOCAL, FieldType.DATE if zone:
            sql = f"CAST({name} AS DATE)"
        case Stored.INSTANT, FieldType.DATE if zone:
            sql = f"CAST(timezone({literal(zone)}, {name}) AS DATE)"
        case Stored.INTEGER | Stored.DECIMAL, FieldType.DECIMAL if _holds(kind, column):
            sql = f"CAST({name} AS {target})"
        case pair if pair in _SAME:
            sql = f"CAST({name} AS {target})"
        case _:
            pass
    return sql


def _holds(kind: Kind, column: Column) -> bool:
    """Whether every value of the staged column fits the decimal exactly."""
    scale, whole = kind.scale or 0, (kind.precision or 0) - (kind.scale or 0)
    if column.stored is Stored.INTEGER:
        return whole >= _BIGINT_DIGITS
    return column.digits[1] <= scale and column.digits[0] - column.digits[1] <= whole


def operand(column: Column) -> str:
    """The column as an expression sees it where its text still has to be read as the schema's type."""
    return cast_text(filled(text_of(column)), column.kind).sql
