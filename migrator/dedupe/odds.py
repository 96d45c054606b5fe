"""How often each level of a comparison is seen among matches and among others, and what that weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass

DIGITS = 4
"""Parameters are rounded to so many significant digits: sums in another order must not change a model."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How often each level of a comparison is seen, disagreement last: among matches (`m`), among others (`u`)."""

    m: tuple[float, ...]
    u: tuple[float, ...]

    def bits(self) -> tuple[float, ...]:
        """The weight of each level."""
        return tuple(math.log2(m / u) for m, u in zip(self.m, self.u, strict=True))


def rounded(value: float) -> float:
    """A parameter to its significant digits."""
    return float(f"{value:.{DIGITS}g}")
