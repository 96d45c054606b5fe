"""One simulated dual run: nights of sync, days of work, faults in between, then rest, and the checks that follow it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from migrator.testing.simulation.checker import Checker, Violation, Witness
from migrator.testing.simulation.crm import DAY, Screen
from migrator.testing.simulation.faults import Killed
from migrator.testing.simulation.settings import Settings
from migrator.testing.simulation.settled import check_settled
from migrator.testing.simulation.shape import DEAL, FIRM, NEW, OLD, PERSON, SHAPES
from migrator.testing.simulation.side import SimSide
from migrator.testing.simulation.traffic import Watcher
from migrator.testing.simulation.twins import Twins
from migrator.testing.simulation.users import Users
from migrator.testing.simulation.world import World

OUTAGES = (1, 1, 1, 4, 4, 8, 16, 91)
"""Dark nights in a row; the feeds forget after 7."""
OUTAGE_BEGINS = 5
"""The night from which on nothing runs, where a world has one long outage."""
BRAKED = 2
"""So many runs of the rest may be braked; quiescent means that no brake engages (section 1)."""
RESTARTS = 4
"""So often at most a killed run is begun again in its night; the last time nothing kills it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one run of the sync ended, as its caller sees it."""

    green: bool
    cause: str = ""


class Sync(Protocol):
    """What the simulation needs of the code under test."""

    def run(self, *, full: bool) -> Result:
        """One run; `full` with a full reconcile."""
        ...

    def die(self) -> None:
        """The process is about to be killed: what is committed now is all that will be left."""
        ...

    def rival(self) -> None:
        """One run of another process on the same store."""
        ...

    def crash(self) -> None:
        """The process is dead: a new one finds the store as it was at `die`."""
        ...

    def operate(self) -> None:
        """What the operator does in the morning: approves brakes and drifts that he finds to be right."""
        ...

    def back_up(self) -> None:
        """Put a copy of the store aside."""
        ...

    def restore(self) -> None:
        """Put the copy in the place of the store; without a copy begin with none."""
        ...

    def image(self) -> bytes:
        """See `migrator.testing.simulation.twins.Store`."""
        ...

    def move(self, image: bytes) -> None:
        """See `migrator.testing.simulation.twins.Store`."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...

    @property
    def witness(self) -> Witness:
        """The records that people go by."""
        ...


MakeSync = Callable[[World, Mapping[str, SimSide], Callable[[str], None]], Sync]
"""World, sides, and what to call at every boundary."""


@dataclass(slots=True)
class Report:
    """What came of a simulated dual run."""

    settings: Settings
    violations: list[Violation] = field(default_factory=list)
    edits: int = 0
    runs: int = 0
    kills: int = 0
    nested: int = 0
    """Kills of a run that itself followed a kill."""
    rivals: int = 0
    """Processes that took over from a suspended one."""
    points: int = 0
    """Boundaries and calls passed at which a process could have died."""
    calls: int = 0
    written: int = 0
    conflicts: int = 0
    raced: int = 0
    held: int = 0
    dark: int = 0
    faults: int = 0
    green: int = 0

    @property
    def calls_per_change(self) -> float:
        """Calls for each user action."""
        return self.calls / max(1, self.edits)


