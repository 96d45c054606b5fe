"""Conditions on records, free of any system's query language, and their SQL with every value bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

SqlValue: TypeAlias = str | int | float | bytes | None


@dataclass(frozen=True, slots=True)
class Path:
    """A field, of the record itself or of the record that its reference fields `via` lead to, one after the other."""

    field: str
    via: tuple[str, ...] = ()


class Operator(Enum):
    """Comparisons; null compares as unknown, as in SQL."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against one value, which is not null."""

    path: Path
    operator: Operator
    value: object


@dataclass(frozen=True, slots=True)
class In:
    """A field has one of these values."""

    path: Path
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Like:
    r"""A text field matches a pattern of % (any text) and _ (one character), without regard to case; `\` quotes them."""

    path: Path
    pattern: str


@dataclass(frozen=True, slots=True)
class Null:
    """A field is empty."""

    path: Path


@dataclass(frozen=True, slots=True)
class Every:
    """All of these hold; with none of them, every record."""

    terms: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these holds; with none of them, no record."""

    terms: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Its term is not known to hold."""

    term: Where


Where: TypeAlias = Compare | In | Like | Null | Every | Some | Not

EVERYTHING = Every(())
"""Holds for every record."""


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key; empty values come first unless `nulls_last`."""

    path: Path
    descending: bool = False
    nulls_last: bool = False


class Rows(Enum):
    """Which records a read sees."""

    LIVE = "live"
    ALL = "live and in the recycle bin"
    BIN = "in the recycle bin"


Column: TypeAlias = Callable[[Path], str]
"""The SQL of a path, as it is compared and sorted."""
Encode: TypeAlias = Callable[[Path, object], SqlValue]
"""A value as the column of a path holds it."""


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def condition(where: Where, column: Column, encode: Encode) -> tuple[str, list[SqlValue]]:  # noqa: PLR0911 (one a kind of term)
    """The SQL of a condition and its parameters; unknown counts as not holding, also under `Not`."""
    match where:
        case Compare(path, operator, value):
            return f"({column(path)} {operator.value} ?)", [encode(path, value)]
        case In(path, values):
            marks = ", ".join("?" * len(values))
            return f"({column(path)} IN ({marks}))", [encode(path, value) for value in values]
        case Like(path, pattern):
            return f"({column(path)} LIKE ? ESCAPE '\\')", [pattern]
        case Null(path):
            return f"({column(path)} IS NULL)", []
        case Not(term):
            text, values_of = condition(term, column, encode)
            return f"(NOT coalesce({text}, 0))", values_of
        case Every(terms):
            return _joined(terms, " AND ", "1", column, encode)
        case Some(terms):
            return _joined(terms, " OR ", "0", column, encode)


def _joined(
    terms: tuple[Where, ...], word: str, empty: str, column: Column, encode: Encode
) -> tuple[str, list[SqlValue]]:
    texts, values = [], []
    for term in terms:
        text, found = condition(term, column, encode)
        texts.append(text)
        values += found
    return f"({word.join(texts) or empty})", values
