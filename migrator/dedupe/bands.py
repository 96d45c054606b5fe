"""From which probability on pairs are joined, taken for one, or shown to a person: set for each set of records from its scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

from migrator.core.mapped import MatchModel


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


def set_bands(model: MatchModel) -> Bands:
    """The bands of a model: what it names stands, the rest is set."""
    automatic = model.automatic if model.automatic is not None else 0.99
    review = model.review if model.review is not None else 0.5
    return Bands(automatic, 0.5, min(review, automatic))
