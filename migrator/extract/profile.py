"""What the values of a staged object look like, measured over every row in a few aggregates, never on a sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from migrator.core.schema import ObjectSchema
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Dataset

CHUNK = 16
"""Columns measured by one query: keeps its memory small whatever the width of the object."""
TOP = 10
FEW = 1_000
"""Columns with at most about so many distinct values get their most frequent ones counted."""
_GLIMPSE = 2_000
"""Rows looked at first: a form that one of them contradicts need not be tested on the others."""

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}0{0,3})?)?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
_MIDNIGHT = r"00:00(?::00(?:\.0{1,9})?)?"
_FIRST, _LAST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"


def _like(pattern: str) -> str:
    return f"regexp_full_match(v, {literal(pattern)})"


FORMS: Mapping[str, str] = {
    "integer": f"({_like('-?(?:0|[1-9][0-9]{0,18})')} AND TRY_CAST(v AS BIGINT) IS NOT NULL)",
    "decimal": _like(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"),
    "true/false": "(lower(v) IN ('true', 'false'))",
    "yes/no": "(lower(v) IN ('yes', 'no'))",
    "y/n": "(lower(v) IN ('y', 'n'))",
    "t/f": "(lower(v) IN ('t', 'f'))",
    "1/0": "(v IN ('1', '0'))",
    "date": f"({_like(_DAY)} AND year(TRY_CAST(v AS DATE)) BETWEEN 1 AND 9999)",
    "local time": f"({_like(f'{_DAY}[T ]{_TIME}')} AND year(TRY_CAST(v AS TIMESTAMP)) BETWEEN 1 AND 9999)",
    "instant": (
        f"({_like(f'{_DAY}[T ]{_TIME}{_OFFSET}')}"
        f" AND TRY_CAST(v AS TIMESTAMPTZ) BETWEEN {literal(_FIRST)} AND {literal(_LAST)})"
    ),
    "midnight": _like(f"{_DAY}[T ]{_MIDNIGHT}{_OFFSET}?"),
    "digits": _like("[0-9]+"),
    "one line": "(NOT (contains(v, chr(10)) OR contains(v, chr(13))))",
    "identifier": _like(r"[0-9A-Za-z_.:{}-]{1,64}"),
    "long identifier": _like(r"[0-9A-Za-z{}-]{15,64}"),
    "email": _like(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
}
"""Form → SQL that tells whether the text `v` (neither null nor empty) has it. What is a date or a number here is one
to the mapping's casts too, and looks the same when it is written back: no leading zeros, no plus, no exponent."""


