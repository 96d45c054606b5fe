"""The reconcile on both engines: over a target damaged in every way that has a name, each query gives the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.core.progress import Quiet
from migrator.staging.engine import EngineSettings, Session
from migrator.staging.relation import relation
from tests.corruption.proof import plant
from tests.corruption.world import CUSTOMER, OBJECTS, World, make_world
from tests.spark.compared import Compared, open_compared, rows_of
from validation.measures import choices, dates, distribution, months, orphans, totals
from validation.readback import read_back
from validation.reconcile import Reconciled, reconcile
from validation.relations import open_sides

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]


def test_a_damaged_target_is_told_in_the_same_words(settings: EngineSettings, tmp_path: Path) -> None:
    world = make_world(tmp_path, 12_000)
    planted = plant(world, 1)
    target = world.target()
    read_back(world.store, target, CUSTOMER, progress=Quiet())
    target.close()
    told: list[str] = []
    with _here(world) as session:
        expected, rows, measures = _reconciled(session, world)
    with _there(settings, world, told) as session:
        found, others, measured = _reconciled(session, world)
        carried = session.carried
    assert others == rows
    assert len(rows) >= len(planted)
    assert measured == measures
    assert replace(found, dataset=expected.dataset) == expected
    assert carried > 15
    assert told == []


def _reconciled(session: Session, world: World) -> tuple[Reconciled, object, object]:
    sides = open_sides(session, world.store, CUSTOMER, OBJECTS)
    result = reconcile(session, world.store, sides)
    rows = rows_of(session.fetch(f"SELECT * FROM {relation(session, result.dataset)}"))
    links = [column for column in sides.columns if column.link is not None]
    measured = [
        totals(session, sides, "amount", ["currency"]),
        *(distribution(session, sides, column.name) for column in choices(sides)),
        *(months(session, sides, column.name) for column in dates(sides)),
        *(orphans(session, world.store, sides, column, OBJECTS) for column in links),
    ]
    return result, rows, measured


@contextmanager
def _here(world: World) -> Iterator[Session]:
    with world.session() as session:
        yield session


@contextmanager
def _there(settings: EngineSettings, world: World, told: list[str]) -> Iterator[Compared]:
    session = open_compared(settings, world.folder, told)
    yield session
    session.close()
