"""What a login sees of a simulated system: rows, proofs and columns, less what is hidden; versions as the system gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from migrator.core.twoway import CHANGED, ID, UNREADABLE, VERSION, Evidence, EvidenceKind, Record
from migrator.core.twoway import Value as Seen
from migrator.testing.simulation.crm import Proof, Row
from migrator.testing.simulation.shape import shape_of
from migrator.testing.simulation.translate import arrow_type
from migrator.testing.simulation.world import EPOCH, World


class View:
    """One side as its login sees it."""

    def __init__(self, world: World, side: str) -> None:
        self.world, self.side, self.crm = world, side, world.crms[side]

    def version(self, row: Row) -> str:
        """What the system gives for a version; where that is a time, two edits in one second look alike."""
        return str(int(row.stamp) if self.crm.traits.cas == "second" else row.version)

    def hidden(self, row: Row) -> bool:
        """Whether a row is hidden from this login."""
        return self.world.screens[self.side].hides(row.id)

    def visible(self, object_name: str) -> list[Row]:
        """Live rows that it may see."""
        return [row for row in self.crm.live(object_name) if not self.hidden(row)]

    def listed(self, object_name: str, since: float) -> list[Row]:
        """Rows whose indexed stamp is not before `since`, by stamp and id."""
        index = self.crm.index
        found = [(index[row.id][0], row) for row in self.visible(object_name) if row.id in index]
        return [row for stamp, row in sorted(found, key=lambda each: (each[0], each[1].id)) if stamp >= since]

    def proofs(self, object_name: str, since: float) -> list[Proof]:
        """What is told of deletes and returns since then."""
        oldest = max(since, self.crm.clock - self.crm.traits.bin_memory)
        screen = self.world.screens[self.side]
        return [
            proof
            for proof in self.crm.proofs[object_name]
            if proof.stamp >= oldest and proof.visible <= self.world.now and not screen.hides(proof.id)
        ]

    def evidence(self, proof: Proof) -> Evidence:
        """A proof in the words of the contract."""
        became = (
            tuple((self.crm.rows[id_].object, id_) for id_ in proof.named)
            if proof.kind == "converted"
            else ()
        )
        into = proof.named[0] if proof.kind == "merged" else ""
        version = str(int(proof.stamp) if self.crm.traits.cas == "second" else proof.version)
        return Evidence(
            EvidenceKind(proof.kind), proof.id, version, self.time(proof.stamp), into, became, "recycle bin"
        )

    def records(self, rows: Sequence[Row], fields: Sequence[str], key_field: str = "") -> list[Record]:
        """Rows as `fetch` and `find` give them."""
        return [
            Record(
                row.id,
                self.version(row),
                self.shown(row, fields),
                self.time(row.stamp),
                str(row.values[key_field] or "") if key_field else "",
                self.time(row.created),
            )
            for row in rows
        ]

    def shown(self, row: Row, fields: Sequence[str]) -> Mapping[str, Seen]:
        """Values of a row; UNREADABLE where a field is withheld."""
        hidden = self.world.screens[self.side].fields
        return {
            name: UNREADABLE if (row.object, name) in hidden or name not in row.values else row.values[name]
            for name in fields
        }

    def columns(self, object_name: str, rows: list[Row], fields: Sequence[str]) -> pa.Table:
        """Rows as a page of a scan; a field that may not be read has no column."""
        hidden = self.world.screens[self.side].fields
        shape = shape_of(self.side, object_name)
        known = {shape.key(self.side), *(pair.name(self.side) for pair in shape.pairs)}
        columns: dict[str, pa.Array] = {
            ID: pa.array([row.id for row in rows], pa.string()),
            VERSION: pa.array([self.version(row) for row in rows], pa.string()),
        }
        for name in fields:
            if (object_name, name) not in hidden and name in known:
                kind = arrow_type(shape.pair(self.side, name))
                columns[name] = pa.array([row.values[name] for row in rows], kind)
        return pa.table(columns)

    def feed(self, rows: Sequence[Row]) -> pa.Table:
        """Rows as a page of changes."""
        ids, versions = [row.id for row in rows], [self.version(row) for row in rows]
        return pa.table({ID: ids, VERSION: versions}, schema=CHANGED)

    def time(self, seconds: float) -> datetime:
        """An instant of this system's clock."""
        return EPOCH + timedelta(seconds=seconds)
