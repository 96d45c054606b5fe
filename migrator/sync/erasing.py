"""What the sync keeps of a person, forgotten: bases, conflict values, intents, messages; only ids stay, and that they died.

Nothing here calls a system. The records become tombstones first, so that no run takes what is deleted later, or what is
left on a side that the order is not about, for the work of a user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.erasures import Digests, Name
from migrator.staging.ledger import Ledger
from migrator.sync.state import CREATING, GONE

NOTHING = '{"members":[]}'
"""What is left of the values of a conflict."""
KEPT = "kept:"
"""Begins the hash in the tombstone of a record that stays where it is, because the order is not about its side."""
_SOME = 400


def groups_of(connection: Connection, names: Iterable[Name]) -> list[int]:
    """Groups that these records are in now."""
    c = t.members.c
    found: dict[int, None] = {}
    for stream, name in names:
        query = sa.select(c.grp).where(c.stream == stream, c.id == name, c.until.is_(None))
        found |= dict.fromkeys(connection.execute(query).scalars())
    return list(found)


def members_of(connection: Connection, groups: Sequence[int]) -> list[Name]:
    """Every record that is in these groups, or ever was."""
    c = t.members.c
    query = sa.select(c.stream, c.id).where(c.grp.in_(groups)).distinct().order_by(c.stream, c.id)
    return [(row.stream, row.id) for row in connection.execute(query)]


def values_of(connection: Connection, names: Iterable[Name]) -> list[str]:
    """What the bases of these records hold, as JSON."""
    c = t.members.c
    found: list[str] = []
    for stream, name in names:
        found += connection.execute(sa.select(c.base).where(c.stream == stream, c.id == name)).scalars()
    return found


def forget(
    connection: Connection, ledger: Ledger, names: Sequence[Name], kept: frozenset[Name] = frozenset()
) -> dict[str, int]:
    """Take all values of these records out of the tables of the sync; returns table → rows touched.

    `kept` of them stay on their side. The journal tells the new tombstones; it never held a value.
    """
    groups = groups_of(connection, names)
    touched = {
        "members": _forget_members(connection, names),
        "conflicts": _forget_conflicts(connection, groups),
    }
    for name, table in (("intents", t.intents), ("holds", t.holds), ("links that wait", t.deferred)):
        touched[name] = sum(
            connection.execute(table.delete().where(table.c.grp.in_(some))).rowcount for some in _some(groups)
        )
    for name, table in (("queue", t.dirty), ("mismatches", t.mismatches)):
        touched[name] = _without(connection, table, names)
    touched["tombstones"] = _bury(connection, ledger, names, kept)
    return {name: number for name, number in touched.items() if number}


def _forget_members(connection: Connection, names: Sequence[Name]) -> int:
    """Rows are kept, also those of earlier groups: an id that ever was can be told for ever."""
    c = t.members.c
    touched = 0
    for stream, name in names:
        mine = sa.and_(c.stream == stream, c.id == name)
        touched += connection.execute(t.members.update().where(mine).values(base="{}", seen=None)).rowcount
        connection.execute(t.members.update().where(mine, c.until.is_(None)).values(state=GONE, leads=False))
    return touched


def _forget_conflicts(connection: Connection, groups: Sequence[int]) -> int:
    c = t.conflicts.c
    touched = 0
    for some in _some(groups):
        mine = c.grp.in_(some)
        touched += connection.execute(
            t.conflicts.update().where(mine).values(members=NOTHING, note="", reason="erased")
        ).rowcount
        waiting = c.state.in_(("open", "resolved"))
        connection.execute(t.conflicts.update().where(mine, waiting).values(state="closed"))
    return touched


def _without(connection: Connection, table: sa.Table, names: Sequence[Name]) -> int:
    return sum(
        connection.execute(table.delete().where(table.c.stream == stream, table.c.id == name)).rowcount
        for stream, name in names
    )


def _bury(connection: Connection, ledger: Ledger, names: Sequence[Name], kept: frozenset[Name]) -> int:
    """A tombstone for each record that the crosswalk knows, with its keyed hash: what bears one never comes back."""
    digests, now = Digests.of(ledger), ledger.clock.now()
    known = _known(connection, names)
    _without(connection, t.tombstones, list(known))
    rows: list[dict[str, Any]] = [
        {"stream": stream, "id": name, "grp": grp, "version": version, "at": now,
         "key_hash": (KEPT if (stream, name) in kept else "") + digests.digest((stream, name))}
        for (stream, name), (grp, version) in known.items()
    ]  # fmt: skip
    if rows:
        connection.execute(t.tombstones.insert(), rows)
        told = [("delete", {"stream": row["stream"], "id": row["id"], "group": row["grp"]}) for row in rows]
        journal.append_all(connection, told, at=now, run=ledger.run)
    return len(rows)


def _known(connection: Connection, names: Sequence[Name]) -> Mapping[Name, tuple[int, str]]:
    c = t.members.c
    found: dict[Name, tuple[int, str]] = {}
    for stream, name in names:
        query = sa.select(c.grp, c.version).where(c.stream == stream, c.id == name, c.until.is_(None))
        row = connection.execute(query).first()
        if row is not None:
            found[stream, name] = (row.grp, row.version)
    return found


def left(connection: Connection, names: Sequence[Name]) -> dict[str, int]:
    """Rows of the sync's tables that still hold anything of these records: a proof counts them."""
    groups = groups_of(connection, names)
    counts: dict[str, int] = {}

    def count(name: str, table: sa.Table, *where: sa.ColumnElement[bool]) -> None:
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        counts[name] = counts.get(name, 0) + int(connection.execute(query).scalar() or 0)

    for stream, name in names:
        m = t.members.c
        mine = sa.and_(m.stream == stream, m.id == name)
        count("members", t.members, mine, sa.or_(m.base != "{}", m.state == CREATING))
        count("queue", t.dirty, t.dirty.c.stream == stream, t.dirty.c.id == name)
    for some in _some(groups):
        count("intents", t.intents, t.intents.c.grp.in_(some))
        count("conflicts", t.conflicts, t.conflicts.c.grp.in_(some), t.conflicts.c.members != NOTHING)
        count("holds", t.holds, t.holds.c.grp.in_(some))
    return {name: number for name, number in counts.items() if number}


def _some(values: Sequence[int]) -> Iterable[Sequence[int]]:
    return (values[start : start + _SOME] for start in range(0, len(values), _SOME))
