"""The durable state of the two-way sync: a few readings, and four kinds of transaction that alone change it.

Each transaction checks the fencing number of the lease inside itself, and passes a boundary on both sides. Nothing remote
is ever called within one. Numbers are given out here, in order, so that a run that is repeated gives the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.boundary import boundary
from migrator.core.twoway import Evidence, EvidenceKind, Which
from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger, storable
from migrator.staging.prepared import Prepared, among
from migrator.sync.state import (
    LIVE,
    MEMBER,
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
_CURRENT = t.members.c.until.is_(None)

_OF: sa.BindParameter[Any] = sa.bindparam("of")
_M, _D, _E, _C = t.members.c, t.dirty.c, t.evidence.c, t.conflicts.c

_MEMBERS = Prepared(lambda d: sa.select(t.members).where(_M.stream == _OF, among(d, _M.id), _CURRENT))
_MEMBERS_OF = Prepared(
    lambda d: (
        sa.select(t.members)
        .where(among(d, _M.grp), _CURRENT)
        .order_by(_M.grp, _M.leads.desc(), _M.stream, _M.id)
    )
)
_VERSIONS = Prepared(
    lambda d: sa.select(_M.id, _M.version).where(
        _M.stream == _OF, among(d, _M.id), _CURRENT, _M.state == LIVE
    )
)
_MERGED = sa.or_(
    _D.why == UNLISTED,
    sa.exists().where(_E.stream == _D.stream, _E.id == _D.id, _E.kind == EvidenceKind.MERGED.value),
)
_QUEUE = Prepared(
    lambda d: (
        sa.select(t.dirty)
        .where(
            among(d, _D.stream),
            sa.or_(
                _D.not_before.is_(None), _D.not_before <= sa.bindparam("moment", type_=_D.not_before.type)
            ),
        )
        .order_by(~_MERGED, _D.since, _D.stream, _D.id)
    )
)
_DIRTY = Prepared(lambda d: sa.select(t.dirty).where(among(d, _D.stream, _D.id)))
_HELD = Prepared(sa.select(t.holds).where(t.holds.c.mapping == _OF).order_by(t.holds.c.grp, t.holds.c.field))
_DEFERRED = Prepared(
    sa.select(t.deferred.c.grp, t.deferred.c.field, t.deferred.c.mapping, t.deferred.c.record).order_by(
        t.deferred.c.grp, t.deferred.c.field
    )
)
_AWAITED = Prepared(
    sa.select(t.deferred.c.mapping, t.deferred.c.record)
    .where(t.deferred.c.grp == _OF)
    .order_by(t.deferred.c.field)
)
_INTENTS = Prepared(sa.select(t.intents).order_by(t.intents.c.number))
_WATERMARKS = Prepared(sa.select(t.watermarks))
_EVIDENCE = Prepared(
    lambda d: (
        sa.select(t.evidence)
        .where(among(d, _E.stream, _E.id))
        .order_by(_E.stream, _E.id, _E.seen_at, _E.version)
    )
)
_LOSERS = Prepared(
    lambda d: (
        sa.select(_E.stream, _E.id, _E.into)
        .where(among(d, _E.stream, _E.into), _E.kind == EvidenceKind.MERGED.value)
        .order_by(_E.stream, _E.id)
    )
)
_OURS = Prepared(
    lambda d: (
        sa.select(_E.id)
        .where(
            among(d, _E.stream),
            _E.ours,
            _E.stamp >= sa.bindparam("since", type_=_E.stamp.type),
            _E.stamp <= sa.bindparam("until", type_=_E.stamp.type),
        )
        .limit(1)
    )
)
_STONES = t.tombstones.c
_TOMBSTONES = Prepared(
    lambda d: sa.select(_STONES.stream, _STONES.id, _STONES.grp, _STONES.version, _STONES.key_hash).where(
        among(d, _STONES.stream, _STONES.id)
    )
)
_ASKED = Prepared(
    sa.select(_C.grp, _C.field, _C.digest).where(
        sa.or_(_C.state == "open", _C.state == "resolved"),
        sa.or_(_C.field == "", _C.field.startswith(MEMBER, autoescape=True)),
    )
)
_RESOLVED = Prepared(
    sa.select(_C.grp, _C.field, _C.digest, _C.winner).where(_C.state == "resolved").order_by(_C.number)
)
_FACT = Prepared(sa.select(t.state.c.value).where(t.state.c.name == _OF))
_LAST_SINCE, _LAST_UNTIL, _LAST_GROUP, _LAST_INTENT, _LAST_CONFLICT, _LAST_EVENT = (
    Prepared(sa.select(sa.func.max(column).label("last")))
    for column in (_M.since, _M.until, _M.grp, t.intents.c.number, _C.number, t.events.c.number)
)
_ITS_ROW = (_M.stream == sa.bindparam("s"), _M.id == sa.bindparam("i"), _CURRENT)
_CLOSE = Prepared(t.members.update().where(*_ITS_ROW).values(until=sa.bindparam("change")))
_CHANGE = Prepared(
    t.members.update()
    .where(*_ITS_ROW)
    .values(
        state=sa.bindparam("st"), leads=sa.bindparam("le"), version=sa.bindparam("v"), base=sa.bindparam("b"),
        seen=sa.bindparam("se"), owed=sa.bindparam("ow"),
    )
)  # fmt: skip
_ITS_FIELD = (_C.grp == sa.bindparam("g"), _C.field == sa.bindparam("f"))
_SETTLE = Prepared(
    t.conflicts.update()
    .where(*_ITS_FIELD, sa.or_(_C.state == "open", _C.state == "resolved"))
    .values(state="closed")
)
_KNOWN = Prepared(sa.select(_C.number, _C.state).where(*_ITS_FIELD, _C.digest == sa.bindparam("d")))
_REOPEN = Prepared(t.conflicts.update().where(_C.number == sa.bindparam("n")).values(state="open"))
_MISMATCHES = Prepared(sa.select(t.mismatches).where(t.mismatches.c.stream == _OF))


class SyncStore:
    """State in a ledger. `passing` is told each boundary; the real one unless a simulation listens."""

    def __init__(self, ledger: Ledger, passing: Callable[[str], None] = boundary) -> None:
        self.ledger = ledger
        self._passing = passing
        self._change = self._group = self._intent = self._conflict = self._event = 0

    # ---- numbers

    def open(self) -> None:
        """Continue the numbers where the ledger has them; once the lease is held."""

        def last(*queries: Prepared) -> int:
            return max(int(self.ledger.fetch(query)[0].last or 0) for query in queries)

        noted = self.fact(_CHANGES)
        # a look at every row, which only a ledger that was never written to by the sync needs
        self._change = int(noted) if noted else last(_LAST_SINCE, _LAST_UNTIL)
        self._group = last(_LAST_GROUP)
        self._intent = last(_LAST_INTENT)
        self._conflict = last(_LAST_CONFLICT)
        self._event = last(_LAST_EVENT)

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
        for stream, ids in wanted.items():
            for some in _chunks(list(ids)):
                for row in self.ledger.fetch(_MEMBERS, {"of": stream, "ids": some}):
                    found[row.stream, row.id] = _member(row)
        return found

    def members_of(self, groups: Sequence[int]) -> dict[int, list[MemberRow]]:
        """Current members of groups, those that lead first, then by stream and id."""
        found: dict[int, list[MemberRow]] = {}
        for row in self._many(_MEMBERS_OF, groups):
            found.setdefault(row.grp, []).append(_member(row))
        return found

    def versions(self, stream: str, ids: Sequence[str]) -> dict[str, str]:
        """Versions that were last decided on, of linked records."""
        return {row.id: row.version for row in self._many(_VERSIONS, ids, of=stream)}

    def queue(self, streams: Sequence[str], now: datetime) -> list[DirtyRow]:
        """What is due of these streams, oldest first; but what may be a merge before all else: it says who belongs to whom."""
        return [
            DirtyRow(**row._asdict())
            for row in self.ledger.fetch(_QUEUE, {"ids": list(streams), "moment": now})
        ]

    def dirty_rows(self, keys: Sequence[Key]) -> dict[Key, DirtyRow]:
        """The queue's rows of these records."""
        return {(row.stream, row.id): DirtyRow(**row._asdict()) for row in self._many(_DIRTY, keys)}

    def held(self, mapping: str) -> list[HoldRow]:
        """All holds of a mapping."""
        return [HoldRow(**row._asdict()) for row in self.ledger.fetch(_HELD, {"of": mapping})]

    def deferred(self) -> list[DeferredRow]:
        """All links that wait."""
        return [DeferredRow(**row._asdict()) for row in self.ledger.fetch(_DEFERRED)]

    def awaited_by(self, grp: int) -> list[tuple[str, str]]:
        """Mapping and record of each link of a group that waits."""
        return [(row.mapping, row.record) for row in self.ledger.fetch(_AWAITED, {"of": grp})]

    def intents(self) -> list[Intent]:
        """All that were committed and not settled, in order."""
        return [
            Intent(row.number, row.grp, row.kind, row.stream, row.id, row.key, from_text(row.body))
            for row in self.ledger.fetch(_INTENTS)
        ]

    def watermarks(self) -> dict[str, Watermark]:
        """By stream."""
        return {
            row.stream: Watermark(**{**row._asdict(), "changed": tuple(json.loads(row.changed))})
            for row in self.ledger.fetch(_WATERMARKS)
        }

    def evidence(self, keys: Sequence[Key]) -> dict[Key, list[tuple[Evidence, bool]]]:
        """What was proved about records, and whether the sync itself did it."""
        found: dict[Key, list[tuple[Evidence, bool]]] = {}
        for row in self._many(_EVIDENCE, keys):
            proof = Evidence(
                EvidenceKind(row.kind), row.id, row.version, row.stamp, row.into,
                tuple((one, other) for one, other in json.loads(row.became)), row.how,
            )  # fmt: skip
            found.setdefault((row.stream, row.id), []).append((proof, row.ours))
        return found

    def deleted_by_us(self, streams: Sequence[str], since: datetime, until: datetime) -> bool:
        """Whether the sync itself deleted a record of these streams in that time, by the clock of their system."""
        span = {"ids": list(streams), "since": since, "until": until}
        return bool(self.ledger.fetch(_OURS, span))

    def merged_into(self, keys: Sequence[Key]) -> list[tuple[Key, Key]]:
        """Which of these records others were merged into, by all that was proved: master and loser."""
        return [((row.stream, row.into), (row.stream, row.id)) for row in self._many(_LOSERS, keys)]

    def tombstones(self, keys: Sequence[Key]) -> dict[Key, Tombstone]:
        """Those of these records."""
        return {(row.stream, row.id): Tombstone(**row._asdict()) for row in self._many(_TOMBSTONES, keys)}

    def asked(self) -> frozenset[tuple[int, str, str]]:
        """Questions about whole records that are open, or answered and not carried out: group, name of the hold, digest."""
        return frozenset((row.grp, row.field, row.digest) for row in self.ledger.fetch(_ASKED, {}))

    def resolutions(self) -> dict[int, dict[str, tuple[str, Which]]]:
        """What people decided and is not carried out yet: group → field → digest of the conflict, the side that stands."""
        found: dict[int, dict[str, tuple[str, Which]]] = {}
        for row in self.ledger.fetch(_RESOLVED):
            found.setdefault(row.grp, {})[row.field] = (row.digest, Which(row.winner))
        return found

    def fact(self, name: str) -> str:
        """A single fact; '' when it was never noted."""
        return next((str(row.value) for row in self.ledger.fetch(_FACT, {"of": name})), "")

    def note(self, name: str, value: str) -> None:
        """Keep a single fact, under the lease where it is held."""
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            keep_fact(connection, name, value)

    def _many(self, query: Prepared, values: Sequence[Any], **others: Any) -> Iterator[Any]:
        for some in _chunks(values):
            yield from self.ledger.fetch(query, {**others, "ids": some})

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
        before = self._change
        if changes.closed:
            self._change += 1
            _CLOSE.run(
                connection,
                [{"s": row.stream, "i": row.id, "change": self._change} for row in changes.closed],
            )
            told.append(_crosswalk("close", self._change, changes.closed))
        fresh = [row for row in changes.members if row.since < 0]
        known = [row for row in changes.members if row.since >= 0]
        if known:
            _CHANGE.run(
                connection,
                [
                    {"s": row.stream, "i": row.id, "st": row.state, "le": row.leads, "v": row.version,
                     "b": to_text(row.base), "se": row.seen, "ow": json.dumps(row.owed)}
                    for row in known
                ],
            )  # fmt: skip
        if fresh:
            self._change += 1
            _insert(connection, t.members, [_stored(row, self._change) for row in fresh])
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
        _SETTLE.run(connection, [{"g": grp, "f": name} for grp, name in changes.resolved])
        for row in changes.conflicts:
            known = _KNOWN.all(connection, {"g": row.grp, "f": row.field, "d": row.digest})
            if known:
                if row.state == "open" and known[0].state == "closed":
                    _REOPEN.run(connection, [{"n": known[0].number}])
                continue
            self._conflict += 1
            _insert(connection, t.conflicts, [self._conflict_row(row, now, run)])
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
        for mark in changes.watermarks:
            if mark.scanned_at != mark.pulled_at:
                continue
            found = {item[1]: item for item in changes.mismatches if item[0] == mark.stream}
            known = {row.id: row for row in _MISMATCHES.all(connection, {"of": mark.stream})}
            _delete(connection, t.mismatches, ("stream",), [(mark.stream,)])
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


