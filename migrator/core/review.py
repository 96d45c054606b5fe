"""Which pairs of records a person wants to look at: words that the command line, the queue and the page share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Order(Enum):
    """Which pairs come first."""

    UNCERTAIN = "uncertain"
    """Those nearest to even odds: where a word helps most."""
    WEIGHT = "weight"
    """The most likely ones."""
    RANDOM = "random"
    """By chance, the same for the same seed: for a sample that says something of all."""


class Band(Enum):
    """Which pairs are asked about."""

    REVIEW = "review"
    AUTOMATIC = "automatic"
    """Those that are merged without asking, to check them."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to look at."""

    order: Order = Order.UNCERTAIN
    limit: int = 200
    seed: int = 7
    band: Band = Band.REVIEW
    unsure: bool = False
    """Also pairs that were looked at and left open."""
