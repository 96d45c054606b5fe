"""Deletes, merges, conversions and undeletes of a batch: what is proved is carried into the groups, what is not is held."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from migrator.core.translation import Pair
from migrator.core.twoway import UNREADABLE, Which
from migrator.sync.awaited import unless_awaited
from migrator.sync.decide import Member, same_native
from migrator.sync.gather import Case, Gathered
from migrator.sync.keyed import has_home
from migrator.sync.life import LifeAct, LifeDecision, Presence, side_presence
from migrator.sync.returning import (
    ERASED,
    UNDELETE,
    answered,
    ask,
    decided,
    doomed,
    hold_kind,
    is_back,
    learns_version,
    let_live,
)
from migrator.sync.state import (
    ALIVE,
    CREATING,
    GONE,
    LIVE,
    MEMBER,
    Changes,
    ConflictRow,
    EventRow,
    HoldRow,
    Key,
    MemberRow,
    Tombstone,
    aged,
    member_hold,
)
from migrator.sync.streams import Scene
from migrator.sync.values import to_text
from migrator.sync.verdicts import release
from migrator.sync.work import Work, soon

CONVERTED = "converted"
LONGEST_DELETE = timedelta(minutes=1)
"""So long after a call to delete began its system may still delete what depends on the record."""


@dataclass(slots=True)
class Lives:
    """What a batch is to do besides fields."""

    first: Changes = field(default_factory=Changes)
    """Proofs and conflicts: committed before anything is written."""
    result: Changes = field(default_factory=Changes)
    deletes: list[tuple[Case, LifeDecision]] = field(default_factory=list)
    creating: list[tuple[Key, int]] = field(default_factory=list)
    """Live records whose group has no partner: to be made, in that group."""
    again: list[Key] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    """Groups that a merge of this batch took from or added to: they are decided once that is recorded."""
    awaited: frozenset[int] = frozenset()
    """Groups that are not deleted before a person looked at what was merged into them."""


def examine(work: Work, found: Gathered, case: Case, lives: Lives, *, carry_out: bool) -> bool:
    """Deal with a group that is not simply alive. True when its fields are to be decided now."""
    if case.grp in lives.moved:
        lives.moved |= _ahead(work, case)
        _postpone(work, found, case, lives)
        return False
    if all(row.state == CREATING for row in case.rows):
        _unfinished(work, found, case, lives)
        return False
    merged = [row for row in case.rows if case.presence[row.key] is Presence.MERGED]
    if any(_follow_merge(work, found, case, row, lives) for row in merged):
        return False
    _drop_deleted(found.scene, case, lives.result)
    old, new = (_side(case, which) for which in Which)
    if old is new is Presence.LIVE:
        return True
    old, new = (
        Presence.OURS if state is Presence.DELETED and _cascaded(work, found.scene, case, which) else state
        for state, which in ((old, Which.OLD), (new, Which.NEW))
    )
    resolved = _resolved(work, case, old, new)
    decision = work.strategy.life(
        old, new,
        edited=any(is_edited(found.scene, member) for member in case.members),
        policy=found.scene.new.paired.delete,
        resolved=resolved,
        frozen=work.terms_of(found.scene).frozen,
    )  # fmt: skip
    if resolved is None:
        decision = unless_awaited(decision, case.grp, lives.awaited)
    _carry_out(work, found, case, decision, lives, carry_out=carry_out)
    return False


def _ahead(work: Work, case: Case) -> set[int]:
    """Groups that a postponed one goes on to: an edit of theirs is its own too, so they are decided once it is there."""
    masters = [
        (row.stream, case.proofs[row.key].into)
        for row in case.rows
        if case.presence[row.key] is Presence.MERGED
    ]
    return {row.grp for row in work.store.members(masters).values()} if masters else set()


def _side(case: Case, which: Which) -> Presence:
    return side_presence([case.presence[row.key] for row in case.of(which)])


def _cascaded(work: Work, scene: Scene, case: Case, which: Which) -> bool:
    """Whether records died when the sync itself deleted one there: then the system may have taken them along, and no user did.

    Where the system does not say when they died, it counts whether they were linked to one that the sync deleted.
    """
    proofs = [case.proofs[row.key] for row in case.of(which) if row.key in case.proofs]
    stamps = [proof.stamp for proof in proofs if proof.stamp is not None]
    if len(stamps) == len(proofs):
        streams = [stream.name for other in work.scenes for stream in other.streams if stream.which is which]
        return any(work.store.deleted_by_us(streams, stamp - LONGEST_DELETE, stamp) for stamp in stamps)
    keys: list[Key] = []
    for row in case.of(which):
        for stream, pairs in scene.pairs.items():
            if which is Which.OLD and stream != row.stream:
                continue
            for pair in pairs.values():
                for name in pair.old if which is Which.OLD else (pair.new,):
                    keys += _linked(work, pair, which, row.base.get(name))
    keys += _waited_for(work, case, which)
    known = work.store.evidence(keys) if keys else {}
    return any(ours for proofs in known.values() for _, ours in proofs)


def _waited_for(work: Work, case: Case, which: Which) -> list[Key]:
    """Records of one side that links of the group wait for, or whose partners they wait for: no base names these."""
    named = [
        (stream.name, record.partition(":")[2] if ":" in record else record)
        for mapping, record in (work.store.awaited_by(case.grp) if case.waits else ())
        for scene in work.scenes
        if scene.mapping == mapping
        for stream in scene.streams
    ]
    groups = {row.grp: None for row in work.store.members(named).values()} if named else {}
    rows = work.store.members_of(list(groups)) if groups else {}
    return [row.key for members in rows.values() for row in members if row.which is which]


def _linked(work: Work, pair: Pair, which: Which, value: object) -> list[Key]:
    if not pair.links or not isinstance(value, str):
        return []
    return [
        (stream.name, value)
        for scene in work.scenes
        if scene.mapping in pair.links
        for stream in scene.streams
        if stream.which is which
    ]


def is_edited(scene: Scene, member: Member) -> bool:
    """Whether any mapped field of a live record is not as it was last synced, or did not get across.

    A lost base counts as an edit, and so does what cannot be read now: nobody knows what stands there.
    """
    if member.owed:
        return True
    for stream, pairs in scene.pairs.items():
        if member.which is Which.OLD and stream != member.stream:
            continue
        for name, pair in pairs.items():
            for one in pair.old if member.which is Which.OLD else (name,):
                now = member.values.get(one, UNREADABLE)
                if one not in member.base or not same_native(pair, member.which, one, now, member.base[one]):
                    return True
    return False


def _unfinished(work: Work, found: Gathered, case: Case, lives: Lives) -> None:
    """A create that was begun and whose intent is settled: the record is still there, or it was deleted before it ever moved."""
    row = case.rows[0]
    match case.presence[row.key]:
        case Presence.LIVE:
            lives.creating.append((row.key, case.grp))
        case Presence.ABSENT:
            _hold(work, found.scene, case, "missing", lives)
        case _:
            lives.result.closed += case.rows
            lives.result.clean += [one.key for one in case.rows]
            release(case, lives.result)


def _drop_deleted(scene: Scene, case: Case, result: Changes) -> None:
    """Of several records of one side some were deleted: they leave, the others stand for the group."""
    for which in Which:
        rows = case.of(which)
        states = {case.presence[row.key] for row in rows}
        if Presence.LIVE not in states or Presence.ABSENT in states:
            continue
        for row in rows:
            if case.presence[row.key] is not Presence.LIVE:
                bury(scene, case, row, result, "deleted")
                case.rows.remove(row)
        _promote(case, which, result)


def _promote(case: Case, which: Which, result: Changes) -> None:
    rows = case.of(which)
    if rows and not any(row.leads for row in rows):
        first = replace(rows[0], leads=True)
        case.rows[case.rows.index(rows[0])] = first
        result.members.append(first)
        case.members = [
            replace(one, primary=True) if (one.stream, one.id) == first.key else one for one in case.members
        ]


def bury(scene: Scene, case: Case, row: MemberRow, result: Changes, kind: str) -> None:
    """The end of a member: its id stays known for ever, with the version it died with."""
    proof = case.proofs.get(row.key)
    result.members.append(replace(row, state=GONE, leads=False))
    lives_on = kind == CONVERTED and case.presence[row.key] is Presence.LIVE
    version = ALIVE if lives_on else (proof.version if proof else "") or row.version
    result.tombstones.append(Tombstone(row.stream, row.id, case.grp, version))
    detail = {"how": proof.how, "version": proof.version} if proof else {}
    result.events.append(EventRow(scene.mapping, case.grp, row.stream, row.id, kind, detail))
    result.clean.append(row.key)


def _follow_merge(work: Work, found: Gathered, case: Case, row: MemberRow, lives: Lives) -> bool:
    """Lead a merged record to its master's group, and its partners with it. False when the group stays and can be decided."""
    scene, into = found.scene, case.proofs[row.key].into
    master = work.store.members([(row.stream, into)]).get((row.stream, into))
    result = lives.result
    if master is None:
        if (row.stream, into) in {one.key for one in result.members}:
            _postpone(work, found, case, lives)  # another loser of this batch has its place
        elif first := has_home(work, found, (row.stream, into)):
            _postpone(work, found, case, lives)
            lives.result.dirty += [soon(work, key, None, "key") for key in first]
            lives.again += first
        else:
            _adopt_master(scene, case, row, into, result)
            lives.again.append((row.stream, into))
        return True
    if master.grp == case.grp:
        bury(scene, case, row, result, "merged")
        case.rows.remove(row)
        case.buried.append(replace(row, state=GONE, leads=False))
        _promote(case, row.which, result)
        return not case.of(row.which)
    if master.grp in lives.moved or any(intent.grp == master.grp for intent in work.store.intents()):
        lives.moved.add(master.grp)
        _postpone(work, found, case, lives)
        return True
    if master.state == CREATING:  # and nothing was made for it
        lives.moved |= {case.grp, master.grp}
        _adopt_master(scene, case, row, into, result)
        result.closed.append(master)
        result.released.append((master.grp, ""))
        lives.again.append(master.key)
        return True
    lives.moved |= {case.grp, master.grp}
    move(work, scene, case, result, row=row, master=master)
    for one in case.rows:
        result.clean.append(one.key)
    result.dirty.append(soon(work, master.key, None, "merge"))
    lives.again.append(master.key)
    return True


