"""Records with a tombstone that are there again: which of them came back, what a person is asked, and what is made of the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from migrator.core.twoway import Record, Which
from migrator.sync.erasing import KEPT
from migrator.sync.gather import Case
from migrator.sync.life import LifeAct, LifeDecision, Presence, is_later
from migrator.sync.state import (
    ALIVE,
    CREATING,
    LIVE,
    Changes,
    ConflictRow,
    EventRow,
    HoldRow,
    MemberRow,
    Tombstone,
)
from migrator.sync.values import to_text
from migrator.sync.work import Work, soon

UNDELETE, ERASED = "undelete", "erased"
"""Kinds of holds: a person decides what becomes of what users brought back; who was erased is to be erased again."""


def is_back(stone: Tombstone | None, version: str) -> bool:
    """Whether a record that is there with this version has come back, and is no echo of what it was when it died."""
    if stone is None:
        return True
    if stone.key_hash:
        return not stone.key_hash.startswith(KEPT)
    if stone.version == ALIVE:
        return False
    return is_later(version, stone.version)


def learns_version(stone: Tombstone | None) -> bool:
    """Whether it died with a version that nobody knows: what is seen first is taken for it."""
    return stone is not None and not stone.version and not stone.key_hash


def hold_kind(stone: Tombstone | None) -> str:
    """What the hold of a record that came back is called."""
    return ERASED if stone is not None and stone.key_hash else UNDELETE


def decided(work: Work, grp: int, name: str, digest: str) -> Which | None:
    """The side that a person let stand, if the question is still the one that was answered."""
    said = work.resolved.get(grp, {}).get(name)
    return said[1] if said is not None and said[0] == digest else None


def _digest(row: MemberRow, record: Record) -> str:
    """Names the question: an edit since makes another one of it."""
    return hashlib.blake2b(f"{row.grp}/back/{row.key}/{record.version}".encode(), digest_size=12).hexdigest()


def answered(work: Work, row: MemberRow, record: Record, name: str) -> Which | None:
    """What a person said of a record that came back; None while nobody did, or where that side may not be written now."""
    said = decided(work, row.grp, name, _digest(row, record))
    frozen = work.settings.terms.frozen
    if (
        said is None
        or (said is row.which and row.which.other in frozen)
        or (said is not row.which and row.which in frozen)
    ):
        return None
    return said


def ask(work: Work, row: MemberRow, record: Record, hold: HoldRow, first: Changes) -> None:
    """Put the question among the conflicts, once for each version of the record; an answer to an older one is void."""
    digest = _digest(row, record)
    if (row.grp, hold.field, digest) in work.asked:
        return
    if any((grp, name) == (row.grp, hold.field) for grp, name, _ in work.asked):
        first.resolved.append((row.grp, hold.field))
    member = {
        "side": row.which.value, "stream": row.stream, "id": row.id, "version": record.version, "presence": UNDELETE
    }  # fmt: skip
    first.conflicts.append(
        ConflictRow(
            hold.mapping, row.grp, hold.field, digest, "held", "hold", UNDELETE, to_text({"members": [member]}), "open"
        )
    )  # fmt: skip


def let_live(work: Work, row: MemberRow, gone: Sequence[MemberRow], hold: HoldRow, result: Changes) -> None:
    """It lives again: beside those that live on, or, where all were dead, with a partner that is made anew.

    What was its base is long past: where others live, whatever differs becomes a question.
    """
    state = LIVE if hold.field else CREATING
    result.raised.append(row.key)
    result.members.append(replace(row, state=state, leads=not hold.field, version="", base={}, seen=None))
    if not hold.field:
        result.closed += [one for one in gone if one.grp == row.grp and one.key != row.key]
    result.clean = [key for key in result.clean if key != row.key]
    result.dirty.append(soon(work, row.key, None, "revive"))
    result.released.append((row.grp, hold.field))
    result.resolved.append((row.grp, hold.field))
    result.events.append(EventRow(hold.mapping, row.grp, row.stream, row.id, "revived", {}))


def doomed(row: MemberRow, hold: HoldRow, known: HoldRow | None) -> tuple[Case, LifeDecision]:
    """The deletion stands: the record is deleted once more."""
    case = Case(row.grp, [replace(row, state=LIVE)], presence={row.key: Presence.LIVE})
    case.holds = {hold.field: known or hold}
    return case, LifeDecision(LifeAct.DELETE, row.which)
