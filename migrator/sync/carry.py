"""Values led across by the translator, a batch at a time, and links led through the crosswalk of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrator.core.translation import DEFERRED, EXCLUDED, FAILED, NAMES_TYPE, ROW_ID, UNREADABLE, Translator
from migrator.core.twoway import UNREADABLE as UNREAD
from migrator.core.twoway import Value
from migrator.staging.prepared import Prepared, among
from migrator.staging.sync_tables import holds, members
from migrator.sync.decide import Carried, Failed, Pending
from migrator.sync.state import LIVE
from migrator.sync.store import SyncStore
from migrator.sync.streams import Stream

_OWN = frozenset({ROW_ID, FAILED, EXCLUDED, DEFERRED, UNREADABLE})


@dataclass(frozen=True, slots=True)
class Carry:
    """One record as the other side would hold it."""

    values: Mapping[str, Carried]
    excluded: str = ""
    """Why the mapping says that it does not move."""
    whole: Failed | None = None
    """Why no record can be made of it."""
    required: tuple[str, ...] = field(default=())


def carry(
    translator: Translator, stream: Stream, rows: Sequence[tuple[str, Mapping[str, Value]]], to: Stream
) -> list[Carry]:
    """Rows (id, values) of `stream` in the form of `to`; one of the two is old, and its pairs say how."""
    if not rows:
        return []
    table = _table(stream, rows)
    paired = (stream if stream.which.value == "old" else to).paired
    done = translator.to_new if stream.which.value == "old" else translator.to_old
    return _carries(done(paired.name, table))


def _table(stream: Stream, rows: Sequence[tuple[str, Mapping[str, Value]]]) -> pa.Table:
    columns: dict[str, pa.Array] = {ROW_ID: pa.array([name for name, _ in rows], pa.string())}
    unread: list[list[str]] = [[] for _ in rows]
    for name in stream.fields:
        cells: list[Any] = []
        for at, (_, values) in enumerate(rows):
            value = values.get(name, UNREAD)
            if value is UNREAD:
                unread[at].append(name)
                value = None
            cells.append(value)
        columns[name] = _array(cells)
    columns[UNREADABLE] = pa.array(unread, NAMES_TYPE)
    return pa.table(columns)


def _array(cells: Sequence[Any]) -> pa.Array:
    """Typed as the values are; text where a system speaks several types in one field."""
    try:
        found = pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _carries(table: pa.Table) -> list[Carry]:
    names = [name for name in table.column_names if name not in _OWN]
    columns = {name: table.column(name).to_pylist() for name in names}
    unread, failed = table.column(UNREADABLE).to_pylist(), table.column(FAILED).to_pylist()
    deferred, excluded = table.column(DEFERRED).to_pylist(), table.column(EXCLUDED).to_pylist()
    found = []
    for at in range(table.num_rows):
        values: dict[str, Carried] = {name: cells[at] for name, cells in columns.items()}
        whole = None
        for item in failed[at] or ():
            reason = Failed(item["rule"] or "", item["message"] or "")
            if item["field"]:
                values[item["field"]] = reason
            else:
                whole = reason
        for item in deferred[at] or ():
            values[item["field"]] = Pending(item["mapping"], item["record"])
        for name in unread[at] or ():
            values[name] = UNREAD
        found.append(Carry(values, excluded[at] or "", whole))
    return found


class StoredCrosswalk:
    """See `migrator.core.translation.Crosswalk`: live links of groups on which nothing is held as a whole."""

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    def new_ids(self, mapping: str, records: Sequence[str]) -> Mapping[str, str]:
        """'SOURCE:ID' → id of the live new record."""
        wanted: dict[str, list[str]] = {}
        for record in dict.fromkeys(records):
            source, _, name = record.partition(":")
            wanted.setdefault(f"{mapping}/{source}", []).append(name)
        return {
            f"{stream.partition('/')[2]}:{name}": partner
            for stream, ids in wanted.items()
            for name, (_, partner) in self._partners(stream, ids, "new").items()
        }

    def old_ids(self, mapping: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Id of a new record → 'SOURCE:ID' of its primary old record."""
        return {
            name: f"{stream.partition('/')[2]}:{partner}"
            for name, (stream, partner) in self._partners(mapping, list(dict.fromkeys(ids)), "old").items()
        }

    def _partners(self, stream: str, ids: Sequence[str], side: str) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for start in range(0, len(ids), 500):
            some = {"ids": list(ids[start : start + 500]), "of": stream, "there": side}
            for row in self._store.ledger.fetch(_PARTNERS, some):
                found[row.id] = (row.stream, row.partner)
        return found


def _partners_of(dialect: str) -> sa.Select[Any]:
    one, other = members.alias(), members.alias()
    there: sa.BindParameter[Any] = sa.bindparam("there")
    return (
        sa.select(one.c.id, other.c.stream, other.c.id.label("partner"))
        .join(other, sa.and_(other.c.grp == one.c.grp, other.c.until.is_(None), other.c.side == there))
        .where(
            one.c.stream == sa.bindparam("of"),
            among(dialect, one.c.id),
            other.c.state == LIVE,
            ~sa.exists().where(holds.c.grp == one.c.grp, holds.c.field == ""),
        )
        .order_by(one.c.since, other.c.leads, other.c.id.desc())
    )


_PARTNERS = Prepared(_partners_of)