_ONE_LINE = frozenset({"one line"})
_WORD = frozenset({"identifier", "one line"})
IMPLIED: Mapping[str, frozenset[str]] = {
    "integer": _WORD | {"decimal"},
    "decimal": _WORD,
    "true/false": _WORD,
    "yes/no": _WORD,
    "y/n": _WORD,
    "t/f": _WORD,
    "1/0": _WORD | {"integer", "decimal", "digits"},
    "date": _WORD,
    "local time": _ONE_LINE,
    "instant": _ONE_LINE,
    "midnight": _ONE_LINE,
    "digits": _ONE_LINE,
    "identifier": _ONE_LINE,
    "long identifier": _WORD,
    "email": _ONE_LINE,
}
"""Form → forms that whatever has it has too: they need no test while it holds."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column over all rows."""

    name: str
    type: str
    """The engine's type of the staged column; VARCHAR for text formats."""
    rows: int
    nulls: int
    empties: int
    """Texts of length 0."""
    distinct: int
    """Distinct values, neither null nor empty; approximate (within about 5 %)."""
    shortest: int | None
    longest: int | None
    """Characters of the shortest and longest value that is neither null nor empty."""
    forms: frozenset[str] = frozenset()
    """Names of `FORMS` that every such value has; empty when there is no value."""
    integer_digits: int = 0
    fraction_digits: int = 0
    """Most digits before and behind the point, where all are decimals."""
    leading_zeros: int = 0
    """Values of several digits that begin with 0, where all are digits: such a column is text."""
    unique: bool = False
    """Whether no row lacks a value and no two share one; looked at only where it may be."""
    top: tuple[tuple[str, int], ...] = ()
    """The most frequent values with their rows, where there are few distinct ones. As they stand: mask before showing."""

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls - self.empties

    @property
    def filled(self) -> float:
        """Share of rows with a value, 0 to 1."""
        return self.values / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class ObjectProfile:
    """All columns of one staged object, in the order of its schema."""

    name: str
    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile | None:
        """The column called `name`, or None."""
        return next((item for item in self.columns if item.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; top values as they stand, so mask those of personal fields."""
        columns = []
        for item in self.columns:
            raw = asdict(item) | {"filled": round(item.filled, 4), "forms": sorted(item.forms)}
            columns.append(raw | {"top": [list(pair) for pair in item.top]})
        return {"name": self.name, "rows": self.rows, "columns": columns}


def profile(session: Session, dataset: Dataset, schema: ObjectSchema) -> ObjectProfile:
    """Measure all fields of `schema` over all rows of a STAGED dataset; memory does not grow with the rows."""
    session.view("profiled", dataset.files, dataset.schema())
    types = _types(session)
    columns = [
        found
        for chunk in _chunks([name for name in schema.field_names if name in types])
        for found in _measure(session, chunk, types, dataset.rows)
    ]
    return ObjectProfile(dataset.name, dataset.rows, tuple(columns))


def _types(session: Session) -> dict[str, str]:
    described = session.fetch("SELECT column_name, column_type FROM (DESCRIBE profiled)")
    return {row["column_name"]: row["column_type"] for row in described.to_pylist()}


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), CHUNK):
        yield names[start : start + CHUNK]


def _measure(
    session: Session, names: Sequence[str], types: Mapping[str, str], rows: int
) -> list[ColumnProfile]:
    texts = [_text(name, types[name]) for name in names]
    glimpse = f"(SELECT * FROM profiled LIMIT {_GLIMPSE:d})"
    seen = _aggregate(session, glimpse, texts, [_forms(set(FORMS)) for _ in names])
    open_forms = [{form for form in FORMS if found[form] is not False} for found in seen]
    # The narrowest forms first; what they imply is tested only where they turn out not to hold on every row.
    found = _aggregate(
        session, "profiled", texts, [_MEASURES | _forms(_narrowest(forms)) for forms in open_forms]
    )
    untested = [_narrowest(forms - _known(row)) for forms, row in zip(open_forms, found, strict=True)]
    while any(untested):
        more = _aggregate(session, "profiled", texts, [_forms(forms) for forms in untested])
        found = [row | tested for row, tested in zip(found, more, strict=True)]
        untested = [_narrowest(forms - _known(row)) for forms, row in zip(open_forms, found, strict=True)]
    return [_column(session, name, types[name], rows, row) for name, row in zip(names, found, strict=True)]


def _narrowest(forms: Set[str]) -> set[str]:
    """Those of `forms` that no other one of them implies."""
    return {form for form in forms if not any(form in IMPLIED.get(other, ()) for other in forms)}


def _holding(found: Mapping[str, Any]) -> frozenset[str]:
    """Forms that were tested and hold, and what they imply."""
    held = {form for form in FORMS if found.get(form)}
    return frozenset(held).union(*(IMPLIED.get(form, frozenset()) for form in held))


def _known(found: Mapping[str, Any]) -> frozenset[str]:
    """Forms of which it is settled whether they hold."""
    return _holding(found) | {form for form in FORMS if form in found}


def _text(name: str, kind: str) -> str:
    """A column as the text that is measured."""
    return quote(name) if kind == "VARCHAR" else f"CAST({quote(name)} AS VARCHAR)"


_MEASURES: dict[str, str] = {
    "nulls": "count(*) - count(t)",
    "empties": "count(t) - count(v)",
    "distinct": "approx_count_distinct(v)",
    "shortest": "min(length(v))",
    "longest": "max(length(v))",
}
_DIGITS: dict[str, str] = {
    "integer_digits": "max(length(ltrim(split_part(v, '.', 1), '-')))",
    "fraction_digits": "max(length(split_part(v, '.', 2)))",
}


def _forms(forms: Set[str]) -> dict[str, str]:
    """Name → aggregate over the text `t` of a column, of which `v` is the part that is neither null nor empty."""
    wanted = {
        form: f"bool_and(coalesce({sql}, FALSE)) FILTER (v IS NOT NULL)"
        for form, sql in FORMS.items()
        if form in forms
    }
    if "decimal" in forms:
        wanted |= _DIGITS
    if "digits" in forms:
        wanted["leading_zeros"] = "count(*) FILTER (length(v) > 1 AND starts_with(v, '0'))"
    return wanted


def _aggregate(
    session: Session, relation: str, texts: Sequence[str], measures: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Each column's measures, by one query for all of them."""
    inner = ", ".join(f"{text} AS t{at:d}, nullif({text}, '') AS v{at:d}" for at, text in enumerate(texts))
    outer = ", ".join(
        f"{_at(sql, at)} AS {quote(f'{at:d} {name}')}"
        for at, wanted in enumerate(measures)
        for name, sql in wanted.items()
    )
    (row,) = session.fetch(f"SELECT {outer} FROM (SELECT {inner} FROM {relation})").to_pylist()
    return [{name: row[f"{at:d} {name}"] for name in wanted} for at, wanted in enumerate(measures)]


_NAMES = re.compile(r"\b[tv]\b")


def _at(sql: str, at: int) -> str:
    """The measure with its `t` and `v` made those of one column; its texts in quotes stay as they are."""
    pieces = sql.split("'")
    pieces[::2] = [_NAMES.sub(lambda match: f"{match[0]}{at:d}", piece) for piece in pieces[::2]]
    return "'".join(pieces)


def _column(session: Session, name: str, kind: str, rows: int, found: Mapping[str, Any]) -> ColumnProfile:
    values = rows - found["nulls"] - found["empties"]
    return ColumnProfile(
        name=name,
        type=kind,
        rows=rows,
        nulls=found["nulls"],
        empties=found["empties"],
        distinct=min(found["distinct"], values),
        shortest=found["shortest"],
        longest=found["longest"],
        forms=_holding(found) if values else frozenset(),
        integer_digits=found.get("integer_digits") or (found["longest"] or 0 if found.get("integer") else 0),
        fraction_digits=found.get("fraction_digits") or 0,
        leading_zeros=found.get("leading_zeros") or 0,
        unique=values == rows > 0 and found["distinct"] > 0.8 * rows and _is_unique(session, name),
        top=_top(session, name, kind) if 0 < found["distinct"] <= FEW else (),
    )


def _is_unique(session: Session, name: str) -> bool:
    repeated = session.fetch(
        f"SELECT 1 AS found FROM profiled GROUP BY {quote(name)} HAVING count(*) > 1 LIMIT 1"
    )
    return bool(repeated.num_rows == 0)


def _top(session: Session, name: str, kind: str) -> tuple[tuple[str, int], ...]:
    text = _text(name, kind)
    found: pa.Table = session.fetch(
        f"SELECT {text} AS v, count(*) AS n FROM profiled WHERE {text} <> '' GROUP BY 1 ORDER BY n DESC, v LIMIT {TOP:d}"
    )
    return tuple((row["v"], row["n"]) for row in found.to_pylist())