def not_a_member() -> sa.ColumnElement[bool]:
    """Of a row of the queue: its record belongs to no group."""
    return ~sa.exists().where(_M.stream == _D.stream, _M.id == _D.id, _CURRENT)


def keep_fact(connection: Connection, name: str, value: str) -> None:
    """Keep a single fact inside the caller's transaction: the last one stands. People need no lease for theirs."""
    _put(connection, t.state, ("name",), [{"name": name, "value": storable(value)}])


def _crosswalk(do: str, change: int, rows: Sequence[MemberRow]) -> tuple[str, Mapping[str, Any]]:
    """The journal's row of one change of the crosswalk: replayed in order they give the table."""
    named = [[row.stream, row.id, row.grp, row.leads] for row in rows]
    return "crosswalk", {"do": do, "at": change, "members": named}


def _member(row: Any) -> MemberRow:
    return MemberRow(
        row.stream, row.id, Which(row.side), row.grp, row.state, row.leads, row.version, from_text(row.base), row.seen,
        row.since, {name: tuple((of, one) for of, one in keys) for name, keys in json.loads(row.owed).items()},
    )  # fmt: skip


def _stored(row: MemberRow, change: int) -> dict[str, Any]:
    return {
        "stream": row.stream, "id": row.id, "since": change, "until": None, "side": row.which.value, "grp": row.grp,
        "state": row.state, "leads": row.leads, "version": row.version, "base": to_text(row.base), "seen": row.seen,
        "owed": json.dumps(row.owed),
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
        _inserting(table, tuple(rows[0])).run(connection, rows)


def _delete(
    connection: Connection, table: sa.Table, names: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> None:
    _deleting(table, tuple(names)).run(
        connection, [{f"k_{name}": part for name, part in zip(names, key, strict=True)} for key in keys]
    )


@cache
def _inserting(table: sa.Table, names: tuple[str, ...]) -> Prepared:
    del names  # every row of one statement has the same
    return Prepared(table.insert())


@cache
def _deleting(table: sa.Table, names: tuple[str, ...]) -> Prepared:
    return Prepared(table.delete().where(*(table.c[name] == sa.bindparam(f"k_{name}") for name in names)))


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
    unique = list({tuple(row[name] for name in names): row for row in rows}.values())
    _inserting_new(table, tuple(names)).run(connection, unique)


@cache
def _inserting_new(table: sa.Table, names: tuple[str, ...]) -> Prepared:
    from sqlalchemy.dialects import postgresql, sqlite

    def make(dialect: str) -> sa.Executable:
        kind = postgresql if dialect == "postgresql" else sqlite
        statement: sa.Executable = kind.insert(table).on_conflict_do_nothing(index_elements=list(names))
        return statement

    return Prepared(make)
