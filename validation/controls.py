"""Controls that do not trust the mapping: totals and value maps counted straight from the staged source columns.

What should be in the target is computed by the mapping, so a fault of the mapping stands on both sides of the row-by-row
comparison. Here a staged column is read with a plain cast and held against the target over the same records: those that
are loaded and were not merged (a survivor may rightly take its value from another member).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from migrator.core.mapped import MappedSource
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import RECORD, relation, staged_records
from migrator.staging.store import Kind, Store
from validation.measures import Distribution
from validation.reconcile import summed
from validation.relations import Column, Family, Sides

PAIRS = 200
"""Most pairs of source and target value shown of one field; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Way:
    """That a field is made of one staged column alone, with nothing computed."""

    column: str
    values: tuple[tuple[str, str | None], ...] | None = None
    """The value map it goes through; None for none."""


Ways: TypeAlias = Mapping[tuple[str, str], Mapping[str, Way]]
"""(mapping, source) → field → way; fields made in any other way are not there."""
NO_WAYS: Ways = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RawTotal:
    """The sum of a number field as the source wrote it, and as the target has it, over the same records."""

    field: str
    records: int
    source: str
    target: str
    unread: int
    """Values that are no plain number ('1.234,56'): with any, the two sums cannot be held against each other."""

    @property
    def equal(self) -> bool:
        """Whether not a cent differs."""
        return Decimal(self.source) == Decimal(self.target)


@dataclass(frozen=True, slots=True)
class Pair:
    """How many records went from a source value to a target value; `wanted` is False where the value map says otherwise."""

    source: str | None
    target: str | None
    records: int
    mapped: bool
    """Whether the value map names the source value as it stands."""
    wanted: bool


@dataclass(frozen=True, slots=True)
class Crosstab:
    """Source value → target value of a field with a value map, the commonest first."""

    field: str
    pairs: tuple[Pair, ...]
    records: int
    wrong: int
    """Records whose target value is not the one that the value map gives for their source value."""
    unmapped: int
    """Records whose source value the map does not name as it stands (a default, or a value that was cleaned first)."""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Controls:
    """All independent controls of one object."""

    totals: tuple[RawTotal, ...] = ()
    crosstabs: tuple[Crosstab, ...] = ()
    children: tuple[Distribution, ...] = ()
    """Per link: how many records have 1, 2, 3, … children, on both sides."""


NO_CONTROLS = Controls()


def controls(session: Session, store: Store, sides: Sides, ways: Ways) -> Controls:
    """Measure them all; a field without a way has no control of its own."""
    numbers = [item for item in sides.columns if summed(item)]
    choices = [item for item in sides.columns if item.family in (Family.CHOICE, Family.TEXT)]
    return Controls(
        tuple(total for item in numbers if (total := raw_total(session, store, sides, item, ways))),
        tuple(tab for item in choices if (tab := crosstab(session, store, sides, item, ways))),
        tuple(children(session, sides, item) for item in sides.columns if item.family is Family.LINK),
    )


def raw_total(session: Session, store: Store, sides: Sides, column: Column, ways: Ways) -> RawTotal | None:
    """The sum by a plain cast of the staged column; None unless every source has such a column for the field."""
    raw = _raw_sql(session, store, sides, column, ways, mapped=False)
    if raw is None:
        return None
    scale = max(column.schema.scale or 0, 6)
    number = f"TRY_CAST(nullif(trim(CAST(r.value AS VARCHAR)), '') AS DECIMAL(38, {scale}))"
    found = session.fetch(
        f"""SELECT count(*) AS n, coalesce(CAST(sum({number}) AS VARCHAR), '0') AS source,
                   coalesce(CAST(sum(a.{column.a}) AS VARCHAR), '0') AS target,
                   count(*) FILTER ({number} IS NULL AND trim(CAST(r.value AS VARCHAR)) <> '') AS unread
            FROM ({raw}) r JOIN {quote(sides.actual)} a ON a.__k = r.__k AND a.__n = 1"""
    ).to_pylist()[0]
    return RawTotal(column.name, found["n"], found["source"], found["target"], found["unread"])


