"""A simulated CRM: rows with versions and stamps, late commits, a lagging index, automation, and deletes of every kind."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from migrator.testing.simulation.history import Actor, Deed, History
from migrator.testing.simulation.quirks import normalised, reaction
from migrator.testing.simulation.shape import OLD, SHAPES, Kind, Shape, Value, shape_of

DAY = 86_400.0


@dataclass(slots=True)
class Row:
    """One record as the system stores it."""

    id: str
    object: str
    values: dict[str, Value]
    version: int
    stamp: float
    """Modification time by the system's own clock, set when the transaction began; whole seconds."""
    alive: bool = True
    created: float = 0.0
    """When it was made, by the same clock."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the system still tells about the end of a record or its return."""

    id: str
    kind: str
    """'deleted', 'merged', 'undeleted' or 'converted'."""
    stamp: float
    visible: float
    """True time from which it is told."""
    version: int
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """How a system behaves; the bounds are what it declares, and what it keeps unless a fault says otherwise."""

    cas: str = "exact"
    """'exact', 'second' or 'none'."""
    conditional_deletes: bool = True
    post_image: bool = True
    unique_key: bool = True
    memory: float = 7 * DAY
    """How long the feed of changes goes back."""
    bin_memory: float = 15 * DAY
    """How long deletes are told."""
    longest_transaction: float = 600.0
    index_lag: float = 900.0
    skew: float = 300.0
    page_rows: int = 50
    batch_rows: int = 200
    daily_calls: int = 20_000


