"""What a person orders when somebody is to be forgotten, and what came of it: told without a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.commands.erase_proof import Searched
from migrator.commands.erase_subject import Subject
from migrator.core.twoway import Which
from migrator.staging import erasures
from migrator.staging.erasures import Digests, Place

BOTH = ("old", "new")


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants."""

    record: str
    on: tuple[str, ...] = BOTH
    production: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was, or would be, forgotten; nothing here names the person."""

    number: int
    places: tuple[Mapping[str, Any], ...]
    """One a record: system, object, side, state, and its keyed hash; its id only in a dry run."""
    forgotten: Mapping[str, int] = field(default_factory=dict)
    """Table of the sync → rows."""
    taken: Mapping[str, int] = field(default_factory=dict)
    """Dataset → rows."""
    backups: Mapping[str, str] = field(default_factory=dict)
    """Folder → what became of it."""
    linked: Mapping[str, int] = field(default_factory=dict)
    """Mapping → records that stay and point to the person."""
    left: Mapping[str, int] = field(default_factory=dict)
    """What the count found afterwards; empty when nothing is left."""
    searched: Searched | None = None
    journal_holds: bool = True
    done: bool = False
    dry_run: bool = False
    proof: str = ""
    """File that says all this."""

    @property
    def by_hand(self) -> tuple[Mapping[str, Any], ...]:
        """Records that could not be deleted from here."""
        return tuple(item for item in self.places if item["state"] not in erasures.DONE)

    def to_json(self) -> dict[str, Any]:
        """For `--json` and the proof."""
        return {
            "request": self.number, "done": self.done, "dry_run": self.dry_run, "records": [dict(item) for item in self.places],
            "tables": dict(self.forgotten), "datasets": dict(self.taken), "backups": dict(self.backups),
            "records_that_point_here": dict(self.linked), "left": dict(self.left),
            "searched": self.searched.to_json() if self.searched else None, "journal_holds": self.journal_holds,
            "proof": self.proof,
        }  # fmt: skip


def places_of(subject: Subject, on: Sequence[str]) -> tuple[Place, ...]:
    """The records of a person, and which of them the order is about; `on`: sides."""
    wanted = {Which(name) for name in on}
    return tuple(
        Place(*name, *subject.home(name), "open" if subject.which(name) in wanted else erasures.KEPT)
        for name in subject.names
    )


def told(place: Place, digests: Digests | None) -> dict[str, Any]:
    """A record as it is told: by its keyed hash, or by its name where there are no `digests`."""
    side = "old" if "/" in place.stream else "new"
    who = (
        {"record": f"{place.stream}:{place.id}"} if digests is None else {"hash": digests.digest(place.name)}
    )
    return {"system": place.system, "object": place.object, "side": side, "state": place.state, **who}
