"""The warnings a check can give: stable codes, what each says, and which of them a mapping accepts with a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from migrator.core.errors import Location, Problem

WARNINGS: Mapping[str, str] = {
    "dropped.column": "a source column that holds data (or may) goes nowhere",
    "dropped.object": "no mapping reads this object of a source",
    "overwritten.created": "the date a record was created is not kept: the target sets its own",
    "default.hides_blank": "after the load nobody can tell a default from a value that was there",
    "sync.one_way": "the sync cannot bring the field back to the old system",
    "values.one_way": "two old values become one, and the mapping is synced back",
    "loss.length": "the source holds longer texts than the target",
    "loss.precision": "a cast cuts digits: the source holds more of them than the target",
    "loss.time": "a time of day becomes a date, or an instant a time of day",
    "loss.zone": "a time loses its zone, or gets one that nobody declared",
    "picklist.unmapped": "the source's list has values that the value map does not know",
    "picklist.unknown": "the source's list has values that the target's list has not",
    "target.precision": "the mapping may write more digits than the target's field holds",
    "target.read_only": "the target's field is read-only",
}
"""Code → what it says; `migrator check` shows the code, `accept` names it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A warning that a mapping accepts, as written."""

    mapping: str
    warning: str
    field: str
    reason: str
    place: Location
    met: bool
    """Whether there is such a warning now: some depend on the data, and go when it does."""
    known: bool = True
    """Whether there is anything of that name; if not, the acceptance is a mistake."""


@dataclass(frozen=True, slots=True)
class Acceptances:
    """What one mapping accepts; asks are noted, so that an acceptance that nothing asked for can be told."""

    mapping: str
    entries: tuple[tuple[str, str, str, Location], ...]
    """Warning, field, reason, place."""
    met: set[int] = field(default_factory=set)

    def cover(self, code: str, name: str) -> bool:
        """Whether the warning `code` about the field or column `name` is accepted."""
        found = {number for number, entry in enumerate(self.entries) if entry[0] == code and entry[1] == name}
        self.met.update(found)
        return bool(found)

    def listed(self, known: Collection[str]) -> tuple[Accepted, ...]:
        """All of them, once every warning has been asked about; `known` are the names of fields and columns."""
        return tuple(
            Accepted(self.mapping, code, name, reason, place, number in self.met, name in known)
            for number, (code, name, reason, place) in enumerate(self.entries)
        )


def stale(accepted: Iterable[Accepted]) -> list[Problem]:
    """A problem for each acceptance of what nobody knows: it was misspelt, or the field is gone."""
    return [
        Problem(
            item.place,
            f"there is nothing called {item.field!r} that {item.warning} could be about",
            "remove it, or name the field or column as the warning does",
        )
        for item in accepted
        if not (item.met or item.known)
    ]
