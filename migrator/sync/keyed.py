"""Records that carry a key of ours and belong to no group: whose they are, as far as keys and proven merges tell."""

from __future__ import annotations

from dataclasses import replace

from migrator.core.twoway import Record, Which
from migrator.sync.gather import Gathered
from migrator.sync.life import Presence, presence
from migrator.sync.state import CREATING, GONE, LIVE, Changes, EventRow, Key, MemberRow, Tombstone
from migrator.sync.streams import Scene, Stream
from migrator.sync.work import Work, again_later, soon


def partner_named(scene: Scene, stream: Stream, record: Record) -> Key | None:
    """The record of the other side whose key this one carries; None when it carries none of ours."""
    text = record.values.get(stream.key_field) if stream.key_field else None
    if not isinstance(text, str) or not text:
        return None
    if stream.which is Which.OLD:
        return scene.new.name, text
    source, _, name = text.partition(":")
    old = f"{stream.mapping}/{source}"
    return (old, name) if any(one.name == old for one in scene.olds) and name else None


def await_partner(work: Work, found: Gathered, key: Key, partner: Key, result: Changes) -> list[Key]:
    """A record with a key of ours is never new: the record it names finds it by that key when its turn comes.

    Where that one is in a group already, or was merged into one, it joins it. Returns what is to be looked at again at once.
    """
    row = work.store.members([partner]).get(partner)
    queued = found.queued.get(key)
    home = _master(work, partner) if row is None else row
    if home is not None and home.state == LIVE and found.scene.stream(key[0]).side.facts.unique_key:
        _join(found, key, home, partner if row is None else None, result)
        result.dirty.append(soon(work, home.key, None, "key"))
        return [home.key]
    if row is None or row.state == CREATING:
        result.dirty.append(soon(work, partner, work.store.dirty_rows([partner]).get(partner), "key"))
        if queued is None or queued.attempts == 0 or row is not None:
            attempts = (queued.attempts if queued else 0) + 1
            result.dirty.append(replace(soon(work, key, queued, "key"), attempts=attempts))
            return [partner]
        code, message = "key-without-record", "it carries a key, and no record that can be read has it"
    elif row.state == GONE:
        code, message = "key-of-deleted", "it carries the key of a record that was deleted"
    else:
        code, message = "duplicate-key", "it carries the key of a record that has another partner"
    result.dirty.append(again_later(work, key, queued, code, message))
    return [partner] if row is None else []


def has_home(work: Work, found: Gathered, key: Key) -> list[Key]:
    """What to look at first, because a record without a group belongs to one by its key; empty when it may join any.

    After a loss of the ledger users' merges lead to records whose own groups are still to be found again.
    """
    stream = found.scene.stream(key[0])
    record = next(iter(stream.side.fetch(stream.object, [key[1]], stream.fields)), None)
    partner = partner_named(found.scene, stream, record) if record is not None else None
    if partner is None:
        return []
    row = work.store.members([partner]).get(partner)
    if row is not None:
        return [partner] if row.state == CREATING else []
    there = found.scene.stream(partner[0])
    if any(True for _ in there.side.fetch(there.object, [partner[1]], ())):
        return [partner]
    return [key] if _master(work, partner) is not None else []


def _master(work: Work, partner: Key) -> MemberRow | None:
    """The live member that a record nobody knows was merged into."""
    state, why = presence(work.store.evidence([partner]).get(partner, ()))
    if state is not Presence.MERGED or why is None:
        return None
    into = (partner[0], why.into)
    row = work.store.members([into]).get(into)
    return row if row is not None and row.state == LIVE else None


def _join(found: Gathered, key: Key, home: MemberRow, merged: Key | None, result: Changes) -> None:
    """It goes on in a group that was known before it, without a base; `merged`: its partner, which that group never knew."""
    stream = found.scene.stream(key[0])
    result.members.append(MemberRow(*key, stream.which, home.grp, LIVE, False, since=-1))
    result.clean.append(key)
    detail = {"group": home.grp, "beside": home.id}
    result.events.append(EventRow(stream.mapping, home.grp, *key, "linked", detail))
    if merged is not None:
        result.tombstones.append(Tombstone(*merged, home.grp, ""))
        result.events.append(EventRow(stream.mapping, home.grp, *merged, "merged", {"into": home.id}))
