"""Merges of records that had come back and stood apart: what was merged into them before goes along to their master's group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from migrator.core.twoway import Evidence
from migrator.sync.gather import Gathered, case_of
from migrator.sync.life import Presence, is_later, presence
from migrator.sync.lives import Lives, move, regroup
from migrator.sync.state import CREATING, GONE, LIVE, EventRow, HoldRow, MemberRow
from migrator.sync.work import Work, soon


def follow_returned(
    work: Work, found: Gathered, holds: Mapping[int, Mapping[str, HoldRow]], lives: Lives
) -> None:
    """Lead the live members of a group along when a record of it with a tombstone came back and was merged away.

    Of a group that was dead on both sides nobody is left to lead: there its records' masters belong together.
    """
    absent = [row for row in found.gone if row.key not in found.records]
    if not absent:
        return
    known = work.store.evidence([row.key for row in absent])
    stones = work.store.tombstones([row.key for row in absent])
    dead: dict[int, list[tuple[MemberRow, Evidence]]] = {}
    for row in absent:
        state, why = presence(known.get(row.key, ()))
        stone = stones.get(row.key)
        if (
            state is Presence.MERGED
            and why is not None
            and stone is not None
            and is_later(why.version, stone.version)
        ):
            if row.grp in found.cases:
                _follow(work, found, row, why, lives)
            else:
                dead.setdefault(row.grp, []).append((row, why))
    for merged in dead.values():
        _unite(work, found, merged, holds, lives)


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
    move(work, found.scene, case, lives.result, row=row, master=master)
    lives.result.clean += [one.key for one in case.rows]
    lives.result.dirty.append(soon(work, master.key, None, "merge"))
    lives.again.append(master.key)


def _unite(
    work: Work,
    found: Gathered,
    merged: Sequence[tuple[MemberRow, Evidence]],
    holds: Mapping[int, Mapping[str, HoldRow]],
    lives: Lives,
) -> None:
    """Records that stood for one another came back on both sides, and users merged each into another one: two groups are one."""
    masters = work.store.members([(row.stream, why.into) for row, why in merged])
    homes = {row.grp: row for row in masters.values() if row.state != GONE}
    if len({row.which for row in masters.values() if row.state != GONE}) < 2 or len(homes) < 2:
        return
    one, other = (homes[grp] for grp in sorted(homes)[:2])
    case = case_of(work, other.grp, work.store.members_of([other.grp])[other.grp], holds)
    busy = {one.grp, other.grp} & ({intent.grp for intent in work.store.intents()} | lives.moved)
    if busy or any(row.state != LIVE for row in (one, *case.rows)):
        lives.moved |= {one.grp, other.grp}
        lives.result.dirty.append(soon(work, merged[0][0].key, None, "merge"))
        lives.again.append(merged[0][0].key)
        return
    lives.moved |= {one.grp, other.grp}
    regroup(work, case, one.grp, None, lives.result)
    row, why = merged[0]
    detail = {"into": why.into, "group": other.grp}
    lives.result.events.append(EventRow(found.scene.mapping, one.grp, row.stream, row.id, "merged", detail))
    lives.result.dirty.append(soon(work, one.key, None, "merge"))
    lives.again.append(one.key)
