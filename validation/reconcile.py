"""Compare what should be in the target with what it answered: every record, every mapped field, exactly, in the engine.

One pass over the full outer join counts everything (records, differing cells, filled cells, sums); only when something
differs does a second pass keep the differing cells, each with its reason, in the RECONCILE dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Building, Dataset, Kind, Store
from validation.differences import AUTOMATION, SAME_FILLED, differs, reason, shown
from validation.relations import Column, Family, Sides

MISSING = "missing"
"""Expected, and the target does not have it."""
DOUBLED = "doubled"
"""The target has it more than once under one external key."""
SUPERSEDED = "superseded"
"""A record of this project that should not be there (any more): merged, excluded, quarantined or gone since."""
COPY = "copy"
"""In the target under a key that is not ours, and in every other field equal to a record of ours."""
EXTRA = "extra"
"""In the target, and not from this project."""

EXAMPLES = 3

DIFFERENCES = pa.schema(
    [
        pa.field(c.ID, pa.string()),
        *(pa.field(name, pa.string()) for name in ("mapping", "key", "field", "class", "expected", "actual")),
    ]
)
"""Columns of a RECONCILE dataset: one row per finding, values as text and unmasked (mask them on output)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One record of a finding, values as text and unmasked; `field` is '' for a finding about the whole record."""

    id: str
    key: str
    field: str
    reason: str
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What the comparison found about one field, over the records found on both sides."""

    name: str
    family: Family
    compared: int
    different: int
    source_filled: int
    """Mapped source rows with a value, whatever became of them."""
    expected_filled: int
    """Expected records with a value; the missing ones included."""
    actual_filled: int
    """Values the target holds in records of ours."""
    unresolved: int = 0
    """Links to records that are not in the target, so that the link had to stay empty."""
    declared_empty: int = 0
    """Links the mapping left empty with a warning (the record they point to is not in the source)."""
    source_sum: str | None = None
    """Exact sums as text, for whole and decimal numbers: all mapped source rows, the expected records, the target's."""
    expected_sum: str | None = None
    actual_sum: str | None = None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The outcome of one object's comparison."""

    mapped: MappedObject
    sides: Sides
    source: int
    """Mapped source rows."""
    expected: int
    found: int
    missing: int
    extra: int
    superseded: int
    copies: int
    doubled: int
    """Rows of the target beyond the first under one key."""
    actual: int
    """Rows the target answered."""
    fields: tuple[FieldFacts, ...]
    reasons: Mapping[tuple[str, str], int]
    """(field, reason) → cells; record findings stand under field ''."""
    examples: Mapping[tuple[str, str], tuple[Cell, ...]]
    dataset: Dataset

    @property
    def equal(self) -> bool:
        """Whether nothing at all differs (records of others do not count)."""
        return not (
            self.missing
            or self.superseded
            or self.copies
            or self.doubled
            or any(f.different or f.unresolved for f in self.fields)
        )


def reconcile(session: Session, store: Store, sides: Sides) -> Reconciled:
    """Compare the two sides and keep every difference as RECONCILE (__id, mapping, key, field, class, expected, actual)."""
    counts = session.fetch(_count_sql(sides)).to_pylist()[0]
    actual = store.need(Kind.READBACK, sides.mapped.name, made_by="validate").rows
    counts["extra"] = 0 if sides.partial else actual - counts["compared"]
    source = session.fetch(_source_sql(sides)).to_pylist()[0]
    fields = tuple(_facts(column, counts, source) for column in sides.columns)
    superseded, copies = _strangers(session, sides) if counts["extra"] else (0, 0)
    dataset = _keep_differences(session, store, sides, counts, fields)
    reasons, examples = _summarise(session, dataset)
    return Reconciled(
        sides.mapped, sides, source["n"], counts["expected"], counts["expected"] - counts["missing"],
        counts["missing"], counts["extra"] - superseded - copies, superseded, copies, counts["doubled"], actual, fields,
        reasons, examples, dataset,
    )  # fmt: skip


def joined_sql(sides: Sides) -> str:
    """Every expected record with the rows the target has under its key: none, one, or several when it is doubled.

    Rows of the target under no expected key are counted by difference and listed by a query of their own.
    """
    values = []
    for column in sides.columns:
        values += [f"e.{column.e}", f"a.{column.a}"]
        values += [f"a.{column.raw}"] if column.raw else []
        values += [f"e.{column.ref}"] if column.ref else []
    return (
        f"SELECT e.{c.ID}, e.__k AS ek, a.__n IS NOT NULL AS there, coalesce(a.__n, 1) AS n, e.__waits, e.__at,"
        f" {', '.join(values)} FROM {quote(sides.expected)} e LEFT JOIN {quote(sides.actual)} a ON e.__k = a.__k"
    )


