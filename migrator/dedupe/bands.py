"""From which probability on pairs are joined, taken for one, or shown to a person: set for each set of records from its scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.mapped import MatchModel

_SURE = 7.64
"""Bits of odds of 200 to 1."""
_MOST_LIFT = 4.0
_REVIEWED = 0.009
"""Pairs to review, by records: a pair has two."""
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Bands:
    """Probabilities from which on a pair is joined without asking, taken for one, and shown to a person."""

    automatic: float
    likely: float
    """The model's best guess: where precision and recall balance best as far as it can tell without labels."""
    review: float


def probability(bits: float) -> float:
    """The probability that a weight in bits, prior included, stands for."""
    return 1 / (1 + 2 ** -max(min(bits, 500.0), -500.0))


def bits_of(probability: float) -> float:
    """The weight in bits that a probability stands for."""
    return math.log2(probability / (1 - probability)) if probability < 1 else 500.0


def automatic_bits(model: MatchModel, lift: float) -> float:
    """The weight from which on pairs are joined without asking.

    Odds of 200 to 1, were fields independent. `lift` is the most that the records' own contexts were found to give too
    much to one field: where there are such contexts there are others that nobody saw, so the bar is higher by as much.
    """
    if model.automatic is not None:
        return bits_of(model.automatic)
    return _SURE + min(max(lift, 0.0), _MOST_LIFT)


def set_bands(model: MatchModel, automatic: float, doubtful: Sequence[float], records: int) -> Bands:
    """The bands of a model: what it names stands, the rest is set.

    `doubtful` are the weights below `automatic` of pairs that nothing else joins, highest first. As many are shown to
    people as people will look at: pairs of two in a hundred records at most, the most probable ones first.
    """
    most = max(int(_REVIEWED * records), _FEWEST)
    lowest = 0.0
    if len(doubtful) > most:
        # of many that weigh the same none is shown: to take some of them would be to draw lots
        lowest = min((bits for bits in doubtful[:most] if bits > doubtful[most]), default=doubtful[0])
    review = model.review if model.review is not None else _rounded(max(lowest, 0.0))
    sure = model.automatic if model.automatic is not None else _rounded(automatic)
    return Bands(sure, min(0.5, sure), review)


def _rounded(bits: float) -> float:
    return round(probability(bits), 9)
