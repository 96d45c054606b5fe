"""How much each field is used, measured over every staged record of its object: one aggregate pass, and one by segment.

What is null, empty, blank or the text 'null' is no value. A boolean is never null, so its use is the share that is true.
Fields that cannot be measured are told with the reason; nothing that is missing counts as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from migrator.core.components import Component, Segments
from migrator.core.schema import ObjectSchema
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Dataset

CHUNK = 24
"""Columns measured by one query."""
MOST_TOP = 5
"""Values that are listed of a field, the most frequent first."""
FEW = 30
"""A field with more different values than this has no list of them: they are names and texts, not states."""
MOST_SEGMENTS = 30
"""Values of a segment that are told apart, the largest first; the rest is one."""
_BOOLEANS = frozenset({"checkbox", "boolean", "bit", "bool"})
_NUMBERS = frozenset(
    {
        "number", "currency", "percent", "double", "int", "integer", "decimal", "money", "float", "bigint", "whole",
        "picklistnumber", "autonumber",
    }
)  # fmt: skip
_MOMENTS = frozenset({"date", "datetime", "time", "dateonly"})
_NO_VALUE = "('', 'null', 'NULL', '(null)')"


@dataclass(frozen=True, slots=True)
class Segment:
    """Use of a field among the records of one record type, business unit or year."""

    by: str
    """'record type', 'business unit', 'year'."""
    value: str
    rows: int
    filled: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the staged records say of one field."""

    rows: int
    filled: int
    distinct: int
    """Approximate, within about 5 %."""
    longest: int
    """Characters of the longest value."""
    default: int | None = None
    """Rows that hold the declared default; None when none is declared."""
    true: int | None = None
    """Of a boolean: rows that hold true."""
    blank: int = 0
    """Values of blanks only, or the text 'null': they count as no value."""
    newest: str = ""
    """ISO date of the newest record that has a value; '' when nothing tells."""
    newest_by: str = ""
    """The column that told."""
    newest_record: str = ""
    """ISO date of the newest record of the object, with a value or without."""
    top: tuple[tuple[str, int], ...] = ()
    """Of a field of few values that is not marked as sensitive: the most frequent ones, and how often each."""
    least: str = ""
    """Of a number, a date or a moment: the smallest value; '' for others, and for what is marked as sensitive."""
    most: str = ""
    segments: tuple[Segment, ...] = ()
    measured_on: str = ""
    """ISO date of the extract."""

    @property
    def fill(self) -> float:
        """Share of rows with a value, 0 to 1."""
        return self.filled / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"fill": round(self.fill, 4)}


def values_told(usage: Usage) -> list[str]:
    """Which values there are, in lines for people: the range, then the most frequent ones."""
    told = [f"{usage.least} to {usage.most}"] if usage.least else []
    return told + [f"{value}: {count:,}" for value, count in usage.top]


@dataclass(frozen=True, slots=True)
class Measured:
    """All fields of one object: measured, or why not."""

    usage: Mapping[str, Usage] = field(default_factory=dict)
    """Lower-case field name → use."""
    not_measured: Mapping[str, str] = field(default_factory=dict)
    """Lower-case field name → why."""


def measure(
    session: Session,
    dataset: Dataset,
    schema: ObjectSchema | None,
    fields: Sequence[Component],
    segments: Segments,
) -> Measured:
    """Measure `fields` (components of one object) over all rows of its STAGED dataset."""
    session.view("measured", dataset.files, dataset.schema())
    columns = {name.casefold(): name for name in _columns(session)}
    missing = {
        _short(item): "the extract has no such column" for item in fields if _short(item) not in columns
    }
    asked = [item for item in fields if _short(item) in columns]
    cuts = _cuts(columns, segments)
    when = next((columns[name.casefold()] for name in segments.modified if name.casefold() in columns), "")
    usage: dict[str, Usage] = {}
    day = dataset.created_at.date().isoformat() if dataset.created_at else ""
    for start in range(0, len(asked), CHUNK):
        chunk = asked[start : start + CHUNK]
        names = [columns[_short(item)] for item in chunk]
        totals = _totals(session, chunk, names, schema, when)
        parts = list(_by_segment(session, names, cuts)) if dataset.rows else []
        tops = _top(session, {n: name for n, name in enumerate(names) if _is_listed(chunk[n], totals, n)})
        for at, item in enumerate(chunk):
            cut = tuple(Segment(by, value, rows, filled[at]) for by, value, rows, filled in parts)
            found = _usage(totals, at, when, cut, day)
            usage[_short(item)] = replace(found, top=tops.get(at, ()))
    return Measured(usage, missing)


