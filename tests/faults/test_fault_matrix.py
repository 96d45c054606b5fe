"""Every trouble of a target, at every stage of a migration: no record lost, none twice, the account closed, the ledger right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.sql import open_target
from migrator.core.connector import Target
from migrator.core.errors import ConnectorError, FatalError, MigratorError, RetryableError, SafetyStop
from migrator.core.retry import PATIENT
from migrator.load.calls import DOUBTFUL
from migrator.load.plan import Retry
from migrator.testing.faults import FaultyTarget, Lock, Poison
from migrator.testing.troubles import (
    LOST,
    MISTOLD,
    Fault,
    Schedule,
    Trouble,
    by_chance,
    first_attempt,
    never,
)
from tests.faults.fault_world import WRITES, Place, Stage, Where, begin, do, put_second, stages

HEALING = (LOST - {Trouble.REVOKED}) | {Trouble.SHUFFLED}
"""What one more try, or a look at the keys, is enough for."""
CHOSEN = frozenset({"k0", "k3", "k12", "k20"})
"""Keys of rows that are held by others, or poison: of both objects, changed by the second load, new in it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A way to misbehave, and how the command ends that meets it."""

    name: str
    wrap: Callable[[Target, Stage], FaultyTarget]
    ends: type[MigratorError] | None = None
    """None: the command does its work to the end."""


def scheduled(schedule: Callable[[frozenset[str]], Schedule]) -> Callable[[Target, Stage], FaultyTarget]:
    return lambda target, stage: FaultyTarget(target, schedule(WRITES[stage]))


def once(trouble: Trouble) -> Callable[[Target, Stage], FaultyTarget]:
    """Every call of the stage meets it at its first attempt."""
    return scheduled(lambda verbs: first_attempt(Fault(trouble), verbs))


def from_second_on(trouble: Trouble) -> Callable[[Target, Stage], FaultyTarget]:
    """One call of the stage goes well, no other does."""

    def schedule(verbs: frozenset[str]) -> Schedule:
        return lambda asked: Fault(trouble) if asked.verb in verbs and asked.number > 1 else None

    return scheduled(schedule)


def is_chosen(row: Mapping[str, Any]) -> bool:
    return row["key"] in CHOSEN


def broken() -> ConnectorError:
    return RetryableError("500 internal error")


CASES = (
    *(Case(f"once: {trouble.value}", once(trouble)) for trouble in sorted(HEALING, key=lambda item: item.value)),
    Case("rows held by others for a while", lambda target, _: FaultyTarget(target, locks=[Lock(is_chosen)])),
    Case("reads fail once", lambda target, _: FaultyTarget(target, first_attempt(Fault(Trouble.RESET), frozenset({"fetch", "read", "prepare"})))),
    Case("a bad day", lambda target, _: FaultyTarget(target, by_chance(seed=5, share=0.4))),
    *(
        Case(f"down from the second call on: {trouble.value}", from_second_on(trouble), RetryableError)
        for trouble in (Trouble.TIMEOUT_BEFORE, Trouble.TIMEOUT_AFTER, Trouble.PARTIAL, Trouble.THROTTLED, Trouble.UNAVAILABLE)
    ),
    Case(Trouble.REVOKED.value, from_second_on(Trouble.REVOKED), FatalError),
    *(
        Case(f"false: {trouble.value}", from_second_on(trouble), SafetyStop)
        for trouble in sorted(MISTOLD, key=lambda item: item.value)
    ),
)  # fmt: skip
"""The target does what it should in the end, or the command stops."""
HELD = (
    Case("some rows refused", once(Trouble.REFUSED)),
    Case(
        "poison in a call: refused whole", lambda target, _: FaultyTarget(target, poisons=[Poison(is_chosen)])
    ),
    Case(
        "poison in a call: no answer",
        lambda target, _: FaultyTarget(target, poisons=[Poison(is_chosen, broken)]),
    ),
    Case(
        "rows held by others for good",
        lambda target, _: FaultyTarget(target, locks=[Lock(is_chosen, tries=99)]),
    ),
)
"""Rows are refused until the target is well again: they are quarantined, and everything else is done."""


@pytest.fixture(scope="module", params=Where, ids=lambda where: where.value)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Stage, Place]:
    """Where each stage begins."""
    return stages(tmp_path_factory.mktemp("begun") / "stages", request.param)


@pytest.fixture(scope="module")
def undisturbed(
    begun: dict[Stage, Place], tmp_path_factory: pytest.TempPathFactory
) -> dict[Stage, dict[str, Any]]:
    """How each stage ends when nothing goes wrong."""
    ends = {}
    for stage in Stage:
        place = begun[stage].copied(tmp_path_factory.mktemp("whole") / "place")
        with place.target() as target:
            do(stage, place, target)
        ends[stage] = place.state()
        assert ends[stage]["closed"] is (stage is not Stage.ROLLBACK)
    return ends


@pytest.mark.parametrize("where", Where, ids=lambda where: where.value)
def test_a_life_of_bad_days_ends_like_a_good_one(tmp_path: Path, where: Where) -> None:
    ends = []
    for name, schedule in (("good", never), ("bad", by_chance(seed=11, share=0.5))):
        place = begin(tmp_path / name, where)
        with place.target() as inside:
            target = FaultyTarget(inside, schedule)
            place.load(target)
            put_second(place)
            place.load(target)
            ends.append(place.state())
            assert ends[-1]["closed"]
            place.take_back(target, most=9)
            assert place.held() == {"company": [], "person": []}
            assert (len(target.befell) > 5) is (name == "bad")
    assert ends[0] == ends[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", Stage, ids=lambda stage: stage.value)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_end_is_that_of_an_undisturbed_run(
    begun: dict[Stage, Place], undisturbed: dict[Stage, Any], tmp_path: Path, case: Case, stage: Stage
) -> None:
    place = begun[stage].copied(tmp_path / "place")
    with place.target() as inside:
        target = case.wrap(inside, stage)
        if case.ends is None:
            assert do(stage, place, target) > 0
            assert target.befell or target.held_back, "nothing went wrong"
        else:
            with pytest.raises(case.ends):
                do(stage, place, target)
            target.heal()
            do(stage, place, target)
    assert place.state() == undisturbed[stage]
    nothing_left_to_do(place, stage)


@pytest.mark.slow
@pytest.mark.parametrize("stage", Stage, ids=lambda stage: stage.value)
@pytest.mark.parametrize("case", HELD, ids=lambda case: case.name)
def test_what_is_refused_is_held_alone_and_flows_once_the_target_is_well(
    begun: dict[Stage, Place], undisturbed: dict[Stage, Any], tmp_path: Path, case: Case, stage: Stage
) -> None:
    place = begun[stage].copied(tmp_path / "place")
    with place.target() as inside:
        target = case.wrap(inside, stage)
        do(stage, place, target)
        assert target.befell or target.held_back, "nothing went wrong"
        found, whole = place.state(), undisturbed[stage]
        assert found["closed"] is whole["closed"]
        if stage is not Stage.ROLLBACK:
            assert set(refused(found)) - set(refused(whole))
            if case.name != "some rows refused":
                assert {row["__id"].replace("s:", "k") for row in refused(found).values()} <= CHOSEN
        target.heal()
        do(stage, place, target, Retry())
    assert place.state() == undisturbed[stage]
    nothing_left_to_do(place, stage)


def test_a_system_that_is_away_from_the_first_row_on_stops_the_way_back_after_a_few(tmp_path: Path) -> None:
    place = begin(tmp_path / "place", Where.SQLITE)
    with place.target() as inside:
        place.load(inside)
    row_by_row = open_target({"url": f"sqlite:///{place.folder / 'target.db'}", "batch_rows": 1})
    with closing(row_by_row):
        target = FaultyTarget(row_by_row, poisons=[Poison(lambda _: True, broken)])
        with pytest.raises(RetryableError):
            place.take_back(target)
    assert target.held_back <= DOUBTFUL * PATIENT.attempts


def refused(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the crosswalk that were refused, by object and record."""
    return {
        f"{name}/{row['__id']}": row
        for name, rows in state["crosswalk"].items()
        for row in rows
        if row["refused"]
    }


def nothing_left_to_do(place: Place, stage: Stage) -> None:
    """The same command writes nothing; and what was loaded can all be taken back, lost answers or not."""
    with place.target() as target:
        assert do(stage, place, target) == 0
        if stage is not Stage.ROLLBACK:
            place.take_back(target, most=9)
            assert place.held() == {"company": [], "person": []}
