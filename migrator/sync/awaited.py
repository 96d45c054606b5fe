"""Groups that are not deleted yet: a record of theirs, or one that was merged into one of theirs, had come back, and waits for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from migrator.sync.life import LifeAct, LifeDecision, Presence, presence
from migrator.sync.state import MEMBER, HoldRow
from migrator.sync.work import Work

UNDELETE = "undelete"


def awaited(work: Work, holds: Mapping[int, Mapping[str, HoldRow]]) -> frozenset[int]:
    """Groups of which single records came back, and those of masters into which users merged members of groups held as undeleted."""
    back = [grp for grp, found in holds.items() if any(hold.kind == UNDELETE for hold in found.values())]
    if not back:
        return frozenset()
    own = [grp for grp in back if any(name.startswith(MEMBER) for name in holds[grp])]
    members = {row.key: row.grp for rows in work.store.members_of(back).values() for row in rows}
    merged = []
    for key, proofs in work.store.evidence(list(members)).items():
        state, why = presence(proofs)
        if state is Presence.MERGED and why is not None:
            merged.append((members[key], (key[0], why.into)))
    masters = work.store.members([master for _, master in merged])
    return frozenset(own).union(
        masters[master].grp for grp, master in merged if master in masters and masters[master].grp != grp
    )


def unless_awaited(decision: LifeDecision, grp: int, waiting: frozenset[int]) -> LifeDecision:
    """A delete becomes a hold: what was merged into the group belongs to it, and lives."""
    if grp in waiting and decision.act in (LifeAct.DELETE, LifeAct.DEACTIVATE):
        return replace(decision, act=LifeAct.HOLD, reason=UNDELETE)
    return decision
