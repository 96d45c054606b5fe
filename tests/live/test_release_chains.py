"""Unique values that pass on in circles, back by a rollback, and after a load that died in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.core.clock import SystemClock
from migrator.core.errors import FatalError
from migrator.staging.store import Kind
from migrator.testing.faults import FaultyTarget
from migrator.testing.memory import MemoryTarget
from migrator.testing.troubles import Fault, Trouble, on_calls
from tests.load_world import Rows, World, put, world
from tests.unique_world import BOTH, GROUPS, PERSON, PLAIN, back, golden, held, load

pytestmark = pytest.mark.live


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, SystemClock()) as made:
        yield made


def test_without_the_constraint_nothing_is_given_up(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH, PLAIN)
    load(here, target, golden("b@x"), PLAIN)
    assert held(target) == {"k1": "b@x", "k2": "b@x"}


def test_values_that_go_round_in_a_circle_arrive(here: World) -> None:
    target = MemoryTarget()
    names = ["1", "2", "3", "4"]
    load(here, target, Rows({one: {"mail": f"{one}@x"} for one in names}))
    round_ = {
        "1": {"mail": "2@x"},
        "2": {"mail": "3@x"},
        "3": {"mail": "1@x"},
        "4": {"mail": "9@x"},
        "5": {"mail": "4@x"},
    }
    assert load(here, target, Rows(round_)) == 0
    assert held(target) == {f"k{one}": row["mail"] for one, row in round_.items()}


def test_two_that_both_want_a_value_are_told_by_the_target(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    rows = Rows({"1": {"mail": "b@x"}, "2": {"mail": "b@x", "name": "Bo"}})
    assert load(here, target, rows) == 1
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_a_rollback_gives_the_value_back(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    load(here, target, golden("b@x"))
    assert here.ledger.run is not None
    run = here.ledger.run
    done = back(here, target, run)
    while done.not_taken_back:  # the value is free only once the other has given it back
        before, done = done.not_taken_back, back(here, target, run)
        assert done.not_taken_back < before
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_who_gave_a_value_up_and_was_not_sent_again_is_sent_by_the_next_load(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    put(here, PERSON, Rows({"1": {"mail": "b@x"}, "2": {"mail": "c@x", "name": "Bo"}}))
    here.run(target, GROUPS)
    known = {row["__id"]: row["__fp"] for row in here.query(Kind.CROSSWALK, "person")}
    assert "released" not in known.values()
    assert held(target) == {"k1": "b@x", "k2": "c@x"}


@pytest.mark.parametrize("call", [1, 2])
def test_a_load_that_died_between_giving_up_and_taking_is_gone_on_with(here: World, call: int) -> None:
    """Its last call wrote, and the answer was lost."""
    inside = MemoryTarget()
    load(here, inside, BOTH)
    dying = FaultyTarget(inside, on_calls({call: Fault(Trouble.REVOKED)}))
    with pytest.raises(FatalError):
        load(here, dying, golden("b@x"))
    assert held(inside)["k2"] is None
    assert here.run(inside, GROUPS).refused == 0
    assert held(inside) == {"k1": "b@x", "k2": None}
    load(here, inside, BOTH)
    assert held(inside) == {"k1": "a@x", "k2": "b@x"}
