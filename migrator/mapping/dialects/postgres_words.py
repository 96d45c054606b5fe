"""Small pieces of PostgreSQL's SQL: literals, names, types, and a value named once however often it is used."""

from __future__ import annotations

from collections.abc import Callable

from migrator.staging.dialects.kinds import Base, NotCarried, Type

_NAMES = {
    Base.TEXT: "text", Base.INT: "integer", Base.BIGINT: "bigint", Base.DOUBLE: "double precision",
    Base.BOOLEAN: "boolean", Base.DATE: "date", Base.TIMESTAMP: "timestamp", Base.INSTANT: "timestamptz",
}  # fmt: skip
LIMITS = {Base.INT: 2**31, Base.BIGINT: 2**63}
"""One more than the largest whole number of a type; the smallest is its negative."""


def name(identifier: str) -> str:
    """An identifier in quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal, whatever the server's setting for backslashes is."""
    if "\0" in value:
        raise NotCarried("a text with the character 0, which PostgreSQL cannot hold")
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return f"E{quoted}::text" if "\\" in value else f"{quoted}::text"


def type_name(kind: Type) -> str:
    """A type in PostgreSQL's words."""
    if kind.base is Base.DECIMAL:
        return f"numeric({kind.precision},{kind.scale})"
    if kind.base not in _NAMES:
        raise NotCarried(f"a value of the type {kind}")
    return _NAMES[kind.base]


def let(body: Callable[..., str], *values: str) -> str:
    """`body` of the values, each written once; only the values see the columns, so no name can be taken for another."""
    names = [f"v{number}" for number in range(len(values))]
    return f"(SELECT {body(*names)} FROM (VALUES ({', '.join(values)})) AS given({', '.join(names)}))"


def within(sql: str, kind: Type) -> str:
    """An exact number as a whole number or decimal, rounded half away from zero; null where it does not fit."""
    if kind.base is Base.DECIMAL:
        limit = "1" + "0" * (kind.precision - kind.scale)
        rounded = f"round({sql}, {kind.scale})"
        return let(
            lambda v: f"CASE WHEN abs({v}) < {limit}::numeric THEN {v}::{type_name(kind)} END", rounded
        )
    limit = str(LIMITS[kind.base])
    return let(
        lambda v: (
            f"CASE WHEN {v} >= -{limit}::numeric AND {v} < {limit}::numeric THEN {v}::{type_name(kind)} END"
        ),
        f"round({sql}, 0)",
    )


def utc(sql: str, kind: Type) -> str:
    """A date or time as a time without zone, an instant as UTC's."""
    return f"({sql} AT TIME ZONE 'UTC')" if kind.base is Base.INSTANT else f"{sql}::timestamp"


def binary(sql: str, kind: Type) -> str:
    """A text that is compared by its code points, in no language's order; other types as they are."""
    return f'({sql} COLLATE "C")' if kind.base is Base.TEXT else sql
