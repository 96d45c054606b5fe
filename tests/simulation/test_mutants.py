"""Every broken variant of the sync is caught, by an invariant that is named for it; and the sync as it is, in the same worlds, is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import SQLAlchemyError

from migrator.testing.simulation.engine import engine_with, make_engine
from migrator.testing.simulation.halfyear import HalfYear, MakeSync
from migrator.testing.simulation.settings import Settings
from tests.simulation.mutants import MUTANTS, Mutant

QUICK = ("no-intents", "no-conflict-log", "everything-held")
"""Caught within a second: part of `make test`; all others by `make test-mutants`."""


def broken(world: Settings, make: MakeSync) -> set[str]:
    """Invariants that one simulation violates; a variant that brings the sync down is caught by that."""
    run = HalfYear(world, make)
    try:
        run.run()
    except (LookupError, ValueError, TypeError, SQLAlchemyError):
        run.checker.broken("I20" if run.is_overtaken else "crash", "the sync broke down")
    finally:
        run.sync.close()
    return {each.invariant for each in run.checker.violations}


def caught(mutant: Mutant) -> set[str]:
    """Invariants that name it, of as many seeds as it takes."""
    found: set[str] = set()
    with mutant.while_running():
        for seed in range(mutant.world.seed, mutant.world.seed + mutant.seeds):
            found |= broken(replace(mutant.world, seed=seed), engine_with(mutant.parts))
            if found & mutant.breaks:
                break
    return found


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 36
    assert set(QUICK) <= set(MUTANTS)


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_mutant_is_caught(name: str) -> None:
    mutant = MUTANTS[name]
    short = replace(mutant, world=replace(mutant.world, nights=3, records=12))
    assert caught(short) & mutant.breaks


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_caught_by_the_invariant_it_breaks(name: str) -> None:
    mutant = MUTANTS[name]
    found = caught(mutant)
    assert found & mutant.breaks, f"survived; seen: {sorted(found)}"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_sync_as_it_is_violates_nothing_in_the_world_of_a_mutant(name: str) -> None:
    assert broken(MUTANTS[name].world, make_engine) == set()