def _short(item: Component) -> str:
    return item.name[len(item.owner) + 1 :].casefold()


def _columns(session: Session) -> list[str]:
    described = session.fetch("SELECT column_name FROM (DESCRIBE measured)")
    return [name for name in described.column("column_name").to_pylist() if not name.startswith("__")]


def _cuts(columns: Mapping[str, str], segments: Segments) -> dict[str, str]:
    """What records are told apart by → SQL of its value."""
    wanted = {"record type": segments.record_type, "business unit": segments.business_unit}
    found = {}
    for by, names in wanted.items():
        column = next((columns[name.casefold()] for name in names if name.casefold() in columns), None)
        if column is not None:
            found[by] = f"CAST({quote(column)} AS VARCHAR)"
    created = next(
        (columns[name.casefold()] for name in segments.created if name.casefold() in columns), None
    )
    if created is not None:
        found["year"] = f"CAST(year({_moment(created)}) AS VARCHAR)"
    return found


def _moment(column: str) -> str:
    """A column as a moment, whether it is text or not; null where it is none."""
    return f"TRY_CAST(CAST({quote(column)} AS VARCHAR) AS TIMESTAMP)"


def _value(column: str) -> str:
    """The text of a column, null where there is no value."""
    text = f"trim(CAST({quote(column)} AS VARCHAR))"
    return f"CASE WHEN {text} IN {_NO_VALUE} THEN NULL ELSE {text} END"


def _totals(
    session: Session,
    fields: Sequence[Component],
    names: Sequence[str],
    schema: ObjectSchema | None,
    when: str,
) -> dict[str, Any]:
    parts = ["count(*) AS rows"]
    if when:
        parts.append(f"CAST(max({_moment(when)}) AS DATE) AS newest_record")
    for at, (item, name) in enumerate(zip(fields, names, strict=True)):
        value, raw = _value(name), f"CAST({quote(name)} AS VARCHAR)"
        parts += [
            f"count({value}) AS filled{at:d}",
            f"count({raw}) FILTER ({raw} <> '' AND {value} IS NULL) AS blank{at:d}",
            f"approx_count_distinct({value}) AS distinct{at:d}",
            f"coalesce(max(length({value})), 0) AS longest{at:d}",
        ]
        if when:
            parts.append(f"CAST(max({_moment(when)}) FILTER ({value} IS NOT NULL) AS DATE) AS newest{at:d}")
        ordered = _range(item, name, schema)
        if ordered:
            parts.append(
                f"CAST(min({ordered}) AS VARCHAR) AS least{at:d}, CAST(max({ordered}) AS VARCHAR) AS most{at:d}"
            )
        default = _default(item)
        if default is not None:
            parts.append(f"count(*) FILTER (lower({value}) = lower({literal(default)})) AS default{at:d}")
        if _is_boolean(item, name, schema):
            parts.append(f"count(*) FILTER (lower({value}) IN ('true', '1', 'yes', 'y', 't')) AS true{at:d}")
    (row,) = session.fetch(f"SELECT {', '.join(parts)} FROM measured").to_pylist()
    return dict(row)


def _range(item: Component, name: str, schema: ObjectSchema | None) -> str:
    """SQL of a value that can be put in order; '' where the type says that it is no number and no moment."""
    if item.marks:
        return ""
    known = schema.field(name) if schema is not None else None
    types = {item.facts.get("type", "").casefold(), known.type.value if known is not None else ""}
    if types & _NUMBERS:
        return f"TRY_CAST({_value(name)} AS DECIMAL(38, 6))"
    return f"TRY_CAST({_value(name)} AS TIMESTAMP)" if types & _MOMENTS else ""


def _is_listed(item: Component, totals: Mapping[str, Any], at: int) -> bool:
    """Few values that repeat: in a list of names, however short, each stands once."""
    distinct, filled = totals[f"distinct{at:d}"], totals[f"filled{at:d}"]
    return not item.marks and 0 < distinct <= FEW and distinct * 4 <= filled


