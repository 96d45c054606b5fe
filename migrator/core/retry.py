"""One way to try again: bounded, with growing jittered waits, minding the other side's own hint; time and chance injected."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from migrator.core.clock import Clock
from migrator.core.errors import RetryableError

Answer = TypeVar("Answer")
_chance = random.SystemRandom().random


def _nothing() -> int:
    """How far work is that cannot be gone on with: each attempt is the whole of it."""
    return 0


def nobody(_error: RetryableError, _wait: float) -> None:
    """Who listens when nobody does."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long: `attempts` in all, waits in seconds doubling from `first` up to `longest`."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    patience: float = 300.0
    """A hint to wait longer than this many seconds is not waited for: the run ends with all its work saved."""

    def wait(self, failures: int, hint: float | None, chance: float) -> float:
        """Seconds before the next attempt: never less than the hint; jitter (`chance` in 0…1) only adds to it."""
        backoff = min(self.longest, self.first * 2 ** (failures - 1))
        return backoff * chance if hint is None else hint + self.first * chance


PATIENT = RetryPolicy()
"""The policy of a command that nobody tuned."""


def call(
    attempt: Callable[[], Answer],
    *,
    policy: RetryPolicy,
    clock: Clock,
    chance: Callable[[], float] = _chance,
    again: Callable[[RetryableError, float], None] = nobody,
) -> Answer:
    """The answer of `attempt`, tried again after each `RetryableError` as the policy allows; then the error itself.

    `again` is told each error that is not the last, and the seconds that are waited before the next attempt.

    Only for what may be done twice: `attempt` must be idempotent, for a lost answer looks like a failure.
    """
    return resume(attempt, _nothing, policy=policy, clock=clock, chance=chance, again=again)


def resume(
    attempt: Callable[[], Answer],
    done: Callable[[], int],
    *,
    policy: RetryPolicy,
    clock: Clock,
    chance: Callable[[], float] = _chance,
    again: Callable[[RetryableError, float], None] = nobody,
) -> Answer:
    """As `call`, for work that goes on where it broke off: whenever `done` has grown, patience begins anew."""
    failures, before = 0, done()
    while True:
        try:
            return attempt()
        except RetryableError as error:
            now = done()
            failures, before = (1 if now > before else failures + 1), now
            if failures >= policy.attempts or (error.retry_after or 0.0) > policy.patience:
                raise
            wait = policy.wait(failures, error.retry_after, chance())
            again(error, wait)
            clock.sleep(wait)
