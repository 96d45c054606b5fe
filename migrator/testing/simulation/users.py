"""The users of both systems: a generator of actions that knows what is on their screens and nothing of the sync."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from migrator.testing.simulation.crm import DAY, Crm, Row
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.shape import (
    BY_NAME,
    DEAL,
    FIRM,
    LEAD,
    NEW,
    OLD,
    PERSON,
    SHAPES,
    Kind,
    Pair,
    Shape,
    Value,
    shape_of,
)  # fmt: skip
from migrator.testing.simulation.values import draw
from migrator.testing.simulation.world import World

USUAL: Mapping[str, float] = {
    "edit": 52, "both": 6, "agree": 3, "clear": 4, "relink": 4, "formula": 4, "create": 9, "delete": 3,
    "hard_delete": 0.7, "purge": 0.5, "undelete": 0.8, "merge": 0.6, "convert": 0.4, "fleeting": 0.6, "bulk": 0.1,
}  # fmt: skip
"""Weights of what users do."""


@dataclass(slots=True)
class Users:
    """Actions drawn by their own chance; `done` counts them."""

    world: World
    chance: random.Random
    done: int = 0

    def work(self, actions: int, until: float) -> None:
        """A day of work, over the time left until `until`."""
        for moment in sorted(self._moment(until) for _ in range(actions)):
            self.world.until(moment)
            self.act()
        self.world.until(until)

    def _moment(self, until: float) -> float:
        """Some time of the day; one action in ten falls into the last minutes, so that transactions are open when the sync begins."""
        day = max(0.0, until - self.world.now)
        return until - self.chance.random() * (day if self.chance.random() < 0.9 else min(day, 900.0))

    def act(self) -> None:
        """One user does one thing, if the records are such that it can be done."""
        weights = {**USUAL, **self.world.settings.actions}
        name = self.chance.choices(list(weights), list(weights.values()))[0]
        deed: Callable[[], bool] = getattr(self, f"_{name}")
        if deed():
            self.done += 1

    def mass_delete(self, side: str, share: float) -> int:
        """Somebody deletes a share of all people of one side."""
        crm = self.world.crms[side]
        rows = [row for row in crm.live(PERSON.object(side)) if row.id not in crm.locked]
        chosen = self.chance.sample(rows, int(len(rows) * share))
        for row in chosen:
            crm.delete(row, Actor.USER)
        return len(chosen)

    def _row(self, side: str, *shapes: Shape) -> Row | None:
        crm = self.world.crms[side]
        shape = self.chance.choice(shapes or SHAPES)
        rows = [row for row in crm.live(shape.object(side)) if row.id not in crm.locked]
        return self.chance.choice(rows) if rows else None

    def _side(self) -> Crm:
        return self.world.crms[self.chance.choice((OLD, NEW))]

    def _pair(self, shape: Shape, side: str) -> Pair:
        """A field users of that side can write; fields of the wrong direction are edited too, though seldom."""
        pairs = [
            pair for pair in shape.pairs if pair.kind is not Kind.LINK and not (pair.silent and side == OLD)
        ]
        wrong = "reverse" if side == OLD else "forward"
        right = [pair for pair in pairs if pair.direction != wrong]
        return self.chance.choice(right if self.chance.random() < 0.97 else pairs)

    def _set(self, crm: Crm, row: Row, changes: Mapping[str, Value]) -> None:
        """An edit; some transactions commit long after the stamp they give the row."""
        if not self.world.faults.happens("late"):
            crm.edit(row, changes, Actor.USER)
            return

        def commit(stamp: float) -> None:
            if row.alive:
                crm.edit(row, changes, Actor.USER, stamp)

        crm.later(self.chance.uniform(5, 600), row.id, commit)

    def _edit(self) -> bool:
        crm = self._side()
        row = self._row(crm.side)
        if row is None:
            return False
        pair = self._pair(shape_of(crm.side, row.object), crm.side)
        self._set(crm, row, {pair.name(crm.side): draw(self.chance, pair, crm.side)})
        return True

    def _clear(self) -> bool:
        crm = self._side()
        row = self._row(crm.side)
        if row is None:
            return False
        pair = self._pair(shape_of(crm.side, row.object), crm.side)
        if pair.consent:
            return False
        self._set(crm, row, {pair.name(crm.side): None})
        return True

    def _linked(self) -> tuple[Row, Row] | None:
        """An old and a new row that belong together, as a user sees it by the key on the new one."""
        new = self._row(NEW)
        if new is None:
            return None
        key = new.values[shape_of(NEW, new.object).new_key]
        old = self.world.crms[OLD].rows.get(str(key).removeprefix("crm:"))
        return (
            (old, new)
            if old is not None and old.alive and old.id not in self.world.crms[OLD].locked
            else None
        )

    def _both(self) -> bool:
        return self._two_edits(agree=False)

    def _agree(self) -> bool:
        return self._two_edits(agree=True)

    def _two_edits(self, *, agree: bool) -> bool:
        found = self._linked()
        if found is None:
            return False
        shape = shape_of(OLD, found[0].object)
        plain = [pair for pair in shape.pairs if pair.direction == "both" and pair.kind is not Kind.LINK]
        pair = self.chance.choice(plain)
        values = {side: draw(self.chance, pair, side) for side in (OLD, NEW)}
        if agree and pair.kind is not Kind.PICK:
            values[NEW] = values[OLD]
        for side, row in zip((OLD, NEW), found, strict=True):
            self._set(self.world.crms[side], row, {pair.name(side): values[side]})
        return True

    def _relink(self) -> bool:
        crm = self._side()
        row = self._row(crm.side, FIRM, PERSON, DEAL)
        if row is None:
            return False
        links = [pair for pair in shape_of(crm.side, row.object).pairs if pair.kind is Kind.LINK]
        pair = self.chance.choice(links)
        target = self._row(crm.side, BY_NAME[pair.target])
        if target is None or target is row:
            return False
        crm.edit(row, {pair.name(crm.side): target.id}, Actor.USER)
        return True

    def _formula(self) -> bool:
        crm = self.world.crms[OLD]
        row = self._row(OLD, FIRM)
        if row is None:
            return False
        pair = next(pair for pair in FIRM.pairs if pair.silent)
        crm.edit(row, {pair.old: draw(self.chance, pair, OLD)}, Actor.AUTOMATION, touch=False)
        return True

    def _new_row(self, crm: Crm, shape: Shape) -> Row:
        values: dict[str, Value] = {}
        for pair in shape.pairs:
            if pair.kind is Kind.LINK:
                target = self._row(crm.side, BY_NAME[pair.target]) if self.chance.random() < 0.5 else None
                values[pair.name(crm.side)] = target.id if target else None
            elif not (pair.silent and crm.side == OLD) and pair.direction != (
                "reverse" if crm.side == OLD else "forward"
            ):
                values[pair.name(crm.side)] = draw(self.chance, pair, crm.side)
        return crm.create(shape.object(crm.side), values, Actor.USER)

    def _create(self) -> bool:
        crm = self._side()
        row = self._new_row(crm, self.chance.choice(SHAPES))
        if self.world.faults.happens("poison"):
            self.world.poison.add(row.id)
        return True

    def _fleeting(self) -> bool:
        """A record made and deleted before anybody looked."""
        crm = self._side()
        crm.delete(
            self._new_row(crm, self.chance.choice(SHAPES)), Actor.USER, proof=self.chance.random() < 0.8
        )
        return True

    def _delete(self) -> bool:
        return self._gone(proof=True)

    def _hard_delete(self) -> bool:
        return self._gone(proof=False)

    def _gone(self, *, proof: bool) -> bool:
        crm = self._side()
        row = self._row(crm.side)
        if row is None:
            return False
        crm.delete(row, Actor.USER, proof=proof)
        return True

    def _purge(self) -> bool:
        crm, proofs = self._bin()
        if not proofs:
            return False
        crm.purge(self.chance.choice(proofs))
        return True

    def _undelete(self) -> bool:
        crm, proofs = self._bin()
        if not proofs:
            return False
        row = crm.rows[self.chance.choice(proofs)]
        if crm.holder(row.object, row.values[shape_of(crm.side, row.object).key(crm.side)]):
            return False
        crm.undelete(row)
        return True

    def _bin(self) -> tuple[Crm, list[str]]:
        crm = self._side()
        shape = self.chance.choice(SHAPES)
        fresh = [
            proof.id
            for proof in crm.proofs[shape.object(crm.side)]
            if proof.kind == "deleted" and not crm.rows[proof.id].alive and proof.stamp > crm.clock - 10 * DAY
        ]
        return crm, sorted(set(fresh))

    def _merge(self) -> bool:
        crm = self._side()
        shape = self.chance.choice((FIRM, PERSON))
        loser, master = self._row(crm.side, shape), self._row(crm.side, shape)
        if loser is None or master is None or loser is master:
            return False
        taken = [pair for pair in shape.pairs if pair.direction == "both" and pair.kind is not Kind.LINK]
        pair = self.chance.choice(taken)
        kept = {pair.name(crm.side): loser.values[pair.name(crm.side)]} if self.chance.random() < 0.5 else {}
        crm.merge(loser, master, kept)
        return True

    def _convert(self) -> bool:
        crm = self.world.crms[OLD]
        lead = self._row(OLD, LEAD)
        if lead is None:
            return False
        firm, person, deal = (self._new_row(crm, shape) for shape in (FIRM, PERSON, DEAL))
        crm.edit(person, {"AccountId": firm.id, "LastName": lead.values["LastName"]}, Actor.USER)
        crm.edit(deal, {"AccountId": firm.id, "ContactId": person.id}, Actor.USER)
        crm.convert(lead, (firm.id, person.id, deal.id))
        return True

    def _bulk(self) -> bool:
        """A mass update: every row of an object gets the very same stamp."""
        crm = self._side()
        shape = self.chance.choice((PERSON, DEAL))
        pair = self._pair(shape, crm.side)
        value = draw(self.chance, pair, crm.side)
        for row in [row for row in crm.live(shape.object(crm.side)) if row.id not in crm.locked]:
            crm.edit(row, {pair.name(crm.side): value}, Actor.USER)
        return True