def _postpone(work: Work, found: Gathered, case: Case, lives: Lives) -> None:
    lives.result.dirty.append(soon(work, case.place, found.queued.get(case.place), "merge"))
    lives.again.append(case.place)


def _adopt_master(scene: Scene, case: Case, row: MemberRow, into: str, result: Changes) -> None:
    """A master that belongs to no group yet takes the place of its loser, bases and all: what differs is an edit."""
    bury(scene, case, row, result, "merged")
    result.members.append(
        MemberRow(
            row.stream,
            into,
            row.which,
            case.grp,
            LIVE,
            row.leads,
            "",
            row.base,
            None,
            -1,
            dict.fromkeys(row.owed, ()),
        )
    )


def move(work: Work, scene: Scene, case: Case, result: Changes, *, row: MemberRow, master: MemberRow) -> None:
    """All members join the master's group with their own bases, so that what was edited on them flows into it."""
    regroup(work, case, master.grp, row.key, result)
    proof = case.proofs[row.key]
    result.tombstones.append(Tombstone(row.stream, row.id, master.grp, proof.version or row.version))
    result.events.append(
        EventRow(
            scene.mapping, master.grp, row.stream, row.id, "merged", {"into": master.id, "group": case.grp}
        )
    )


def regroup(work: Work, case: Case, grp: int, gone: Key | None, result: Changes) -> None:
    """Its members leave a group for another one, those with a tombstone too; `gone`: the one that was merged away.

    Whoever came back and waits for a person goes on waiting there: its partner, which is there now, is not deleted meanwhile.
    """
    for one in case.rows:
        result.closed.append(one)
        state = GONE if one.key == gone else LIVE
        owed: dict[str, tuple[Key, ...]] = dict.fromkeys(one.owed, ())
        result.members.append(replace(one, grp=grp, state=state, leads=False, since=-1, owed=owed))
    for one in case.buried:
        result.closed.append(one)
        result.members.append(replace(one, grp=grp, since=-1))
        hold = case.holds.get(member_hold(one))
        if hold is not None:
            result.holds.append(replace(hold, grp=grp))
            result.dirty.append(soon(work, one.key, None, hold.kind))
    release(case, result)


