"""What passes between the sync and a simulated system: counted, and shown to whoever watches, at the moment it takes effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from migrator.core.twoway import Evidence
from migrator.testing.simulation.crm import Row
from migrator.testing.simulation.shape import Value


class Watcher(Protocol):
    """Who sees every write of the sync at the very moment it takes effect."""

    def proven(self, side: str, given: Iterable[Evidence]) -> None:
        """The sync was given this evidence."""
        ...

    def read(self, side: str, ids: Iterable[str]) -> None:
        """The sync was given these rows, to decide from."""
        ...

    def creating(self, side: str, object_name: str, key: str, values: Mapping[str, Value]) -> None:
        """A create is about to take effect."""
        ...

    def updating(self, side: str, row: Row, values: Mapping[str, Value]) -> None:
        """An update is about to take effect; the row is as it was."""
        ...

    def deleting(self, side: str, row: Row) -> None:
        """A delete is about to take effect."""
        ...

    def dangling(self, side: str, object_name: str, field: str, value: Value) -> None:
        """A write named an id that is not live there; the system refuses it."""
        ...

    def unanswered(self, side: str, ids: Iterable[str]) -> None:
        """These rows were written, and the sync was never told."""
        ...


@dataclass(slots=True)
class Traffic:
    """What the sync asked of one side."""

    calls: int = 0
    rows_written: int = 0
    by_verb: dict[str, int] = field(default_factory=dict)
    by_day: dict[int, int] = field(default_factory=dict)

    def count(self, verb: str, day: int) -> None:
        """One call."""
        self.calls += 1
        self.by_verb[verb] = self.by_verb.get(verb, 0) + 1
        self.by_day[day] = self.by_day.get(day, 0) + 1
