"""The sync's books as people and checker read them: conflict log, intents, what waits, approvals; straight from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger
from migrator.staging.prepared import Prepared
from migrator.sync.guard import REBUILT, RESTORED
from migrator.sync.values import from_text
from migrator.testing.simulation.groups import Node
from migrator.testing.simulation.shape import NEW, OLD, Value, shape_of

_NOW = t.members.c.until.is_(None)


_OF: sa.BindParameter[Any] = sa.bindparam("of")
_I = t.intents.c
_LOGGED = Prepared(
    sa.select(t.conflicts.c.members).where(t.conflicts.c.field == _OF).order_by(t.conflicts.c.number.desc())
)
_CREATES = Prepared(sa.select(_I.number).where(_I.key == _OF, _I.kind == "create"))
_INTENDED = Prepared(sa.select(_I.number).where(_I.id == _OF))
_INTENTS = Prepared(sa.select(_I.id, _I.key))
_CREATING = Prepared(
    sa.select(t.members.c.id).where(t.members.c.id == _OF, t.members.c.state == "creating", _NOW)
)
_DIRTY = Prepared(sa.select(t.dirty.c.stream, t.dirty.c.id))
_WAITING = tuple(
    Prepared(
        sa.select(t.members.c.stream, t.members.c.id, table.c.field)
        .join(t.members, sa.and_(t.members.c.grp == table.c.grp, _NOW))
        .where(table.c.state == "open" if table is t.conflicts else sa.true())
    )
    for table in (t.holds, t.deferred, t.conflicts)
)
_RESTORED = Prepared(sa.select(t.state.c.value).where(t.state.c.name == RESTORED))
_RETURNED = Prepared(
    sa.select(t.members.c.stream, t.members.c.id)
    .join(t.holds, t.members.c.grp == t.holds.c.grp)
    .where(_NOW, t.holds.c.kind == "undelete")
    .order_by(t.members.c.stream, t.members.c.id)
)


class Books:
    """See `migrator.testing.simulation.checker.Witness`; sees what is committed and nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def logged(self, side: str, field: str, value: Value) -> bool:
        """Whether a row of the conflict log has this value."""
        rows = self.ledger.fetch(_LOGGED, {"of": field})
        return any(value in _values(row.members, side) for row in rows)

    def intended(self, side: str, id_: str, key: str) -> bool:
        """Whether an intent for this record, or for a create with this key, is committed."""
        if key:
            return bool(self.ledger.fetch(_CREATES, {"of": key})) or self._creating(side, key)
        return bool(self.ledger.fetch(_INTENDED, {"of": id_}))

    def _creating(self, side: str, key: str) -> bool:
        """A crosswalk row in state 'creating' is the intent of a create."""
        source = key.partition(":")[2] if side == NEW else key
        return bool(self.ledger.fetch(_CREATING, {"of": source}))

    def intents(self) -> frozenset[str]:
        """Ids of records, and keys of creates, for which an intent is committed."""
        return frozenset(row.key or row.id for row in self.ledger.fetch(_INTENTS))

    def listed(self) -> Mapping[Node, tuple[str, ...]]:
        """Records in the queue, on hold, with an open conflict or a link that waits; the field where it is one field's."""
        found: dict[Node, tuple[str, ...]] = {}

        def add(stream: str, id_: str, field: str) -> None:
            node = (side_of(stream), id_)
            found[node] = (*found.get(node, ()), field)

        for row in self.ledger.fetch(_DIRTY):
            add(row.stream, row.id, "")
        for query in _WAITING:
            for stream, id_, field in self.ledger.fetch(query):
                if not field.startswith("#"):
                    add(stream, id_, field)
                elif field == f"#{stream}:{id_}":
                    add(stream, id_, "#")
        return found

    def returned(self) -> Sequence[Node]:
        """Records of groups that wait because one of theirs is said to have come back."""
        return [(side_of(row.stream), row.id) for row in self.ledger.fetch(_RETURNED)]

    def approved(self, object_name: str) -> bool:
        """Whether a brake of the object's mapping is lifted by name."""
        side = OLD if object_name[:1].isupper() else NEW
        c = t.approvals.c
        query = sa.select(sa.func.count()).where(c.mapping == shape_of(side, object_name).name, c.who != "")
        with self.ledger.read() as connection:
            return bool(connection.execute(query).scalar())

    def is_rebuilt(self) -> bool:
        """Whether a lost store's crosswalk is whole again, and a person has not let it count yet."""
        return any(row.value == REBUILT for row in self.ledger.fetch(_RESTORED))

    def rows(self, table: sa.Table) -> list[Mapping[str, Any]]:
        """All rows of a table, for reports and tests."""
        with self.ledger.read() as connection:
            return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def side_of(stream: str) -> str:
    """The side of a stream."""
    return OLD if "/" in stream else NEW


def _values(text: str, side: str) -> list[Value]:
    """Values that a conflict row has of one side."""
    return [
        value
        for member in from_text(text)["members"]
        if side_of(member["stream"]) == side
        for value in member["values"].values()
    ]