def _resolved(work: Work, case: Case, old: Presence, new: Presence) -> Which | None:
    return decided(work, case.grp, "", life_digest(case, old, new))


def life_digest(case: Case, old: Presence, new: Presence) -> str:
    """Names a question about a whole group: the same states and versions are the same question."""
    versions = [(member.stream, member.id, member.version) for member in case.members]
    return hashlib.blake2b(
        f"{case.grp}//{old.value}/{new.value}/{versions}".encode(), digest_size=12
    ).hexdigest()


def _carry_out(
    work: Work, found: Gathered, case: Case, decision: LifeDecision, lives: Lives, *, carry_out: bool
) -> None:
    result = lives.result
    match decision.act:
        case LifeAct.HOLD:
            _hold(work, found.scene, case, decision.reason, lives)
        case LifeAct.TOMBSTONE | LifeAct.CLOSE:
            kind = "deleted" if decision.act is LifeAct.TOMBSTONE else CONVERTED
            for row in case.rows:
                bury(found.scene, case, row, result, kind)
            release(case, result)
        case LifeAct.REVIVE:
            _revive(work, found, case, decision, lives)
        case _ if carry_out:
            lives.deletes.append((case, decision))
        case _:
            work.deletions.setdefault(found.scene.mapping, {})[case.grp] = None
            result.dirty.append(soon(work, case.place, found.queued.get(case.place), "delete"))


