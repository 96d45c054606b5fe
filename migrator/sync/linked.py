"""Links that are about to be written are looked up first: no write names a record that is not live on that side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.core.translation import Pair
from migrator.core.twoway import UNREADABLE, Which
from migrator.sync.decide import Carried, Member, Pending
from migrator.sync.gather import Gathered
from migrator.sync.state import Key
from migrator.sync.streams import Stream
from migrator.sync.work import Work


@dataclass(frozen=True, slots=True)
class _Link:
    """A link that may be written: where it stands, and what it names."""

    values: dict[str, Carried]
    field: str
    to: tuple[str, ...]
    which: Which
    """The side that it would be written on."""
    id: str


def verify_links(work: Work, found: Gathered) -> list[Key]:
    """Turn links to records that are not there now into links that wait; returns those records, to be looked at."""
    links = list(_links(found))
    gone: list[Key] = []
    for stream in [stream for scene in work.scenes for stream in scene.streams]:
        mine = [one for one in links if one.which is stream.which and stream.mapping in one.to]
        known = _known(work, stream, list(dict.fromkeys(one.id for one in mine)))
        live = {record.id for record in stream.side.fetch(stream.object, known, ())} if known else set()
        lost = [name for name in known if name not in live]
        gone += [(stream.name, name) for name in lost]
        for one in mine:
            if one.id in lost:
                one.values[one.field] = Pending(stream.mapping, one.id)
    return gone


def _known(work: Work, stream: Stream, ids: list[str]) -> list[str]:
    """Those of the ids that belong to the stream: a link may point to records of several."""
    rows = work.store.members([(stream.name, name) for name in ids]) if ids else {}
    return [name for name in ids if (stream.name, name) in rows]


def _links(found: Gathered) -> Iterator[_Link]:
    pairs = {
        name: pair for stream in found.scene.pairs.values() for name, pair in stream.items() if pair.links
    }
    if not pairs:
        return
    for case in found.cases.values():
        for pair in pairs.values():
            # whose value is written a policy may say: also that of a member that did not change
            if any(_stirs(member, pair) for member in case.members):
                for member in case.members:
                    yield from _carried(found, dict_of(member.carried), pair, member.which.other)
    for key, carry in found.carried.items():
        which = found.scene.stream(key[0]).which.other
        for pair in pairs.values():
            yield from _carried(found, dict_of(carry.values), pair, which)


def _stirs(member: Member, pair: Pair) -> bool:
    """Whether a member's link is not its base, or is still to be carried."""
    names = pair.old if member.which is Which.OLD else (pair.new,)
    return pair.new in member.owed or any(
        member.values.get(name) != member.base.get(name, UNREADABLE) for name in names
    )


def dict_of(values: object) -> dict[str, Carried]:
    """The mapping itself: what is carried is made anew for each batch, and belongs to it."""
    if not isinstance(values, dict):
        raise TypeError("carried values are a dictionary")
    return values


def _carried(found: Gathered, values: dict[str, Carried], pair: Pair, which: Which) -> Iterator[_Link]:
    plain = (pair.new,) if which is Which.NEW else pair.old
    prefixed = [f"{stream.name}.{name}" for stream in found.scene.olds for name in pair.old]
    for name in (*plain, *prefixed):
        value = values.get(name)
        if isinstance(value, str):
            yield _Link(values, name, pair.links, which, value)
