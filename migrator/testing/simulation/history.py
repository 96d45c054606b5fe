"""The history of one simulated system: who changed what and when, in true time; what the checker goes by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from migrator.testing.simulation.shape import Value


class Actor(StrEnum):
    """Who did it."""

    LOAD = "load"
    USER = "user"
    AUTOMATION = "automation"
    """The system itself, because of a user or a clock."""
    REACTION = "reaction"
    """The system itself, because of a write of the sync."""
    SYNC = "sync"


class Deed(StrEnum):
    """What was done."""

    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"
    PURGE = "purge"
    MERGE = "merge"
    UNDELETE = "undelete"
    CONVERT = "convert"


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change of one record."""

    number: int
    at: float
    """True time of the commit, in seconds."""
    side: str
    object: str
    id: str
    actor: Actor
    deed: Deed
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    """Fields whose value this event set, normalised as the system stores them."""
    named: tuple[str, ...] = ()
    """Of a merge the master's id; of a conversion the new records' ids."""


@dataclass(frozen=True, slots=True)
class Held:
    """A value a field had from a moment on; entering the same value again is no change."""

    since: float
    value: Value
    actor: Actor
    event: int


@dataclass(slots=True)
class History:
    """Events of both systems in the order of their commits, and the values of every field over time."""

    events: list[Event] = field(default_factory=list)
    lines: dict[tuple[str, str], dict[str, list[Held]]] = field(default_factory=dict)
    ends: dict[tuple[str, str], list[Event]] = field(default_factory=dict)
    """Deletes, merges, conversions and undeletes of a record."""

    def add(
        self,
        at: float,
        side: str,
        object_name: str,
        id_: str,
        *,
        actor: Actor,
        deed: Deed,
        before: Mapping[str, Value],
        after: Mapping[str, Value],
        named: tuple[str, ...] = (),
    ) -> Event:
        """Record one change."""
        event = Event(len(self.events), at, side, object_name, id_, actor, deed, before, after, named)
        self.events.append(event)
        line = self.lines.setdefault((side, id_), {})
        for name, value in after.items():
            values = line.setdefault(name, [])
            if not values or values[-1].value != value:
                values.append(Held(at, value, actor, event.number))
        if deed not in {Deed.CREATE, Deed.EDIT}:
            self.ends.setdefault((side, id_), []).append(event)
        return event

    def entered(self, side: str, id_: str, name: str) -> Held | None:
        """The value a field has now, and when and by whom it was set; None when nobody ever set it."""
        line = self.lines.get((side, id_), {}).get(name)
        return line[-1] if line else None

    def held(self, side: str, id_: str, name: str, since: float) -> Iterator[Held]:
        """Every value the field had at `since` or later."""
        line = self.lines.get((side, id_), {}).get(name, [])
        first = max(0, bisect_right(line, since, key=lambda held: held.since) - 1)
        yield from line[first:]

    def deletions(self, side: str, id_: str) -> list[Event]:
        """How the record's life ended or began anew, oldest first."""
        return self.ends.get((side, id_), [])
