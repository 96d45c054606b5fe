"""What a project says of a system's limits under `limits:` in migration.yaml, read strictly; it only ever narrows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.core.connector import Limits, Rate
from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem
from migrator.core.pace import narrowed

KEYS = ("reserve", "daily", "parallel", "rates")
RATE_KEYS = ("calls", "per", "scope")
USUAL_RESERVE = 0.2
"""Of a day's calls a migration leaves so much to the people who work with the system, unless the project says otherwise."""
_SECONDS: Mapping[str, float] = {"s": 1.0, "m": 60.0, "h": 3600.0}
_EXAMPLES: Mapping[str, str] = {
    "reserve": "reserve: 20%",
    "daily": "daily: 90000",
    "parallel": "parallel: 4",
    "rates": 'rates: [{calls: 100, per: 20s, scope: "*"}]',
    "calls": "calls: 100",
    "per": "per: 20s, 1m or 24h",
    "scope": 'scope: "*"',
}


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The `limits:` of one system."""

    reserve: float = USUAL_RESERVE
    """The share of a day's calls, 0 to 1, that is left to the system's users."""
    daily: int | None = None
    parallel: int | None = None
    rates: tuple[Rate, ...] = ()
    place: Location | None = None
    """Where they are written; None when the project says nothing."""

    def narrow(self, limits: Limits) -> Limits:
        """What is left of a system's limits."""
        return narrowed(limits, rates=self.rates, daily=self.daily, parallel=self.parallel)


def parse_limits(document: Document, path: TreePath, raw: object, problems: list[Problem]) -> LimitSettings:
    """The settings at `path`; every problem is added to `problems` with its place."""
    reading = _Reading(document, problems)
    if raw is None:
        return LimitSettings()
    if not isinstance(raw, dict):
        reading.wrong(path, f"limits must be a mapping, not {raw!r}", "limits: {parallel: 4}")
        return LimitSettings()
    reading.known(path, raw, KEYS)
    rates = raw.get("rates", [])
    if not isinstance(rates, list):
        reading.wrong((*path, "rates"), f"rates must be a list, not {rates!r}", _EXAMPLES["rates"])
        rates = []
    return LimitSettings(
        reserve=reading.share((*path, "reserve"), raw),
        daily=reading.count((*path, "daily"), raw),
        parallel=reading.count((*path, "parallel"), raw),
        rates=tuple(
            found
            for number, item in enumerate(rates)
            if (found := reading.rate((*path, "rates", number), item)) is not None
        ),
        place=document.locate_key(path),
    )


class _Reading:
    """Reads single values; what is wrong is noted and taken as not said."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self._document, self._problems = document, problems

    def wrong(self, path: TreePath, message: str, example: str) -> None:
        """Note a problem with the value at `path`."""
        self._problems.append(Problem(self._document.locate(path), message, f"for example {example}"))

    def known(self, path: TreePath, raw: Mapping[Any, Any], keys: tuple[str, ...]) -> None:
        """Note every key that is none of `keys`."""
        for key in raw:
            if key not in keys:
                hint = did_you_mean(str(key), keys, noun="keys")
                self._problems.append(
                    Problem(self._document.locate_key((*path, str(key))), f"unknown key {key!r}", hint)
                )

    def count(self, path: TreePath, raw: Mapping[Any, Any]) -> int | None:
        """A whole number of at least 1, or None when there is none."""
        name = str(path[-1])
        if name not in raw:
            return None
        value = raw[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.wrong(path, f"{name} must be a whole number of at least 1, not {value!r}", _EXAMPLES[name])
            return None
        return value

    def share(self, path: TreePath, raw: Mapping[Any, Any]) -> float:
        """A percentage below 100 as a number from 0 to 1."""
        value = raw.get("reserve", f"{USUAL_RESERVE:.0%}")
        found = re.fullmatch(r"(\d{1,2}(?:\.\d+)?)\s*%", str(value))
        if found is None:
            self.wrong(
                path, f"reserve must be a percentage from 0% to 99%, not {value!r}", _EXAMPLES["reserve"]
            )
            return USUAL_RESERVE
        return float(found[1]) / 100

    def rate(self, path: TreePath, raw: object) -> Rate | None:
        """One rate, or None when it is none."""
        if not isinstance(raw, dict):
            self.wrong(
                path, f"a rate must be a mapping with calls and per, not {raw!r}", "{calls: 100, per: 20s}"
            )
            return None
        self.known(path, raw, RATE_KEYS)
        for name in ("calls", "per"):
            if name not in raw:
                self.wrong(path, f"this rate has no {name}", _EXAMPLES[name])
        calls, seconds = self.count((*path, "calls"), raw), self._seconds((*path, "per"), raw)
        scope = raw.get("scope", "")
        if not isinstance(scope, str):
            self.wrong((*path, "scope"), f"scope must be a text, not {scope!r}", _EXAMPLES["scope"])
            return None
        return Rate(calls, seconds, scope) if calls is not None and seconds is not None else None

    def _seconds(self, path: TreePath, raw: Mapping[Any, Any]) -> float | None:
        if "per" not in raw:
            return None
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", str(raw["per"]))
        if found is None or not float(found[1]):
            self.wrong(path, f"per must be a time in s, m or h, not {raw['per']!r}", _EXAMPLES["per"])
            return None
        return float(found[1]) * _SECONDS[found[2]]