def _revive(work: Work, found: Gathered, case: Case, decision: LifeDecision, lives: Lives) -> None:
    """The dead side leaves the group, and is made anew from the live one."""
    dead = [row for row in case.rows if row.which is decision.on]
    alive = [row for row in case.rows if row.which is not decision.on]
    lives.result.closed += dead
    first = alive[0]
    lives.result.members.append(replace(first, state=CREATING, leads=True))
    lives.result.dirty.append(soon(work, first.key, found.queued.get(first.key), "revive"))
    lives.again.append(first.key)
    release(case, lives.result)


def _hold(work: Work, scene: Scene, case: Case, reason: str, lives: Lives) -> None:
    before = case.holds.get("")
    same = before is not None and before.kind == reason
    hold = aged(HoldRow(case.grp, "", scene.mapping, reason, reason, work.now()), before if same else None)
    lives.result.holds.append(hold)
    over = [name for name in case.holds if name and not name.startswith(MEMBER)]
    lives.result.released += [(case.grp, name) for name in over]
    lives.result.clean += [row.key for row in case.rows]
    if reason.startswith("missing"):
        return
    old, new = _side(case, Which.OLD), _side(case, Which.NEW)
    digest = life_digest(case, old, new)
    if (case.grp, "", digest) in work.asked:
        return
    if same:
        # what was asked, or answered, of the records as they were before: this is another question
        lives.first.resolved.append((case.grp, ""))
    # whoever dies before the result leaves no question behind that no hold stands for
    lives.first.holds.append(hold)
    members = [
        {
            "side": row.which.value,
            "stream": row.stream,
            "id": row.id,
            "presence": case.presence[row.key].value,
        }
        for row in case.rows
    ]
    lives.first.conflicts.append(
        ConflictRow(
            scene.mapping, case.grp, "", digest, "held", "hold", reason,
            to_text({"members": members}), "open",
        )
    )  # fmt: skip


def examine_gone(
    work: Work, found: Gathered, holds: Mapping[int, Mapping[str, HoldRow]], lives: Lives, *, carry_out: bool
) -> None:
    """Records with a tombstone that came up again: as they were when they died, they are an echo; newer, an undelete."""
    stones = work.store.tombstones([row.key for row in found.gone]) if found.gone else {}
    back: dict[tuple[int, str], MemberRow] = {}
    for row in found.gone:
        lives.result.clean.append(row.key)
        record, stone = found.records.get(row.key), stones.get(row.key)
        if record is None:
            continue
        if row.grp in lives.moved:  # it is looked at where it is then
            lives.result.dirty.append(soon(work, row.key, found.queued.get(row.key), "merge"))
            lives.again.append(row.key)
            continue
        if stone is not None and learns_version(stone):
            lives.result.tombstones.append(replace(stone, version=record.version))
        elif is_back(stone, record.version):
            back.setdefault((row.grp, _hold_name(found, row)), row)
    for (grp, name), row in back.items():
        kind = hold_kind(stones.get(row.key))
        hold = HoldRow(row.grp, name, found.scene.mapping, kind, kind, work.now())
        known = holds.get(grp, {}).get(name)
        said = answered(work, row, found.records[row.key], name) if kind == UNDELETE else None
        if said is None:
            _undeleted(row, hold, known, lives)
            if kind == UNDELETE:
                ask(work, row, found.records[row.key], hold, lives.first)
        elif said is row.which:
            let_live(work, row, found.gone, hold, lives.result)
            lives.again.append(row.key)
        elif carry_out:
            lives.deletes.append(doomed(row, hold, known))
        else:
            _undeleted(row, hold, known, lives)
            work.deletions.setdefault(found.scene.mapping, {})[grp] = None
    for grp in dict.fromkeys(row.grp for row in found.gone if row.grp not in lives.moved):
        over = [
            name
            for name, hold in holds.get(grp, {}).items()
            if hold.kind in (UNDELETE, ERASED) and (grp, name) not in back and grp not in found.cases
        ]
        lives.result.released += [(grp, name) for name in over]
        lives.result.resolved += [(grp, name) for name in over]


def _hold_name(found: Gathered, row: MemberRow) -> str:
    """The whole group is held when all of it was dead; else only what came back to those that live on without it."""
    return member_hold(row) if row.grp in found.cases else ""


def _undeleted(row: MemberRow, hold: HoldRow, known: HoldRow | None, lives: Lives) -> None:
    """It waits; at first sight the hold is recorded with the question, and with the event."""
    if known is None:
        kind = "undeleted" if hold.kind == UNDELETE else hold.kind
        lives.first.holds.append(hold)
        lives.first.events.append(EventRow(hold.mapping, row.grp, row.stream, row.id, kind, {}))
    lives.result.holds.append(aged(hold, known))
