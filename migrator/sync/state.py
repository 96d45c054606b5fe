"""The rows that the two-way sync keeps, as plain values, and what one transaction may change of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias

from migrator.core.twoway import Evidence, Native, Which

Key: TypeAlias = tuple[str, str]
"""Stream and id of a record."""

CREATING, LIVE, GONE = "creating", "live", "gone"
"""States of a member."""
ALIVE = "alive"
"""In place of the version that a record died with: its link was closed, and it lives on without the sync."""
UNLISTED = "unlisted"
"""Why a record is in the queue, or what is wrong with it: a full comparison did not list it."""
DOUBTED = "doubted"
"""Why a record is in the queue: it could not be worked on while a lost ledger was rebuilt, so it may have had a partner (section 16)."""
MEMBER = "#"
"""Holds of single records that came back are named so, before stream and id: they are of no field."""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One record and the group it belongs to now."""

    stream: str
    id: str
    which: Which
    grp: int
    state: str = LIVE
    leads: bool = True
    version: str = ""
    base: Mapping[str, Native] = field(default_factory=dict)
    seen: int | None = None
    since: int = 0
    owed: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    """Field of a pair → members that did not get this member's value yet, though its base is that value; empty: nobody did."""

    @property
    def key(self) -> Key:
        """Stream and id."""
        return self.stream, self.id


@dataclass(frozen=True, slots=True)
class DirtyRow:
    """A record that needs a decision."""

    stream: str
    id: str
    why: str
    since: datetime
    attempts: int = 0
    not_before: datetime | None = None
    code: str = ""
    message: str = ""

    @property
    def key(self) -> Key:
        """Stream and id."""
        return self.stream, self.id


@dataclass(frozen=True, slots=True)
class Intent:
    """A remote write that is about to be made.

    `body` of an update: 'wanted' (field → value to be written), 'sources' (bases that advance with it: of which record,
    the natives, the pair's field, what of it is written here, and who else is to get it). Of a create: 'sent', 'source' (natives as read), 'waits' (fields left null for a link).
    """

    number: int
    grp: int
    kind: str
    stream: str
    id: str
    key: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A group (field '') or a field on which nothing is written."""

    grp: int
    field: str
    mapping: str
    kind: str
    reason: str
    since: datetime
    checks: int = 0


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Values that were, or would have been, overwritten."""

    mapping: str
    grp: int
    field: str
    digest: str
    verdict: str
    policy: str
    reason: str
    members: str
    state: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something in the life of a record."""

    mapping: str
    grp: int
    stream: str
    id: str
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record whose deletion is complete."""

    stream: str
    id: str
    grp: int
    version: str
    key_hash: str = ""


@dataclass(frozen=True, slots=True)
class DeferredRow:
    """A link of a group that waits for the partner of a record."""

    grp: int
    field: str
    mapping: str
    record: str


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a stream was read."""

    stream: str
    watermark: str | None = None
    pulled_at: datetime | None = None
    scanned_at: datetime | None = None
    generation: int = 0
    rows: int = 0
    changed: tuple[int, ...] = ()
    """Changed records of the last runs, oldest first."""
    fingerprint: str = ""


class Part(Enum):
    """The four kinds of transaction that change anything."""

    PULL = "pull"
    CONFLICT = "conflict"
    INTENT = "intent"
    RESULT = "result"


@dataclass(slots=True)
class Changes:
    """What one transaction is to change; filled in any order, carried out in a fixed one."""

    members: list[MemberRow] = field(default_factory=list)
    """Rows as they are to be; new ones have `since` -1."""
    closed: list[MemberRow] = field(default_factory=list)
    """Members that leave their groups."""
    dirty: list[DirtyRow] = field(default_factory=list)
    clean: list[Key] = field(default_factory=list)
    watermarks: list[Watermark] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    """Numbers of intents that are done with."""
    conflicts: list[ConflictRow] = field(default_factory=list)
    resolved: list[tuple[int, str]] = field(default_factory=list)
    """Group and field of conflicts that are over: agreed, or carried out as a person said."""
    holds: list[HoldRow] = field(default_factory=list)
    released: list[tuple[int, str]] = field(default_factory=list)
    evidence: list[tuple[str, Evidence, bool]] = field(default_factory=list)
    """Stream, evidence, and whether the sync itself did it."""
    tombstones: list[Tombstone] = field(default_factory=list)
    raised: list[Key] = field(default_factory=list)
    """Tombstones that a person, or an undelete, took back."""
    events: list[EventRow] = field(default_factory=list)
    deferred: list[DeferredRow] = field(default_factory=list)
    filled: list[tuple[int, str]] = field(default_factory=list)
    mismatches: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Stream, id, kind, generation."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def live(row: MemberRow) -> MemberRow:
    """The same, linked."""
    return replace(row, state=LIVE)


def aged(hold: HoldRow, before: HoldRow | None) -> HoldRow:
    """A hold that stood already: it keeps its age, and was looked at once more."""
    return hold if before is None else replace(hold, since=before.since, checks=before.checks + 1)


def member_hold(row: MemberRow) -> str:
    """What the hold of a single record is called that came back to a group that lives."""
    return f"{MEMBER}{row.stream}:{row.id}"
