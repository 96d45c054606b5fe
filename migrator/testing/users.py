"""Users of two systems that are kept in step, for drills: they enter, edit and delete, and each value they entered is traced.

A user sees what stands in a field before typing over it. Each value is therefore in one of four places afterwards: on both
sides; typed over by a user who saw it; in the conflict log, beaten by what a user of the other side entered; or in a record
that a user deleted. What is nowhere is missing.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

KINDS = ("company", "contact")


class LockedOut(Exception):
    """The system does not let this user write."""


class Desk(Protocol):
    """The users of one system at work."""

    def rows(self, kind: str) -> Mapping[str, str]:
        """Name → what stands in the field that users edit; of all live records of a kind, in order of their names."""
        ...

    def edit(self, kind: str, name: str, value: str) -> None:
        """Set that field; raises `LockedOut`."""
        ...

    def create(self, kind: str, name: str, value: str) -> None:
        """A new record; raises `LockedOut`."""
        ...

    def delete(self, kind: str, name: str) -> None:
        """Delete a record; raises `LockedOut`."""
        ...

    def lock(self) -> None:
        """Take the right to write from the users, and from nobody else."""
        ...

    def unlock(self) -> None:
        """Give it back."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that a user entered."""

    side: str
    kind: str
    name: str
    value: str
    saw: str
    """What stood there before, on that side; '' in a new record."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of everything that users entered."""

    entered: int = 0
    standing: int = 0
    """On both sides now."""
    typed_over: int = 0
    """By a user who saw it."""
    overruled: int = 0
    """In the conflict log: a user of the other side entered something else meanwhile."""
    deleted: int = 0
    """In records that users deleted."""
    missing: tuple[str, ...] = ()
    """What should be somewhere and is not, in words, by side."""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "entered": self.entered, "standing": self.standing, "typed_over": self.typed_over,
            "overruled": self.overruled, "deleted": self.deleted, "missing": list(self.missing),
        }  # fmt: skip


@dataclass(slots=True)
class Users:
    """The users of both sides, and what they entered."""

    desks: Mapping[str, Desk]
    """'old' and 'new'."""
    seed: int = 7
    entries: list[Entry] = field(default_factory=list)
    refused: int = 0
    """Times that the system refused a user who was locked out."""
    _gone: set[tuple[str, str]] = field(default_factory=set)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 (a drill, no secret)

    def work(self, edits: int = 3) -> None:
        """Users of both sides try to work; whoever is locked out is refused by the system."""
        for side in self.desks:
            try:
                for _ in range(edits):
                    self._edit(side)
                self._create(side)
                if self._chance.random() < 0.3:
                    self._delete(side)
            except LockedOut:
                self.refused += 1

    def move(self, opened: Mapping[str, bool]) -> None:
        """Lock and unlock sides, as an administrator does."""
        for side, is_open in opened.items():
            (self.desks[side].unlock if is_open else self.desks[side].lock)()

    def _edit(self, side: str) -> None:
        desk, kind = self.desks[side], self._chance.choice(KINDS)
        rows = {name: value for name, value in desk.rows(kind).items() if (kind, name) not in self._gone}
        name, value = self._chance.choice(list(rows)), self._value()
        desk.edit(kind, name, value)
        self.entries.append(Entry(side, kind, name, value, rows[name]))

    def _create(self, side: str) -> None:
        kind = self._chance.choice(KINDS)
        name, value = f"{kind} 客户 {side} {len(self.entries):04d}", self._value()
        self.desks[side].create(kind, name, value)
        self.entries.append(Entry(side, kind, name, value, ""))

    def _delete(self, side: str) -> None:
        """A contact that both sides show alike: a delete against an edit is a question for people, which no drill can answer."""
        here, there = (self.desks[one].rows("contact") for one in (side, "new" if side == "old" else "old"))
        alike = [name for name, value in here.items() if there.get(name) == value]
        if alike:
            name = self._chance.choice(alike)
            self.desks[side].delete("contact", name)
            self._gone.add(("contact", name))

    def _value(self) -> str:
        """Unlike any other, and of the kind that breaks things: quotes, line ends, signs of formulas, other scripts."""
        number = self._chance.randrange(10**9)
        return self._chance.choice(_SHAPES).format(number)

    def trace(self, log: Collection[str]) -> Trace:
        """Where everything that was entered is now; `log`: all values that stand in the conflict log."""
        now = {side: {kind: desk.rows(kind) for kind in KINDS} for side, desk in self.desks.items()}
        seen = {(entry.side, entry.kind, entry.name, entry.saw) for entry in self.entries}
        counts = dict.fromkeys(("standing", "typed_over", "overruled", "deleted"), 0)
        missing = [
            f"{side}: {kind} {name} was deleted by a user and is there"
            for kind, name in sorted(self._gone)
            for side in now
            if name in now[side][kind]
        ]
        old, new = now.values()
        missing += [
            f"{kind} {name}: the old side holds {old[kind].get(name)!r}, the new one {new[kind].get(name)!r}"
            for kind in KINDS
            for name in sorted({*old[kind], *new[kind]})
            if old[kind].get(name) != new[kind].get(name)
        ]
        for entry in self.entries:
            where, lost = _place(entry, now, seen, log, self._gone)
            counts[where] = counts.get(where, 0) + 1
            missing += [f"{side}: {entry.kind} {entry.name} should hold {entry.value!r}" for side in lost]
        counts.pop("missing", 0)
        return Trace(len(self.entries), **counts, missing=tuple(missing))


_SHAPES = (
    "note {}", "备注 {} 号", "={}+1", "O'Brien said \"{}\"", "two\nlines {}", "<b>{}</b> & more", "ü {} – ñ",
)  # fmt: skip


def _place(
    entry: Entry, now: Mapping[str, Mapping[str, Mapping[str, str]]], seen: Collection[tuple[str, str, str, str]],
    log: Collection[str], gone: Collection[tuple[str, str]],
) -> tuple[str, list[str]]:  # fmt: skip
    """Where a value is, and the sides on which it should stand and does not."""
    if (entry.kind, entry.name) in gone:
        return "deleted", []
    holding = [side for side in now if now[side][entry.kind].get(entry.name) == entry.value]
    if len(holding) == len(now):
        return "standing", []
    if any((side, entry.kind, entry.name, entry.value) in seen for side in now):
        return "typed_over", []
    if entry.value in log:
        return "overruled", []
    return "missing", [side for side in now if side not in holding]
