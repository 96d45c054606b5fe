"""Everything that is known now about a batch of groups: members, records as they are, proofs for those that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.twoway import Evidence, EvidenceKind, Record, Which
from migrator.sync.carry import Carry, carry
from migrator.sync.decide import Member
from migrator.sync.life import Presence, is_later, presence
from migrator.sync.state import CREATING, GONE, DirtyRow, HoldRow, Key, MemberRow
from migrator.sync.streams import Scene, Stream
from migrator.sync.work import Work


@dataclass(slots=True)
class Case:
    """One group of the batch."""

    grp: int
    rows: list[MemberRow]
    """Its current members, tombstoned ones left out."""
    members: list[Member] = field(default_factory=list)
    """Live members, in the order of `rows`, ready to be decided on."""
    presence: dict[Key, Presence] = field(default_factory=dict)
    proofs: dict[Key, Evidence] = field(default_factory=dict)
    holds: dict[str, HoldRow] = field(default_factory=dict)
    buried: list[MemberRow] = field(default_factory=list)
    """Members with a tombstone: should one come back, it belongs where the others are then."""
    waits: tuple[str, ...] = ()
    """Fields whose links wait."""

    def of(self, which: Which) -> list[MemberRow]:
        """Members of one side, those that lead first."""
        return [row for row in self.rows if row.which is which]

    @property
    def place(self) -> Key:
        """The record under which the group stands in the queue."""
        return self.rows[0].key


@dataclass(slots=True)
class Gathered:
    """A batch of one mapping, read and translated."""

    scene: Scene
    cases: dict[int, Case] = field(default_factory=dict)
    newcomers: list[Key] = field(default_factory=list)
    """Records that belong to no group, live or not."""
    gone: list[MemberRow] = field(default_factory=list)
    """Members with a tombstone, of groups in which one of them came up again."""
    records: dict[Key, Record] = field(default_factory=dict)
    queued: dict[Key, DirtyRow] = field(default_factory=dict)
    fresh: list[tuple[str, Evidence, bool]] = field(default_factory=list)
    """Proofs that are not in the store yet."""
    carried: dict[Key, Carry] = field(default_factory=dict)
    """Newcomers, and records whose partner is still to be made, as the other side would hold them."""


def gather(work: Work, scene: Scene, keys: Sequence[Key], holds: dict[int, dict[str, HoldRow]]) -> Gathered:
    """Read what a batch needs: one read for each stream, one look for proofs where records are not there."""
    found = Gathered(scene)
    known = work.store.members(keys)
    found.queued = work.store.dirty_rows(keys)
    groups = list(dict.fromkeys(known[key].grp for key in keys if key in known))
    asked = frozenset(keys)
    for grp, rows in work.store.members_of(groups).items():
        case = case_of(work, grp, rows, holds)
        if any(row.key in asked for row in case.buried):
            found.gone += case.buried
        if case.rows:
            found.cases[grp] = case
    found.cases = {grp: found.cases[grp] for grp in groups if grp in found.cases}
    found.newcomers = [key for key in dict.fromkeys(keys) if key not in known]
    _read(found)
    _prove(work, found)
    _translate(work, found)
    return found


def case_of(
    work: Work, grp: int, members: Sequence[MemberRow], holds: Mapping[int, Mapping[str, HoldRow]]
) -> Case:
    """A group by its members, those with a tombstone apart."""
    alive, buried = ([row for row in members if (row.state == GONE) is dead] for dead in (False, True))
    return Case(grp, alive, holds=dict(holds.get(grp, {})), buried=buried, waits=work.waiting.get(grp, ()))


def _read(found: Gathered) -> None:
    wanted: dict[str, dict[str, None]] = {}
    rows = [row.key for case in found.cases.values() for row in case.rows]
    for of, name in (*rows, *found.newcomers, *(row.key for row in found.gone)):
        wanted.setdefault(of, {})[name] = None
    for stream in found.scene.streams:
        ids = list(wanted.get(stream.name, ()))
        if ids:
            for record in stream.side.fetch(stream.object, ids, stream.fields):
                found.records[stream.name, record.id] = record


def _prove(work: Work, found: Gathered) -> None:
    """What the sides say about records that are not there; one that is there is proof of its own, against any that it is gone."""
    absent = [
        row.key for case in found.cases.values() for row in case.rows if row.key not in found.records
    ] + [key for key in found.newcomers if key not in found.records]
    if absent:
        known = work.store.evidence(absent)
        for stream in found.scene.streams:
            ids = [name for of, name in absent if of == stream.name]
            for proof in stream.side.evidence(stream.object, ids) if ids else ():
                stored = known.setdefault((stream.name, proof.id), [])
                if not any(_same_proof(proof, other) for other, _ in stored):
                    stored.append((proof, False))
                    found.fresh.append((stream.name, proof, False))
    else:
        known = {}
    _refute(work, found)
    for case in found.cases.values():
        for row in case.rows:
            if row.key in found.records:
                case.presence[row.key] = Presence.LIVE
                continue
            state, why = presence(known.get(row.key, ()))
            case.presence[row.key] = state
            if why is not None:
                case.proofs[row.key] = why


def _refute(work: Work, found: Gathered) -> None:
    """A delete that was proved, of a record that is there now, is over: should the record be hidden later, it proves nothing."""
    there = [row.key for case in found.cases.values() for row in case.rows if row.key in found.records]
    for key, proofs in work.store.evidence(there).items():
        state, last = presence(proofs)
        version = found.records[key].version
        if state is not Presence.ABSENT and last is not None and is_later(version, last.version):
            back = Evidence(EvidenceKind.UNDELETED, key[1], version, last.stamp, how="it is there")
            found.fresh.append((key[0], back, False))


def _same_proof(one: Evidence, other: Evidence) -> bool:
    return (one.kind, one.version) == (other.kind, other.version)


def proved_gone(known: Sequence[tuple[Evidence, bool]]) -> bool:
    """Whether proofs say that a record was deleted before it was ever linked."""
    return any(proof.kind is not EvidenceKind.UNDELETED for proof, _ in known)


def _translate(work: Work, found: Gathered) -> None:
    scene = found.scene
    mine: dict[Key, Carry] = {}
    before: dict[Key, Carry] = {}
    for stream in scene.olds:
        rows = [
            row for case in found.cases.values() for row in case.rows
            if row.stream == stream.name and row.key in found.records
        ]  # fmt: skip
        fresh = [key for key in found.newcomers if key[0] == stream.name and key in found.records]
        asked = [(row.id, found.records[row.key].values) for row in rows]
        asked += [(name, found.records[of, name].values) for of, name in fresh]
        bases = [(row.id, row.base) for row in rows]
        done = carry(work.translator, stream, [*asked, *bases], scene.new)
        mine |= dict(zip([row.key for row in rows] + fresh, done, strict=False))
        before |= dict(zip([row.key for row in rows], done[len(asked) :], strict=True))
    back: dict[tuple[Key, str], Carry] = {}
    for stream in scene.olds:
        news = [
            row.key for case in found.cases.values() for row in case.rows
            if row.which is Which.NEW and row.key in found.records and _has(case, stream)
        ]  # fmt: skip
        if stream is scene.backwards:
            news += [key for key in _partnerless(found) if key[0] == scene.new.name and key not in news]
        done = carry(
            work.translator, scene.new, [(key[1], found.records[key].values) for key in news], stream
        )
        back |= {(key, stream.name): one for key, one in zip(news, done, strict=True)}
    _fill(found, mine, before, back)


def _partnerless(found: Gathered) -> list[Key]:
    """Live records that a partner may have to be made for."""
    begun = [row.key for case in found.cases.values() for row in case.rows if row.state == CREATING]
    return [key for key in (*found.newcomers, *begun) if key in found.records]


def _has(case: Case, stream: Stream) -> bool:
    return any(row.stream == stream.name for row in case.rows)


def _fill(
    found: Gathered,
    mine: dict[Key, Carry],
    before: dict[Key, Carry],
    back: dict[tuple[Key, str], Carry],
) -> None:
    for case in found.cases.values():
        case.members = [
            _old(row, found.records[row.key], mine[row.key], before[row.key])
            if row.which is Which.OLD
            else _new(row, found.records[row.key], back, found.scene)
            for row in case.rows
            if row.key in found.records and row.state != CREATING
        ]
    for key in _partnerless(found):
        if key[0] != found.scene.new.name and key in mine:
            found.carried[key] = mine[key]
        elif found.scene.backwards is not None and (key, found.scene.backwards.name) in back:
            found.carried[key] = back[key, found.scene.backwards.name]


def _old(row: MemberRow, record: Record, now: Carry, past: Carry) -> Member:
    values = dict.fromkeys(now.values, now.whole) if now.whole else now.values
    return Member(
        row.which, row.stream, row.id, record.version, record.values, row.base, values, past.values, record.stamp,
        row.leads, row.owed,
    )  # fmt: skip


def _new(row: MemberRow, record: Record, back: dict[tuple[Key, str], Carry], scene: Scene) -> Member:
    carried = {
        f"{stream.name}.{name}": value
        for stream in scene.olds
        if (row.key, stream.name) in back
        for name, value in back[row.key, stream.name].values.items()
    }
    return Member(
        row.which,
        row.stream,
        row.id,
        record.version,
        record.values,
        row.base,
        carried,
        {},
        record.stamp,
        row.leads,
        row.owed,
    )
