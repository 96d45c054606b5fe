"""One batch of one mapping, from facts to results: gather, decide, log, intend, write, record. Nothing is kept in memory between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator.core.errors import ConnectorError
from migrator.core.twoway import Answer, CompareAndSet, Outcome, Update, Which
from migrator.sync.awaited import awaited
from migrator.sync.creating import Birth, bear, plan_birth
from migrator.sync.decide import Verdict
from migrator.sync.deleting import carry_out
from migrator.sync.gather import Gathered, gather, proved_gone
from migrator.sync.guard import is_older_than_ledger
from migrator.sync.keyed import await_partner, partner_named
from migrator.sync.life import Presence
from migrator.sync.linked import verify_links
from migrator.sync.lives import Lives, examine, examine_gone
from migrator.sync.remerged import follow_returned
from migrator.sync.settle import settle
from migrator.sync.state import DOUBTED, GONE, LIVE, Changes, HoldRow, Intent, Key, MemberRow, Part
from migrator.sync.streams import Scene, Stream
from migrator.sync.values import natives_of, row_fingerprints
from migrator.sync.verdicts import (
    Settled,
    advance,
    decide_case,
    holds_of,
    log,
    natives,
    owing,
    targets_of,
)
from migrator.sync.work import Work, again_later, soon
from migrator.sync.writing import unchanged_since, write_updates


@dataclass(slots=True)
class _Batch:
    """A batch while it is worked on."""

    work: Work
    found: Gathered
    lives: Lives = field(default_factory=Lives)
    settled: list[Settled] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    intents: dict[tuple[int, int], Intent] = field(default_factory=dict)
    """Group and member → the update that is on its way."""
    trouble: ConnectorError | None = None


def process(
    work: Work,
    scene: Scene,
    keys: Sequence[Key],
    holds: Mapping[int, dict[str, HoldRow]],
    *,
    deletes: bool = False,
) -> list[Key]:
    """Work through one batch; `deletes`: carry out what was found proven. Returns records to be looked at again at once.

    Raises what ended it early, once everything that is known is recorded.
    """
    batch = _Batch(work, gather(work, scene, keys, dict(holds)))
    for key in verify_links(work, batch.found):
        batch.lives.result.dirty.append(soon(work, key, None, "linked"))
    _examine(batch, holds, deletes=deletes)
    _newcomers(batch)
    log(work, scene, batch.settled, batch.lives.first)
    batch.lives.first.evidence += batch.found.fresh
    _adopt(batch)
    work.store.commit(Part.CONFLICT, batch.lives.first)
    _update(batch)
    if deletes and batch.trouble is None:
        batch.trouble = carry_out(work, batch.found, batch.lives)
    _record(batch)
    again = batch.lives.again
    if batch.trouble is None:
        more, batch.trouble = bear(work, batch.found, batch.births)
        again += more
    unknown = [case.grp for case in (one.case for one in batch.settled if one.unknown)]
    if batch.trouble is not None or unknown or batch.births:
        settle(work, scene)
    if batch.trouble is not None:
        raise batch.trouble
    return list(dict.fromkeys([*again, *(one.case.place for one in batch.settled if one.again)]))


def _examine(batch: _Batch, holds: Mapping[int, dict[str, HoldRow]], *, deletes: bool) -> None:
    work, found = batch.work, batch.found
    batch.lives.awaited = awaited(work, holds)
    follow_returned(work, found, holds, batch.lives)
    # who moves into a group is decided before the group is: an edit of it is theirs too
    for case in sorted(found.cases.values(), key=lambda case: Presence.MERGED not in case.presence.values()):
        if not examine(work, found, case, batch.lives, carry_out=deletes):
            continue
        one = decide_case(work, found.scene, case)
        batch.settled.append(one)
        work.report.count(found.scene.mapping, "examined")
    examine_gone(work, found, holds, batch.lives, carry_out=deletes)


# ---- records without a group


def _newcomers(batch: _Batch) -> None:
    work, found = batch.work, batch.found
    fresh = [key for key in found.newcomers if key in found.records]
    lost = [key for key in found.newcomers if key not in found.records]
    proofs = work.store.evidence(lost) if lost else {}
    for key in lost:
        new = [item for item in found.fresh if (item[0], item[1].id) == key]
        if proved_gone([*proofs.get(key, ()), *((item[1], item[2]) for item in new)]):
            batch.lives.result.clean.append(key)
        else:
            _later(
                batch, key, "absent", "it was changed, and cannot be read; nothing proves that it was deleted"
            )
    placed = {row.key for row in batch.lives.result.members}
    begun = {key: grp for key, grp in batch.lives.creating if key in found.carried}
    fresh = [key for key in fresh if key not in placed]
    # the master of a merge takes the place of its loser
    waiting = _masters(batch, [*begun, *fresh])
    wanted: list[tuple[Key, int | None]] = [item for item in begun.items() if item[0] not in waiting]
    wanted += [(key, None) for key in fresh if key not in waiting and _needs_partner(batch, key)]
    _plan(batch, wanted)


def _masters(batch: _Batch, keys: Sequence[Key]) -> frozenset[Key]:
    """Records without partner that something was merged into which has one: they wait until that merge is followed."""
    work, found = batch.work, batch.found
    losers = [
        ((row.stream, case.proofs[row.key].into), row.key)
        for case in found.cases.values()
        for row in case.rows
        if case.presence[row.key] is Presence.MERGED
    ]
    losers += work.store.merged_into(keys) if keys else []
    known = work.store.members([loser for _, loser in losers]) if losers else {}
    masters = frozenset(
        master for master, loser in losers if loser in known and known[loser].state == LIVE
    ).intersection(keys)
    for key in keys:
        if key in masters:
            batch.lives.result.dirty.append(soon(work, key, found.queued.get(key), "merge"))
            batch.lives.again.append(key)
    return masters


def _plan(batch: _Batch, wanted: Sequence[tuple[Key, int | None]]) -> None:
    """Partners are made where the other side may be written; where it may not, only those that are there already are linked.

    So it is, too, where a lost ledger leaves it open whether there was one.
    """
    work, found = batch.work, batch.found
    held: dict[str, dict[str, Birth]] = {}
    for key, grp in wanted:
        birth = plan_birth(work, found, key, grp)
        frozen = birth.target.which in work.terms_of(found.scene).frozen or birth.target.side.facts.read_only
        if frozen or _is_doubted(batch, birth):
            held.setdefault(birth.target.name, {})[birth.key] = birth
        else:
            batch.births.append(birth)
    for name, births in held.items():
        target = found.scene.stream(name)
        there = target.side.find(target.object, target.key_field, list(births), (target.key_field,))
        named = {record.key for record in there}
        for text, birth in births.items():
            if text in named:
                batch.births.append(birth)
            elif work.rebuilding or _is_doubted(batch, birth):
                _doubt(batch, birth)
            else:
                row = soon(work, birth.source, found.queued.get(birth.source), "side-frozen")
                batch.lives.result.dirty.append(
                    replace(row, code="side-frozen", message="no partner is made on that side in this phase")
                )


def _is_doubted(batch: _Batch, birth: Birth) -> bool:
    queued = batch.found.queued.get(birth.source)
    if queued is not None and queued.why == DOUBTED:
        return True
    return not birth.known and is_older_than_ledger(batch.work, birth.origin, birth.record)


def _doubt(batch: _Batch, birth: Birth) -> None:
    """Its partner may have been made and deleted since the ledger was put aside: a person says whether it gets another one."""
    result = batch.lives.result
    since = 0 if birth.known else -1
    result.members.append(
        MemberRow(
            *birth.source, birth.origin.which, birth.grp, GONE, False, birth.record.version, since=since
        )
    )
    result.dirty.append(soon(batch.work, birth.source, None, "rebuilt"))
    batch.lives.again.append(birth.source)


def _needs_partner(batch: _Batch, key: Key) -> bool:
    """Whether a live record that nobody knows is to get a partner: not one of ours under another name, not meant to stay behind."""
    work, found = batch.work, batch.found
    scene, stream = found.scene, found.scene.stream(key[0])
    target = scene.new if stream.which is Which.OLD else scene.backwards
    carried = found.carried.get(key)
    ours = partner_named(scene, stream, found.records[key])
    if key in work.forgotten:
        batch.lives.result.clean.append(key)
        work.report.count(scene.mapping, "erased")
    elif ours is not None:
        batch.lives.again += await_partner(work, found, key, ours, batch.lives.result)
    elif target is None or (stream.which is Which.OLD and not scene.flows_forward) or carried is None:
        batch.lives.result.clean.append(key)
    elif carried.excluded:
        batch.lives.result.clean.append(key)
        work.report.count(scene.mapping, "excluded")
    elif carried.whole is not None:
        _later(batch, key, carried.whole.rule or "untranslatable", carried.whole.message)
    else:
        return True
    return False


def _later(batch: _Batch, key: Key, code: str, message: str) -> None:
    batch.lives.result.dirty.append(again_later(batch.work, key, batch.found.queued.get(key), code, message))


# ---- fields


def _adopt(batch: _Batch) -> None:
    """Bases of what both sides agree on already move with the conflict log, in its transaction."""
    for one in batch.settled:
        pure = [item for item in one.decisions if item.verdict is Verdict.ADOPT and not item.writes]
        if not pure:
            continue
        moved: dict[int, dict[str, object]] = {}
        agreed: dict[int, dict[str, None]] = {}
        for item in pure:
            for place in item.advance:
                member = one.case.members[place]
                moved.setdefault(place, {}).update(natives(batch.found.scene, member, item.field))
                agreed.setdefault(place, {})[item.field] = None
        for place, base in moved.items():
            member = one.case.members[place]
            row = next(row for row in one.case.rows if row.key == (member.stream, member.id))
            fresh = replace(row, base={**row.base, **base}, owed=owing(row, agreed[place]))  # type: ignore[dict-item]
            one.case.rows[one.case.rows.index(row)] = fresh
            batch.lives.first.members.append(fresh)


def _update(batch: _Batch) -> None:
    """Write changed fields, one stream after the other: writes of one group are never at once."""
    for stream in (batch.found.scene.new, *batch.found.scene.olds):
        if batch.trouble is None:
            _update_in(batch, stream)


def _update_in(batch: _Batch, stream: Stream) -> None:
    work = batch.work
    todo = [
        (one, place)
        for one in batch.settled
        for place in sorted(one.updates)
        if one.case.members[place].stream == stream.name
    ]
    if not todo:
        return
    if stream.side.allowance.is_pressed:
        todo = [item for item in todo if _is_of_record(batch, *item)]
    if not todo:
        return
    intents = {}
    for one, place in todo:
        member = one.case.members[place]
        body = {
            "wanted": one.updates[place],
            "sources": _sources(batch, one, place),
            "merges": sorted(_merges(one)),
        }
        intents[one.case.grp, place] = Intent(
            work.store.next_intent(), one.case.grp, "update", stream.name, member.id, "", body
        )
    work.store.commit(Part.INTENT, Changes(intents=list(intents.values())))
    updates = [
        Update(one.case.members[place].id, one.case.members[place].version, one.updates[place])
        for one, place in todo
    ]
    _send(batch, stream, todo, updates, intents)


def _send(
    batch: _Batch,
    stream: Stream,
    todo: Sequence[tuple[Settled, int]],
    updates: Sequence[Update],
    intents: Mapping[tuple[int, int], Intent],
) -> None:
    work, read = batch.work, {one.case.members[at].id: one.case.members[at].values for one, at in todo}
    try:
        fit, _ = unchanged_since(work, stream, updates, read)
    except ConnectorError as error:
        fit, batch.trouble = frozenset(), error
    going = [(item, row) for item, row in zip(todo, updates, strict=True) if row.id in fit]
    sent = write_updates(work, stream, [row for _, row in going]) if going else None
    answers = (
        {
            item[0].case.grp * 1000 + item[1]: answer
            for (item, _), answer in zip(going, sent.answers, strict=True)
        }
        if sent
        else {}
    )
    for one, place in todo:
        intent = intents[one.case.grp, place]
        answer = answers.get(one.case.grp * 1000 + place, Answer(Outcome.STALE))
        if answer is not None and answer.outcome is Outcome.UNKNOWN:
            one.unknown = True
            work.report.count(stream.mapping, "unknown")
            continue
        batch.lives.result.settled.append(intent.number)
        if answer is None:
            one.again = "unsent"
        else:
            _take(batch, stream, one, place, answer)
    if sent is not None and sent.trouble is not None:
        batch.trouble = sent.trouble


def _take(batch: _Batch, stream: Stream, one: Settled, place: int, answer: Answer) -> None:
    """One answer to an update."""
    work, wanted = batch.work, one.updates[place]
    match answer.outcome:
        case Outcome.UPDATED:
            work.report.count(stream.mapping, f"written_{stream.which.value}")
            one.done.add(place)
            after = answer.values
            base = natives_of({name: after[name] for name in wanted if name in after}) if after else {}
            halves = _merges(one)
            told = {name: value for name, value in {**wanted, **base}.items() if name not in halves}
            one.bases.setdefault(place, {}).update(told)
            one.versions[place] = answer.version if after else ""
            if after is not None:
                one.after[place] = after
                if _moved(stream, one.case.members[place].values, wanted, after):
                    one.again = one.again or "automation"
            elif stream.side.facts.cas is CompareAndSet.NONE:
                one.again = one.again or "verify"
        case Outcome.STALE | Outcome.MISSING:
            work.report.count(stream.mapping, "stale")
            one.again = "stale"
        case Outcome.REFUSED if answer.code in stream.side.facts.lock_codes:
            work.report.count(stream.mapping, "locked")
            one.again = "locked"
        case _:
            work.report.count(stream.mapping, "refused")
            one.failed = (
                answer.code or answer.outcome.value,
                f"{answer.field}: {answer.message}" if answer.field else answer.message,
            )


def _merges(one: Settled) -> frozenset[str]:
    """New fields that got a merged value: their base stays, so that the value flows back as an edit of the new side."""
    return frozenset(item.field for item in one.decisions if item.again)


def _moved(
    stream: Stream, before: Mapping[str, object], wanted: Mapping[str, object], after: Mapping[str, object]
) -> bool:
    """Whether a write changed more than it was to: automation, or somebody else's edit in between."""
    return any(
        after.get(name, before.get(name)) != before.get(name)
        for name in stream.compared
        if name not in wanted
    )


