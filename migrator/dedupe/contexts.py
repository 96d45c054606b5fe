"""What records share without being one: colleagues share a company, a street and a switchboard, and still are several people.

A model of independent fields counts such agreement several times over. So for each field the pairs that agree in it are
looked at: among those of them that are no match, how often do the other fields agree? What is more than chance is a lift,
and the weight of a pair is lowered by the lifts of the context that explains most of its agreement. Pairs are taken
from neighbours within a value, so that large groups do not count with the square of their size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from migrator.dedupe.blocking import Samples
from migrator.dedupe.comparison import Comparison
from migrator.dedupe.features import FEATURES, naming_persons
from migrator.dedupe.grading import count_patterns
from migrator.dedupe.odds import Odds
from migrator.dedupe.units import Unit
from migrator.staging.engine import Session

_PAIRS = 10_000
_LEAST_PAIRS = 50
_LEAST_OTHERS = 30.0
"""Pairs that are no match, below which nothing is said of a context."""
_CHANCE_COUNTS = 30.0
"""Pairs that the chance in any two records counts for, beside those that were seen."""
_AGREEING = 0.25
"""Share of agreement from which on a field is not taken to tell matches from others."""
_SOME = 0.1
"""Share of agreement below which a field is taken to be as in any two records."""
_MANY_VALUES = 20
"""Values that are to be among those chosen; of fewer, all are looked at."""
NEIGHBOURS = "dedupe_neighbours"
"""Table of pairs that share a value, and of the field they share it in."""
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Context:
    """What agrees beyond chance where one field agrees: by comparison, the bits to take off each of its levels."""

    name: str
    others: float
    """Share of the pairs that agree in the field and are no match."""
    lifts: Mapping[str, tuple[float, ...]]


def pair_neighbours(session: Session, comparisons: Sequence[Comparison], samples: Samples) -> None:
    """Make the table `NEIGHBOURS` (a, b, field): neighbours within each value of each field.

    Of many records some are looked at: all that have one of the values chosen, or of few values, some of each.
    """
    queries = []
    for item in comparisons:
        n, v = item.feature.number, item.feature.value
        many = samples.values.get(Unit(item.feature, "value"), 0) >= _MANY_VALUES * samples.share
        some = f"AND hash({v if many else '__id'}, 7) % {samples.share:d} = 0"
        queries.append(
            f"(SELECT least(n, b) AS a, greatest(n, b) AS b, {n:d} AS field FROM (SELECT n, __id, lead(n) OVER "
            f"(PARTITION BY {v} ORDER BY hash(__id), __id) AS b FROM {FEATURES} WHERE {v} IS NOT NULL {some}) "
            f"WHERE b IS NOT NULL ORDER BY hash(__id, 1), __id LIMIT {_PAIRS:d})"
        )
    session.execute(f"CREATE OR REPLACE TEMP TABLE {NEIGHBOURS} AS {' UNION ALL '.join(queries)}")


def find_contexts(
    session: Session, comparisons: Sequence[Comparison], odds: Mapping[str, Odds], graded: str
) -> dict[str, Context]:
    """The contexts of all fields in which matches can be told from others, by the name of the field's comparison.

    `NEIGHBOURS` are taken from the table `graded`; the caller drops both.
    """
    found = {}
    for item in comparisons:
        rest = [other for other in comparisons if other is not item]
        context = _context(session, item, rest, odds, graded) if rest else None
        if context is not None:
            found[item.name] = context
    return found


def _context(
    session: Session,
    item: Comparison,
    rest: Sequence[Comparison],
    odds: Mapping[str, Odds],
    graded: str,
) -> Context | None:
    seen = f"SELECT s.* FROM {graded} s SEMI JOIN (FROM {NEIGHBOURS} WHERE field = {item.feature.number:d}) USING (a, b)"
    patterns = count_patterns(session, seen, rest)
    counts = patterns.counts
    if counts.sum() < _LEAST_PAIRS:
        return None
    levels = list(patterns.levels.T)
    names = naming_persons([other.feature for other in (item, *rest)])
    names = names if item.feature.number not in names else frozenset()
    called = np.array([other.feature.number in names for other in rest])
    u, others = _learn_others(levels, counts, [odds[other.name] for other in rest], called)
    if others * counts.sum() < _LEAST_OTHERS:
        return None
    lifts = {other.name: _lifts(seen, odds[other.name]) for other, seen in zip(rest, u, strict=True)}
    if not _is_told_apart(rest, odds, u, names):
        return None
    return Context(item.name, others, lifts)


def _is_told_apart(
    rest: Sequence[Comparison],
    odds: Mapping[str, Odds],
    u: Sequence[NDArray[np.float64]],
    names: frozenset[int],
) -> bool:
    """Whether more that could be evidence disagrees in the others than agrees, or their names do: else they may be matches
    with errors.
    """
    apart = together = 0.0
    called = []
    for item, seen in zip(rest, u, strict=True):
        bits = np.array(odds[item.name].bits())
        agreeing = float(seen[bits > 0].sum())
        if agreeing <= _AGREEING:
            apart += max(float(bits.max()), 0.0)
        else:
            together += max(float(bits.max()), 0.0)
        if item.feature.number in names:
            called.append(agreeing <= _AGREEING)
    return apart > together or (bool(called) and all(called))


def _lifts(seen: NDArray[np.float64], known: Odds) -> tuple[float, ...]:
    """The lifts of one comparison's levels; where few of the others agree, those may be matches that were missed, and only
    what speaks against a match anyway is lifted: one name of two is what relatives have in common.
    """
    bits = known.bits()
    few = float(seen[np.array(bits) > 0].sum()) < _SOME
    return tuple(
        max(_lift(float(here), chance, weight), 0.0) * (weight <= 0)
        if few
        else _lift(float(here), chance, weight)
        for here, chance, weight in zip(seen, known.u, bits, strict=True)
    )


def _lift(here: float, chance: float, bits: float) -> float:
    """Bits that a level is seen more often than by chance; one that speaks for a match is never less often seen."""
    lift = round(math.log2(here / chance), 2)
    return max(lift, 0.0) if bits > 0 else lift


def _learn_others(
    levels: Sequence[NDArray[np.int64]],
    counts: NDArray[np.float64],
    odds: Sequence[Odds],
    called: NDArray[np.bool_],
) -> tuple[list[NDArray[np.float64]], float]:
    """How often levels are seen among pairs that are no match, how matches are seen being known; and their share.

    Expectation maximisation from chance, with some pairs by chance beside those that are seen. It begins with the names
    alone (`called`), where there are any: families share all the rest.
    """
    m = [np.log(np.array(item.m)) for item in odds]
    chance = [np.array(item.u) / sum(item.u) for item in odds]
    u, others = list(chance), 0.5
    for round_ in range(_ROUNDS):
        weight = np.full(len(counts), math.log(1 - others) - math.log(others))
        for level, of_match, of_other, names in zip(levels, m, u, called, strict=True):
            if round_ == 0 and called.any() and not names:
                continue
            weight += np.where(level >= 0, (of_match - np.log(of_other))[level], 0.0)
        apart = counts / (1 + np.exp(np.clip(weight, -500, 500)))
        others = min(max(float(apart.sum() / counts.sum()), 1e-6), 1 - 1e-6)
        u = [
            _shrunk(np.bincount(level[level >= 0], apart[level >= 0], len(start)).astype(np.float64), start)
            for level, start in zip(levels, chance, strict=True)
        ]
    return u, others


def _shrunk(seen: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = seen + chance * _CHANCE_COUNTS
    return np.asarray(total / total.sum(), dtype=np.float64)


def lower_by_context(
    session: Session,
    table: str,
    comparisons: Sequence[Comparison],
    odds: Mapping[str, Odds],
    contexts: Mapping[str, Context],
) -> None:
    """Take off the weight of each scored pair what the context that explains most of its agreement gives too much."""
    if contexts:
        lifted = _lift_sql(comparisons, odds, contexts)
        session.execute(f"UPDATE {table} SET weight = round(weight - {lifted}, 3) WHERE {lifted} > 0")


def _lift_sql(
    comparisons: Sequence[Comparison], odds: Mapping[str, Odds], contexts: Mapping[str, Context]
) -> str:
    """SQL over scored pairs (bN: bits of a level): what the context that explains most takes off the weight."""
    terms = ["0.0"]
    by_name = {item.name: item for item in comparisons}
    for name, context in contexts.items():
        inner = [
            told
            for other, lifts in sorted(context.lifts.items())
            if (told := _told(by_name[other], odds[other], lifts))
        ]
        if inner:
            terms.append(
                f"CASE WHEN b{by_name[name].feature.number} > 0 THEN {' + '.join(inner)} ELSE 0.0 END"
            )
    return f"greatest({', '.join(terms)})" if len(terms) > 1 else "0.0"


def lifted(
    item: Comparison,
    comparisons: Sequence[Comparison],
    odds: Mapping[str, Odds],
    contexts: Mapping[str, Context],
) -> str:
    """SQL over scored pairs `s`: the most that a context in which the pair agrees takes off the one comparison."""
    terms = ["0.0"]
    for other in comparisons:
        lifts = contexts[other.name].lifts.get(item.name) if other.name in contexts else None
        if lifts and (told := _told(item, odds[item.name], lifts)):
            terms.append(f"CASE WHEN s.b{other.feature.number} > 0 THEN {told} ELSE 0.0 END")
    return f"greatest({', '.join(terms)})" if len(terms) > 1 else "0.0"


def _told(item: Comparison, odds: Odds, lifts: Sequence[float]) -> str:
    """SQL of the lift of the level that a pair is on; empty where none is worth telling."""
    arms = " ".join(
        f"WHEN abs(b{item.feature.number} - {bits!r}) < 1e-6 THEN {lift:.3f}"
        for bits, lift in zip(odds.bits(), lifts, strict=True)
        if abs(lift) >= 0.1
    )
    return f"CASE {arms} ELSE 0.0 END" if arms else ""