def _top(session: Session, names: Mapping[int, str]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Place of a column → its most frequent values; one pass for all of them."""
    if not names:
        return {}
    values = ", ".join(f"{_value(name)} AS v{at:d}" for at, name in names.items())
    sets = ", ".join(f"(v{at:d})" for at in names)
    which = ", ".join(f"grouping(v{at:d}) AS g{at:d}" for at in names)
    shown = ", ".join(f"v{at:d}" for at in names)
    rows = session.fetch(
        f"SELECT {shown}, {which}, count(*) AS n FROM (SELECT {values} FROM measured) GROUP BY GROUPING SETS ({sets})"
        f" ORDER BY n DESC, {shown}"
    ).to_pylist()
    found: dict[int, tuple[tuple[str, int], ...]] = {}
    for at in names:
        own = [
            (row[f"v{at:d}"], row["n"])
            for row in rows
            if row[f"g{at:d}"] == 0 and row[f"v{at:d}"] is not None
        ]
        found[at] = tuple(own[:MOST_TOP])
    return found


def _default(item: Component) -> str | None:
    """The declared default when it is a plain value and no formula."""
    text = item.facts.get("default")
    if text is None:
        return None
    bare = text.strip().strip("\"'")
    return bare if bare.replace("-", "").replace("_", "").replace(" ", "").isalnum() else None


def _is_boolean(item: Component, name: str, schema: ObjectSchema | None) -> bool:
    known = schema.field(name) if schema is not None else None
    declared = item.facts.get("type", "").casefold()
    return declared in _BOOLEANS or (known is not None and known.type.value == "boolean")


def _by_segment(
    session: Session, names: Sequence[str], cuts: Mapping[str, str]
) -> Iterator[tuple[str, str, int, list[int]]]:
    """Of what, its value, its rows, and for each column the rows with a value: all segments in one pass."""
    if not cuts:
        return
    keys = [f"coalesce({sql}, '') AS s{at:d}" for at, sql in enumerate(cuts.values())]
    sets = ", ".join(f"(s{at:d})" for at in range(len(cuts)))
    which = ", ".join(f"grouping(s{at:d}) AS g{at:d}" for at in range(len(cuts)))
    values = ", ".join(f"{_value(name)} AS v{at:d}" for at, name in enumerate(names))
    counts = ", ".join(f"count(v{at:d}) AS c{at:d}" for at in range(len(names)))
    shown = ", ".join(f"s{at:d}" for at in range(len(cuts)))
    found = session.fetch(
        f"SELECT {shown}, {which}, count(*) AS rows, {counts} FROM (SELECT {', '.join(keys)}, {values} FROM measured)"
        f" GROUP BY GROUPING SETS ({sets}) ORDER BY rows DESC, {shown}"
    ).to_pylist()
    for at, by in enumerate(cuts):
        rows = [row for row in found if row[f"g{at:d}"] == 0]
        for row in rows[:MOST_SEGMENTS]:
            yield by, row[f"s{at:d}"], row["rows"], [row[f"c{n:d}"] for n in range(len(names))]
        rest = rows[MOST_SEGMENTS:]
        if rest:
            filled = [sum(row[f"c{n:d}"] for row in rest) for n in range(len(names))]
            yield by, f"{len(rest)} others", sum(row["rows"] for row in rest), filled


def _usage(found: Mapping[str, Any], at: int, when: str, cut: tuple[Segment, ...], day: str) -> Usage:
    newest, record = found.get(f"newest{at:d}"), found.get("newest_record")
    return Usage(
        rows=found["rows"], filled=found[f"filled{at:d}"], longest=found[f"longest{at:d}"],
        distinct=min(found[f"distinct{at:d}"], found[f"filled{at:d}"]), blank=found[f"blank{at:d}"],
        default=found.get(f"default{at:d}"), true=found.get(f"true{at:d}"),
        newest=newest.isoformat() if newest else "", newest_by=when if newest else "",
        least=_plain(found.get(f"least{at:d}")), most=_plain(found.get(f"most{at:d}")),
        newest_record=record.isoformat() if record else "", segments=cut, measured_on=day,
    )  # fmt: skip


def _plain(text: str | None) -> str:
    """A number without zeros behind its point, a day without its midnight."""
    if text is None:
        return ""
    bare = text.removesuffix(" 00:00:00")
    return bare.rstrip("0").rstrip(".") if "." in bare and ":" not in bare else bare
