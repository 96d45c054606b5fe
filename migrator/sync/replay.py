"""The crosswalk replayed from the journal, and compared with the one in its table: in memory that does not grow with either.

Both are added up from the hashes of their changes: who came into which group with which change, and who left with which. Equal
sums of 128 bits are equal crosswalks; somebody who changed the table by hand shows, and so does a table without its journal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.staging import journal
from migrator.staging.sync_tables import members

_PAGE = 5_000
_ALL = 1 << 128


@dataclass(slots=True)
class _Sum:
    """Changes of a crosswalk, in any order."""

    number: int = 0
    total: int = 0

    def add(self, *parts: object) -> None:
        """One change."""
        digest = hashlib.blake2b("\0".join(map(str, parts)).encode(errors="replace"), digest_size=16).digest()
        self.number, self.total = self.number + 1, (self.total + int.from_bytes(digest, "big")) % _ALL


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many changes the journal tells, how many the table shows, and whether they are the same ones."""

    told: int
    shown: int
    same: bool


def replay(connection: Connection) -> Replayed:
    """Replay all changes of the crosswalk, and compare."""
    told, shown = _told(connection), _shown(connection)
    return Replayed(told.number, shown.number, told == shown)


def _told(connection: Connection) -> _Sum:
    found = _Sum()
    for entry in journal.read(connection, kinds=("crosswalk",)):
        for stream, name, grp, _ in entry.body["members"]:
            found.add(entry.body["do"], stream, name, grp, entry.body["at"])
    return found


def _shown(connection: Connection) -> _Sum:
    c, found = members.c, _Sum()
    last = ("", "", -1)
    while True:
        query = (
            sa.select(c.stream, c.id, c.grp, c.since, c.until)
            .where(sa.tuple_(c.stream, c.id, c.since) > last)
            .order_by(c.stream, c.id, c.since)
            .limit(_PAGE)
        )
        rows = connection.execute(query).all()
        for row in rows:
            found.add("open", row.stream, row.id, row.grp, row.since)
            if row.until is not None:
                found.add("close", row.stream, row.id, row.grp, row.until)
        if len(rows) < _PAGE:
            return found
        last = (rows[-1].stream, rows[-1].id, rows[-1].since)
