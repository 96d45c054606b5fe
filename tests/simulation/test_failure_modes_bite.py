"""Each of the 22 failure modes is a failure: the very world of its test breaks a sync that lacks the protection against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from migrator.testing.simulation.engine import engine_with
from tests.simulation.mutants import MUTANTS
from tests.simulation.test_failure_modes import FEED, MODES
from tests.simulation.test_mutants import broken


@dataclass(frozen=True, slots=True)
class Bite:
    """What is taken away, and how many seeds it may need to show."""

    mutant: str
    seeds: int = 4
    alone: bool = False
    """Whether the full comparison, which heals it as well, is left out of the world."""


ROOT = Path(__file__).parents[2]
ELSEWHERE = {22: "tests/unit/test_sync_drift.py"}
"""In the simulation a changed schema also makes its values unreadable, which protects by itself."""
WITHOUT: Mapping[int, Bite] = {
    1: Bite("no-overlap"),
    2: Bite("paging-by-stamp-alone"),
    3: Bite("no-overlap"),
    4: Bite("no-reconcile"),
    5: Bite("no-tombstones", 8),
    6: Bite("absence-is-delete"),
    7: Bite("no-create-key"),
    8: Bite("no-create-key"),
    9: Bite("shared-base"),
    10: Bite("no-compare-and-set", 8),
    11: Bite("follows-latest-member"),
    12: Bite("merge-is-delete"),
    13: Bite("newest-wins"),
    14: Bite("clear-not-carried"),
    15: Bite("normalised-value-written"),
    16: Bite("always-green"),
    17: Bite("reconcile-compares-lists"),
    18: Bite("base-before-call"),
    19: Bite("one-row-stops-all"),
    20: Bite("reconcile-compares-lists"),
    21: Bite("lost-token-goes-on-from-now", alone=True),
}


def test_every_mode_names_what_protects_against_it() -> None:
    assert WITHOUT.keys() | ELSEWHERE.keys() == MODES.keys()
    assert {bite.mutant for bite in WITHOUT.values()} <= MUTANTS.keys()
    assert all((ROOT / path).is_file() for path in ELSEWHERE.values())


@pytest.mark.slow
@pytest.mark.parametrize("number", sorted(WITHOUT), ids=[f"{n}-{WITHOUT[n].mutant}" for n in sorted(WITHOUT)])
def test_without_its_protection_the_mode_breaks_something(number: int) -> None:
    bite = WITHOUT[number]
    mutant, world = MUTANTS[bite.mutant], MODES[number].world
    if bite.alone:
        world = replace(world, reconcile_every=-1, actions=FEED.actions)
    found: set[str] = set()
    with mutant.while_running():
        for seed in range(1, bite.seeds + 1):
            found |= broken(replace(world, seed=seed), engine_with(mutant.parts))
            if found:
                return
    pytest.fail(f"nothing broke without it in {bite.seeds} worlds")