class Crm:
    """One system. `now` is true time, given by the world; `skew` is what its clock adds to it."""

    def __init__(self, side: str, history: History, traits: Traits, skew: float = 0.0) -> None:
        self.side, self.history, self.traits, self.skew = side, history, traits, skew
        self.now = 0.0
        self.rows: dict[str, Row] = {}
        self.by_object: dict[str, dict[str, Row]] = {shape.object(side): {} for shape in SHAPES}
        self.by_key: dict[tuple[str, Value], str] = {}
        self.index: dict[str, tuple[float, int]] = {}
        """By id what the feed shows: stamp and version."""
        self.proofs: dict[str, list[Proof]] = {shape.object(side): [] for shape in SHAPES}
        self.pending: list[tuple[float, int, str, Callable[[], None]]] = []
        self.unindexed: list[tuple[float, int, str, float, int]] = []
        self.locked: set[str] = set()
        self.lag: Callable[[], float] = lambda: 0.0
        """Index lag of the next commit, drawn by the fault injector."""
        self._serial = 0

    @property
    def clock(self) -> float:
        """The time this system shows."""
        return self.now + self.skew

    def advance(self, now: float) -> None:
        """Let time pass: transactions commit and the index catches up."""
        self.now = now
        while self.pending and self.pending[0][0] <= now:
            _, _, id_, commit = heapq.heappop(self.pending)
            self.locked.discard(id_)
            commit()
        while self.unindexed and self.unindexed[0][0] <= now:
            _, _, id_, stamp, version = heapq.heappop(self.unindexed)
            if id_ in self.rows and version >= self.index.get(id_, (0.0, 0))[1]:
                self.index[id_] = (stamp, version)

    def live(self, object_name: str) -> Iterable[Row]:
        """Rows that are not deleted."""
        return (row for row in self.by_object[object_name].values() if row.alive)

    def alive(self, id_: Value) -> bool:
        """Whether a record of that id is there."""
        return isinstance(id_, str) and id_ in self.rows and self.rows[id_].alive

    def holder(self, object_name: str, key: Value) -> Row | None:
        """The live row that holds an external key."""
        id_ = self.by_key.get((object_name, key))
        return self.rows[id_] if id_ is not None and self.rows[id_].alive else None

    def create(
        self, object_name: str, values: Mapping[str, Value], actor: Actor, stamp: float | None = None
    ) -> Row:
        """A new row; unknown keys are the caller's bug."""
        self._serial += 1
        shape = shape_of(self.side, object_name)
        id_ = f"{self.side[0]}{object_name[:3]}{self._serial:06d}"
        full: dict[str, Value] = dict.fromkeys(
            [shape.key(self.side), *(pair.name(self.side) for pair in shape.pairs)]
        )
        given = {name: normalised(self.side, object_name, name, value) for name, value in values.items()}
        full.update(given)
        row = Row(id_, object_name, full, 0, 0.0)
        self.rows[id_] = self.by_object[object_name][id_] = row
        self._key(row, shape)
        self._touch(row, stamp)
        row.created = row.stamp
        self._tell(row, actor, Deed.CREATE, {}, dict(full))
        self._react(row, full, actor, stamp)
        return row

    def edit(
        self,
        row: Row,
        changes: Mapping[str, Value],
        actor: Actor,
        stamp: float | None = None,
        *,
        touch: bool = True,
    ) -> None:
        """Set fields; without `touch` neither stamp nor version move, as with formulas."""
        given = {name: normalised(self.side, row.object, name, value) for name, value in changes.items()}
        before = {name: row.values[name] for name in given}
        row.values.update(given)
        self._key(row, shape_of(self.side, row.object))
        if touch:
            self._touch(row, stamp)
        self._tell(row, actor, Deed.EDIT, before, given)
        self._react(
            row, {name: value for name, value in given.items() if before[name] != value}, actor, stamp
        )

    def delete(self, row: Row, actor: Actor, *, proof: bool = True) -> None:
        """Delete a row and what depends on it; without `proof` the system tells nobody (hard delete, purged bin)."""
        self._end(row, actor, Deed.DELETE, "deleted" if proof else "")
        self._orphans(row, actor)

    def purge(self, id_: str) -> None:
        """The bin is emptied before its time: a deleted row is told no more."""
        object_name = self.rows[id_].object
        self.proofs[object_name] = [proof for proof in self.proofs[object_name] if proof.id != id_]
        self._tell(self.rows[id_], Actor.USER, Deed.PURGE, {}, {})

    def undelete(self, row: Row) -> None:
        """A user takes a row out of the bin."""
        row.alive = True
        self.by_object[row.object][row.id] = row
        self._key(row, shape_of(self.side, row.object))
        self._touch(row, None)
        self._prove(row, "undeleted")
        self._tell(row, Actor.USER, Deed.UNDELETE, {}, dict(row.values))

    def merge(self, loser: Row, master: Row, kept: Mapping[str, Value]) -> None:
        """A user merges two rows; children move to the master."""
        self._end(loser, Actor.USER, Deed.MERGE, "merged", (master.id,))
        if kept:
            self.edit(master, kept, Actor.USER)
        for child, name in self._children(loser):
            self.edit(child, {name: None if child is master else master.id}, Actor.AUTOMATION)

    def convert(self, lead: Row, made: tuple[str, ...]) -> None:
        """A lead becomes other records; it can no longer be edited and is listed no more."""
        self._end(lead, Actor.USER, Deed.CONVERT, "converted", made)

    def later(self, seconds: float, id_: str, commit: Callable[[float], None]) -> None:
        """Begin a transaction now (its stamp) that commits so much later; its row stays locked until then."""
        self._serial += 1
        stamp = float(int(self.clock))
        self.locked.add(id_)
        heapq.heappush(self.pending, (self.now + seconds, self._serial, id_, lambda: commit(stamp)))

    def _touch(self, row: Row, stamp: float | None) -> None:
        row.version += 1
        row.stamp = float(int(self.clock)) if stamp is None else stamp
        self._serial += 1
        visible = self.now + self.lag()
        heapq.heappush(self.unindexed, (visible, self._serial, row.id, row.stamp, row.version))
        self.advance(self.now) if visible <= self.now else None

    def _key(self, row: Row, shape: Shape) -> None:
        key = row.values.get(shape.key(self.side))
        if key is not None:
            self.by_key[row.object, key] = row.id

    def _react(self, row: Row, changed: Mapping[str, Value], actor: Actor, stamp: float | None) -> None:
        found = reaction(self.side, row.object, row.values, changed)
        if found and actor in {Actor.USER, Actor.SYNC}:
            self.edit(row, found, Actor.REACTION if actor is Actor.SYNC else Actor.AUTOMATION, stamp)

    def _end(self, row: Row, actor: Actor, deed: Deed, proof: str, named: tuple[str, ...] = ()) -> None:
        row.alive = False
        row.version += 1
        row.stamp = float(int(self.clock))
        del self.by_object[row.object][row.id]
        self.index.pop(row.id, None)
        shape = shape_of(self.side, row.object)
        self.by_key.pop((row.object, row.values[shape.key(self.side)]), None)
        if proof:
            self._prove(row, proof, named)
        self._tell(row, actor, deed, dict(row.values), {}, *named)

    def _tell(
        self,
        row: Row,
        actor: Actor,
        deed: Deed,
        before: Mapping[str, Value],
        after: Mapping[str, Value],
        *named: str,
    ) -> None:
        self.history.add(
            self.now, self.side, row.object, row.id,
            actor=actor, deed=deed, before=before, after=after, named=named,
        )  # fmt: skip

    def _prove(self, row: Row, kind: str, named: tuple[str, ...] = ()) -> None:
        stamp = float(int(self.clock))
        self.proofs[row.object].append(Proof(row.id, kind, stamp, self.now + self.lag(), row.version, named))

    def _children(self, row: Row) -> list[tuple[Row, str]]:
        found = []
        for shape in SHAPES:
            for pair in shape.pairs:
                if pair.kind is Kind.LINK and self._points_at(pair.target, row):
                    name = pair.name(self.side)
                    found += [
                        (child, name)
                        for child in self.live(shape.object(self.side))
                        if child.values[name] == row.id
                    ]
        return found

    def _points_at(self, target: str, row: Row) -> bool:
        return target == shape_of(self.side, row.object).name

    def _orphans(self, row: Row, actor: Actor) -> None:
        """What a delete does to children: the old system deletes deals with their firm, all else loses its link."""
        mine = Actor.REACTION if actor is Actor.SYNC else Actor.AUTOMATION
        for child, name in self._children(row):
            if self.side == OLD and (row.object, child.object) == ("Account", "Opportunity"):
                if child.alive:
                    self._end(child, mine, Deed.DELETE, "deleted")
            elif child.alive:
                self.edit(child, {name: None}, mine)


@dataclass(slots=True)
class Screen:
    """What the sync's login may not see at the moment."""

    rows: set[str] = field(default_factory=set)
    fields: set[tuple[str, str]] = field(default_factory=set)
    """Object and field withheld by field-level security."""
    share: float = 0.0
    """Share of all rows hidden by a lost permission."""

    def hides(self, id_: str) -> bool:
        """Whether a row is hidden; stable for a given id and share."""
        return id_ in self.rows or (self.share > 0 and (int(id_[-6:]) * 7919) % 1000 < self.share * 1000)
