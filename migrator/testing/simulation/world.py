"""The simulated world: two systems, true time, and what is hidden from the sync; time passes with every call it makes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.simulation.crm import DAY, Crm, Row, Screen, Traits
from migrator.testing.simulation.faults import Faults
from migrator.testing.simulation.history import Actor, History
from migrator.testing.simulation.settings import Settings
from migrator.testing.simulation.shape import (
    DEAL,
    FIRM,
    LEAD,
    NEW,
    OLD,
    PERSON,
    SHAPES,
    Kind,
    Shape,
    Value,
    across,
    key_of,
)
from migrator.testing.simulation.values import draw

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CALL_SECONDS = 1.0


@dataclass(slots=True)
class SimClock:
    """The clock of the machine the sync runs on; sleeping lets the world go on."""

    world: World
    skew: float = 0.0

    def now(self) -> datetime:
        """What this machine takes for the present."""
        return EPOCH + timedelta(seconds=self.world.now + self.skew)

    def monotonic(self) -> float:
        """Seconds that only grow, whatever the wall clock does."""
        return self.world.now

    def sleep(self, seconds: float) -> None:
        """Wait; users go on working."""
        self.world.tick(seconds)


class World:
    """Everything outside the sync."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        seed = settings.seed
        self.chance = random.Random(f"{seed}/users")
        self.faults = Faults(settings.rates, random.Random(f"{seed}/faults"))
        self.history = History()
        self.now = settings.start_hour * 3600
        self.crms = {side: Crm(side, self.history, self._traits(side)) for side in (OLD, NEW)}
        self.crms[OLD].skew, self.crms[NEW].skew = 40.0, -50.0
        for crm in self.crms.values():
            crm.now, crm.lag = self.now, self.faults.lag
        self.screens = {OLD: Screen(), NEW: Screen()}
        self.poison: set[str] = set()
        """Ids whose content the other side refuses."""
        self.drifts: dict[tuple[str, str, str], str] = {}
        """Side, object and field -> how its description changed."""
        self.markers = {OLD: "", NEW: ""}
        self.clock = SimClock(self)
        self.meanwhile: Callable[[], None] = lambda: None
        """What users may do while a call is under way."""
        self.links: list[tuple[str, str, str]] = []
        """Mapping, old id, new id: what the load linked; a new id stands several times in an n:1 group."""
        self._populate()

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for crm in self.crms.values():
            crm.advance(self.now)

    def until(self, moment: float) -> None:
        """Let time pass up to a moment; it never goes back."""
        self.tick(max(0.0, moment - self.now))

    def call(self) -> None:
        """One call of the sync takes its time, and somebody may do something in it."""
        self.tick(CALL_SECONDS / 2)
        if self.faults.happens("meanwhile"):
            self.meanwhile()
        self.tick(CALL_SECONDS / 2)

    @property
    def night(self) -> int:
        """Number of the present day."""
        return int(self.now // DAY)

    def drifted(self, side: str, plain: ObjectSchema) -> ObjectSchema:
        """How a side describes an object now."""
        fields = list(plain.fields)
        for (where, object_name, name), how in self.drifts.items():
            if where == side and object_name == plain.name:
                fields = [_changed(item, how) if item.name == name else item for item in fields]
                if how == "added":
                    fields.append(FieldSchema(name, FieldType.STRING))
        return replace(plain, fields=tuple(fields))

    def _traits(self, side: str) -> Traits:
        cas = self.settings.cas
        if cas == "mixed":
            cas = "none" if side == OLD else "exact"
        return Traits(
            cas=cas, conditional_deletes=cas == "exact", post_image=cas == "exact",
            daily_calls=self.settings.daily_calls,
        )  # fmt: skip

    def _populate(self) -> None:
        """Records on both sides as a load leaves them: mapped, keyed, linked, settled."""
        shares = ((FIRM, 0.3), (PERSON, 0.4), (DEAL, 0.2), (LEAD, 0.1))
        made: dict[str, list[tuple[Row, str]]] = {}
        old, new = self.crms[OLD], self.crms[NEW]
        for shape, share in shares:
            made[shape.name] = []
            for _ in range(max(2, int(self.settings.records * share))):
                row = old.create(shape.old, self._values(shape, made), Actor.LOAD)
                partner = self._partner(shape, row, made)
                made[shape.name].append((row, partner))
                if new.rows[partner].values[shape.new_key] == key_of(NEW, row.id):
                    old.edit(row, {shape.old_key: partner}, Actor.LOAD)
                self.links.append((shape.name, row.id, partner))
        self.tick(DAY / 2)
        new.advance(self.now)

    def _partner(self, shape: Shape, row: Row, made: dict[str, list[tuple[Row, str]]]) -> str:
        earlier = made[shape.name]
        if shape is FIRM and earlier and self.chance.random() < self.settings.grouped:
            return earlier[-1][1]
        partners = {old.id: new for pairs in made.values() for old, new in pairs}
        values: dict[str, Value] = {shape.new_key: key_of(NEW, row.id)}
        for pair in shape.pairs:
            if pair.direction != "reverse":
                value = row.values[pair.old]
                values[pair.new] = (
                    partners.get(str(value)) if pair.kind is Kind.LINK else across(pair, OLD, value)
                )
        return self.crms[NEW].create(shape.new, values, Actor.LOAD).id

    def _values(self, shape: Shape, made: dict[str, list[tuple[Row, str]]]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for pair in shape.pairs:
            if pair.kind is Kind.LINK:
                targets = made.get(pair.target, [])
                if targets and self.chance.random() < 0.7:
                    values[pair.old] = self.chance.choice(targets)[0].id
            elif pair.direction != "reverse":
                values[pair.old] = draw(self.chance, pair, OLD)
        return values


def _changed(item: FieldSchema, how: str) -> FieldSchema:
    match how:
        case "length":
            return replace(item, length=3)
        case "type":
            return replace(item, type=FieldType.JSON)
        case "required":
            return replace(item, required=True)
        case "picklist":
            return replace(item, values=(*item.values, "added"))
        case _:
            return item


def everything(world: World) -> dict[str, dict[str, dict[str, Value]]]:
    """What both systems hold: side -> id -> values of live rows; for comparing end states."""
    return {
        side: {row.id: dict(row.values) for shape in SHAPES for row in crm.live(shape.object(side))}
        for side, crm in world.crms.items()
    }
