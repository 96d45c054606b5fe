"""Crash points of the simulated dual run: a copy that dies ends as a replay that dies, and every kind of point there is comes up."""

from __future__ import annotations

import re

import pytest

from migrator.sync.state import Part
from migrator.testing.simulation.crashes import UNQUIET, every_crash, one_crash, small
from migrator.testing.simulation.engine import make_engine
from migrator.testing.simulation.halfyear import HalfYear
from migrator.testing.simulation.settings import NONE, Rates
from migrator.testing.simulation.twins import Twins
from tests.faults.crash_matrix import sites


def test_i10_killed_at_some_points_the_end_is_the_same() -> None:
    done = every_crash(small(3), make_engine, step=10**6, first=190)
    assert len(done.deaths) == 2
    assert [violation for death in done.deaths for violation in death.violations] == []


@pytest.mark.slow
@pytest.mark.parametrize("rates", [NONE, UNQUIET], ids=["script", "unquiet"])
def test_copies_that_die_end_as_replays_that_die(rates: Rates) -> None:
    check_copies(rates, step=120)


def test_a_copy_that_dies_ends_as_a_replay_that_dies() -> None:
    check_copies(UNQUIET, first=200, step=10**6)


def check_copies(rates: Rates, step: int, first: int = 1) -> None:
    """To the last event; and the copies disturb nobody, or the run that goes on would have ended otherwise."""
    done = every_crash(small(2, rates), make_engine, nested=1, step=step, first=first)
    points = [death.at for death in done.deaths if death.at]
    assert {len(at) for at in points} == {1, 2}
    assert points == sorted(set(points))
    for death in done.deaths[2::2]:
        assert one_crash(small(2, rates), make_engine, death.at).end == death.end


def test_every_boundary_of_the_sync_and_every_call_is_a_point_of_some_world() -> None:
    """Boundaries are read from the source, and named by the kinds of transaction that there are."""
    twins = Twins(first=10**9)
    HalfYear(small(6, UNQUIET), make_engine, twins=twins).run()
    names = twins.names
    patterns = {site.pattern for site in sites(("migrator/sync",))}
    patterns |= {f"sync.{part.value}.{when}" for part in Part for when in ("before", "after")}
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
    for side in ("old", "new"):
        for verb in ("create", "update", "delete"):
            assert {f"{side}.{verb}.sending", f"{side}.{verb}.done"} <= names.keys()