def _count_sql(sides: Sides) -> str:
    # A FILTER on each of a hundred aggregates costs more than the join: there is one only where keys are doubled.
    once = " FILTER (j.n = 1)" if sides.doubled else ""
    wanted = [
        f"count(*){once} AS expected",
        f"{_number_of('NOT j.there')} AS missing",
        f"{_number_of('j.n > 1')} AS doubled",
        f"{_number_of('j.there')} AS compared",
    ]
    for column in sides.columns:
        wanted += [
            f"{_number_of(f'j.there AND {differs(column)}')} AS d_{column.e}",
            f"count(j.{column.e}){once} AS f_{column.e}",
            f"count(j.{column.a}) AS f_{column.a}",
        ]
        if column.ref:
            wanted.append(f"{_number_of(f'j.n = 1 AND {_unresolved(column)}')} AS u_{column.e}")
        if summed(column):
            wanted += [
                f"CAST(sum(j.{column.e}){once} AS VARCHAR) AS s_{column.e}",
                f"CAST(sum(j.{column.a}) AS VARCHAR) AS s_{column.a}",
            ]
    return f"SELECT {', '.join(wanted)} FROM ({joined_sql(sides)}) j"


def _number_of(test: str) -> str:
    """Rows for which a test is true; `count_if` alone is null over no rows, and wider than a Python integer column."""
    return f"CAST(coalesce(count_if({test}), 0) AS BIGINT)"


def _unresolved(column: Column) -> str:
    return f"(j.{column.ref} IS NOT NULL AND j.{column.e} IS NULL)"


def summed(column: Column) -> bool:
    """Whether a control total makes sense: exact numbers only, never a float."""
    return column.family == Family.NUMBER and column.schema.type.value != "float"


def _source_sql(sides: Sides) -> str:
    wanted = ["count(*) AS n"]
    for column in sides.columns:
        wanted.append(f"count({quote(column.name)}) AS f_{column.e}")
        if column.ref:
            named = f"len(list_filter({c.ISSUES}, lambda issue: issue.field = {literal(column.name)})) > 0"
            wanted.append(
                f"count(*) FILTER ({quote(column.name)} IS NULL AND NOT {c.BAD} AND {named}) AS w_{column.e}"
            )
        if summed(column):
            wanted.append(f"CAST(sum({quote(column.name)}) AS VARCHAR) AS s_{column.e}")
    return f"SELECT {', '.join(wanted)} FROM {quote(sides.source)}"


def _facts(column: Column, counts: Mapping[str, Any], source: Mapping[str, Any]) -> FieldFacts:
    sums = (
        (source[f"s_{column.e}"], counts[f"s_{column.e}"], counts[f"s_{column.a}"]) if summed(column) else ()
    )
    return FieldFacts(
        column.name, column.family, counts["compared"], counts[f"d_{column.e}"],
        source[f"f_{column.e}"], counts[f"f_{column.e}"], counts[f"f_{column.a}"],
        counts[f"u_{column.e}"] if column.ref else 0, source[f"w_{column.e}"] if column.ref else 0,
        *(item or "0" for item in sums),
    )  # fmt: skip


def _extra_sql(sides: Sides) -> str:
    """Rows of the target under no expected key: (__k, __id, class); `__id` is the record of ours it is, or is a copy of."""
    values = [column for column in sides.columns if column.name != sides.mapped.key]
    ours = ", ".join(_printed(f"e.{column.e}", column) for column in values)
    theirs = ", ".join(_printed(f"a.{column.a}", column) for column in values)
    copied = (
        f"LEFT JOIN (SELECT md5(concat_ws(chr(31), {ours})) AS looks, min(e.{c.ID}) AS {c.ID} FROM {quote(sides.expected)} e GROUP BY 1) o"
        " ON o.looks = x.looks"
    )
    return f"""
        SELECT x.__k, coalesce(s.__id, o.{c.ID}) AS {c.ID},
               CASE WHEN s.__k IS NOT NULL THEN '{SUPERSEDED}' WHEN o.looks IS NOT NULL THEN '{COPY}' ELSE '{EXTRA}' END AS class
        FROM (SELECT a.__k, md5(concat_ws(chr(31), {theirs})) AS looks FROM {quote(sides.actual)} a
              WHERE NOT a.__ours) x
        LEFT JOIN {quote(sides.sent)} s ON s.__k = x.__k {copied}"""


def _printed(value: str, column: Column) -> str:
    """A value as text that is equal for equal values of both sides; null is told from empty."""
    if column.family is Family.NUMBER:
        value = f"CAST({value} AS DOUBLE)"
    return f"coalesce('=' || CAST({value} AS VARCHAR), '-')"


def _strangers(session: Session, sides: Sides) -> tuple[int, int]:
    found = session.fetch(
        f"SELECT count(*) FILTER (class = '{SUPERSEDED}') AS s, count(*) FILTER (class = '{COPY}') AS c"
        f" FROM ({_extra_sql(sides)})"
    ).to_pylist()[0]
    return found["s"], found["c"]


