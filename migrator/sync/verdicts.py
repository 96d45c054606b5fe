"""From decisions on a group to what is logged, held and written: rows for the store and updates for the sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator.core.twoway import Native, Which
from migrator.sync.decide import FieldDecision, Member, Verdict
from migrator.sync.gather import Case
from migrator.sync.state import MEMBER, Changes, ConflictRow, DeferredRow, HoldRow, Key, MemberRow, aged
from migrator.sync.streams import Scene
from migrator.sync.values import natives_of, to_text
from migrator.sync.work import Work

OVERWRITING = frozenset({Verdict.CONFLICT, Verdict.MERGE})


@dataclass(slots=True)
class Settled:
    """A group with its decisions, and how far they are carried out."""

    case: Case
    decisions: tuple[FieldDecision, ...] = ()
    updates: dict[int, dict[str, Native]] = field(default_factory=dict)
    """Member → fields to be set."""
    done: set[int] = field(default_factory=set)
    """Members whose update is through."""
    bases: dict[int, dict[str, Native]] = field(default_factory=dict)
    """Member → fields whose base is new."""
    owed: dict[int, dict[str, tuple[Key, ...] | None]] = field(default_factory=dict)
    """Member → field → who is still to get its value; None: nobody."""
    versions: dict[int, str] = field(default_factory=dict)
    """Member → version after our write; '' when nobody knows it."""
    after: dict[int, Mapping[str, object]] = field(default_factory=dict)
    """Member → the record as it stood after our write."""
    again: str = ""
    """Why the group is to be decided once more, soon; '' when it is not."""
    failed: tuple[str, str] | None = None
    """Code and message of a refusal."""
    unknown: bool = False
    """An answer was lost: the intents stay."""


def decide_case(work: Work, scene: Scene, case: Case) -> Settled:
    """Decide the fields of a group whose members are all live; what a person decided of the very same conflict is obeyed."""
    terms = work.terms_of(scene)
    decisions = work.strategy.fields(scene.pairs, case.members, terms)
    said = work.resolved.get(case.grp, {})
    if said:
        chosen = {
            item.field: said[item.field][1]
            for item in decisions
            if item.verdict is Verdict.HELD
            and item.field in said
            and said[item.field][0] == digest(scene, case, item)
        }
        if chosen:
            decisions = work.strategy.fields(scene.pairs, case.members, terms, chosen)
    # one side went back to its base: what it has now was seen, and is logged before it is overwritten
    decisions = tuple(
        replace(item, verdict=Verdict.CONFLICT, policy="hold-ended")
        if item.verdict is Verdict.WRITE and item.field in case.holds
        else item
        for item in decisions
    )
    settled = Settled(case, decisions)
    for item in decisions:
        for write in item.writes:
            settled.updates.setdefault(write.member, {})[write.field] = write.value
    return settled


def native_fields(scene: Scene, member: Member, name: str) -> tuple[str, ...]:
    """The fields of a member that a pair speaks of."""
    if member.which is Which.NEW:
        return (name,)
    pair = scene.pairs.get(member.stream, {}).get(name)
    return pair.old if pair else ()


def natives(scene: Scene, member: Member, name: str) -> dict[str, Native]:
    """What of a pair could be read of a member."""
    return natives_of(
        {one: member.values[one] for one in native_fields(scene, member, name) if one in member.values}
    )


def digest(scene: Scene, case: Case, item: FieldDecision) -> str:
    """Names a conflict: the same values are the same conflict; one that overwrites is another one after every edit."""
    told = [
        [member.stream, member.id, to_text(natives(scene, member, item.field)),
         member.version if item.verdict in OVERWRITING else ""]
        for member in case.members
    ]  # fmt: skip
    return hashlib.blake2b(f"{case.grp}/{item.field}/{told}".encode(), digest_size=12).hexdigest()


def conflict_row(scene: Scene, case: Case, item: FieldDecision) -> ConflictRow:
    """The log row of one decision: every member's value, base and version."""
    members = {
        "members": [
            {
                "side": member.which.value,
                "stream": member.stream,
                "id": member.id,
                "version": member.version,
                "values": natives(scene, member, item.field),
                "bases": {
                    one: member.base[one]
                    for one in native_fields(scene, member, item.field)
                    if one in member.base
                },
            }
            for member in case.members
        ]
    }
    state = "open" if item.verdict is Verdict.HELD else "logged"
    return ConflictRow(
        scene.mapping, case.grp, item.field, digest(scene, case, item), item.verdict.value, item.policy, item.reason,
        to_text(members), state,
    )  # fmt: skip