def _is_of_record(batch: _Batch, one: Settled, place: int) -> bool:
    """Whether an update carries fields whose source is their system of record: the others wait while calls are short."""
    target = one.case.members[place].which
    names = [item.field for item in one.decisions if any(write.member == place for write in item.writes)]
    for stream in batch.found.scene.pairs.values():
        for name in names:
            pair = stream.get(name)
            wins = "new_wins" if target is Which.OLD else "old_wins"
            if pair is not None and pair.policy.rule.value == wins:
                return True
    one.again = "budget"
    return False


def _sources(batch: _Batch, one: Settled, place: int) -> list[dict[str, object]]:
    """Bases that advance with this one write, should only its intent survive, and who else is to get their values."""
    found: list[dict[str, object]] = []
    for item in one.decisions:
        wrote = [write.field for write in item.writes if write.member == place]
        if not wrote or item.again:
            continue
        others = targets_of(one.case, [write.member for write in item.writes if write.member != place])
        for at in item.advance:
            member = one.case.members[at]
            found.append(
                {
                    "of": member.stream,
                    "id": member.id,
                    "field": item.field,
                    "values": natives(batch.found.scene, member, item.field),
                    "wrote": wrote,
                    "others": [list(key) for key in others] if at == item.source else [],
                }
            )
    return found