def _keep_differences(
    session: Session,
    store: Store,
    sides: Sides,
    counts: Mapping[str, Any],
    fields: tuple[FieldFacts, ...],
) -> Dataset:
    readback = store.need(Kind.READBACK, sides.mapped.name, made_by="validate")
    building = store.build(Kind.RECONCILE, sides.mapped.name, readback.fingerprint)
    different = [
        column
        for column, facts in zip(sides.columns, fields, strict=True)
        if facts.different or facts.unresolved
    ]
    if different or counts["missing"] or counts["extra"] or counts["doubled"]:
        _write_differences(session, building, sides, different, extra=counts["extra"])
    else:
        building.add_table(DIFFERENCES.empty_table())
    return building.complete()


def _write_differences(
    session: Session, building: Building, sides: Sides, different: list[Column], *, extra: int
) -> None:
    cells = " OR ".join(_found(column) for column in different) or "FALSE"
    marks = [sides.modified] if sides.modified and sides.modified not in different else []
    kept = [
        f"j.{name}"
        for column in [*different, *marks]
        for name in (column.e, column.a, column.raw, column.ref)
        if name
    ]
    columns = ", ".join([f"j.{c.ID}", "j.ek", "j.there", "j.n", "j.__waits", "j.__at", *kept])
    session.execute(
        f"CREATE OR REPLACE TABLE {_DIFFERING} AS SELECT {columns} FROM ({joined_sql(sides)}) j"
        f" WHERE NOT j.there OR j.n > 1 OR {cells}"
    )
    building.add(lambda path: session.write(_cells_sql(sides, different, extra=extra), path))
    session.execute(f"DROP TABLE {_DIFFERING}")


_DIFFERING = '"v:differing"'


def _cells_sql(sides: Sides, different: list[Column], *, extra: int) -> str:
    """Every finding as one row; unions, so that it costs one scan of the (small) differing rows per differing field."""
    name = literal(sides.mapped.name)
    head = f"{name} AS mapping"
    selects = [
        f"SELECT j.{c.ID}, {head}, j.ek AS key, '' AS field,"
        f" CASE WHEN j.there THEN '{DOUBLED}' ELSE '{MISSING}' END AS class,"
        f" NULL::VARCHAR AS expected, NULL::VARCHAR AS actual FROM {_DIFFERING} j WHERE NOT j.there OR j.n > 1"
    ]
    if extra:
        selects.append(
            f"SELECT x.{c.ID}, {head}, x.__k, '', x.class, NULL, NULL FROM ({_extra_sql(sides)}) x"
        )
    for column in different:
        expected, actual = shown(column)
        selects.append(
            f"SELECT j.{c.ID}, {head}, j.ek, {literal(column.name)}, {reason(column, different, sides.modified)},"
            f" {expected}, {actual} FROM {_DIFFERING} j WHERE j.there AND {_found(column)}"
        )
    return _with_automation(" UNION ALL ".join(selects))


def _with_automation(cells: str) -> str:
    """Values where none should be become the work of the target itself when many records share one and the same."""
    filled = "PARTITION BY field, class"
    return (
        f"SELECT * REPLACE (CASE WHEN class = 'null_vs_value' AND count(*) OVER ({filled}) >= {SAME_FILLED}"
        f" AND min(actual) OVER ({filled}) = max(actual) OVER ({filled}) THEN '{AUTOMATION}' ELSE class END AS class)"
        f" FROM ({cells})"
    )


def _found(column: Column) -> str:
    """A differing cell, or a link that had to stay empty on both sides because its record is not there."""
    return f"({differs(column)} OR {_unresolved(column)})" if column.ref else differs(column)


def _summarise(
    session: Session, dataset: Dataset
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], tuple[Cell, ...]]]:
    if not dataset.rows:
        return {}, {}
    session.view("v:reconcile", dataset.files, dataset.schema())
    counted = session.fetch('SELECT field, class, count(*) AS n FROM "v:reconcile" GROUP BY ALL ORDER BY ALL')
    reasons = {(row["field"], row["class"]): row["n"] for row in counted.to_pylist()}
    shown_rows = session.fetch(
        f"""SELECT * FROM "v:reconcile" QUALIFY row_number()
            OVER (PARTITION BY field, class ORDER BY key, {c.ID}, actual) <= {EXAMPLES}
            ORDER BY field, class, key, {c.ID}, actual"""
    )
    examples: dict[tuple[str, str], tuple[Cell, ...]] = {}
    for row in shown_rows.to_pylist():
        cell = Cell(
            row[c.ID] or "", row["key"] or "", row["field"], row["class"], row["expected"], row["actual"]
        )
        examples[row["field"], row["class"]] = (*examples.get((row["field"], row["class"]), ()), cell)
    return reasons, examples
