"""The durable state of the two-way sync: a few readings, and four kinds of transaction that alone change it.

Each transaction checks the fencing number of the lease inside itself, and passes a boundary on both sides. Nothing remote
is ever called within one. Numbers are given out here, in order, so that a run that is repeated gives the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.boundary import boundary
from migrator.core.twoway import Evidence, EvidenceKind, Which
from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger
from migrator.sync.state import (
    LIVE,
    UNLISTED,
    Changes,
    ConflictRow,
    DeferredRow,
    DirtyRow,
    HoldRow,
    Intent,
    Key,
    MemberRow,
    Part,
    Tombstone,
    Watermark,
)  # fmt: skip
from migrator.sync.values import from_text, to_text

_CHUNK = 500
_CHANGES = "crosswalk"
"""The fact that says how many changes the crosswalk has seen."""
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_CURRENT = t.members.c.until.is_(None)


class SyncStore:
    """State in a ledger. `passing` is told each boundary; the real one unless a simulation listens."""

    def __init__(self, ledger: Ledger, passing: Callable[[str], None] = boundary) -> None:
        self.ledger = ledger
        self._passing = passing
        self._change = self._group = self._intent = self._conflict = self._event = 0

    # ---- numbers

    def open(self) -> None:
        """Continue the numbers where the ledger has them; once the lease is held."""
        with self.ledger.read() as connection:

            def last(*columns: sa.Column[Any]) -> int:
                return max(
                    (connection.execute(sa.select(sa.func.max(c))).scalar() or 0 for c in columns), default=0
                )

            noted = connection.execute(sa.select(t.state.c.value).where(t.state.c.name == _CHANGES)).scalar()
            # a look at every row, which only a ledger that was never written to by the sync needs
            self._change = int(noted) if noted else last(t.members.c.since, t.members.c.until)
            self._group = last(t.members.c.grp)
            self._intent = last(t.intents.c.number)
            self._conflict = last(t.conflicts.c.number)
            self._event = last(t.events.c.number)

    def next_group(self) -> int:
        """A fresh number of a group."""
        self._group += 1
        return self._group

    def next_intent(self) -> int:
        """A fresh number of an intent."""
        self._intent += 1
        return self._intent

    # ---- reading

    def members(self, keys: Iterable[Key]) -> dict[Key, MemberRow]:
        """Current members among these records."""
        wanted: dict[str, dict[str, None]] = {}
        for stream, name in keys:
            wanted.setdefault(stream, {})[name] = None
        found: dict[Key, MemberRow] = {}
        query = sa.select(t.members).where(
            t.members.c.stream == sa.bindparam("of"), t.members.c.id.in_(_IDS), _CURRENT
        )
        with self.ledger.read() as connection:
            for stream, ids in wanted.items():
                for some in _chunks(list(ids)):
                    for row in connection.execute(query, {"of": stream, "ids": some}):
                        found[row.stream, row.id] = _member(row)
        return found

    def members_of(self, groups: Sequence[int]) -> dict[int, list[MemberRow]]:
        """Current members of groups, those that lead first, then by stream and id."""
        query = (
            sa.select(t.members)
            .where(t.members.c.grp.in_(_IDS), _CURRENT)
            .order_by(t.members.c.grp, t.members.c.leads.desc(), t.members.c.stream, t.members.c.id)
        )
        found: dict[int, list[MemberRow]] = {}
        for row in self._many(query, groups):
            found.setdefault(row.grp, []).append(_member(row))
        return found

    def versions(self, stream: str, ids: Sequence[str]) -> dict[str, str]:
        """Versions that were last decided on, of linked records."""
        query = sa.select(t.members.c.id, t.members.c.version).where(
            t.members.c.stream == stream, t.members.c.id.in_(_IDS), _CURRENT, t.members.c.state == LIVE
        )
        return {row.id: row.version for row in self._many(query, ids)}

    def queue(self, streams: Sequence[str], now: datetime) -> list[DirtyRow]:
        """What is due of these streams, oldest first; but what may be a merge before all else: it says who belongs to whom."""
        merged = sa.or_(
            t.dirty.c.why == UNLISTED,
            sa.exists().where(
                t.evidence.c.stream == t.dirty.c.stream,
                t.evidence.c.id == t.dirty.c.id,
                t.evidence.c.kind == EvidenceKind.MERGED.value,
            ),
        )
        query = (
            sa.select(t.dirty)
            .where(
                t.dirty.c.stream.in_(streams),
                sa.or_(t.dirty.c.not_before.is_(None), t.dirty.c.not_before <= now),
            )
            .order_by(~merged, t.dirty.c.since, t.dirty.c.stream, t.dirty.c.id)
        )
        with self.ledger.read() as connection:
            return [DirtyRow(**row._mapping) for row in connection.execute(query)]

    def dirty_rows(self, keys: Sequence[Key]) -> dict[Key, DirtyRow]:
        """The queue's rows of these records."""
        query = sa.select(t.dirty).where(sa.tuple_(t.dirty.c.stream, t.dirty.c.id).in_(_IDS))
        return {(row.stream, row.id): DirtyRow(**row._mapping) for row in self._many(query, keys)}

    def held(self, mapping: str) -> list[HoldRow]:
        """All holds of a mapping."""
        query = (
            sa.select(t.holds).where(t.holds.c.mapping == mapping).order_by(t.holds.c.grp, t.holds.c.field)
        )
        with self.ledger.read() as connection:
            return [HoldRow(**row._mapping) for row in connection.execute(query)]

    def deferred(self) -> list[DeferredRow]:
        """All links that wait."""
        columns = (t.deferred.c.grp, t.deferred.c.field, t.deferred.c.mapping, t.deferred.c.record)
        with self.ledger.read() as connection:
            return [
                DeferredRow(**row._mapping)
                for row in connection.execute(
                    sa.select(*columns).order_by(t.deferred.c.grp, t.deferred.c.field)
                )
            ]

    def awaited_by(self, grp: int) -> list[tuple[str, str]]:
        """Mapping and record of each link of a group that waits."""
        query = sa.select(t.deferred.c.mapping, t.deferred.c.record).where(t.deferred.c.grp == grp)
        with self.ledger.read() as connection:
            return [
                (row.mapping, row.record) for row in connection.execute(query.order_by(t.deferred.c.field))
            ]

    def intents(self) -> list[Intent]:
        """All that were committed and not settled, in order."""
        with self.ledger.read() as connection:
            return [
                Intent(row.number, row.grp, row.kind, row.stream, row.id, row.key, from_text(row.body))
                for row in connection.execute(sa.select(t.intents).order_by(t.intents.c.number))
            ]

    def watermarks(self) -> dict[str, Watermark]:
        """By stream."""
        with self.ledger.read() as connection:
            return {
                row.stream: Watermark(**{**row._mapping, "changed": tuple(json.loads(row.changed))})
                for row in connection.execute(sa.select(t.watermarks))
            }

    def evidence(self, keys: Sequence[Key]) -> dict[Key, list[tuple[Evidence, bool]]]:
        """What was proved about records, and whether the sync itself did it."""
        query = (
            sa.select(t.evidence)
            .where(sa.tuple_(t.evidence.c.stream, t.evidence.c.id).in_(_IDS))
            .order_by(t.evidence.c.stream, t.evidence.c.id, t.evidence.c.seen_at, t.evidence.c.version)
        )
        found: dict[Key, list[tuple[Evidence, bool]]] = {}
        for row in self._many(query, keys):
            proof = Evidence(
                EvidenceKind(row.kind), row.id, row.version, row.stamp, row.into,
                tuple((one, other) for one, other in json.loads(row.became)), row.how,
            )  # fmt: skip
            found.setdefault((row.stream, row.id), []).append((proof, row.ours))
        return found

    def tombstones(self, keys: Sequence[Key]) -> dict[Key, Tombstone]:
        """Those of these records."""
        query = sa.select(
            t.tombstones.c.stream,
            t.tombstones.c.id,
            t.tombstones.c.grp,
            t.tombstones.c.version,
            t.tombstones.c.key_hash,
        ).where(sa.tuple_(t.tombstones.c.stream, t.tombstones.c.id).in_(_IDS))
        return {(row.stream, row.id): Tombstone(**row._mapping) for row in self._many(query, keys)}

    def resolutions(self) -> dict[int, dict[str, tuple[str, Which]]]:
        """What people decided and is not carried out yet: group → field → digest of the conflict, the side that stands."""
        c = t.conflicts.c
        query = sa.select(c.grp, c.field, c.digest, c.winner).where(c.state == "resolved").order_by(c.number)
        found: dict[int, dict[str, tuple[str, Which]]] = {}
        with self.ledger.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.grp, {})[row.field] = (row.digest, Which(row.winner))
        return found

    def fact(self, name: str) -> str:
        """A single fact; '' when it was never noted."""
        with self.ledger.read() as connection:
            return connection.execute(sa.select(t.state.c.value).where(t.state.c.name == name)).scalar() or ""

    def note(self, name: str, value: str) -> None:
        """Keep a single fact, under the lease."""
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            _put(connection, t.state, ("name",), [{"name": name, "value": value}])

    def _many(self, query: sa.Select[Any], values: Sequence[Any]) -> Iterator[Any]:
        with self.ledger.read() as connection:
            for some in _chunks(values):
                yield from connection.execute(query, {"ids": some}).all()

    # ---- the four transactions

    def commit(self, part: Part, changes: Changes) -> None:
        """Carry out one transaction: all of it, or nothing. Raises `SafetyStop` when the lease was taken over."""
        if not changes:
            return
        self._passing(f"sync.{part.value}.before")
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            self._apply(connection, changes)
        self._passing(f"sync.{part.value}.after")

    def _apply(self, connection: Connection, changes: Changes) -> None:
        now, run = self.ledger.clock.now(), self.ledger.run
        told: list[tuple[str, Mapping[str, Any]]] = []
        self._members(connection, changes, told)
        _delete(connection, t.dirty, ("stream", "id"), changes.clean)
        _put(
            connection,
            t.dirty,
            ("stream", "id"),
            [_plain(row) for row in _last(changes.dirty)],
        )
        _put(
            connection, t.watermarks, ("stream",),
            [{**_plain(row), "changed": json.dumps(row.changed)} for row in changes.watermarks],
        )  # fmt: skip
        _insert(
            connection, t.intents,
            [{**_plain(row), "body": to_text(row.body), "run": run, "at": now} for row in changes.intents],
        )  # fmt: skip
        _delete(connection, t.intents, ("number",), [(number,) for number in changes.settled])
        self._conflicts(connection, changes, told, now, run)
        _delete(connection, t.holds, ("grp", "field"), changes.released)
        _put(connection, t.holds, ("grp", "field"), [_plain(row) for row in changes.holds])
        self._life(connection, changes, told, now, run)
        _delete(connection, t.deferred, ("grp", "field"), changes.filled)
        _put(
            connection,
            t.deferred,
            ("grp", "field"),
            [{**_plain(row), "since": now} for row in changes.deferred],
        )
        self._mismatches(connection, changes, now)
        if told:
            journal.append_all(connection, told, at=now, run=run)

    def _members(
        self, connection: Connection, changes: Changes, told: list[tuple[str, Mapping[str, Any]]]
    ) -> None:
        c = t.members.c
        before = self._change
        if changes.closed:
            self._change += 1
            connection.execute(
                t.members.update()
                .where(c.stream == sa.bindparam("s"), c.id == sa.bindparam("i"), c.until.is_(None))
                .values(until=self._change),
                [{"s": row.stream, "i": row.id} for row in changes.closed],
            )
            told.append(_crosswalk("close", self._change, changes.closed))
        fresh = [row for row in changes.members if row.since < 0]
        known = [row for row in changes.members if row.since >= 0]
        if known:
            connection.execute(
                t.members.update()
                .where(c.stream == sa.bindparam("s"), c.id == sa.bindparam("i"), c.until.is_(None))
                .values(
                    state=sa.bindparam("st"), leads=sa.bindparam("le"), version=sa.bindparam("v"),
                    base=sa.bindparam("b"), seen=sa.bindparam("se"),
                ),
                [
                    {"s": row.stream, "i": row.id, "st": row.state, "le": row.leads, "v": row.version,
                     "b": to_text(row.base), "se": row.seen}
                    for row in known
                ],
            )  # fmt: skip
        if fresh:
            self._change += 1
            connection.execute(t.members.insert(), [_stored(row, self._change) for row in fresh])
            told.append(_crosswalk("open", self._change, fresh))
        if self._change != before:
            _put(connection, t.state, ("name",), [{"name": _CHANGES, "value": str(self._change)}])

    def _conflicts(
        self,
        connection: Connection,
        changes: Changes,
        told: list[tuple[str, Mapping[str, Any]]],
        now: datetime,
        run: str,
    ) -> None:
        c = t.conflicts.c
        if changes.resolved:
            connection.execute(
                t.conflicts.update()
                .where(
                    c.grp == sa.bindparam("g"),
                    c.field == sa.bindparam("f"),
                    sa.or_(c.state == "open", c.state == "resolved"),
                )
                .values(state="closed"),
                [{"g": grp, "f": name} for grp, name in changes.resolved],
            )
        for row in changes.conflicts:
            there = connection.execute(
                sa.select(c.number, c.state).where(
                    c.grp == row.grp, c.field == row.field, c.digest == row.digest
                )
            ).first()
            if there is not None:
                if row.state == "open" and there.state == "closed":
                    connection.execute(
                        t.conflicts.update().where(c.number == there.number).values(state="open")
                    )
                continue
            self._conflict += 1
            connection.execute(t.conflicts.insert(), [self._conflict_row(row, now, run)])
            told.append(
                ("conflict", {"number": self._conflict, "mapping": row.mapping, "group": row.grp, "field": row.field,
                              "verdict": row.verdict, "policy": row.policy, "digest": row.digest})
            )  # fmt: skip

    def _conflict_row(self, row: ConflictRow, now: datetime, run: str) -> dict[str, Any]:
        return {
            **_plain(row), "number": self._conflict, "at": now, "run": run, "winner": "", "who": "", "note": "",
            "resolved_at": None,
        }  # fmt: skip

    def _mismatches(self, connection: Connection, changes: Changes, now: datetime) -> None:
        """Passes in a row: those found again grow older, those not found by the newest comparison are gone."""
        c = t.mismatches.c
        for mark in changes.watermarks:
            if mark.scanned_at != mark.pulled_at:
                continue
            found = {item[1]: item for item in changes.mismatches if item[0] == mark.stream}
            known = {
                row.id: row
                for row in connection.execute(sa.select(t.mismatches).where(c.stream == mark.stream)).all()
            }
            connection.execute(t.mismatches.delete().where(c.stream == mark.stream))
            rows = [
                {"stream": stream, "id": name, "kind": kind, "generation": generation,
                 "since": known[name].since if name in known else now,
                 "passes": known[name].passes + 1 if name in known else 1}
                for stream, name, kind, generation in found.values()
            ]  # fmt: skip
            _insert(connection, t.mismatches, rows)

    def _life(
        self,
        connection: Connection,
        changes: Changes,
        told: list[tuple[str, Mapping[str, Any]]],
        now: datetime,
        run: str,
    ) -> None:
        proofs = [
            {"stream": stream, "id": item.id, "kind": item.kind.value, "version": item.version, "into": item.into,
             "became": json.dumps(item.became), "how": item.how, "stamp": item.stamp, "seen_at": now, "ours": ours}
            for stream, item, ours in changes.evidence
        ]  # fmt: skip
        _new(connection, t.evidence, ("stream", "id", "kind", "version"), proofs)
        _delete(connection, t.tombstones, ("stream", "id"), changes.raised)
        _put(
            connection,
            t.tombstones,
            ("stream", "id"),
            [{**_plain(row), "at": now} for row in changes.tombstones],
        )
        told += [
            ("delete", {"stream": row.stream, "id": row.id, "group": row.grp}) for row in changes.tombstones
        ]
        rows = []
        for row in changes.events:
            self._event += 1
            rows.append(
                {"number": self._event, "mapping": row.mapping, "grp": row.grp, "stream": row.stream, "id": row.id,
                 "kind": row.kind, "detail": to_text(row.detail), "run": run, "at": now}
            )  # fmt: skip
        _insert(connection, t.events, rows)