def crosstab(session: Session, store: Store, sides: Sides, column: Column, ways: Ways) -> Crosstab | None:
    """Source values against target values; None unless the field has a value map in a source."""
    raw = _raw_sql(session, store, sides, column, ways, mapped=True)
    if raw is None:
        return None
    rows = session.fetch(
        f"""SELECT r.value AS source, a.{column.a} AS target, r.known AS known,
                   coalesce(NOT r.known OR r.wanted IS NOT DISTINCT FROM a.{column.a}, TRUE) AS fits, count(*) AS n
            FROM ({raw}) r JOIN {quote(sides.actual)} a ON a.__k = r.__k AND a.__n = 1
            GROUP BY ALL ORDER BY fits, n DESC, source, target"""
    ).to_pylist()
    pairs = tuple(Pair(row["source"], row["target"], row["n"], row["known"], row["fits"]) for row in rows)
    return Crosstab(
        column.name,
        pairs[:PAIRS],
        sum(item.records for item in pairs),
        sum(item.records for item in pairs if not item.wanted),
        sum(item.records for item in pairs if not item.mapped and item.source),
        max(0, len(pairs) - PAIRS),
    )


def children(session: Session, sides: Sides, column: Column) -> Distribution:
    """Parents by their number of children, on both sides: one child moved to another parent shows in two places."""
    rows = session.fetch(
        f"""SELECT n, coalesce(max(e), 0) AS e, coalesce(max(a), 0) AS a FROM (
              SELECT n, count(*) AS e, NULL AS a FROM
                (SELECT count(*) AS n FROM {quote(sides.expected)} WHERE {column.e} IS NOT NULL GROUP BY {column.e}) GROUP BY n
              UNION ALL
              SELECT n, NULL, count(*) FROM
                (SELECT count(*) AS n FROM {quote(sides.actual)} a WHERE a.{column.a} IS NOT NULL
                 AND a.__ours GROUP BY a.{column.a}) GROUP BY n)
            GROUP BY n ORDER BY n"""
    ).to_pylist()
    values = tuple((str(row["n"]), int(row["e"]), int(row["a"])) for row in rows)
    different = sum(e != a for _, e, a in values)
    return Distribution(column.name, values[:PAIRS], different, max(0, len(values) - PAIRS))


def _raw_sql(
    session: Session, store: Store, sides: Sides, column: Column, ways: Ways, *, mapped: bool
) -> str | None:
    """(__k, value, known, wanted) of every loaded and unmerged record; None when a source has no such way."""
    parts = []
    for source in sides.mapped.sources:
        way = ways.get((sides.mapped.name, source.name), {}).get(column.name)
        if way is None or (way.values is not None) is not mapped:
            if mapped:
                continue
            return None
        parts.append(_source_sql(session, store, sides, source, way))
    known = [part for part in parts if part]
    return " UNION ALL ".join(known) if known and len(known) == len(parts) else None


def _source_sql(session: Session, store: Store, sides: Sides, source: MappedSource, way: Way) -> str:
    staged = store.current(Kind.STAGED, source.staged)
    if staged is None or way.column not in staged.schema().names:
        return ""
    clusters = relation(session, store.current(Kind.CLUSTERS, sides.mapped.name), c.CLUSTERS)
    value = f"CAST(s.{quote(way.column)} AS VARCHAR)"
    known, wanted, joined = "FALSE", "NULL::VARCHAR", ""
    if way.values:
        listed = ", ".join(f"({literal(old)}, {literal(new)})" for old, new in way.values)
        joined = f" LEFT JOIN (VALUES {listed}) v(old, new) ON v.old = {value}"
        known, wanted = "v.old IS NOT NULL", "CAST(v.new AS VARCHAR)"
    return (
        f"SELECT e.__k, {value} AS value, {known} AS known, {wanted} AS wanted"
        f" FROM ({staged_records(session, source, staged)}) s JOIN {quote(sides.expected)} e ON e.{c.ID} = s.{quote(RECORD)}"
        f"{joined} WHERE NOT EXISTS (FROM {clusters} m WHERE m.{c.ID} = e.{c.ID})"
    )
