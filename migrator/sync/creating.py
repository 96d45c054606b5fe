"""Partners made for records that have none: first the row that says so and the key, then the look-up, then the create."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.core.errors import ConnectorError
from migrator.core.twoway import UNREADABLE, Answer, Create, Native, Outcome, Record, Value, Which
from migrator.sync.carry import Carry
from migrator.sync.decide import Failed, Pending
from migrator.sync.gather import Gathered
from migrator.sync.state import (
    CREATING,
    LIVE,
    Changes,
    DeferredRow,
    EventRow,
    Intent,
    Key,
    MemberRow,
    Part,
)
from migrator.sync.streams import Stream
from migrator.sync.values import natives_of, row_fingerprints
from migrator.sync.work import Work, again_later, soon
from migrator.sync.writing import send


@dataclass(slots=True)
class Birth:
    """One record, the group it founds, and its partner to be."""

    source: Key
    grp: int
    record: Record
    origin: Stream
    target: Stream
    key: str
    sent: dict[str, Native]
    waits: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Field of the target → mapping and record of a link that is not there yet."""
    refused: tuple[str, ...] = ()
    """Fields of the target whose value cannot be carried as yet."""
    known: bool = False
    """The source already has its row in the crosswalk."""
    intent: int = 0


def plan_birth(work: Work, found: Gathered, source: Key, grp: int | None) -> Birth:
    """What is to be created for a record of the batch; `grp`: its group, when it has one."""
    scene, record, carried = found.scene, found.records[source], found.carried[source]
    origin = scene.stream(source[0])
    target = scene.new if origin.which is Which.OLD else scene.backwards
    if target is None:
        raise LookupError(f"{scene.mapping} creates nothing on the old side")
    number = work.store.next_group() if grp is None else grp
    birth = Birth(source, number, record, origin, target, _key(origin, target, source[1], carried), {})
    birth.known = grp is not None
    refused: list[str] = []
    for name in target.compared:
        value = carried.values.get(name, UNREADABLE)
        match value:
            case Pending(mapping, other):
                birth.waits[name] = (mapping, other)
            case Failed():
                refused.append(name)
            case _ if value is UNREADABLE:
                if name in carried.values:
                    refused.append(name)
            case _ if value is not None:
                birth.sent[name] = value
            case _:
                pass
    birth.refused = tuple(refused)
    return birth


def _key(origin: Stream, target: Stream, name: str, carried: Carry) -> str:
    """Legacy id on the new side as the mapping writes it, the new record's id on the old one."""
    if target.which is Which.OLD:
        return name
    written = carried.values.get(target.key_field)
    return str(written) if isinstance(written, str | int) else f"{origin.paired.source}:{name}"


def bear(work: Work, found: Gathered, births: Sequence[Birth]) -> tuple[list[Key], ConnectorError | None]:
    """Create all partners of a batch. Returns the records to be looked at again, and what ended it early."""
    if not births:
        return [], None
    _intend(work, births)
    again: list[Key] = []
    for target in {birth.target.name: birth.target for birth in births}.values():
        some = [birth for birth in births if birth.target is target]
        more, trouble = _bear_in(work, found, target, some)
        again += more
        if trouble is not None:
            return again, trouble
    return again, None


def _intend(work: Work, births: Sequence[Birth]) -> None:
    """Key, source as read and what is to be sent are durable before anything is asked of the target."""
    changes = Changes()
    for birth in births:
        birth.intent = work.store.next_intent()
        row = MemberRow(
            *birth.source, birth.origin.which, birth.grp, CREATING, True, birth.record.version, source_base(birth),
            _seen(birth), 0 if birth.known else -1,
        )  # fmt: skip
        changes.members.append(row)
        changes.intents.append(
            Intent(
                birth.intent, birth.grp, "create", birth.target.name, birth.source[1], birth.key, _body(birth)
            )
        )
    work.store.commit(Part.INTENT, changes)


def _body(birth: Birth) -> Mapping[str, Any]:
    return {
        "from": birth.source[0],
        "sent": birth.sent,
        "refused": list(birth.refused),
        "waits": {name: list(link) for name, link in birth.waits.items()},
    }


def source_base(birth: Birth) -> dict[str, Native]:
    """The natives as read; what has no way across counts as never carried."""
    base = natives_of(
        {name: birth.record.values[name] for name in birth.origin.compared if name in birth.record.values}
    )
    base.update(dict.fromkeys(_strays(birth)))
    return base


def _strays(birth: Birth) -> list[str]:
    """Fields of the source that have a value, and none of whose pairs leads it across: an edit against the direction."""
    which = birth.origin.which
    paired = birth.target.paired if which is Which.NEW else birth.origin.paired
    flowing = {
        name
        for pair in paired.pairs
        if (pair.direction.goes_forward if which is Which.OLD else pair.direction.goes_back)
        for name in (pair.old if which is Which.OLD else (pair.new,))
    }
    return [
        name
        for name in birth.origin.compared
        if name not in flowing and birth.record.values.get(name, UNREADABLE) not in (None, UNREADABLE)
    ]


def _seen(birth: Birth) -> int:
    return row_fingerprints([birth.record.values], birth.origin.compared)[0]


