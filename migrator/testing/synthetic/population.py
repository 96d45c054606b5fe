"""Which record speaks of whom: how many records each object has, who is whose duplicate, who points where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from migrator.testing.synthetic.chance import Chance

CHUNK = 100_000
"""Records made at a time; memory is bounded by this, whatever the scale."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How much of what is wrong with the data, as shares of the records concerned."""

    duplicates: float = 0.15
    """Records that speak of somebody whom an earlier record, of this or the other system, speaks of already."""
    orphans: float = 0.005
    """Look-ups to records that do not exist."""
    bad_dates: float = 0.003
    bad_amounts: float = 0.002
    unmapped: float = 0.003
    """Picklist values that no value list knows."""
    missing: float = 0.002
    """Required fields that are empty."""
    too_long: float = 0.001
    deleted: float = 0.01
    """Rows of the Salesforce recycle bin (IsDeleted = 1)."""
    overlap: float = 0.02
    """Share of a part's rows that stand in the next zip again, identically."""
    parents: float = 0.12
    """Records with a parent of their own kind."""
    cycles: float = 0.0005
    """Pairs of records that are each other's parent."""
    culture_dates: float = 0.0
    """Dynamics date-times written as '6/15/2024 2:30:00 PM'."""


@dataclass(frozen=True, slots=True)
class Population:
    """The records of one kind in both systems, numbered through: first Salesforce's, then Dynamics's."""

    chance: Chance
    rates: Rates
    salesforce: int
    dynamics: int

    def entities(self, records: np.ndarray) -> np.ndarray:
        """The number of whom each record speaks of: its own number, or that of an earlier record."""
        result = records.copy()
        copies = np.flatnonzero(self._wants_copy(records))
        for attempt in range(6):
            if not len(copies):
                break
            earlier = self.chance.below(f"copy of {attempt}", records[copies], np.maximum(records[copies], 1))
            original = ~self._wants_copy(earlier)
            result[copies[original]] = earlier[original]
            copies = copies[~original]
        return result

    def _wants_copy(self, records: np.ndarray) -> np.ndarray:
        wants: np.ndarray = self.chance.happens("copy", records, self.rates.duplicates) & (records > 0)
        return wants

    def deleted(self, records: np.ndarray) -> np.ndarray:
        """Which records lie in the recycle bin; the first of each system never does."""
        alive = (records == 0) | (records >= self.salesforce)
        dead: np.ndarray = self.chance.happens("deleted", records, self.rates.deleted) & ~alive
        return dead

    def one_alive(self, chance: Chance, what: str, numbers: np.ndarray, count: int) -> np.ndarray:
        """For each number some record of Salesforce, below `count`, that is not deleted."""
        found = chance.below(what, numbers, max(count, 1))
        for attempt in range(4):
            dead = self.deleted(found)
            found[dead] = chance.below(f"{what} again {attempt}", numbers[dead], max(count, 1))
        found[self.deleted(found)] = 0
        return found


@dataclass(frozen=True, slots=True)
class Parents:
    """Who is whose parent among `count` records of one kind: -1 for nobody. Chains, and some pairs in a circle."""

    chance: Chance
    rates: Rates
    count: int

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The parent of each record; always an earlier one, except in a circle."""
        has = self.chance.happens("has parent", numbers, self.rates.parents) & (numbers > 0)
        # near ones, so that chains of several come about
        back = 1 + self.chance.below("parent", numbers, np.minimum(np.maximum(numbers, 1), 40))
        parents = np.where(has, numbers - back, -1)
        first = self._begins_circle(numbers)
        second = self._begins_circle(numbers - 1) & (numbers > 0)
        parents[first] = numbers[first] + 1
        parents[second] = numbers[second] - 1
        return parents

    def circles(self, numbers: np.ndarray) -> np.ndarray:
        """Which of these are in a circle."""
        return self._begins_circle(numbers) | (self._begins_circle(numbers - 1) & (numbers > 0))

    def _begins_circle(self, numbers: np.ndarray) -> np.ndarray:
        here = self.chance.happens("circle", numbers, self.rates.cycles)
        begins: np.ndarray = here & (numbers % 2 == 0) & (numbers >= 0) & (numbers + 1 < self.count)
        return begins


def chunks(count: int, size: int = CHUNK, *, start: int = 0) -> list[np.ndarray]:
    """The numbers from `start` up to `count`, in order, in chunks."""
    return [np.arange(at, min(at + size, count), dtype=np.int64) for at in range(start, count, size)]
