"""The simulated systems misbehave as real ones do: late commits, lagging index, hidden rows, conditions on writes, forgotten feeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from migrator.core.errors import FatalError, RetryableError, WatermarkExpired
from migrator.core.twoway import ID, UNREADABLE, Create, Delete, Evidence, EvidenceKind, Outcome, Update
from migrator.testing.simulation.crm import DAY, Row
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.settings import NONE, Rates, Settings
from migrator.testing.simulation.shape import NEW, OLD, Value
from migrator.testing.simulation.side import LOCKED, SimSide
from migrator.testing.simulation.world import World, everything


class Nobody:
    """Watches and says nothing."""

    def proven(self, side: str, given: Iterable[Evidence]) -> None: ...
    def read(self, side: str, ids: Iterable[str]) -> None: ...
    def creating(self, side: str, object_name: str, key: str, values: Mapping[str, Value]) -> None: ...
    def updating(self, side: str, row: Row, values: Mapping[str, Value]) -> None: ...
    def deleting(self, side: str, row: Row) -> None: ...
    def unanswered(self, side: str, ids: Iterable[str]) -> None: ...
    def dangling(self, side: str, object_name: str, field: str, value: Value) -> None: ...


def new_world(**settings: object) -> tuple[World, SimSide]:
    world = World(Settings(rates=NONE, records=20, **settings))  # type: ignore[arg-type]
    return world, SimSide(world, OLD, Nobody(), lambda _: None)


def person(world: World) -> Row:
    return next(iter(world.crms[OLD].live("Contact")))


def fed(side: SimSide, since: str, overlap: float = 0.0) -> list[str]:
    return [
        id_ for page in side.changes("Contact", since, overlap) for id_ in page.rows.column(ID).to_pylist()
    ]


def token(side: SimSide) -> str:
    page = next(iter(side.changes("Contact", None, 0.0)))
    assert page.watermark is not None
    return page.watermark


def test_a_late_commit_shows_up_with_the_stamp_of_its_beginning() -> None:
    world, side = new_world()
    row = person(world)
    world.crms[OLD].later(
        300, row.id, lambda stamp: world.crms[OLD].edit(row, {"LastName": "Neu"}, Actor.USER, stamp)
    )
    world.tick(60)
    since = token(side)
    assert fed(side, since) == []
    world.tick(300)
    assert fed(side, since) == [], "without overlap it is passed over"
    assert fed(side, since, overlap=600) == [row.id]


def test_a_row_in_a_transaction_is_locked() -> None:
    world, side = new_world()
    row = person(world)
    world.crms[OLD].later(300, row.id, lambda _: None)
    (answer,) = side.update("Contact", [Update(row.id, str(row.version), {"LastName": "Wer"})])
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, LOCKED)


def test_the_index_lags_behind_the_row() -> None:
    world, side = new_world()
    row = person(world)
    world.tick(60)
    since = token(side)
    world.crms[OLD].lag = lambda: 500.0
    world.crms[OLD].edit(row, {"LastName": "Neu"}, Actor.USER)
    assert fed(side, since) == []
    assert side.fetch("Contact", [row.id], ["LastName"])[0].values == {"LastName": "Neu"}
    world.tick(600)
    assert fed(side, since) == [row.id]


def test_a_value_can_change_without_a_stamp() -> None:
    world, side = new_world()
    row = person(world)
    since, version = token(side), row.version
    world.crms[OLD].edit(row, {"LastName": "Formel"}, Actor.AUTOMATION, touch=False)
    assert (fed(side, since), row.version) == ([], version)


@pytest.mark.parametrize(("cas", "outcome"), [("exact", Outcome.STALE), ("none", Outcome.UPDATED)])
def test_a_condition_holds_where_the_system_has_one(cas: str, outcome: Outcome) -> None:
    world, side = new_world(cas=cas)
    row = person(world)
    before = str(row.version)
    world.crms[OLD].edit(row, {"LastName": "Neu"}, Actor.USER)
    (answer,) = side.update("Contact", [Update(row.id, before, {"Email": "a@b.c"})])
    assert answer.outcome is outcome


def test_within_one_second_a_condition_by_time_sees_nothing() -> None:
    world, side = new_world(cas="second")
    row = person(world)
    world.tick(100.5)
    world.crms[OLD].edit(row, {"LastName": "Eins"}, Actor.USER)
    seen = side.fetch("Contact", [row.id], [])[0].version
    world.crms[OLD].edit(row, {"LastName": "Zwei"}, Actor.USER, row.stamp)
    assert side.update("Contact", [Update(row.id, seen, {"Email": "a@b.c"})])[0].outcome is Outcome.UPDATED
    assert side.update("Contact", [Update(row.id, seen, {"Email": "d@b.c"})])[0].outcome is Outcome.STALE


def test_hidden_rows_are_missing_everywhere_and_prove_nothing() -> None:
    world, side = new_world()
    row = person(world)
    world.screens[OLD].rows.add(row.id)
    assert side.fetch("Contact", [row.id], ["LastName"]) == []
    assert side.evidence("Contact", [row.id]) == []
    assert row.id not in [
        id_ for page in side.scan("Contact", []) for id_ in page.rows.column(ID).to_pylist()
    ]
    assert (
        side.update("Contact", [Update(row.id, str(row.version), {"LastName": "x"})])[0].outcome
        is Outcome.MISSING
    )
    assert side.delete("Contact", [Delete(row.id, str(row.version))])[0].outcome is Outcome.MISSING


def test_a_field_that_may_not_be_read_is_not_empty() -> None:
    world, side = new_world()
    row = person(world)
    world.screens[OLD].fields.add(("Contact", "Email"))
    assert side.fetch("Contact", [row.id], ["Email"])[0].values == {"Email": UNREADABLE}
    assert "Email" not in next(iter(side.scan("Contact", ["Email"]))).rows.column_names
    described = next(schema for schema in side.describe() if schema.name == "Contact")
    assert described.field("Email") is None


def test_a_feed_forgets_after_its_memory() -> None:
    world, side = new_world()
    since = token(side)
    world.tick(8 * DAY)
    with pytest.raises(WatermarkExpired):
        fed(side, since)


def test_a_hard_delete_leaves_no_trace_and_a_soft_one_does() -> None:
    world, side = new_world()
    one, two = list(world.crms[OLD].live("Contact"))[:2]
    world.crms[OLD].delete(one, Actor.USER)
    world.crms[OLD].delete(two, Actor.USER, proof=False)
    assert [(proof.id, proof.kind) for proof in side.evidence("Contact", [one.id, two.id])] == [
        (one.id, EvidenceKind.DELETED)
    ]


def test_a_second_create_with_one_key_is_told_so() -> None:
    world, side = new_world()
    rows = [Create("n1", {"LastName": "Eins"})]
    assert side.create("Contact", "New_Id__c", rows)[0].outcome is Outcome.CREATED
    there = side.create("Contact", "New_Id__c", rows)[0]
    assert (there.outcome, world.crms[OLD].rows[there.id].values["LastName"]) == (Outcome.EXISTS, "Eins")


def test_a_lost_answer_is_of_a_write_that_took_effect() -> None:
    world, side = new_world()
    row = person(world)
    world.faults.rates = Rates(lost=1.0)
    with pytest.raises(RetryableError):
        side.update("Contact", [Update(row.id, str(row.version), {"LastName": "Da"})])
    assert row.values["LastName"] == "Da"


def test_an_expired_login_fails_until_the_next_run() -> None:
    world, side = new_world()
    side.expired_login = True
    with pytest.raises(FatalError, match="no longer valid"):
        side.describe()
    assert world.crms[OLD].rows


def test_a_deleted_firm_takes_its_deals_with_it() -> None:
    world, _ = new_world()
    old = world.crms[OLD]
    deal = next(row for row in old.live("Opportunity") if row.values["AccountId"])
    old.delete(old.rows[str(deal.values["AccountId"])], Actor.USER)
    assert not deal.alive


def test_the_same_seed_makes_the_same_world() -> None:
    assert everything(new_world(seed=3)[0]) == everything(new_world(seed=3)[0])
    assert everything(new_world(seed=3)[0]) != everything(new_world(seed=4)[0])
    assert len(everything(new_world(seed=3)[0])[NEW]) >= 15
