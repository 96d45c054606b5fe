"""Proven deletes carried out: intents, calls, results; only after the brake was asked, and never from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from migrator.core.errors import ConnectorError
from migrator.core.twoway import Answer, Delete, Evidence, EvidenceKind, Native, Outcome, Update, Which
from migrator.sync.gather import Case, Gathered
from migrator.sync.life import LifeAct, Presence
from migrator.sync.lives import Lives, bury
from migrator.sync.state import GONE, Changes, Intent, MemberRow, Part
from migrator.sync.streams import Scene, Stream
from migrator.sync.verdicts import release
from migrator.sync.work import Work, soon
from migrator.sync.writing import Sent, send


@dataclass(frozen=True, slots=True)
class Doomed:
    """One live record that is to go, or to be deactivated."""

    case: Case
    row: MemberRow
    act: LifeAct
    began: datetime | None = None
    """When the call to delete began, by the clock of its system."""


def carry_out(work: Work, found: Gathered, lives: Lives) -> ConnectorError | None:
    """Write what a batch decided to delete; returns what ended it early."""
    doomed = [
        Doomed(case, row, decision.act)
        for case, decision in lives.deletes
        for row in case.of(decision.on or Which.NEW)
        if case.presence[row.key] is Presence.LIVE
    ]
    for stream in found.scene.streams:
        for act in (LifeAct.DELETE, LifeAct.DEACTIVATE):
            some = [item for item in doomed if item.row.stream == stream.name and item.act is act]
            trouble = _write(work, found, stream, some, lives) if some else None
            if trouble is not None:
                return trouble
    return None


def _write(
    work: Work, found: Gathered, stream: Stream, doomed: Sequence[Doomed], lives: Lives
) -> ConnectorError | None:
    act = doomed[0].act
    try:
        began = stream.side.server_time().replace(microsecond=0)
    except ConnectorError as error:
        return error
    intents = [
        Intent(
            work.store.next_intent(), item.case.grp, act.value, stream.name, item.row.id, "",
            {"version": found.records[item.row.key].version},
        )
        for item in doomed
    ]  # fmt: skip
    work.store.commit(Part.INTENT, Changes(intents=list(intents)))
    sent = _send(work, found, stream, doomed)
    for item, intent, answer in zip(doomed, intents, sent.answers, strict=True):
        if answer is not None and answer.outcome is Outcome.UNKNOWN:
            continue
        lives.result.settled.append(intent.number)
        if answer is not None and answer.outcome in (Outcome.DELETED, Outcome.UPDATED):
            done(work, found, replace(item, began=began), answer, lives.result)
            continue
        place = item.case.place
        lives.result.dirty.append(soon(work, place, found.queued.get(place), "delete"))
        if answer is not None:
            work.report.count(found.scene.mapping, answer.outcome.value)
    return sent.trouble


def _send(work: Work, found: Gathered, stream: Stream, doomed: Sequence[Doomed]) -> Sent:
    versions = {item.row.id: found.records[item.row.key].version for item in doomed}
    size = stream.side.facts.batch_rows
    if doomed[0].act is LifeAct.DEACTIVATE:
        values = _deactivated(found.scene, stream.which)
        updates = [Update(name, version, values) for name, version in versions.items()]
        return send(updates, size, lambda rows: stream.side.update(stream.object, rows))
    deletes = [Delete(name, version) for name, version in versions.items()]
    if stream.side.facts.conditional_deletes:
        return send(deletes, size, lambda rows: stream.side.delete(stream.object, rows))
    started = work.clock.monotonic()
    now = {record.id: record for record in stream.side.fetch(stream.object, list(versions), stream.fields)}
    safe = [row for row in deletes if row.id in now and _same(now[row.id].values, found, stream, row.id)]
    sent = send(safe, size, lambda rows: stream.side.delete(stream.object, rows))
    work.report.window = max(work.report.window, work.clock.monotonic() - started)
    answers = {row.id: answer for row, answer in zip(safe, sent.answers, strict=True)}
    stale = Answer(Outcome.STALE)
    return Sent(tuple(answers.get(row.id, stale) for row in deletes), sent.trouble)


def _same(values: Mapping[str, object], found: Gathered, stream: Stream, name: str) -> bool:
    before = found.records[stream.name, name].values
    return all(values.get(one) == before.get(one) for one in stream.compared)


def _deactivated(scene: Scene, which: Which) -> Mapping[str, Native]:
    paired = scene.new.paired
    return paired.deactivated_new if which is Which.NEW else paired.deactivated_old  # type: ignore[return-value]


def done(work: Work, found: Gathered, item: Doomed, answer: Answer, result: Changes) -> None:
    """A delete of ours went through: remember that it was ours, and when; when nothing of the group is left alive, bury it."""
    case, row, scene = item.case, item.row, found.scene
    before = found.records[row.key].version
    kind = "deleted" if item.act is LifeAct.DELETE else "deactivated"
    work.report.count(scene.mapping, f"{kind}_{row.which.value}")
    if item.act is LifeAct.DELETE:
        proof = Evidence(EvidenceKind.DELETED, row.id, answer.version or before, item.began, how="sync")
        result.evidence.append((row.stream, proof, True))
    version = answer.version or (before if item.act is LifeAct.DELETE else "")
    case.presence[row.key] = Presence.OURS
    bury(scene, case, replace(row, version=version), result, kind)
    if not any(case.presence[one.key] is Presence.LIVE for one in case.rows):
        for one in case.rows:
            if one.key != row.key and one.state != GONE:
                bury(scene, case, one, result, "deleted")
        release(case, result)
