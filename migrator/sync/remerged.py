"""Merges of records that had come back and stood apart: what was merged into them before goes along to their master's group."""

from __future__ import annotations

from migrator.core.twoway import Evidence
from migrator.sync.gather import Gathered
from migrator.sync.life import Presence, is_later, presence
from migrator.sync.lives import Lives, move
from migrator.sync.state import CREATING, GONE, MemberRow
from migrator.sync.verdicts import release
from migrator.sync.work import Work, soon


def follow_returned(work: Work, found: Gathered, lives: Lives) -> None:
    """Lead the live members of a group along when a record of it with a tombstone came back and was merged away."""
    absent = [row for row in found.gone if row.key not in found.records and row.grp in found.cases]
    if not absent:
        return
    known = work.store.evidence([row.key for row in absent])
    stones = work.store.tombstones([row.key for row in absent])
    for row in absent:
        state, why = presence(known.get(row.key, ()))
        stone = stones.get(row.key)
        if (
            state is Presence.MERGED
            and why is not None
            and stone is not None
            and is_later(why.version, stone.version)
        ):
            _follow(work, found, row, why, lives)


def _follow(work: Work, found: Gathered, row: MemberRow, why: Evidence, lives: Lives) -> None:
    case = found.cases[row.grp]
    master = work.store.members([(row.stream, why.into)]).get((row.stream, why.into))
    if master is None or master.state == GONE or master.grp == row.grp:
        return
    if {row.grp, master.grp} & lives.moved or any(one.state == CREATING for one in (master, *case.rows)):
        lives.result.dirty.append(soon(work, row.key, found.queued.get(row.key), "merge"))
        return
    case.proofs[row.key] = why
    lives.moved |= {row.grp, master.grp}
    move(found.scene, case, row, master, lives.result)
    release(case, lives.result)
    lives.result.clean += [one.key for one in case.rows]
    lives.result.dirty.append(soon(work, master.key, None, "merge"))
    lives.again.append(master.key)
