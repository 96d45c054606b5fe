"""Intents whose outcome is not known: look again, record what took effect, and let the group be decided anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from migrator.core.twoway import UNREADABLE, Evidence, EvidenceKind, Record, Which
from migrator.sync.creating import created_base, pair_name
from migrator.sync.decide import same_native
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
from migrator.sync.streams import Scene, Stream
from migrator.sync.values import natives_of
from migrator.sync.work import Work, soon


def settle(work: Work, scene: Scene | None = None) -> None:
    """Settle all open intents, or those of one mapping, each kind with one look at its system."""
    open_ones = work.store.intents()
    for found in work.scenes:
        if scene is not None and found.mapping != scene.mapping:
            continue
        for stream in found.streams:
            mine = [intent for intent in open_ones if intent.stream == stream.name]
            _updates(work, found, stream, [one for one in mine if one.kind in ("update", "deactivate")])
            _deletes(work, found, stream, [one for one in mine if one.kind == "delete"])
            _creates(work, stream, [one for one in mine if one.kind == "create"])


def _updates(work: Work, scene: Scene, stream: Stream, intents: Sequence[Intent]) -> None:
    """Field by field: there as wanted, then both bases advance; else nothing does."""
    if not intents:
        return
    now = {
        record.id: record
        for record in stream.side.fetch(stream.object, [intent.id for intent in intents], stream.fields)
    }
    changes = Changes()
    rows = work.store.members(
        [(stream.name, intent.id) for intent in intents]
        + [(one["of"], one["id"]) for intent in intents for one in intent.body.get("sources", ())]
    )
    for intent in intents:
        record = now.get(intent.id)
        if record is not None and intent.kind == "update":
            _apply(scene, stream, intent, record, rows)
        changes.settled.append(intent.number)
        changes.dirty.append(soon(work, (stream.name, intent.id), None, "settled"))
    changes.members += list(rows.values())
    work.store.commit(Part.RESULT, changes)


def _apply(scene: Scene, stream: Stream, intent: Intent, record: Record, rows: dict[Key, MemberRow]) -> None:
    wanted: Mapping[str, object] = intent.body["wanted"]
    pairs = {
        name: pair
        for found in scene.pairs.values()
        for pair in found.values()
        for name in (pair.old if stream.which is Which.OLD else (pair.new,))
    }
    took = {
        name
        for name, value in wanted.items()
        if same_native(pairs[name], stream.which, name, record.values[name], value)  # type: ignore[arg-type]
    }
    key = (stream.name, intent.id)
    if key not in rows:
        return
    merges = frozenset(intent.body.get("merges", ()))
    base = natives_of({name: record.values[name] for name in took if name not in merges})
    over = {pairs[name].new for name in base}  # what it had before is owed to nobody
    owed = {name: keys for name, keys in rows[key].owed.items() if name not in over}
    rows[key] = replace(rows[key], base={**rows[key].base, **base}, owed=owed, version="", seen=None)
    for source in intent.body["sources"]:
        place = (source["of"], source["id"])
        if place in rows and took.issuperset(source["wrote"]):
            rows[place] = _delivered(rows[place], source, key)


def _delivered(row: MemberRow, source: Mapping[str, Any], to: Key) -> MemberRow:
    """A member whose value one of those it is for has; it is still owed to the others, unless they got it before."""
    name, values = source["field"], source["values"]
    known = row.owed.get(name, ())
    if to not in known or any(row.base.get(one, UNREADABLE) != value for one, value in values.items()):
        known = tuple((of, other) for of, other in source["others"])
    left = tuple(one for one in known if one != to)
    owed = {**row.owed, name: left} if left else {one: keys for one, keys in row.owed.items() if one != name}
    return replace(row, base={**row.base, **values}, owed=owed, version="", seen=None)


def _deletes(work: Work, scene: Scene, stream: Stream, intents: Sequence[Intent]) -> None:
    """Gone: then it was ours, which is no word of any user."""
    if not intents:
        return
    ids = [intent.id for intent in intents]
    there = {record.id for record in stream.side.fetch(stream.object, ids, stream.fields)}
    gone = [name for name in ids if name not in there]
    proofs = {proof.id: proof for proof in stream.side.evidence(stream.object, gone)} if gone else {}
    changes = Changes()
    for intent in intents:
        proof = proofs.get(intent.id)
        if proof is not None and proof.kind is EvidenceKind.DELETED:
            ours = Evidence(
                EvidenceKind.DELETED, intent.id, proof.version, proof.stamp, how="sync, answer lost"
            )
            changes.evidence.append((stream.name, ours, True))
            changes.events.append(
                EventRow(scene.mapping, intent.grp, stream.name, intent.id, "deleted", {"answer": "lost"})
            )
        changes.settled.append(intent.number)
        changes.dirty.append(soon(work, (stream.name, intent.id), None, "settled"))
    work.store.commit(Part.RESULT, changes)


def _creates(work: Work, stream: Stream, intents: Sequence[Intent]) -> None:
    """Found by key: linked with what was sent as its base, so that whatever differs shows up as an ordinary change."""
    if not intents:
        return
    keys = [intent.key for intent in intents]
    found = {
        record.key: record
        for record in stream.side.find(stream.object, stream.key_field, keys, stream.fields)
    }
    sources = work.store.members([(intent.body["from"], intent.id) for intent in intents])
    taken = work.store.members([(stream.name, record.id) for record in found.values()])
    changes = Changes()
    for intent in intents:
        source = sources.get((intent.body["from"], intent.id))
        record = found.get(intent.key)
        if source is not None and record is not None and (stream.name, record.id) not in taken:
            _link(stream, intent, source, record, changes)
        changes.settled.append(intent.number)
        changes.dirty.append(soon(work, (intent.body["from"], intent.id), None, "settled"))
    work.store.commit(Part.RESULT, changes)


def _link(stream: Stream, intent: Intent, source: MemberRow, record: Record, changes: Changes) -> None:
    if source.state != CREATING:
        return
    base = created_base(stream, intent.body["sent"], None)
    changes.members.append(
        MemberRow(stream.name, record.id, stream.which, intent.grp, LIVE, True, "", base, None, -1)
    )
    owed = {pair_name(stream, name): () for name in (*intent.body["waits"], *intent.body["refused"])}
    changes.members.append(replace(source, state=LIVE, version="", seen=None, owed=owed))
    changes.events.append(
        EventRow(stream.mapping, intent.grp, stream.name, record.id, "linked", {"key": intent.key})
    )
    for name, (mapping, other) in intent.body["waits"].items():
        changes.deferred.append(DeferredRow(intent.grp, pair_name(stream, name), mapping, other))
