"""The tree of a SOQL query: fields, conditions and literals as written, no name looked up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Kind(Enum):
    """What a literal is written as: it must fit the field's type."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "dateTime"
    NULL = "null"
    RELATIVE = "date literal"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written; of text the escapes are resolved."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Test:
    """Field, operator ('=', '!=', '<', '<=', '>', '>=', 'like', 'in', 'not in', 'includes', 'excludes') and literals."""

    field: str
    operator: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class All:
    """AND."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """OR."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """NOT."""

    term: Term


Term: TypeAlias = Test | All | AnyOf | Negated


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key; nulls come first unless it says otherwise."""

    field: str
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT, COUNT_DISTINCT, MIN, MAX, SUM or AVG of a field."""

    function: str
    field: str
    alias: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query; `fields` may hold dotted names, 'FIELDS(ALL)' and the like, aggregates and child queries."""

    fields: tuple[str | Aggregate | Query, ...]
    object: str
    where: Term | None = None
    order: tuple[Sort, ...] = ()
    limit: int | None = None
    offset: int = 0
    count: bool = False
    """SELECT COUNT()."""
    all_rows: bool = False