def log(work: Work, scene: Scene, settled: Sequence[Settled], changes: Changes) -> None:
    """Conflicts and adopted bases, which go into one transaction before anything is overwritten."""
    for one in settled:
        for item in one.decisions:
            if item.is_logged:
                changes.conflicts.append(conflict_row(scene, one.case, item))
                held = item.verdict is Verdict.HELD
                if held:  # whoever dies before the result leaves no question behind that no hold stands for
                    changes.holds.append(_hold(work, scene, one.case, item))
                work.report.count(scene.mapping, "held" if held else "conflicts")
            elif item.verdict is Verdict.ADOPT:
                work.report.count(scene.mapping, "adopted")


def holds_of(work: Work, scene: Scene, one: Settled, changes: Changes) -> None:
    """Fields that stand still, in the table of holds; those that no longer do leave it, and their open conflicts with it."""
    now: dict[str, HoldRow] = {}
    for item in one.decisions:
        if item.verdict in (Verdict.HELD, Verdict.BLOCKED):
            now[item.field] = _hold(work, scene, one.case, item)
        if item.verdict is Verdict.DEFERRED and item.waits_for is not None:
            changes.deferred.append(
                DeferredRow(one.case.grp, item.field, item.waits_for.mapping, item.waits_for.record)
            )
    changes.holds += now.values()
    over = [name for name in one.case.holds if name not in now and not name.startswith(MEMBER)]
    changes.released += [(one.case.grp, name) for name in over]
    changes.resolved += [(one.case.grp, name) for name in over]


def _hold(work: Work, scene: Scene, case: Case, item: FieldDecision) -> HoldRow:
    """The hold of a field; one that stood already keeps its age."""
    kind = item.reason.partition(":")[0]
    hold = HoldRow(case.grp, item.field, scene.mapping, kind, item.reason, work.now())
    return aged(hold, case.holds.get(item.field))


def release(one: Case, changes: Changes) -> None:
    """All holds of a group end."""
    changes.released += [(one.grp, name) for name in one.holds]
    changes.filled += [(one.grp, name) for name in one.waits]
    changes.resolved += [(one.grp, name) for name in one.holds]


def advance(scene: Scene, one: Settled) -> None:
    """Bases that move because what their decision asked for is done; where only part of it is, the rest stays owed.

    A member that was overwritten owes nobody what it had.
    """
    for item in one.decisions:
        written = [write.member for write in item.writes if write.member in one.done]
        left = targets_of(one.case, [write.member for write in item.writes if write.member not in one.done])
        for place in () if item.again else written:
            one.owed.setdefault(place, {})[item.field] = None
        if left and (item.again or not written):
            continue
        for place in item.advance:
            found = natives(scene, one.case.members[place], item.field)
            one.bases.setdefault(place, {}).update(found)
            one.owed.setdefault(place, {})[item.field] = left if left and place == item.source else None
        if item.again:
            one.again = one.again or "merge"


def targets_of(case: Case, places: Iterable[int]) -> tuple[Key, ...]:
    """Members by their places, each once."""
    return tuple(dict.fromkeys((case.members[place].stream, case.members[place].id) for place in places))


def owing(row: MemberRow, owed: Mapping[str, tuple[Key, ...] | None]) -> dict[str, tuple[Key, ...]]:
    """What a member owes once some of it is known anew."""
    known = {**row.owed, **owed}
    return {name: keys for name, keys in known.items() if keys is not None}
