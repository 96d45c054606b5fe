"""On which level of each comparison pairs of records stand, and what pairs weigh by that: the model of Fellegi and Sunter in SQL.

Splink's weights come to the same (a test holds them to that); its way there parses and rewrites the conditions of every level
for every use, which costs more than comparing 100,000 pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from migrator.dedupe.comparison import Comparison
from migrator.dedupe.features import FEATURES, Feature, Kind, texts_of
from migrator.dedupe.odds import Odds
from migrator.staging.engine import Session

MISSING = -1
"""The level of a pair of which one has no value."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What pairs are scored by. `often` names, for each column whose rare values weigh more, a table of its values and
    of how often they are; `features` the relation of the records' features.
    """

    comparisons: Sequence[Comparison]
    odds: Mapping[str, Odds]
    often: Mapping[str, str]
    features: str = FEATURES


@dataclass(frozen=True, slots=True)
class Patterns:
    """Combinations of levels: `levels` (a row a pattern, a column a comparison), and how many pairs have each."""

    levels: NDArray[np.int64]
    counts: NDArray[np.float64]


def grade(
    session: Session, pairs: str, comparisons: Sequence[Comparison], into: str, source: str = FEATURES
) -> None:
    """Make the table `into` (a, b, gN for each comparison) of the query `pairs` (a, b): places of levels, or `MISSING`."""
    columns = [name for item in comparisons for name in _columns(item.feature)]
    sides = [f"{side}.{name} AS {name}_{side}" for side in "lr" for name in dict.fromkeys(columns)]
    # made for each pair: records that carry them are a fifth larger, and there are more of them
    sides += [f"{texts_of([item.feature for item in comparisons], side)} AS moved_{side}" for side in "lr"]
    grades = ", ".join(f"{_grade(item)} AS g{item.feature.number}" for item in comparisons)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT a, b, {grades} FROM "
        f"(SELECT a, b, {', '.join(sides)} FROM ({pairs}) JOIN {source} l ON a = l.n JOIN {source} r ON b = r.n)"
    )


def _columns(item: Feature) -> Iterator[str]:
    yield item.value
    if item.kind is Kind.TEXT:
        yield from (f"{letter}{item.number}" for letter in "kwd")
    if item.apart is not None:
        yield f"a{item.apart}"


def _grade(item: Comparison) -> str:
    asked = " ".join(f"WHEN {level.condition} THEN {place:d}" for place, level in enumerate(item.levels))
    return f"(CASE WHEN {item.missing} THEN {MISSING:d} {asked} ELSE {len(item.levels):d} END)::TINYINT"


def count_patterns(session: Session, graded: str, comparisons: Sequence[Comparison]) -> Patterns:
    """The patterns of the query `graded` (gN)."""
    listed = ", ".join(f"g{item.feature.number}" for item in comparisons)
    found = session.fetch(
        f"SELECT {listed}, count(*) AS n FROM ({graded}) GROUP BY {listed} ORDER BY {listed}"
    )
    columns = [found.column(place).to_numpy().astype(np.int64) for place in range(len(comparisons))]
    counts = found.column("n").to_numpy().astype(np.float64)
    return Patterns(np.stack(columns, axis=1), counts)


def create_graded(session: Session, comparisons: Sequence[Comparison], table: str) -> None:
    """An empty table for what `add_heavy` finds."""
    listed = ", ".join(f"g{item.feature.number} TINYINT" for item in comparisons)
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, {listed})")


def add_heavy(session: Session, graded: str, evidence: Evidence, *, least: float, into: str) -> None:
    """Add to `into` the pairs of the relation `graded` that may weigh `least` bits, were their values as rare as can be."""
    listed = ", ".join(("a", "b", *(f"g{item.feature.number}" for item in evidence.comparisons)))
    session.execute(f"INSERT INTO {into} SELECT {listed} FROM ({_heavy(session, graded, evidence, least)})")


def _heavy(session: Session, graded: str, evidence: Evidence, least: float) -> str:
    """A query of the pairs of `graded` that may weigh `least` bits, with the bits of their levels (bN)."""
    bits = ", ".join(f"{_bits(item, evidence)} AS b{item.feature.number}" for item in evidence.comparisons)
    known = (f"b{item.feature.number}" for item in evidence.comparisons)
    most = " + ".join([*known, *_at_most(session, _rare(evidence), evidence)])
    return f"SELECT * FROM (SELECT *, {bits} FROM {graded}) WHERE {most} >= {least!r}"


def _rare(evidence: Evidence) -> list[Comparison]:
    return [item for item in evidence.comparisons if item.feature.value in evidence.often]


def create_scored(session: Session, comparisons: Sequence[Comparison], table: str) -> None:
    """An empty table for what `add_scored` finds."""
    listed = ", ".join(
        f"b{item.feature.number} DOUBLE, r{item.feature.number} DOUBLE" for item in comparisons
    )
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, weight DOUBLE, {listed})")


def add_scored(session: Session, graded: str, evidence: Evidence, *, least: float, into: str) -> None:
    """Add to `into` the pairs of the relation `graded` that weigh at least `least` bits.

    The weight is of the evidence alone, without the prior. Columns added: a, b, weight, and for each comparison bN (the
    bits of its level, 0 where a value is missing) and rN (the bits that the rarity of its value adds).
    """
    rare = _rare(evidence)
    numbers = [item.feature.number for item in evidence.comparisons]
    rarity = {item.feature.number: _rarity(item, evidence) for item in rare}
    joins = " ".join(
        f"LEFT JOIN {evidence.often[item.feature.value]} y{item.feature.number} ON g.g{item.feature.number} = {_place(item):d} "
        f"AND f.{item.feature.value} = y{item.feature.number}.{item.feature.value}"
        for item in rare
    )
    listed = ", ".join(f"b{n}, r{n}" for n in numbers)
    given = " + ".join(f"b{n} + r{n}" for n in numbers)
    found = ", ".join(f"b{n}, {rarity.get(n, '0.0')} AS r{n}" for n in numbers)
    session.execute(
        f"INSERT INTO {into} SELECT a, b, round({given}, 3) AS weight, {listed} FROM (SELECT a, b, {found} FROM "
        f"({_heavy(session, graded, evidence, least)}) g "
        f"JOIN {evidence.features} f ON g.a = f.n {joins}) WHERE weight >= {least!r}"
    )


def _bits(item: Comparison, evidence: Evidence) -> str:
    arms = " ".join(
        f"WHEN {place:d} THEN {bits!r}::DOUBLE" for place, bits in enumerate(evidence.odds[item.name].bits())
    )
    return f"CASE g{item.feature.number} {arms} ELSE 0.0::DOUBLE END"


def _place(item: Comparison) -> int:
    """The level on which rare values weigh more."""
    return next(place for place, level in enumerate(item.levels) if level.by_value)


def _rarity(item: Comparison, evidence: Evidence) -> str:
    n, by_chance = item.feature.number, evidence.odds[item.name].u[_place(item)]
    return f"coalesce(log2({by_chance!r} / y{n}.tf_{item.feature.value}), 0.0)"


def _at_most(session: Session, rare: Sequence[Comparison], evidence: Evidence) -> Iterator[str]:
    """SQL of the most that the rarity of values can add to a pair, by comparison."""
    for item in rare:
        v = item.feature.value
        table = evidence.often[v]
        least = session.fetch(f"SELECT min(tf_{v}) AS least FROM {table}").column("least")[0].as_py() or 1.0
        most = math.log2(evidence.odds[item.name].u[_place(item)] / least)
        if most > 0:
            yield f"CASE WHEN g{item.feature.number} = {_place(item):d} THEN {most + 0.001!r}::DOUBLE ELSE 0.0 END"
