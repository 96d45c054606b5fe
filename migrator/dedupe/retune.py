"""What people decided about scored pairs, turned into bands that fit better: a pure function, slow to move on few decisions.

A match weight says log2 of the odds that two records are one, so a model that is right is called right by people: of pairs
of weight w they call 2^w/(1+2^w) the same. One number says how far it is off: people behave as if every weight were
`shift` bits higher. It is fitted to the decisions under a normal prior of mean 0 and `PRIOR_BITS` (maximum a posteriori), and
both bands move so that they keep the odds they stood for. Such a fit asks only how decisions depend on the weight, so it
does not matter that people mostly look at pairs in doubt.

One decision against all expectation moves the bands by at most ln 2 · PRIOR_BITS² = 0.7 bits; ten of them by some 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log

PRIOR_BITS = 1.0
"""How far off, in bits, a model is thought to be before anybody decided."""
LOOKED_AT = 30
"""Decisions that must stand in what a lower band would merge without asking; with fewer it is not lowered."""
PLACES = 2
"""Decimal places of bits that bands are rounded to."""


@dataclass(frozen=True, slots=True)
class WeightBands:
    """Match weights, in bits, from which a pair is shown to a person, and from which it is merged without asking.

    The weight of a probability p is log2(p / (1 - p)).
    """

    review: float
    automatic: float


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person said of a pair that the model gives `weight` bits; pairs left open as unsure take no part."""

    weight: float
    same: bool


def retune(said: Sequence[Decided], bands: WeightBands) -> WeightBands:
    """The bands that keep their odds after these decisions; without any, `bands` as they are.

    The order of decisions does not matter, and a 'same' that becomes a 'not the same' lowers neither band. A wrong merge
    is worse than a missed one: `automatic` rises as far as the fit says, but comes down only where people looked at
    `LOOKED_AT` pairs and called none of them different. `review` does not rise over a pair that was called the same.
    """
    if not said:
        return bands
    off = shift(said)
    automatic = _lowered_with_care(said, bands.automatic - off, bands.automatic)
    known_same = min((item.weight for item in said if item.same), default=automatic)
    review = bands.review - off
    if review > bands.review:
        review = max(bands.review, min(review, known_same))
    automatic = automatic if automatic == bands.automatic else round(automatic, PLACES)
    return WeightBands(min(round(review, PLACES), automatic), automatic)


def shift(said: Sequence[Decided]) -> float:
    """Bits to add to every weight so that it says what people say; 0 without decisions, and never beyond what they bear out.

    The penalised likelihood is concave, so halving the interval in which its slope changes sign finds the one maximum.
    """
    low, high = (-log(2) * PRIOR_BITS**2 * len(said), log(2) * PRIOR_BITS**2 * len(said))
    for _ in range(80):
        middle = (low + high) / 2
        if _slope(said, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(said: Sequence[Decided], off: float) -> float:
    surprise = fsum(item.same - _probability(item.weight + off) for item in said)
    return log(2) * surprise - off / PRIOR_BITS**2


def _probability(weight: float) -> float:
    """Of odds in bits, computed on the side where nothing overflows."""
    small = exp(-abs(weight) * log(2))
    return 1 / (1 + small) if weight >= 0 else small / (1 + small)


def _lowered_with_care(said: Sequence[Decided], wanted: float, now: float) -> float:
    """`wanted`, or as near to it as people's decisions allow when it lies below `now`."""
    if wanted >= now:
        return wanted
    different = max((item.weight for item in said if not item.same and item.weight < now), default=wanted)
    lowest = different + 10**-PLACES if different >= wanted else wanted
    looked_at = sum(lowest <= item.weight < now for item in said)
    return lowest if lowest < now and looked_at >= LOOKED_AT else now
