"""The journal: what must be provable later, only ever added to, each row bound by its hash to the one before.

A row that was altered, dropped, put elsewhere or slipped in breaks the chain, and `verify` says where. Rows cut off at
the end break nothing in the rows that are left: the ledger keeps the number and hash of the last one beside them, and a
head that was exported to another machine tells it even of somebody who rewrote both.

The hash of a row is SHA-256 over the JSON list of its previous hash, number, moment, kind, run and body. The body is kept
as the very text that was hashed, so that no database can change it by reading it differently. Values of persons do not
belong into it: what it tells stays, also after the person asked to be forgotten. Refer to them by id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.errors import SafetyStop
from migrator.staging.ledger_tables import journal as table
from migrator.staging.ledger_tables import meta
from migrator.staging.prepared import Prepared

Body: TypeAlias = Mapping[str, Any]
"""What a row tells: JSON, and dates, moments, decimals and enumerations, which are written as texts."""
START = "0" * 64
"""What stands for the hash before the first row."""
PAGE = 1_000
_HEAD = "journal_head"
_END = Prepared(sa.select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1))
_NOTED = Prepared(sa.select(meta.c.value).where(meta.c.name == _HEAD))
_KEEP = Prepared(meta.update().where(meta.c.name == _HEAD).values(value=sa.bindparam("head")))
_APPEND = Prepared(table.insert())


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal."""

    number: int
    at: datetime
    kind: str
    run: str
    body: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at some moment: how many rows there are, and the hash of the last one."""

    number: int = 0
    hash: str = START


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in the chain is not as it was written; `number` is the row where it shows."""

    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What a verification found."""

    rows: int
    head: Head
    flaws: tuple[Flaw, ...]

    @property
    def holds(self) -> bool:
        """Whether every row is as it was written, as far as can be told."""
        return not self.flaws


def append(connection: Connection, kind: str, body: Body, *, at: datetime, run: str = "") -> Head:
    """Add one row inside the caller's transaction: it stands exactly if the rest of the transaction does.

    `at` is the caller's clock; `run` the id of the command. Returns the new end of the chain. Raises `SafetyStop` when
    the end of the journal is not what was written last. Until the transaction ends, others who append wait.
    """
    return append_all(connection, [(kind, body)], at=at, run=run)


def append_all(
    connection: Connection, rows: Iterable[tuple[str, Body]], *, at: datetime, run: str = ""
) -> Head:
    """Add many rows, in their order, at the cost of one look at the end of the chain; otherwise like `append`."""
    head = _locked_end(connection)
    moment = at.astimezone(UTC)
    made = []
    for kind, body in rows:
        text = _written(body)
        number = head.number + 1
        digest = _digest(head.hash, number, moment, kind=kind, run=run, body=text)
        made.append(
            {"number": number, "at": moment, "kind": kind, "run": run, "body": text,
             "previous": head.hash, "hash": digest}
        )  # fmt: skip
        head = Head(number, digest)
    if made:
        _APPEND.run(connection, made)
        _keep(connection, head)
    return head


def end(connection: Connection) -> Head:
    """The end of the chain, to be kept on another machine."""
    rows = _END.all(connection)
    return Head(rows[0].number, rows[0].hash) if rows else Head()


def read(connection: Connection, *, after: int = 0, kinds: Sequence[str] = ()) -> Iterator[Entry]:
    """The rows after a number, of these kinds (of all for none), in their order; holds one page of them at a time.

    This is what a replay reads. It believes what it reads: `verify` first where that matters.
    """
    while True:
        query = sa.select(table).where(table.c.number > after).order_by(table.c.number).limit(PAGE)
        if kinds:
            query = query.where(table.c.kind.in_(list(kinds)))
        page = connection.execute(query).all()
        for row in page:
            yield Entry(row.number, row.at, row.kind, row.run, json.loads(row.body), row.previous, row.hash)
        if len(page) < PAGE:
            return
        after = page[-1].number


def verify(connection: Connection, exported: Sequence[Head] = ()) -> Audit:
    """Check every row against its hash and the one before, and heads that were exported earlier against the rows.

    Must be the first thing its transaction does: it looks at one moment of the journal, however long it takes and
    whoever appends meanwhile. Memory is that of one page and the heads. A chain that somebody calculated anew from some
    row on is told by a head exported after that row, and by nothing else.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    kept = {}
    wanted = {item.number for item in exported}
    flaws: list[Flaw] = []
    last, rows = Head(), 0
    for row in _raw(connection):
        flaws.extend(_flaws(row, last))
        last, rows = Head(row.number, row.hash), rows + 1
        if row.number in wanted:
            kept[row.number] = row.hash
    flaws.extend(_end_flaws(last, _noted(connection)))
    for item in exported:
        flaws.extend(_head_flaws(item, last, kept))
    return Audit(rows, last, tuple(flaws))


