"""The limits of a sandbox as data, and the meter that counts calls against them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from connectors.sandbox.faults import checked
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Limits, Rate
from migrator.core.document import Document
from migrator.core.errors import Problem, raise_errors


class Kept(Enum):
    """Which limit a call ran into."""

    RATE = "too many calls in the window"
    DAILY = "the day's calls are used up"
    PARALLEL = "too many calls at once"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call was not admitted; `retry_after` in seconds is when it would be."""

    kept: Kept
    retry_after: float
    limit: int
    seconds: float = 0.0


@dataclass(slots=True)
class Count:
    """What became of the calls of one route."""

    calls: int = 0
    refused: int = 0
    failed: int = 0
    """Hit by the fault schedule."""
    flying: int = 0
    peak: int = 0
    """Most at once."""


@dataclass(slots=True)
class Meter:
    """Counts calls by route and says which are too many; a refused call does not count against any limit."""

    limits: Limits
    clock: Clock = field(default_factory=SystemClock)
    counts: dict[str, Count] = field(default_factory=dict)
    """By route: 'GET /services/data/{version}/query'."""
    used: int = 0
    """Calls of the last 24 hours, others' use among them."""
    flying: int = 0
    peak: int = 0
    _windows: dict[tuple[int, str], deque[float]] = field(default_factory=dict)
    _day: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, route: str, scope: str, *, counted: bool = True) -> Refusal | None:
        """Admit a call, or say why not. An admitted one must `leave`."""
        with self._lock:
            count = self.counts.setdefault(route, Count())
            count.calls += 1
            refusal = self._refusal(scope) if counted else None
            if refusal is not None:
                count.refused += 1
                return refusal
            if counted:
                self._note(scope)
            self.flying += 1
            count.flying += 1
            self.peak, count.peak = max(self.peak, self.flying), max(count.peak, count.flying)
            return None

    def leave(self, route: str) -> None:
        """A call that was admitted is over."""
        with self._lock:
            self.flying -= 1
            self.counts[route].flying -= 1

    def struck(self, route: str) -> None:
        """The fault schedule hit a call."""
        with self._lock:
            self.counts[route].failed += 1

    def use(self, calls: int) -> None:
        """Others of the organisation made so many calls today."""
        with self._lock:
            self._day.extend([self.clock.monotonic()] * calls)
            self.used = len(self._day)

    def _refusal(self, scope: str) -> Refusal | None:
        now = self.clock.monotonic()
        if self.flying >= self.limits.parallel:
            return Refusal(Kept.PARALLEL, 1.0, self.limits.parallel)
        while self._day and self._day[0] <= now - 86_400:
            self._day.popleft()
        self.used = len(self._day)
        if self.limits.daily is not None and self.used >= self.limits.daily:
            return Refusal(
                Kept.DAILY, self._day[0] + 86_400 - now if self._day else 86_400, self.limits.daily
            )
        for number, rate in enumerate(self.limits.rates):
            window = self._window(number, rate, scope)
            if window is None:
                continue
            while window and window[0] <= now - rate.seconds:
                window.popleft()
            if len(window) >= rate.calls:
                return Refusal(Kept.RATE, window[0] + rate.seconds - now, rate.calls, rate.seconds)
        return None

    def _note(self, scope: str) -> None:
        now = self.clock.monotonic()
        self._day.append(now)
        self.used = len(self._day)
        for number, rate in enumerate(self.limits.rates):
            window = self._window(number, rate, scope)
            if window is not None:
                window.append(now)

    def _window(self, number: int, rate: Rate, scope: str) -> deque[float] | None:
        if rate.scope not in {"", "*", scope}:
            return None
        return self._windows.setdefault((number, scope if rate.scope == "*" else ""), deque())


NO_LIMITS = Limits(parallel=1_000_000)
"""Everything is admitted."""


def read_limits(path: Path, usual: Limits, switches: Mapping[str, type]) -> tuple[Limits, dict[str, object]]:
    """Limits and switches of a sandbox from a YAML file; what it does not name stays as `usual`.

    ::

        rates: [{calls: 100, seconds: 20, scope: "*"}]   # scope: '' all calls, '*' each path, or one path
        daily: 15000
        parallel: 25
        token_seconds: 60                                # a switch of the system

    Raises `ProjectError` with all problems, each with its place.
    """
    document = Document.read(path)
    problems: list[Problem] = []
    own = {name: (int, float) if kind is float else kind for name, kind in switches.items()}
    known = {"rates": list, "daily": int, "parallel": int, **own}
    raw = checked(document, (), known, problems)
    rates = [
        checked(document, ("rates", number), {"calls": int, "seconds": (int, float), "scope": str}, problems)
        for number in range(len(raw.get("rates", ())))
    ]
    problems += [
        Problem(document.locate(("rates", number)), "a rate needs calls and seconds, both above 0")
        for number, rate in enumerate(rates)
        if rate.get("calls", 0) < 1 or rate.get("seconds", 0) <= 0
    ]
    raise_errors(problems)
    limits = replace(
        usual,
        rates=tuple(Rate(**rate) for rate in rates) if "rates" in raw else usual.rates,
        daily=raw.get("daily", usual.daily),
        parallel=raw.get("parallel", usual.parallel),
    )
    return limits, {name: value for name, value in raw.items() if name in switches}
