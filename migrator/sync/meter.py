"""A side whose requests are counted, held to a budget, and tried again where trying again is harmless."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from migrator.core.clock import Clock
from migrator.core.errors import RetryableError
from migrator.core.retry import RetryPolicy, call
from migrator.core.schema import ObjectSchema
from migrator.core.twoway import (
    Answer,
    Create,
    Delete,
    Evidence,
    FeedPage,
    Record,
    ScanPage,
    Side,
    SideFacts,
    Update,
)

PRESSED = 0.8
"""From this share of the budget on only deletes, creates and fields of the system of record are written."""
Read = TypeVar("Read")


class BudgetSpent(RetryableError):
    """The requests that the sync may make today are used up; the reserve belongs to others."""


@dataclass(slots=True)
class Allowance:
    """Requests that a run may make to one system: those of the day, less the reserve, less those already made. None: no limit."""

    calls: int | None = None
    used: int = 0

    @property
    def is_pressed(self) -> bool:
        """Whether little is left."""
        return self.calls is not None and self.used >= self.calls * PRESSED

    def take(self) -> None:
        """Count one request; raises `BudgetSpent` when there is none left."""
        if self.calls is not None and self.used >= self.calls:
            raise BudgetSpent(
                "the requests that the sync may make are used up",
                hint="the next run goes on where this one stopped",
            )
        self.used += 1


class Meter:
    """See `Side`. Reads are tried again as `policy` allows; a write never is: what became of it is looked up first."""

    def __init__(
        self, side: Side, allowance: Allowance, clock: Clock, policy: RetryPolicy, chance: Callable[[], float]
    ) -> None:
        self.side, self.allowance = side, allowance
        self._clock, self._policy, self._chance = clock, policy, chance

    @property
    def facts(self) -> SideFacts:
        """Of the side."""
        return self.side.facts

    def describe(self) -> Sequence[ObjectSchema]:
        """See `Side`."""
        return self._read(self.side.describe)

    def server_time(self) -> datetime:
        """See `Side`."""
        return self._read(self.side.server_time)

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """See `Side`; read whole, so that it can be begun anew."""

        def whole() -> list[FeedPage]:
            pages = []
            for page in self.side.changes(object_name, since, overlap):
                self.allowance.take()
                pages.append(page)
            return pages

        yield from call(whole, policy=self._policy, clock=self._clock, chance=self._chance)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """See `Side`; page by page, never begun anew here: memory is bounded by the page."""
        for page in self.side.scan(object_name, fields):
            self.allowance.take()
            yield page

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """See `Side`, for any number of ids."""
        return self._paged(ids, lambda some: self.side.fetch(object_name, some, fields))

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """See `Side`, for any number of ids."""
        return self._paged(ids, lambda some: self.side.evidence(object_name, some))

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """See `Side`, for any number of keys."""
        return self._paged(keys, lambda some: self.side.find(object_name, key_field, some, fields))

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """See `Side`."""
        self.allowance.take()
        return self.side.create(object_name, key_field, rows)

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """See `Side`."""
        self.allowance.take()
        return self.side.update(object_name, rows)

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """See `Side`."""
        self.allowance.take()
        return self.side.delete(object_name, rows)

    def marker(self) -> str:
        """See `Side`."""
        return self._read(self.side.marker)

    def set_marker(self, text: str) -> None:
        """See `Side`; setting it twice is setting it once."""
        self._read(lambda: self.side.set_marker(text))

    def close(self) -> None:
        """See `Side`."""
        self.side.close()

    def _paged(self, values: Sequence[str], read: Callable[[Sequence[str]], Sequence[Read]]) -> list[Read]:
        found: list[Read] = []
        size = self.side.facts.page_rows
        for start in range(0, len(values), size):
            some = values[start : start + size]
            found += self._read(lambda some=some: read(some))  # type: ignore[misc]  # bound at once
        return found

    def _read(self, read: Callable[[], Read]) -> Read:
        def once() -> Read:
            self.allowance.take()
            return read()

        return call(once, policy=self._policy, clock=self._clock, chance=self._chance)