def _bear_in(
    work: Work, found: Gathered, target: Stream, births: Sequence[Birth]
) -> tuple[list[Key], ConnectorError | None]:
    by_key = {birth.key: birth for birth in births}
    there = {
        record.key: record
        for record in target.side.find(target.object, target.key_field, list(by_key), target.fields)
    }
    changes, again = Changes(), []
    taken = work.store.members([(target.name, record.id) for record in there.values()])
    for birth in births:
        if birth.key not in there:
            continue
        if (target.name, there[birth.key].id) in taken:
            why = ("duplicate-key", "the record with this key belongs to another group")
            changes.settled.append(birth.intent)
            changes.dirty.append(again_later(work, birth.source, found.queued.get(birth.source), *why))
        else:
            again.append(birth.source)
            link_found(work, birth, there[birth.key], changes, sent=None)
    rest = [birth for birth in births if birth.key not in there]
    rows = [Create(birth.key, birth.sent) for birth in rest]
    size = target.side.facts.batch_rows
    sent = send(rows, size, lambda some: target.side.create(target.object, target.key_field, some))
    for birth, answer in zip(rest, sent.answers, strict=True):
        if answer is None:
            changes.settled.append(birth.intent)
            changes.dirty.append(soon(work, birth.source, found.queued.get(birth.source), "create"))
        elif _take(work, found, birth, answer, changes):
            again.append(birth.source)
    work.store.commit(Part.RESULT, changes)
    return again, sent.trouble


def _take(work: Work, found: Gathered, birth: Birth, answer: Answer, changes: Changes) -> bool:
    """One answer to a create; True when the group is to be looked at again at once."""
    match answer.outcome:
        case Outcome.CREATED:
            work.report.count(found.scene.mapping, f"created_{birth.target.which.value}")
            base = created_base(birth.target, birth.sent, answer.values)
            link(work, birth, (answer.id, answer.version), base, changes)
            changed = answer.values is not None and _is_changed(birth, answer.values)
            return changed or bool(birth.refused) or bool(_strays(birth))
        case Outcome.EXISTS | Outcome.UNKNOWN:
            changes.dirty.append(soon(work, birth.source, found.queued.get(birth.source), "create"))
            return False
        case _:
            work.report.count(found.scene.mapping, "refused")
            changes.settled.append(birth.intent)
            changes.dirty.append(
                again_later(
                    work, birth.source, found.queued.get(birth.source), answer.code or answer.outcome.value,
                    f"{answer.field}: {answer.message}" if answer.field else answer.message,
                )
            )  # fmt: skip
            return False


def _is_changed(birth: Birth, values: Mapping[str, Value]) -> bool:
    """Whether the system made something else of what was sent."""
    return any(values.get(name, UNREADABLE) != value for name, value in birth.sent.items())


def created_base(
    target: Stream, sent: Mapping[str, Native], after: Mapping[str, Value] | None
) -> dict[str, Native]:
    """Bases of a record just made: its post-image; where the system gives none, what was sent, and nothing for the rest."""
    if after is None:
        return {name: sent.get(name) for name in target.compared}
    return natives_of({name: after[name] for name in target.compared if name in after})


def link(
    work: Work,
    birth: Birth,
    partner: tuple[str, str],
    base: Mapping[str, Native],
    changes: Changes,
) -> None:
    """Enter a partner in the group; the source's row was written with the intent."""
    name, version = partner
    mapping = birth.origin.mapping
    changes.members.append(
        MemberRow(birth.target.name, name, birth.target.which, birth.grp, LIVE, True, version, base, None, -1)
    )
    changes.members.append(
        MemberRow(
            *birth.source, birth.origin.which, birth.grp, LIVE, True, birth.record.version, source_base(birth),
            _seen(birth), 0, {pair_name(birth.target, one): () for one in (*birth.waits, *birth.refused)},
        )
    )  # fmt: skip
    changes.settled.append(birth.intent)
    changes.clean += [birth.source]
    changes.events.append(EventRow(mapping, birth.grp, birth.target.name, name, "linked", {"key": birth.key}))
    for one, (to, record) in birth.waits.items():
        changes.deferred.append(DeferredRow(birth.grp, pair_name(birth.target, one), to, record))
    work.report.count(mapping, "linked")


def pair_name(stream: Stream, name: str) -> str:
    """What the pair of a field is called: by its new field."""
    if stream.which is Which.NEW:
        return name
    return next((pair.new for pair in stream.paired.pairs if name in pair.old), name)


def link_found(
    work: Work,
    birth: Birth,
    record: Record,
    changes: Changes,
    *,
    sent: Mapping[str, Native] | None,
) -> None:
    """A partner that was there before: with what an earlier attempt sent as its base, or without one when there was none.

    Then the source has none either: nothing says that what differs was ever carried.
    """
    base = created_base(birth.target, sent, None) if sent is not None else {}
    link(work, birth, (record.id, ""), base, changes)
    if sent is None:
        source = next(row for row in changes.members if row.key == birth.source)
        uncarried = replace(source, base=dict.fromkeys(_strays(birth)), seen=None)
        changes.members[changes.members.index(source)] = uncarried
    changes.clean = [key for key in changes.clean if key != birth.source]
    changes.dirty.append(soon(work, birth.source, None, "found"))
