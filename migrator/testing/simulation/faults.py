"""The fault injector: decides, by its own chance, what goes wrong with a call, a night and a process; knows nothing of the sync."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from migrator.testing.simulation.settings import Rates


class Mishap(Enum):
    """What happens to one call."""

    NONE = "none"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    LOST = "lost"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    LOGIN = "login"
    TRUNCATED = "truncated"
    EXPIRED = "expired"


class Killed(BaseException):
    """The process was killed here; nothing in the engine may catch it."""


_ANY = (Mishap.THROTTLED, Mishap.UNAVAILABLE, Mishap.LOGIN)
_BY_VERB = {
    "write": (Mishap.LOST, Mishap.PARTIAL, Mishap.UNKNOWN),
    "list": (Mishap.TRUNCATED,),
    "feed": (Mishap.TRUNCATED, Mishap.EXPIRED),
    "read": (),
}


@dataclass(slots=True)
class Faults:
    """Mishaps drawn from rates; `quiet` stops them, for the nights in which everything must settle."""

    rates: Rates
    chance: random.Random
    quiet: bool = False
    drawn: int = 0

    def call(self, verb: str) -> Mishap:
        """What happens to a call of this sort ('write', 'list', 'feed', 'read')."""
        if self.quiet:
            return Mishap.NONE
        at = self.chance.random()
        for mishap in (*_ANY, *_BY_VERB[verb]):
            at -= getattr(self.rates, mishap.value)
            if at < 0:
                self.drawn += 1
                return mishap
        return Mishap.NONE

    def happens(self, name: str) -> bool:
        """Whether the fault of that rate happens now."""
        return not self.quiet and self.chance.random() < getattr(self.rates, name)

    def lag(self) -> float:
        """Index lag of a commit, seconds."""
        return self.chance.uniform(1, 900) if self.happens("lag") else 0.0
