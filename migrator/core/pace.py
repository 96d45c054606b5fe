"""The engine's gate: no window of a system's limits is ever exceeded, and nearly all of what it permits is used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from migrator.core.budget import Budget
from migrator.core.clock import Clock
from migrator.core.connector import Limits, Rate
from migrator.core.errors import FatalError, RetryableError
from migrator.core.retry import PATIENT

MARGIN, LARGEST_MARGIN = 0.02, 0.25
"""How much longer than the system says a window is taken to be (a share, and at most so many seconds): requests do not
all travel equally fast, so two that leave a window apart may arrive closer."""
BURST = 4
"""One in so many calls of a window may go out at once, which catches up after a stall; the others are spread, so that
nobody waits for a whole window, and two commands one right after the other stay near the limit together."""
LONG = 5.0
"""Seconds of waiting after which a process makes sure that nobody took its work over."""
_TICK = 1e-5
"""Seconds added to every wait, above the resolution of clocks: else rounding could ask for the same wait for ever."""


def always() -> None:
    """The right of a process that nobody can take over."""


class Pace:
    """`Gate` of one system: its rates as sliding windows, the pauses it asks for, and the budget of its day.

    May be asked by several threads. Who would have to wait longer than `patience` seconds gets a `RetryableError`
    that says how long.
    """

    def __init__(
        self,
        system: str,
        limits: Limits,
        clock: Clock,
        *,
        budget: Budget | None = None,
        patience: float = PATIENT.patience,
    ) -> None:
        self.limits = limits
        """As narrowed by the project."""
        self.budget = budget or Budget(system, clock)
        self.admitted = 0
        """Requests let through so far."""
        self.permitted: Callable[[], None] = always
        """Asked after a long wait; raises when this process may not write any more: it may have slept for long."""
        self.clock = clock
        """What is waited by."""
        self._system, self._patience = system, patience
        self._lock = threading.Lock()
        self._windows: dict[tuple[int, str], _Window] = {}
        self._held: dict[str, float] = {}

    def admit(self, scope: str = "", requests: int = 1) -> None:
        """Return when `requests` of `scope` may go out. Raises `RetryableError` when that is too far off to wait for.

        Raises `FatalError` when one call would count more often than a window permits at all.
        """
        self.budget.take(requests)
        while (wait := self._try(scope, requests)) > 0:
            if wait > self._patience:
                self.budget.give_back(requests)
                raise RetryableError(
                    f"{self._system} is to be left alone for another {wait:,.0f} seconds",
                    hint="everything done so far is on record: run the same command again then",
                    retry_after=wait,
                    throttled=True,
                )
            self.clock.sleep(wait + _TICK)
            if wait > LONG:
                self.permitted()

    def hold(self, seconds: float, scope: str = "") -> None:
        """Nothing of this scope ('' nothing at all) goes out for so long; the longest of several pauses counts."""
        with self._lock:
            until = self.clock.monotonic() + seconds
            self._held[scope] = max(until, self._held.get(scope, until))

    def spent(self, used: int, limit: int | None = None) -> None:
        """What the system says was used of its day, by everybody, and of how much."""
        self.budget.told(used, limit)

    def _try(self, scope: str, requests: int) -> float:
        """Let the requests through now and return 0, or say how many seconds to wait before asking again."""
        with self._lock:
            now = self.clock.monotonic()
            windows = list(self._counting(scope))
            for window in windows:
                window.check(self._system, requests)
            pauses = [self._held[name] - now for name in {"", scope} if name in self._held]
            wait = max([0.0, *pauses, *(window.wait(now, requests) for window in windows)])
            if wait <= 0:
                for window in windows:
                    window.take(now, requests)
                self.admitted += requests
            return wait

    def _counting(self, scope: str) -> Iterator[_Window]:
        """The windows that a request of this scope counts in."""
        for number, rate in enumerate(self.limits.rates):
            if rate.scope in {"", "*", scope}:
                name = scope if rate.scope == "*" else rate.scope
                if (number, name) not in self._windows:
                    self._windows[number, name] = _Window(rate, self.clock.monotonic())
                yield self._windows[number, name]


class _Window:
    """A sliding window kept as the moments of its last calls, and a bucket that spreads them."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._seconds = rate.seconds + min(rate.seconds * MARGIN, LARGEST_MARGIN)
        self._calls: deque[float] = deque(maxlen=rate.calls)
        self._capacity = float(max(1, rate.calls // BURST))
        self._tokens, self._at = self._capacity, now

    def check(self, system: str, requests: int) -> None:
        """Refuse what no waiting would let through."""
        if requests > self._rate.calls:
            raise FatalError(
                f"one call counts as {requests:,} requests, and {system} permits {self._rate.calls:,}"
                f" in {self._rate.seconds:g} seconds",
                hint="make its calls smaller, or its limits larger",
            )

    def wait(self, now: float, requests: int) -> float:
        """Seconds until the window and its bucket hold so many requests more; 0 or less when they do now."""
        oldest = self._rate.calls - requests + 1
        full = self._calls[-oldest] + self._seconds - now if len(self._calls) >= oldest else 0.0
        short = min(float(requests), self._capacity) - self._filled(now)
        return max(full, short * self._seconds / self._rate.calls)

    def take(self, now: float, requests: int) -> None:
        """Count them; the bucket may owe some after a call that counts for many."""
        self._tokens, self._at = self._filled(now) - requests, now
        self._calls.extend([now] * requests)

    def _filled(self, now: float) -> float:
        return min(self._capacity, self._tokens + (now - self._at) * self._rate.calls / self._seconds)


def narrowed(
    limits: Limits, *, rates: Sequence[Rate] = (), daily: int | None = None, parallel: int | None = None
) -> Limits:
    """What a system permits, and of that only what a project wants to use; it can never be made wider."""
    return replace(
        limits,
        rates=(*limits.rates, *rates),
        daily=min((one for one in (limits.daily, daily) if one is not None), default=None),
        parallel=limits.parallel if parallel is None else min(limits.parallel, parallel),
    )
