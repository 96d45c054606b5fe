"""Every crash point of a small world: the process dies at each moment at which it could, and again at the moments after that."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from migrator.testing.simulation.checker import Violation
from migrator.testing.simulation.halfyear import HalfYear, MakeSync
from migrator.testing.simulation.quirks import normalised
from migrator.testing.simulation.settings import NONE, Rates, Settings
from migrator.testing.simulation.shape import NEW, OLD, SHAPES, Kind, Pair, Shape, Value
from migrator.testing.simulation.twins import Death, Twins
from migrator.testing.simulation.world import World

UNQUIET = replace(
    NONE, throttled=0.01, lost=0.02, partial=0.01, unknown=0.01, late=0.10, meanwhile=0.05, shuffled=0.05
)
"""Faults beside the kill: some."""
CRAFTS: tuple[Mapping[str, float], ...] = (
    {},
    {"merge": 8, "convert": 3, "relink": 8},
    {"delete": 40, "hard_delete": 5, "undelete": 6, "purge": 3, "fleeting": 4},
    {"both": 30, "agree": 12, "clear": 10},
    {"create": 40, "relink": 12},
)
"""What users of a small world do more often than elsewhere, one world after the other."""


@dataclass(frozen=True, slots=True)
class Crashes:
    """What came of killing one run at each of its points."""

    seed: int
    deaths: list[Death] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    """How often the undisturbed run passed points of that name."""


def small(seed: int, rates: Rates = NONE) -> Settings:
    """Two days of a small world; without faults what the users do never depends on the sync (I10)."""
    return Settings(
        seed=seed, nights=3, records=20, edits=14, rates=rates, script_only=rates is NONE, reconcile_every=2, grouped=0.3,
        actions=CRAFTS[seed % len(CRAFTS)],
    )  # fmt: skip


def every_crash(
    settings: Settings, make: MakeSync, *, nested: int = 0, step: int = 1, first: int = 1
) -> Crashes:
    """One death for each crash point, in order; with `nested` each copy dies again at each of so many points after its restart.

    Under a fixed script (no faults) the end must be that of the run that nothing killed: I10. The first of the deaths is
    that undisturbed run, which died nowhere.
    """
    calm = HalfYear(settings, make)
    undisturbed = _lived(calm, calm)
    twins = Twins(nested, step, first)
    run = HalfYear(settings, make, twins=twins)
    death: Death | None = None
    try:
        death = _lived(run, calm, twins)
    finally:
        if twins.is_copy:
            twins.end(death)
    if death != undisturbed:
        raise AssertionError("a run that forks is not the run that does not")
    return Crashes(settings.seed, [undisturbed, *twins.found], Counter(twins.names))


def one_crash(settings: Settings, make: MakeSync, kills: tuple[int, ...]) -> Death:
    """The same for one death, or several of one run, by replaying the run from its beginning."""
    calm = HalfYear(settings, make)
    calm.run()
    return replace(_lived(HalfYear(settings, make, kill_at=kills), calm), at=kills)


def _lived(run: HalfYear, calm: HalfYear, twins: Twins | None = None) -> Death:
    """A run to its end, compared with the one that nothing killed."""
    found = tuple(run.run().violations)
    at, name = (twins.at, twins.name) if twins else ((), "")
    if run.settings.script_only and contents(calm.world) != contents(run.world):
        what = f"killed at {at} the end is another: {_first(run.world, calm.world)}"
        found = (*found, Violation("I10", run.world.now, what))
    return Death(at, name, found, told(run.world))


def told(world: World) -> str:
    """A digest of all that happened in a world."""
    lines = [
        f"{e.at} {e.side} {e.id} {e.actor} {e.deed} {sorted(e.after.items())}" for e in world.history.events
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
                told[pair.name(side)] = (
                    crm.alive(value) if pair.kind is Kind.LINK else _stored(shape, pair, value)
                )
            yield f"{row.object} {told}"


def _stored(shape: Shape, pair: Pair, value: Value) -> Value:
    """As both systems together would store it.

    What became of a write whose answer was lost is read back, and what the system made of it by a normaliser that the sync
    does not know looks like a user's edit then, and is carried (`dual-run.md`, 7.5 and 11.4).
    """
    for side in (OLD, NEW):
        value = normalised(side, shape.object(side), pair.name(side), value)
    return value


def _first(one: World, two: World) -> str:
    left, right = contents(one), contents(two)
    for side in (OLD, NEW):
        extra = sorted(set(left[side]) - set(right[side]))
        lacking = sorted(set(right[side]) - set(left[side]))
        if extra or lacking:
            return f"{side}: {extra[:1]} in place of {lacking[:1]}"
    return "copies"