# ---- what came of it


def _record(batch: _Batch) -> None:
    work, result = batch.work, batch.lives.result
    for one in batch.settled:
        advance(batch.found.scene, one)
        holds_of(work, batch.found.scene, one, result)
        _rows(batch, one, result)
        _queue(batch, one, result)
        _events(one, result)
    work.store.commit(Part.RESULT, result)


def _rows(batch: _Batch, one: Settled, result: Changes) -> None:
    """Members with their new bases, and with the state that they were decided on."""
    rows = {row.key: row for row in one.case.rows}
    for place, member in enumerate(one.case.members):
        row = rows.get((member.stream, member.id))
        if row is None:
            continue  # it left the group in this very batch
        stream = batch.found.scene.stream(member.stream)
        values = one.after.get(place, member.values)
        known = place not in one.updates or place in one.after
        fresh = replace(
            row,
            base={**row.base, **one.bases.get(place, {})},
            version=one.versions.get(place, member.version),
            seen=row_fingerprints([values], stream.compared)[0] if known else None,  # type: ignore[list-item]
            owed=owing(row, one.owed.get(place, {})),
        )
        if one.again or one.unknown:
            fresh = replace(fresh, version="", seen=None)
        if fresh != row:
            result.members.append(fresh)


def _queue(batch: _Batch, one: Settled, result: Changes) -> None:
    work, queued = batch.work, batch.found.queued
    keys: list[Key] = [row.key for row in one.case.rows]
    result.clean += keys
    before = next((queued[key] for key in keys if key in queued), None)
    worst = max((queued[key] for key in keys if key in queued), key=lambda row: row.attempts, default=before)
    if one.failed is not None:
        result.dirty.append(again_later(work, one.case.place, worst, *one.failed))
    elif one.again or one.unknown:
        result.dirty.append(soon(work, one.case.place, before, one.again or "unknown"))


def _events(one: Settled, result: Changes) -> None:
    """Links that were filled, or that name nothing any more that would have to be waited for."""
    open_ones = {
        item.field
        for item in one.decisions
        if item.verdict in (Verdict.DEFERRED, Verdict.BLOCKED, Verdict.HELD)
        or not all(write.member in one.done for write in item.writes)
    }
    result.filled += [(one.case.grp, name) for name in one.case.waits if name not in open_ones]
