"""Expectation maximisation over patterns of levels: how often matches are on each level, learnt from pairs without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from migrator.dedupe.grading import Patterns
from migrator.dedupe.odds import Odds, rounded

_ROUNDS = 25
_SETTLED = 0.001
_NO_MATCHES = 1e-6
"""Share of matches below which there are taken to be none."""
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one round of learning found: how often levels are seen among matches, and how many of the pairs are matches."""

    m: Mapping[str, tuple[float, ...]]
    share: float


def level_shares(patterns: Patterns, sizes: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """How often each of the `sizes` levels of each comparison is seen where nothing is missing; 0 where never."""
    return tuple(
        _shares(column, patterns.counts, size) for column, size in zip(patterns.levels.T, sizes, strict=True)
    )


def learn(patterns: Patterns, start: Mapping[str, Odds], held: frozenset[str] = frozenset()) -> Learnt | None:
    """Learn from pairs whose `patterns` have a column for each comparison in `start`, in its order.

    How often levels are seen among non-matches is taken from `start`, and so is where learning begins; comparisons in
    `held` stay there, and so do levels that no pair is on: of those nothing is learnt. None when learning comes to the end that none of the pairs are matches.
    """
    u = [np.log(np.maximum(odds.u, _LEAST)) for odds in start.values()]
    unseen = {
        name: ~np.isin(np.arange(len(odds.m)), column)
        for (name, odds), column in zip(start.items(), patterns.levels.T, strict=True)
    }
    m = {name: odds.m for name, odds in start.items()}
    share, total = 0.5, float(patterns.counts.sum())
    for _ in range(_ROUNDS):
        matches = patterns.counts * _chance_of_match(patterns.levels, m, u, share)
        found = {
            name: m[name]
            if name in held
            else tuple(np.where(unseen[name], m[name], _shares(column, matches, len(m[name]))).tolist())
            for name, column in zip(m, patterns.levels.T, strict=True)
        }
        now = float(matches.sum()) / total
        moved = max(abs(a - b) for name in m for a, b in zip(m[name], found[name], strict=True))
        m, settled, share = found, max(moved, abs(now - share)) < _SETTLED, now
        if share < _NO_MATCHES:
            return None
        if settled:
            break
    return Learnt({name: tuple(rounded(value) for value in values) for name, values in m.items()}, share)


def _chance_of_match(
    levels: NDArray[np.int64],
    m: Mapping[str, tuple[float, ...]],
    u: Sequence[NDArray[np.float64]],
    share: float,
) -> NDArray[np.float64]:
    weight = np.full(len(levels), np.log(share) - np.log1p(-min(share, 1 - _LEAST)))
    for column, of_match, of_other in zip(levels.T, m.values(), u, strict=True):
        bits = np.log(np.maximum(of_match, _LEAST)) - of_other
        weight += np.where(column >= 0, bits[column], 0.0)
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(weight, -500, 500)))
    return chance


def _shares(column: NDArray[np.int64], counts: NDArray[np.float64], size: int) -> tuple[float, ...]:
    told = column >= 0
    seen = np.bincount(column[told], counts[told], size)
    return tuple(float(value) for value in seen / max(float(seen.sum()), _LEAST))
