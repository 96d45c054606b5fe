"""Measures beside the row-by-row comparison: totals by group, dates by month, values of pick-lists, orphaned links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, quote
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store
from validation.reconcile import EXAMPLES, Cell
from validation.relations import Column, Family, Sides

ORPHAN = "orphan"

GROUPS = 40
"""Most groups or values shown of one measure; the rest is summed up as the number left out."""


@dataclass(frozen=True, slots=True)
class Total:
    """An exact sum of one group of records; `group` holds one value per grouping field, None for empty."""

    group: tuple[str | None, ...]
    expected: str
    actual: str
    equal: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of one number field by the values of others ('amount' by 'currency')."""

    field: str
    by: tuple[str, ...]
    groups: tuple[Total, ...]
    different: int
    """Groups whose sums differ, the ones not listed included."""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """How often each value (or month) stands in a field on both sides; the commonest first, months in order."""

    field: str
    values: tuple[tuple[str | None, int, int], ...]
    """(value, expected records, records of ours in the target)."""
    different: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Orphans:
    """Records whose link points to a record the target no longer has."""

    field: str
    count: int
    examples: tuple[Cell, ...] = ()


def totals(session: Session, sides: Sides, field: str, by: Sequence[str]) -> Totals:
    """Sums of `field` grouped by the values of `by` (a date: by its year), exact, on both sides; groups that differ come first."""
    number = _column(sides, field)
    groups = [_column(sides, name) for name in by]
    sql = _both_sides(sides, groups, f"sum({number.e})", f"sum({number.a})", [number])
    keys = ", ".join(f"g{i}" for i in range(len(groups)))
    rows = session.fetch(
        f"SELECT *, count(*) OVER () AS groups, count(*) FILTER (NOT same) OVER () AS different"
        f" FROM ({sql}) ORDER BY same, abs(e) DESC, {keys} LIMIT {GROUPS}"
    ).to_pylist()
    found = tuple(
        Total(tuple(row[f"g{i}"] for i in range(len(groups))), str(row["e"]), str(row["a"]), row["same"])
        for row in rows
    )
    first = rows[0] if rows else {"groups": 0, "different": 0}
    return Totals(field, tuple(by), found, first["different"], first["groups"] - len(found))


def distribution(session: Session, sides: Sides, field: str) -> Distribution:
    """Records by value of a field on both sides; empty is a value of its own."""
    column = _column(sides, field)
    sql = _both_sides(sides, [column], "count(*)", "count(*)", [])
    return _distribution(session, field, sql, "e + a DESC, g0")


def months(session: Session, sides: Sides, field: str) -> Distribution:
    """Records by month of a date on both sides: a shifted day or zone moves records over a month's end."""
    column = _column(sides, field)
    cut = "strftime(date_trunc('month', {}), '%Y-%m')"
    sql = _both_sides(sides, [column], "count(*)", "count(*)", [], shape=cut)
    return _distribution(session, field, sql, "g0 NULLS FIRST", limit=1200)


def orphans(
    session: Session, store: Store, sides: Sides, column: Column, objects: Mapping[str, MappedObject]
) -> Orphans:
    """Links of ours that hold the id of a record which the read-back of its object does not have."""
    assert column.link is not None  # noqa: S101 (only links have orphans)
    dead = [_dead_sql(session, store, objects[name]) for name in column.link.mappings if name in objects]
    gone = " UNION ALL ".join(sql for sql in dead if sql)
    if not gone:
        return Orphans(column.name, 0)
    rows = session.fetch(
        f"""SELECT e.{c.ID}, e.__k, a.{column.a} AS value, count(*) OVER () AS n
            FROM {quote(sides.actual)} a JOIN {quote(sides.expected)} e ON e.__k = a.__k
            WHERE a.{column.a} IN (SELECT target_id FROM ({gone}))
            ORDER BY e.__k LIMIT {EXAMPLES}"""
    ).to_pylist()
    cells = tuple(Cell(row[c.ID], row["__k"], column.name, ORPHAN, None, row["value"]) for row in rows)
    return Orphans(column.name, rows[0]["n"] if rows else 0, cells)


def _dead_sql(session: Session, store: Store, mapped: MappedObject) -> str:
    crosswalk, answered = (store.current(kind, mapped.name) for kind in (Kind.CROSSWALK, Kind.READBACK))
    if crosswalk is None or answered is None:
        return ""
    there, sent = relation(session, answered), relation(session, crosswalk)
    return (
        f"SELECT target_id FROM {sent} s WHERE target_id IS NOT NULL AND NOT EXISTS"
        f" (FROM {there} t WHERE CAST(t.{quote(mapped.key)} AS VARCHAR) = s.target_key)"
    )


def _both_sides(
    sides: Sides, groups: Sequence[Column], e: str, a: str, needed: Sequence[Column], *, shape: str = ""
) -> str:
    """Groups with the expected and the actual measure side by side; a group of one side only has zero on the other."""
    names = [f"g{number}" for number in range(len(groups))]
    shapes = [shape or _shape(group) for group in groups]
    left = [f"CAST({s.format(g.e)} AS VARCHAR) AS {n}" for s, g, n in zip(shapes, groups, names, strict=True)]
    right = [
        f"CAST({s.format('a.' + g.a)} AS VARCHAR) AS {n}"
        for s, g, n in zip(shapes, groups, names, strict=True)
    ]
    inner_e = ", ".join([*left, *(column.e for column in needed)])
    inner_a = ", ".join([*right, *(f"a.{column.a}" for column in needed)])
    keys = ", ".join(names)
    return f"""
        SELECT {keys}, coalesce(max(e), 0) AS e, coalesce(max(a), 0) AS a,
               coalesce(max(e), 0) = coalesce(max(a), 0) AS same
        FROM (SELECT {keys}, {e} AS e, NULL AS a FROM (SELECT {inner_e} FROM {quote(sides.expected)}) GROUP BY ALL
              UNION ALL
              SELECT {keys}, NULL, {a} FROM (SELECT {inner_a} FROM {quote(sides.actual)} a WHERE a.__ours) GROUP BY ALL)
        GROUP BY {keys}"""


def _shape(column: Column) -> str:
    return "strftime({}, '%Y')" if column.family in (Family.DATE, Family.INSTANT) else "{}"


def _distribution(session: Session, field: str, sql: str, order: str, limit: int = GROUPS) -> Distribution:
    rows: list[dict[str, Any]] = session.fetch(
        f"SELECT *, count(*) OVER () AS groups, count(*) FILTER (NOT same) OVER () AS different"
        f" FROM ({sql}) ORDER BY {order} LIMIT {limit}"
    ).to_pylist()
    first = rows[0] if rows else {"groups": 0, "different": 0}
    values = tuple((row["g0"], int(row["e"]), int(row["a"])) for row in rows)
    return Distribution(field, values, first["different"], first["groups"] - len(values))


def _column(sides: Sides, name: str) -> Column:
    return next(column for column in sides.columns if column.name == name)


def choices(sides: Sides) -> tuple[Column, ...]:
    """Fields whose values are worth counting one by one."""
    return tuple(
        column
        for column in sides.columns
        if column.family is Family.CHOICE or column.schema.type.value == "boolean"
    )


def dates(sides: Sides) -> tuple[Column, ...]:
    """Fields whose months are worth counting."""
    return tuple(column for column in sides.columns if column.family in (Family.DATE, Family.INSTANT))