def _flaws(row: sa.Row[Any], last: Head) -> Iterator[Flaw]:
    if row.number > last.number + 1:
        missing = row.number - last.number - 1
        yield Flaw(row.number, f"{missing} row{'s' if missing > 1 else ''} before it are gone")
    elif row.previous != last.hash:
        yield Flaw(row.number, "the row before it is not the one it was written after")
    if _digest(row.previous, row.number, row.at, kind=row.kind, run=row.run, body=row.body) != row.hash:
        yield Flaw(row.number, "its content is not what was written")


def _end_flaws(last: Head, noted: Head) -> Iterator[Flaw]:
    if last.number < noted.number:
        yield Flaw(
            noted.number,
            f"the ledger noted {noted.number} rows, here are {last.number}: the last were cut off",
        )
    elif last != noted:
        yield Flaw(last.number, "the last row is not the one that the ledger noted as the last")


def _head_flaws(head: Head, last: Head, kept: Mapping[int, str]) -> Iterator[Flaw]:
    if head == Head():
        return
    if head.number > last.number:
        yield Flaw(
            head.number,
            f"an exported head knows of {head.number} rows, here are {last.number}: the last were cut off",
        )
    elif kept.get(head.number) != head.hash:
        yield Flaw(
            head.number, "it is not the row that an exported head knows: it or a row before it was rewritten"
        )


def _raw(connection: Connection) -> Iterator[sa.Row[Any]]:
    after = -1
    while page := connection.execute(
        sa.select(table).where(table.c.number > after).order_by(table.c.number).limit(PAGE)
    ).all():
        yield from page
        after = page[-1].number


def _locked_end(connection: Connection) -> Head:
    """The end of the chain, with everybody else who appends kept waiting; on SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7126055)"))
    found, noted = end(connection), _noted(connection)
    if found != noted:
        raise SafetyStop(
            f"the journal ends with row {found.number}, but row {noted.number} was written last: somebody changed it",
            hint="nothing was written; see what is wrong with: migrator audit verify, and restore the ledger from a backup",
        )
    return found


def _noted(connection: Connection) -> Head:
    rows = _NOTED.all(connection)
    text = (rows[0].value or "") if rows else ""
    number, _, digest = text.partition(" ")
    return Head(int(number), digest) if number.isdigit() else Head()


def _keep(connection: Connection, head: Head) -> None:
    text = f"{head.number} {head.hash}"
    if not _KEEP.run(connection, [{"head": text}]):
        connection.execute(meta.insert().values(name=_HEAD, value=text))


def _written(body: Body) -> str:
    # pure ASCII: every database keeps it as it is, also NUL and lone surrogates
    return json.dumps(dict(body), sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case Enum():
            return value.value
        case _:
            raise TypeError(f"a {type(value).__name__} cannot stand in the journal")


def _digest(previous: str, number: int, at: datetime, *, kind: str, run: str, body: str) -> str:
    text = json.dumps(
        [previous, number, at.astimezone(UTC).isoformat(timespec="microseconds"), kind, run, body]
    )
    return hashlib.sha256(text.encode()).hexdigest()
