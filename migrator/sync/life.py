"""What becomes of a group when not all of its records are live: pure, from positive evidence only.

That a record is not there proves nothing, also when its partner was deleted: such a group waits, and is looked at in every
run. A delete leaves a side only when a user's delete is proved there, and the partner was not edited since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from migrator.core.translation import DeletePolicy
from migrator.core.twoway import Evidence, EvidenceKind, Which


class Presence(Enum):
    """What is known of a record, or of all records of one side of a group."""

    LIVE = "live"
    DELETED = "deleted"
    """Proved: a user deleted it."""
    OURS = "deleted by the sync"
    MERGED = "merged"
    CONVERTED = "converted"
    ABSENT = "absent"
    """Not there, and nothing proves why."""


class LifeAct(Enum):
    """What is to be done with a group as a whole."""

    FIELDS = "fields"
    """All live: its fields are decided."""
    HOLD = "hold"
    TOMBSTONE = "tombstone"
    DELETE = "delete"
    """Delete the live side, then tombstone."""
    DEACTIVATE = "deactivate"
    CLOSE = "close"
    """The link ends; the other side stays as it is (conversion)."""
    REVIVE = "revive"
    """Make the dead side anew from the live one, as a person decided."""


@dataclass(frozen=True, slots=True)
class LifeDecision:
    """What is to be done, and on which side."""

    act: LifeAct
    on: Which | None = None
    reason: str = ""


def presence(proofs: Sequence[tuple[Evidence, bool]]) -> tuple[Presence, Evidence | None]:
    """What is known of a record that is not there, by all that was proved about it; `bool`: by the sync."""
    back = [item for item, by_sync in proofs if not by_sync and item.kind is EvidenceKind.UNDELETED]
    ours = [
        item
        for item, by_sync in proofs
        if by_sync and not any(is_later(other.version, item.version) for other in back)
    ]
    users = [item for item, by_sync in proofs if not by_sync and not _is_echo(item, ours)]
    last = max(users, key=_order, default=None)
    if last is None or last.kind is EvidenceKind.UNDELETED:
        return (Presence.OURS, ours[-1]) if ours else (Presence.ABSENT, None)
    match last.kind:
        case EvidenceKind.MERGED if last.into:
            return Presence.MERGED, last
        case EvidenceKind.CONVERTED:
            return Presence.CONVERTED, last
        case _:
            return Presence.DELETED, last


def _order(item: Evidence) -> tuple[float, int, bool]:
    """By the clock of the one system that tells it, then by version; where both are equal it is there again."""
    return (
        item.stamp.timestamp() if item.stamp is not None else 0.0,
        int(item.version) if item.version.isdigit() else 0,
        item.kind is EvidenceKind.UNDELETED,
    )


def _is_echo(item: Evidence, ours: Sequence[Evidence]) -> bool:
    """Whether the system tells of a delete that the sync itself made."""
    return item.kind is EvidenceKind.DELETED and any(
        not known.version or not item.version or known.version == item.version for known in ours
    )


def side_presence(members: Sequence[Presence]) -> Presence:
    """Of all records of one side: live while one is; proved gone only when all are."""
    if not members:
        return Presence.ABSENT
    for found in (Presence.ABSENT, Presence.LIVE, Presence.DELETED, Presence.OURS, Presence.MERGED):
        if found in members:
            return found
    return Presence.CONVERTED


_GONE = frozenset({Presence.DELETED, Presence.OURS, Presence.MERGED})


def decide_life(  # noqa: PLR0911 (one return a row of the table)
    old: Presence,
    new: Presence,
    *,
    edited: bool,
    policy: DeletePolicy,
    resolved: Which | None = None,
    frozen: frozenset[Which] = frozenset(),
) -> LifeDecision:
    """The table of section 8. `edited`: the live side differs from its base. `resolved`: the side that a person let stand."""
    if old is new is Presence.LIVE:
        return LifeDecision(LifeAct.FIELDS)
    if old is new is Presence.ABSENT:
        return LifeDecision(LifeAct.HOLD, reason="missing-both")
    if Presence.ABSENT in (old, new):
        return LifeDecision(LifeAct.HOLD, reason="missing")
    if Presence.CONVERTED in (old, new):
        return LifeDecision(LifeAct.CLOSE, reason="converted")
    if old in _GONE and new in _GONE:
        return LifeDecision(LifeAct.TOMBSTONE)
    gone, alive = (Which.OLD, Which.NEW) if old in _GONE else (Which.NEW, Which.OLD)
    dead = old if gone is Which.OLD else new
    if resolved is not None:
        act = LifeAct.DELETE if resolved is gone else LifeAct.REVIVE
        return _unless_frozen(LifeDecision(act, alive if act is LifeAct.DELETE else gone), frozen)
    if dead is Presence.OURS:
        return LifeDecision(LifeAct.HOLD, reason="undelete")
    if edited:
        return LifeDecision(LifeAct.HOLD, reason="delete-vs-edit")
    return _unless_frozen(_by_policy(policy, alive), frozen)


def _by_policy(policy: DeletePolicy, alive: Which) -> LifeDecision:
    match policy:
        case DeletePolicy.PROPAGATE:
            return LifeDecision(LifeAct.DELETE, alive)
        case DeletePolicy.DEACTIVATE:
            return LifeDecision(LifeAct.DEACTIVATE, alive)
        case DeletePolicy.HOLD:
            return LifeDecision(LifeAct.HOLD, reason="delete-policy")


def _unless_frozen(decision: LifeDecision, frozen: frozenset[Which]) -> LifeDecision:
    if decision.on in frozen:
        return LifeDecision(LifeAct.HOLD, reason="side-frozen")
    return decision


def is_later(version: str, known: str) -> bool:
    """Whether a version is higher than a known one; of versions that are no numbers any other one counts as higher."""
    if version.isdigit() and known.isdigit():
        return int(version) > int(known)
    return version != known
