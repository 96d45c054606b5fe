"""The 22 failure modes of the cutover sheet (section 10), each with a test that names it: a world full of it, and no invariant broken.

Where other tests show a mode as well, or show it over HTTP or at a database, they are named beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from migrator.testing.simulation.engine import make_engine
from migrator.testing.simulation.halfyear import HalfYear
from migrator.testing.simulation.settings import NONE, USUAL, Settings

BASE = Settings(nights=10, records=40, edits=20, rates=NONE)
FEED = replace(BASE, reconcile_every=-1, actions={"formula": 0, "hard_delete": 0, "purge": 0, "fleeting": 0})


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode and the world that is full of it."""

    number: int
    name: str
    world: Settings
    also: str = ""
    """Other tests of the same mode."""


MODES: Mapping[int, Mode] = {
    mode.number: mode
    for mode in (
        Mode(1, "changes lost at the watermark", replace(FEED, rates=replace(NONE, late=0.5))),
        Mode(2, "equal stamps, page edges", replace(FEED, records=200, nights=5, actions={**FEED.actions, "bulk": 5})),
        Mode(3, "the index lags behind", replace(FEED, rates=replace(NONE, lag=0.6))),
        Mode(4, "deletes never arrive", replace(BASE, actions={"delete": 20, "hard_delete": 8, "purge": 6})),
        Mode(5, "deleted records come back", replace(BASE, grouped=0.5, rates=replace(NONE, expired=0.2), actions={"delete": 15, "fleeting": 10, "undelete": 12})),
        Mode(6, "hidden rows taken for a mass delete", replace(BASE, rates=replace(NONE, hidden=0.6, truncated=0.1))),
        Mode(7, "a retry doubles records", replace(BASE, rates=replace(NONE, lost=0.4, partial=0.2, unknown=0.2), actions={"create": 40})),
        Mode(8, "the reader is faster than the writer", replace(BASE, rates=replace(NONE, kill=0.02), actions={"create": 40})),
        Mode(9, "endless ping-pong", replace(BASE, edits=2, nights=20), "test_simulated_dual_run.py: idle nights"),
        Mode(10, "an echo filter swallows edits", replace(BASE, rates=replace(NONE, meanwhile=0.6))),
        Mode(11, "n:1 flips", replace(BASE, grouped=0.6)),
        Mode(12, "merge or conversion breaks the crosswalk", replace(BASE, actions={"merge": 4, "convert": 6})),
        Mode(13, "the loser is gone, clocks are skewed", replace(BASE, rates=replace(NONE, jump=0.5), actions={"both": 30})),
        Mode(14, "nulls", replace(BASE, rates=replace(NONE, hidden=0.4), actions={"clear": 25})),
        Mode(15, "dates move by a day", replace(BASE, actions={"edit": 80}), "tests/property/test_mapping_laws.py"),
        Mode(16, "quota used up, row locks", replace(BASE, daily_calls=60, rates=replace(NONE, late=0.6)), "tests/unit/test_sync_run.py"),
        Mode(17, "values change without a stamp", replace(BASE, actions={"formula": 40})),
        Mode(18, "state ahead of the data", replace(BASE, rates=replace(NONE, kill=0.03)), "--crash-points; tests/simulation/test_simulated_dual_run.py"),
        Mode(19, "a single bad row", replace(BASE, rates=replace(NONE, poison=0.3), actions={"create": 30})),
        Mode(20, "verification that is wrong", replace(BASE, rates=replace(NONE, meanwhile=0.4), reconcile_every=1, actions={"formula": 15}), "tests/live/test_drill.py (the way back)"),
        Mode(21, "an outage outlives the feed", replace(BASE, nights=26, outage=16), "below: 1, 4, 8 and 91 nights"),
        Mode(22, "the schema changes during a run", replace(BASE, nights=16, rates=replace(NONE, drift=0.5))),
    )
}  # fmt: skip
QUICK = (7, 12)


def check(world: Settings) -> HalfYear:
    run = HalfYear(world, make_engine)
    report = run.run()
    assert [str(each) for each in report.violations] == []
    return run


def test_all_22_are_here() -> None:
    assert sorted(MODES) == list(range(1, 23))
    assert all(mode.name for mode in MODES.values())


@pytest.mark.parametrize("number", QUICK)
def test_failure_mode_in_short(number: int) -> None:
    check(replace(MODES[number].world, nights=2, records=16))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "number", sorted(MODES), ids=[MODES[number].name.replace(" ", "-") for number in sorted(MODES)]
)
def test_failure_mode(number: int, seed: int) -> None:
    run = check(replace(MODES[number].world, seed=seed))
    assert run.report.written > 0


@pytest.mark.slow
@pytest.mark.parametrize("nights", [1, 4, 8, 91])
def test_failure_mode_21_after_so_many_dark_nights(nights: int) -> None:
    assert check(replace(BASE, edits=10, nights=nights + 10, outage=nights)).report.dark == nights


@pytest.mark.slow
def test_all_of_them_at_once() -> None:
    check(replace(BASE, nights=40, rates=USUAL))