class HalfYear:
    """Drives world, users, faults, sync and checker; `kill_at` names crash points to die at, counted from 1."""

    def __init__(
        self,
        settings: Settings,
        make: MakeSync,
        *,
        kill_at: tuple[int, ...] = (),
        twins: Twins | None = None,
    ) -> None:
        self.settings = settings
        self.world = World(settings)
        self.users = Users(self.world, random.Random(f"{settings.seed}/hands"))
        self.checker = Checker(self.world)
        self.report = Report(settings)
        self._kill_at, self._twins = kill_at, twins
        self._armed = False
        self._recent = False
        self._rival_in = 0
        """Points left until another process takes over; 0: none does."""
        self._is_lost = False
        """Whether the store was lost, and no run has looked for every partner since."""
        self._kept = 0.0
        """When the store was last backed up."""
        self._overtaken = 0
        """Writes begun since another process took over, and one; 0: none did."""
        watcher: Watcher = self.checker
        self.sides = {side: SimSide(self.world, side, watcher, self.point) for side in (OLD, NEW)}
        self.sync = make(self.world, self.sides, self.point)
        self.checker.witness = self.sync.witness
        if not settings.script_only:
            self.world.meanwhile = self.users.act

    @property
    def is_overtaken(self) -> bool:
        """Whether another process has taken over from the one that runs now."""
        return bool(self._overtaken)

    # ---- crash points

    def point(self, name: str) -> None:
        """A moment at which the process may die: a boundary of the engine, or a call going out or answered."""
        if self._overtaken and name.endswith(("create.sending", "update.sending", "delete.sending")):
            self._overtaken += 1
            if self._overtaken > 2:
                self.checker.broken("I20", "a process whose lease was taken over goes on writing")
        if not self._armed:
            return
        self.report.points += 1
        if self._rival_in:
            self._rival_in -= 1
            if not self._rival_in:
                self._overtake()
        if self._dies(name) or self.world.faults.happens("kill"):
            self.report.kills += 1
            self.report.nested += self._recent
            self.sync.die()
            raise Killed

    def _dies(self, name: str) -> bool:
        if self.report.points in self._kill_at:
            return True
        return self._twins is not None and self._twins.dies(self.report.points, name, self.sync)

    def _overtake(self) -> None:
        """Suspend this process for an hour: another one takes over its lease, runs to its end, and this one wakes up."""
        self._armed = False
        self.world.tick(3_600)
        self.report.rivals += 1
        self.checker.suspended()
        self.sync.rival()
        self._overtaken, self._armed = 1, True

    # ---- the nights

    def run(self) -> Report:
        """All nights, the rest after them, and the checks."""
        self.night(full=False)
        dark = 0
        for night in range(1, self.settings.nights):
            self.users.work(self.settings.edits, (night + 1) * DAY + self.settings.start_hour * 3600)
            if self.settings.outage and night == OUTAGE_BEGINS:
                dark = min(self.settings.outage, self.settings.nights - night)
            if dark or self.world.faults.happens("dark"):
                dark = (
                    dark or min(self.world.faults.chance.choice(OUTAGES), self.settings.nights - night)
                ) - 1
                self.report.dark += 1
                continue
            self._trouble()
            if night == 3:
                self.world.clock.skew += self.settings.ours_skew
            self.night(full=self._is_full(night))
            self.sync.operate()
        self.rest()
        report = self.finish()
        self.sync.close()
        return report

    def _is_full(self, night: int) -> bool:
        every = self.settings.reconcile_every
        return every > 0 and night % every == 0

    def night(self, *, full: bool) -> Result:
        """One night's run, begun again when it is killed."""
        for attempt in range(RESTARTS + 1):
            self._armed = attempt < RESTARTS
            for side in self.sides.values():
                side.expired_login = False
            self.checker.begin()
            self.report.runs += 1
            self._recent = attempt > 0
            self._overtaken = 0
            try:
                result = self.sync.run(full=full)
            except Killed:
                self.sync.crash()
                self.checker.killed()
                self.world.tick(300)
                continue
            finally:
                self._armed = False
                self._rival_in = 0
                self._note_loss()
            if self._overtaken and result.green:
                self.checker.broken("I20", "a process whose lease was taken over ends green")
            self._overtaken = 0
            self.checker.end(green=result.green)
            self.report.green += result.green
            return result
        raise AssertionError("the last attempt is never killed")

    def _note_loss(self) -> None:
        """Of whatever was made before a lost store is whole again nobody knows whether it is new or had a partner (section 16)."""
        if self._is_lost:
            self.checker.touched.update(id_ for crm in self.world.crms.values() for id_ in crm.rows)
            self._is_lost = not self.sync.witness.is_rebuilt()

    def rest(self) -> None:
        """Users and faults stop; what is under way commits; two calm runs must settle everything, the next writes nothing."""
        world = self.world
        world.faults.quiet = True
        world.screens.update({side: Screen() for side in world.screens})
        world.drifts.clear()
        self.checker.touched.update(world.poison)
        world.meanwhile = lambda: None
        for crm in world.crms.values():
            crm.traits = replace(crm.traits, daily_calls=10**9)
        reconcile = self.settings.reconcile_every >= 0
        calm = 0
        for _ in range(2 + BRAKED):
            world.tick(DAY)
            self.sync.operate()
            calm += "brake" not in self.night(full=reconcile).cause
            if calm == 2:
                break
        self._settle(reconcile)
        before = sum(side.traffic.rows_written for side in self.sides.values())
        world.tick(DAY)
        self.night(full=reconcile)
        extra = sum(side.traffic.rows_written for side in self.sides.values()) - before
        if extra:
            self.checker.broken("I4", f"{extra} writes in the run after everything had settled")

    def _settle(self, reconcile: bool) -> None:
        check_settled(self.checker, invariant="I3" if reconcile else "I9")

    def finish(self) -> Report:
        """The figures."""
        report, checker = self.report, self.checker
        report.violations = checker.violations
        report.edits = self.users.done
        report.calls = sum(side.traffic.calls for side in self.sides.values())
        report.written = sum(side.traffic.rows_written for side in self.sides.values())
        report.raced, report.conflicts = checker.counts["raced"], checker.counts["logged"]
        report.held = len(self.sync.witness.listed())
        report.faults = self.world.faults.drawn
        return report

    # ---- what goes wrong with a night

    def _trouble(self) -> None:
        world, faults, chance = self.world, self.world.faults, self.world.faults.chance
        self._heal()
        if faults.happens("hidden"):
            self._hide(chance)
        if faults.happens("drift"):
            self._drift(chance)
        if faults.happens("jump"):
            clock = chance.choice((world.clock, world.crms[OLD], world.crms[NEW]))
            clock.skew += chance.choice((-86_400, -3_600, -120, 120, 3_600, 86_400))
        self._rival_in = chance.randint(1, 200) if faults.happens("contested") else 0
        if faults.happens("mass"):
            self.users.mass_delete(chance.choice((OLD, NEW)), chance.uniform(0.3, 0.9))
        if faults.happens("lost_store"):
            self.sync.restore()
            self.checker.lost(self._kept)
            self._is_lost = True
        elif world.night % 20 == 0:
            self.sync.back_up()
            self._kept = world.now

    def _heal(self) -> None:
        """What was hidden, changed or refused comes back after a night or a few."""
        chance, world = self.world.faults.chance, self.world
        for side in world.screens:
            if chance.random() < 0.6:
                world.screens[side] = Screen()
        if chance.random() < 0.4:
            world.drifts.clear()
        self.checker.touched.update(world.poison)
        for id_ in sorted(world.poison):
            if chance.random() < 0.2:
                world.poison.discard(id_)

    def _hide(self, chance: random.Random) -> None:
        side = chance.choice((OLD, NEW))
        screen = self.world.screens[side] = Screen()
        if chance.random() < 0.5:
            screen.share = chance.choice((0.01, 0.1, 0.5, 1.0))
        else:
            shape = chance.choice(SHAPES)
            screen.fields = {(shape.object(side), chance.choice(shape.pairs).name(side))}

    def _drift(self, chance: random.Random) -> None:
        side, shape = chance.choice((OLD, NEW)), chance.choice((FIRM, PERSON, DEAL))
        name = chance.choice(shape.pairs).name(side)
        how = chance.choice(("length", "type", "required", "added", "picklist"))
        self.world.drifts[side, shape.object(side), "Extra__c" if how == "added" else name] = how
        self.checker.touched.update(self.world.crms[side].by_object[shape.object(side)])
