"""Every crash point of a small world: one run for each moment at which the process could die, and again for the moments after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from migrator.testing.simulation.checker import Violation
from migrator.testing.simulation.halfyear import HalfYear, MakeSync
from migrator.testing.simulation.settings import NONE, Rates, Settings
from migrator.testing.simulation.shape import NEW, OLD, SHAPES, Kind, Value
from migrator.testing.simulation.world import World

UNQUIET = replace(
    NONE, throttled=0.01, lost=0.02, partial=0.01, unknown=0.01, late=0.10, meanwhile=0.05, shuffled=0.05
)
"""Faults beside the kill: some."""


@dataclass(frozen=True, slots=True)
class Crash:
    """What came of killing one run, perhaps several times."""

    seed: int
    at: tuple[int, ...]
    violations: tuple[Violation, ...]
    points: int
    """Points passed in the whole of the run."""


def small(seed: int, rates: Rates = NONE) -> Settings:
    """Three nights of a small world; without faults what the users do never depends on the sync (I10)."""
    return Settings(
        seed=seed, nights=3, records=20, edits=14, rates=rates, script_only=rates is NONE, reconcile_every=2, grouped=0.3,
    )  # fmt: skip


def every_crash(
    settings: Settings, make: MakeSync, *, nested: int = 0, step: int = 1, first: int = 1
) -> Iterator[Crash]:
    """One result for each crash point, in order; with `nested` the restarted run dies again so many points later.

    Under a fixed script (no faults) the end must be that of the run that nothing killed: I10.
    """
    calm = _run(settings, make, ())
    yield Crash(settings.seed, (), calm[1], calm[2])
    for at in range(first, calm[2] + 1, step):
        kills = (at,) if not nested else (at, at + nested)
        world, violations, points = _run(settings, make, kills)
        if settings.script_only and contents(world) != contents(calm[0]):
            violations = (
                *violations,
                Violation(
                    "I10", world.now, f"killed at {kills} the end is another: {_first(world, calm[0])}"
                ),
            )
        yield Crash(settings.seed, kills, violations, points)


def _run(
    settings: Settings, make: MakeSync, kills: tuple[int, ...]
) -> tuple[World, tuple[Violation, ...], int]:
    run = HalfYear(settings, make, kill_at=kills)
    report = run.run()
    return run.world, tuple(report.violations), report.points


def contents(world: World) -> dict[str, list[str]]:
    """What both systems hold, without ids, keys and stamps; links by what they point to."""
    return {side: sorted(_lines(world, side)) for side in (OLD, NEW)}


def _lines(world: World, side: str) -> Iterator[str]:
    crm = world.crms[side]
    for shape in SHAPES:
        for row in crm.live(shape.object(side)):
            told = {}
            for pair in shape.pairs:
                value: Value = row.values[pair.name(side)]
                told[pair.name(side)] = crm.alive(value) if pair.kind is Kind.LINK else value
            yield f"{row.object} {told}"


def _first(one: World, two: World) -> str:
    left, right = contents(one), contents(two)
    for side in (OLD, NEW):
        extra = sorted(set(left[side]) - set(right[side]))
        lacking = sorted(set(right[side]) - set(left[side]))
        if extra or lacking:
            return f"{side}: {extra[:1]} in place of {lacking[:1]}"
    return "copies"