def _crosswalk(do: str, change: int, rows: Sequence[MemberRow]) -> tuple[str, Mapping[str, Any]]:
    """The journal's row of one change of the crosswalk: replayed in order they give the table."""
    named = [[row.stream, row.id, row.grp, row.leads] for row in rows]
    return "crosswalk", {"do": do, "at": change, "members": named}


def _member(row: Any) -> MemberRow:
    return MemberRow(
        row.stream, row.id, Which(row.side), row.grp, row.state, row.leads, row.version, from_text(row.base), row.seen,
        row.since,
    )  # fmt: skip


def _stored(row: MemberRow, change: int) -> dict[str, Any]:
    return {
        "stream": row.stream, "id": row.id, "since": change, "until": None, "side": row.which.value, "grp": row.grp,
        "state": row.state, "leads": row.leads, "version": row.version, "base": to_text(row.base), "seen": row.seen,
    }  # fmt: skip


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _last(rows: Sequence[DirtyRow]) -> list[DirtyRow]:
    """Of rows with one key the last."""
    return list({row.key: row for row in rows}.values())


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _insert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), list(rows))


def _delete(
    connection: Connection, table: sa.Table, names: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> None:
    if keys:
        where = [table.c[name] == sa.bindparam(f"k_{name}") for name in names]
        connection.execute(
            table.delete().where(*where),
            [{f"k_{name}": part for name, part in zip(names, key, strict=True)} for key in keys],
        )


def _put(
    connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """The last word on each key stands."""
    unique = {tuple(row[name] for name in names): row for row in rows}
    _delete(connection, table, names, list(unique))
    _insert(connection, table, list(unique.values()))


def _new(
    connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Rows whose keys are not there yet."""
    if rows:
        from sqlalchemy.dialects import postgresql, sqlite

        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        unique = list({tuple(row[name] for name in names): row for row in rows}.values())
        connection.execute(dialect.insert(table).on_conflict_do_nothing(index_elements=list(names)), unique)
