"""The checker names each broken invariant: misdeeds done by hand, one at a time, and the same deeds done rightly pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from migrator.core.twoway import Create, Delete, Native, Update
from migrator.testing.simulation.checker import Checker
from migrator.testing.simulation.crm import DAY
from migrator.testing.simulation.groups import Node
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.settings import NONE, Settings
from migrator.testing.simulation.settled import check_settled
from migrator.testing.simulation.shape import NEW, OLD, PERSON, SHAPES, Value, shape_of
from migrator.testing.simulation.side import SimSide
from migrator.testing.simulation.world import World


@dataclass
class Records:
    """What a sync would have written down."""

    log: list[tuple[str, Value]] = field(default_factory=list)
    exceptions: dict[Node, tuple[str, ...]] = field(default_factory=dict)
    has_intents: bool = True
    open_ones: frozenset[str] = frozenset()
    brake_lifted: bool = False
    back: list[Node] = field(default_factory=list)

    def logged(self, side: str, field: str, value: Value) -> bool:  # noqa: ARG002
        return (field, value) in self.log

    def intended(self, side: str, id_: str, key: str) -> bool:  # noqa: ARG002
        return self.has_intents

    def intents(self) -> frozenset[str]:
        return self.open_ones

    def listed(self) -> Mapping[Node, tuple[str, ...]]:
        return self.exceptions

    def returned(self) -> list[Node]:
        return self.back

    def approved(self, object_name: str) -> bool:  # noqa: ARG002
        return self.brake_lifted

    def is_rebuilt(self) -> bool:
        return False


class Stage:
    """A world between users and a hand that plays the sync."""

    def __init__(self, cas: str = "exact") -> None:
        self.world = World(Settings(rates=NONE, records=100, grouped=0.2, cas=cas))
        self.checker = Checker(self.world)
        self.records = Records()
        self.checker.witness = self.records
        self.sides = {side: SimSide(self.world, side, self.checker, lambda _: None) for side in (OLD, NEW)}
        mapping, old, new = next(link for link in self.world.links if link[0] == "person")
        assert mapping == PERSON.name
        self.old, self.new = self.world.crms[OLD].rows[old], self.world.crms[NEW].rows[new]

    def user(self, side: str, id_: str, **values: Value) -> None:
        self.world.tick(60)
        crm = self.world.crms[side]
        crm.edit(crm.rows[id_], values, Actor.USER)

    def run(self) -> None:
        self.world.tick(3600)
        self.checker.begin()

    def write(self, side: str, id_: str, **values: Native) -> None:
        row = self.world.crms[side].rows[id_]
        self.sides[side].update(row.object, [Update(id_, self.sides[side].view.version(row), values)])

    def broken(self) -> set[str]:
        return {each.invariant for each in self.checker.violations}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_value_carried_over_is_fine(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    check_settled(stage.checker)
    assert stage.checker.violations == []


def test_i1_an_edit_overwritten_and_told_nobody(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.user(NEW, stage.new.id, family_name="Becker")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == {"I1"}


def test_i1_an_edit_overwritten_and_logged_is_fine(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.user(NEW, stage.new.id, family_name="Becker")
    stage.records.log.append(("family_name", "Becker"))
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == set()


@pytest.mark.parametrize(("decided", "expected"), [(True, {"I1"}), (False, set())])
def test_i1_what_both_sides_had_for_a_while_is_carried_once_it_was_decided_on_and_not_when_it_was_only_listed(
    stage: Stage, decided: bool, expected: set[str]
) -> None:
    before = str(stage.new.values["family_name"])
    for side, row, name in ((OLD, stage.old, "LastName"), (NEW, stage.new, "family_name")):
        stage.user(side, row.id, **{name: "Weber"})
    stage.run()
    for side, row in ((OLD, stage.old), (NEW, stage.new)):
        list(stage.sides[side].scan(row.object, ()))
        if decided:
            stage.sides[side].fetch(row.object, [row.id], ())
    stage.user(NEW, stage.new.id, family_name=before)
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == expected


@pytest.mark.parametrize(("tags", "expected"), [("a;b", set()), ("a;c", {"I1"})])
def test_i1_a_set_in_another_order_is_no_edit(stage: Stage, tags: str, expected: set[str]) -> None:
    firm = next(old for name, old, _ in stage.world.links if name == "firm")
    partner = next(new for _, old, new in stage.world.links if old == firm)
    stage.user(OLD, firm, Tags__c="b;a")
    stage.run()
    stage.write(NEW, partner, tags="b;a")
    stage.user(OLD, firm, Tags__c="c")
    stage.user(NEW, partner, tags=tags)
    stage.run()
    stage.write(NEW, partner, tags="c")
    assert stage.broken() == expected


def test_i2_a_value_nobody_entered(stage: Stage) -> None:
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Niemand")
    assert "I2" in stage.broken()


def test_i2_a_value_that_was_true_before_this_run(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.user(OLD, stage.old.id, LastName="Fischer")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert "I2" in stage.broken()


def test_i3_an_edit_that_never_arrived(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    check_settled(stage.checker)
    assert stage.broken() == {"I3"}


@pytest.mark.parametrize(("told", "expected"), [(True, set()), (False, {"I3"})])
def test_i3_an_edit_against_the_direction_stays_also_when_its_partner_was_deleted_and_brought_back(
    stage: Stage, told: bool, expected: set[str]
) -> None:
    olds, news = stage.world.crms[OLD], stage.world.crms[NEW]
    made = news.create("company", {"name": "Neu", "satisfaction": "high"}, Actor.USER)
    stage.run()
    values = {"Name": "Neu", "Satisfaction__c": "high"}
    (answer,) = stage.sides[OLD].create("Account", "New_Id__c", [Create(made.id, values)])
    stage.user(OLD, answer.id, Satisfaction__c="low")
    if told:
        stage.records.log.append(("satisfaction", "low"))
    news.delete(made, Actor.USER)
    stage.world.tick(60)
    news.undelete(made)
    check_settled(stage.checker)
    assert stage.broken() == expected
    assert olds.alive(answer.id)


def test_i3_a_record_without_a_partner(stage: Stage) -> None:
    stage.world.crms[OLD].create("Lead", {"LastName": "Neu"}, Actor.USER)
    check_settled(stage.checker)
    assert stage.broken() == {"I3"}


def test_i3_holding_what_nothing_happened_to(stage: Stage) -> None:
    stage.records.exceptions[OLD, stage.old.id] = ("",)
    check_settled(stage.checker)
    assert stage.broken() == {"I3"}


@pytest.mark.parametrize("forgotten", [False, True])
def test_i3_records_that_only_a_merge_ties_which_was_forgotten_with_the_store_stand_apart(
    forgotten: bool, stage: Stage
) -> None:
    olds = stage.world.crms[OLD]
    pairs = [(olds.rows[old], new) for name, old, new in stage.world.links if name == "person"]
    (loser, one), (master, two) = pairs[:2]
    olds.merge(loser, master, {})
    stage.run()
    stage.sides[OLD].evidence("Contact", [loser.id])
    if forgotten:
        stage.checker.lost(0.0)
    stage.records.exceptions = {(NEW, one): ("#undelete",)}
    stage.user(OLD, master.id, LastName="Weber")
    stage.run()
    stage.write(NEW, two, family_name="Weber")
    check_settled(stage.checker)
    assert stage.broken() == (set() if forgotten else {"I3"})


def test_i4_a_write_without_a_cause(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == {"I4"}


def test_i4_what_was_on_its_way_when_another_process_took_over_and_wrote_it_may_be_written_once_more(
    stage: Stage,
) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.run()
    stage.records.open_ones = frozenset({stage.new.id})
    stage.checker.suspended()
    stage.write(NEW, stage.new.id, family_name="Weber")
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == set()
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == {"I4"}


def test_i5_a_second_record_for_one_source(stage: Stage) -> None:
    stage.sides[NEW].crm.rows[stage.new.id].values["legacy_id"] = None
    stage.sides[NEW].crm.by_key.clear()
    stage.run()
    key = f"crm:{stage.old.id}"
    values = {"family_name": str(stage.old.values["LastName"])}
    stage.sides[NEW].create("person", "legacy_id", [Create(key, values)])
    assert stage.broken() == {"I5"}


@pytest.mark.parametrize(("days", "expected"), [(1, {"I5"}), (20, set())])
def test_i5_a_merge_that_the_system_forgot_gives_no_partner(
    stage: Stage, days: int, expected: set[str]
) -> None:
    crm = stage.world.crms[OLD]
    master = crm.create("Contact", {"LastName": "Neu"}, Actor.USER)
    crm.merge(stage.old, master, {})
    stage.world.tick(days * DAY)
    stage.run()
    stage.sides[NEW].create("person", "legacy_id", [Create(f"crm:{master.id}", {"family_name": "Neu"})])
    assert stage.broken() == expected


def test_i5_an_earlier_end_that_was_told_does_not_tell_of_a_merge_that_was_forgotten(stage: Stage) -> None:
    crm = stage.world.crms[OLD]
    crm.delete(stage.old, Actor.USER)
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])
    crm.undelete(stage.old)
    master = crm.create("Contact", {"LastName": "Neu"}, Actor.USER)
    crm.merge(stage.old, master, {})
    stage.world.tick(20 * DAY)
    stage.run()
    stage.sides[NEW].create("person", "legacy_id", [Create(f"crm:{master.id}", {"family_name": "Neu"})])
    assert stage.broken() == set()


def test_i5_a_merge_that_was_told_is_remembered_when_the_system_forgot_it(stage: Stage) -> None:
    crm = stage.world.crms[OLD]
    master = crm.create("Contact", {"LastName": "Neu"}, Actor.USER)
    crm.merge(stage.old, master, {})
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])
    stage.world.tick(20 * DAY)
    stage.run()
    stage.sides[NEW].create("person", "legacy_id", [Create(f"crm:{master.id}", {"family_name": "Neu"})])
    assert stage.broken() == {"I5"}


@pytest.mark.parametrize(("lag", "expected"), [(0.0, {"I5"}), (7_200.0, set())])
def test_i5_a_merge_that_the_bin_does_not_list_yet_gives_no_partner(
    stage: Stage, lag: float, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = stage.world.crms[OLD]
    master = crm.create("Contact", {"LastName": "Neu"}, Actor.USER)
    monkeypatch.setattr(crm, "lag", lambda: lag)
    crm.merge(stage.old, master, {})
    stage.run()
    stage.sides[NEW].create("person", "legacy_id", [Create(f"crm:{master.id}", {"family_name": "Neu"})])
    assert stage.broken() == expected


def test_i5_a_forgotten_merge_does_not_hide_the_partner_that_the_load_gave(stage: Stage) -> None:
    news = [new for name, _, new in stage.world.links if name == "firm"]
    several = next(new for new in news if news.count(new) > 1)
    second = [old for _, old, new in stage.world.links if new == several][1]
    crm = stage.world.crms[OLD]
    loser = crm.create("Account", {"Name": "Neu"}, Actor.USER)
    crm.merge(loser, crm.rows[second], {})
    stage.world.tick(20 * DAY)
    stage.run()
    values = {"name": str(crm.rows[second].values["Name"])}
    stage.sides[NEW].create("company", "legacy_id", [Create(f"crm:{second}", values)])
    assert stage.broken() == {"I5"}


@pytest.mark.parametrize(("days", "expected"), [(1, {"I6"}), (20, set())])
def test_i6_a_merge_that_the_system_forgot_ties_nobody_two_steps_away(
    stage: Stage, days: int, expected: set[str]
) -> None:
    olds, news = stage.world.crms[OLD], stage.world.crms[NEW]
    pairs = [(olds.rows[old], news.rows[new]) for name, old, new in stage.world.links if name == "person"]
    (master, one), (loser, two), (forgotten, _) = pairs[:3]
    olds.merge(forgotten, loser, {})
    stage.world.tick(days * DAY)
    olds.merge(loser, master, {})
    for partner in (one, two):
        news.delete(partner, Actor.USER)
    stage.run()
    stage.sides[NEW].evidence("person", [one.id, two.id])
    stage.sides[OLD].delete("Contact", [Delete(master.id, str(master.version))])
    assert stage.broken() == expected


def test_i6_a_delete_without_proof(stage: Stage) -> None:
    stage.world.crms[OLD].delete(stage.old, Actor.USER, proof=False)
    stage.run()
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == {"I6"}


def test_i6_a_hidden_record_taken_for_deleted(stage: Stage) -> None:
    stage.world.screens[OLD].rows.add(stage.old.id)
    stage.run()
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == {"I6"}


def test_i6_a_delete_with_proof_is_fine(stage: Stage) -> None:
    stage.world.crms[OLD].delete(stage.old, Actor.USER)
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == set()


def test_i6_a_delete_of_our_own_is_no_proof(stage: Stage) -> None:
    stage.world.crms[OLD].delete(stage.old, Actor.SYNC)
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == {"I6"}


def merge_away(stage: Stage) -> None:
    crm = stage.world.crms[OLD]
    master = next(row for row in crm.live("Contact") if row is not stage.old)
    crm.merge(stage.old, master, {})
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])


def test_i1_the_partner_of_a_merged_record_goes_with_its_edits(stage: Stage) -> None:
    stage.user(NEW, stage.new.id, family_name="Nur hier")
    merge_away(stage)
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == {"I1"}


def test_i6_the_partner_of_a_merged_record_may_go(stage: Stage) -> None:
    merge_away(stage)
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == set()


def test_i1_a_delete_that_takes_an_edit_with_it(stage: Stage) -> None:
    stage.world.crms[OLD].delete(stage.old, Actor.USER)
    stage.user(NEW, stage.new.id, family_name="Spät")
    stage.run()
    stage.sides[OLD].evidence("Contact", [stage.old.id])
    stage.sides[NEW].delete("person", [Delete(stage.new.id, str(stage.new.version))])
    assert stage.broken() == {"I1"}


def test_i7_a_deleted_record_comes_back(stage: Stage) -> None:
    stage.world.crms[NEW].delete(stage.new, Actor.USER)
    stage.run()
    values = {"family_name": str(stage.old.values["LastName"])}
    stage.sides[NEW].create("person", "legacy_id", [Create(f"crm:{stage.old.id}", values)])
    assert stage.broken() == {"I7"}


def _create_for(stage: Stage, lead: str) -> None:
    stage.run()
    stage.sides[NEW].create("prospect", "legacy_id", [Create(f"crm:{lead}", {"family_name": "Neu"})])


@pytest.mark.parametrize(
    ("answered", "shown", "expected"),
    [(True, False, {"I7"}), (False, True, {"I7"}), (False, False, set())],
)
def test_i7_a_record_deleted_before_the_sync_ever_heard_that_it_had_made_it(
    stage: Stage, answered: bool, shown: bool, expected: set[str]
) -> None:
    lead = stage.world.crms[OLD].create("Lead", {"LastName": "Neu"}, Actor.USER).id
    _create_for(stage, lead)
    made = next(
        row for row in stage.world.crms[NEW].live("prospect") if row.values["legacy_id"] == f"crm:{lead}"
    )
    if not answered:
        stage.checker.killed()
    if shown:
        stage.sides[NEW].fetch("prospect", [made.id], ())
    stage.world.crms[NEW].delete(made, Actor.USER, proof=False)
    _create_for(stage, lead)
    assert stage.broken() == expected


def test_i8_a_hidden_record_that_waits_as_if_it_had_been_undeleted(stage: Stage) -> None:
    crm = stage.world.crms[OLD]
    crm.delete(stage.old, Actor.USER)
    node = (NEW, stage.new.id)
    stage.records.exceptions[node], stage.records.back = ("",), [node]
    check_settled(stage.checker)
    assert stage.broken() == {"I8"}


def test_i8_a_record_that_a_user_undeleted_may_wait(stage: Stage) -> None:
    crm = stage.world.crms[OLD]
    crm.delete(stage.old, Actor.USER)
    crm.undelete(stage.old)
    node = (NEW, stage.new.id)
    stage.records.exceptions[node], stage.records.back = ("",), [node]
    check_settled(stage.checker)
    assert stage.broken() == set()


def test_i11_a_write_without_an_intent(stage: Stage) -> None:
    stage.records.has_intents = False
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == {"I11"}


def test_i11_a_write_that_was_on_its_way_when_another_process_took_over_had_its_intent(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, LastName="Weber")
    stage.run()
    stage.records.open_ones = frozenset({stage.new.id})
    stage.checker.suspended()
    stage.records.has_intents, stage.records.open_ones = False, frozenset()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert stage.broken() == set()
    stage.run()
    stage.write(NEW, stage.new.id, family_name="Weber")
    assert "I11" in stage.broken()


def test_i14_a_field_emptied_because_it_could_not_be_read(stage: Stage) -> None:
    stage.user(OLD, stage.old.id, Email="a@b.c")
    stage.run()
    stage.write(NEW, stage.new.id, mail=None)
    assert "I14" in stage.broken()


def test_i16_a_group_flips_between_its_members(stage: Stage) -> None:
    news = [new for _, _, new in stage.world.links]
    several = next(new for new in news if news.count(new) > 1)
    one, two = [old for _, old, new in stage.world.links if new == several][:2]
    name = stage.world.crms[OLD].rows[two].values["Name"]
    stage.user(OLD, one, Name="Neu")
    stage.run()
    stage.write(NEW, several, name="Neu")
    stage.run()
    stage.write(NEW, several, name=str(name))
    assert stage.broken() == {"I16"}


@pytest.mark.parametrize(
    ("cas", "lost", "found"), [("second", False, set()), ("exact", False, {"I16"}), ("exact", True, set())]
)
def test_i16_what_a_system_made_of_a_write_whose_answer_said_nothing_of_it_goes_to_the_others_once(
    cas: str, lost: bool, found: set[str]
) -> None:
    stage = Stage(cas)
    news = [new for name, _, new in stage.world.links if name == "firm"]
    new = next(one for one in news if news.count(one) > 1)
    one, two, *_ = [old for name, old, to in stage.world.links if to == new]
    stage.user(OLD, one, Name="big  firm")
    stage.run()
    stage.write(NEW, new, name="big  firm")
    stage.write(OLD, two, Name="big  firm")
    if lost:
        stage.checker.unanswered(NEW, [new])
    stage.run()
    stage.write(OLD, two, Name="Big firm")
    assert stage.broken() == found
    stage.run()
    stage.write(OLD, two, Name="big  firm")
    assert stage.broken() == {"I16"}


def test_i17_a_link_to_a_record_that_is_gone(stage: Stage) -> None:
    firm = next(iter(stage.world.crms[NEW].live("company")))
    stage.world.crms[NEW].delete(firm, Actor.USER)
    stage.sides[NEW].evidence("company", [firm.id])
    stage.run()
    stage.write(NEW, stage.new.id, company=firm.id)
    assert "I17" in stage.broken()


def test_i18_more_deletes_than_the_brake_allows(stage: Stage) -> None:
    olds, news = stage.world.crms[OLD], stage.world.crms[NEW]
    pairs = [(olds.rows[old], news.rows[new]) for name, old, new in stage.world.links if name == "person"]
    for old, _ in pairs[:30]:
        olds.delete(old, Actor.USER)
    stage.run()
    stage.sides[OLD].evidence("Contact", [old.id for old, _ in pairs])
    rows = [Delete(new.id, str(new.version)) for _, new in pairs[:21]]
    stage.sides[NEW].delete("person", rows[:20])
    assert stage.broken() == set()
    stage.sides[NEW].delete("person", rows[20:])
    assert stage.broken() == {"I18"}


def test_i18_a_named_approval_lifts_the_brake(stage: Stage) -> None:
    stage.records.brake_lifted = True
    olds, news = stage.world.crms[OLD], stage.world.crms[NEW]
    pairs = [(olds.rows[old], news.rows[new]) for name, old, new in stage.world.links if name == "person"]
    for old, _ in pairs[:30]:
        olds.delete(old, Actor.USER)
    stage.run()
    stage.sides[OLD].evidence("Contact", [old.id for old, _ in pairs])
    stage.sides[NEW].delete("person", [Delete(new.id, str(new.version)) for _, new in pairs[:25]])
    assert stage.broken() == set()


def test_s16_consent_is_never_widened(stage: Stage) -> None:
    firm = next(old for name, old, _ in stage.world.links if name == "firm")
    partner = next(new for _, old, new in stage.world.links if old == firm)
    stage.user(NEW, partner, do_not_contact=True)
    stage.user(OLD, firm, HasOptedOut=False)
    stage.records.log.append(("do_not_contact", True))
    stage.run()
    stage.write(NEW, partner, do_not_contact=False)
    assert stage.broken() == {"S16"}


def test_every_link_of_the_load_is_known(stage: Stage) -> None:
    for name, old, new in stage.world.links:
        assert stage.checker.groups.together((OLD, old), (NEW, new))
        assert shape_of(OLD, stage.world.crms[OLD].rows[old].object).name == name
    assert {name for name, _, _ in stage.world.links} == {shape.name for shape in SHAPES}
