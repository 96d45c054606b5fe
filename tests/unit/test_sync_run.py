"""Runs of the two-way sync against two small systems in memory: what flows, what is held, and what is never done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrator.core.errors import RetryableError, SafetyStop
from migrator.core.twoway import Answer, EvidenceKind, Outcome, Update
from migrator.staging import journal
from migrator.staging.ledger import open_ledger
from migrator.staging.sync_tables import conflicts
from migrator.sync.guard import accept_restored
from migrator.sync.meter import Allowance
from migrator.sync.report import Status
from migrator.sync.run import prepare
from migrator.sync.store import SyncStore
from migrator.sync.work import Limits, Settings
from tests.seeded_sync import LINKS, seed
from tests.sync_world import World, world


@pytest.fixture
def linked(tmp_path: Path) -> tuple[World, str, str]:
    """One old record and its partner, after a quiet night."""
    found = world(tmp_path)
    name = found.old.add("Account", Name="Ada", City="Basel", Stage="Hot", Phone="1")
    assert found.night().status is Status.GREEN
    return found, name, found.partner(name)


@pytest.fixture
def merged(tmp_path: Path) -> tuple[World, str, str, str]:
    """Two old records that the load merged, and their partner, whose name its system writes in capitals."""
    found = world(tmp_path)
    lead, other = (found.old.add("Account", Name=name) for name in ("A", "B"))
    new = found.new.add("customer", "a:O001", name="A")
    load(found, {lead: new, other: new})
    assert found.reports[-1].writes == 0
    found.new.automation = lambda values: values.update(name=values["name"].upper())
    return found, lead, other, new


def load(found: World, partners: Mapping[str, str]) -> None:
    """Link old records as the load did, the first of each partner leading; a second time links nothing."""
    olds, news = list(partners), list(partners.values())
    leads = [name not in news[:place] for place, name in enumerate(news)]
    links = pa.table([[f"a:{name}" for name in olds], news, leads], schema=LINKS)
    with found.ledger.lease():
        run = found.wiring(SyncStore(found.ledger))
        run.store.open()
        work = prepare(run)
        assert [seed(work, next(iter(work.scenes)), [links]) for _ in range(2)] == [len(olds), 0]
    found.night(full=True)


def test_a_record_gets_a_partner_once(linked: tuple[World, str, str]) -> None:
    found, _, partner = linked
    assert found.new.values("customer", partner)["name"] == "Ada"
    assert found.new.values("customer", partner)["Key"] == "a:O001"
    for _ in range(3):
        assert found.night(full=True).writes == 0
    assert len(found.new.rows["customer"]) == 1


def test_edits_flow_both_ways_and_settle(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Name="Ada L")
    found.new.edit("customer", partner, city="Bern")
    assert found.night().writes == 2
    assert found.new.values("customer", partner)["name"] == "Ada L"
    assert found.old.values("Account", name)["City"] == "Bern"
    assert found.night().writes == 0


def test_a_cleared_value_is_cleared(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, City=None)
    found.night()
    assert found.new.values("customer", partner)["city"] is None


def test_a_new_record_on_the_new_side_comes_back(tmp_path: Path) -> None:
    found = world(tmp_path)
    made = found.new.add("customer", name="Bo")
    found.night()
    (row,) = found.old.rows["Account"].values()
    assert (row.values["Name"], row.values["Key"]) == ("Bo", made)
    assert found.night().writes == 0


def test_a_hold_waits_and_the_rest_flows(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Phone="2", Name="X")
    found.new.edit("customer", partner, phone="3")
    report = found.night()
    assert found.new.values("customer", partner) | {"phone": "3", "name": "X"} == found.new.values(
        "customer", partner
    )
    assert report.holds == {"conflict": 1}
    assert report.status is Status.YELLOW


def test_merging_unites_both(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Tags="a;b")
    found.new.edit("customer", partner, tags="c")
    found.night()
    assert found.new.values("customer", partner)["tags"] == found.old.values("Account", name)["Tags"]
    assert set(found.old.values("Account", name)["Tags"].split(";")) == {"a", "b", "c"}
    assert found.night().writes == 0


def test_a_proven_delete_is_carried_over(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.remove("Account", name)
    found.night()
    assert partner not in found.new.rows["customer"]
    assert found.night(full=True).writes == 0
    assert found.reports[-1].status is Status.GREEN


def test_absence_deletes_nothing_and_heals(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.hidden.add(name)
    assert found.night(full=True).writes == 0
    assert found.reports[-1].holds == {"missing": 1}
    found.old.hidden.clear()
    assert found.night().status is Status.GREEN
    assert partner in found.new.rows["customer"]


def test_a_delete_against_an_edit_is_held(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.remove("Account", name)
    found.new.edit("customer", partner, name="kept")
    found.night()
    assert found.new.values("customer", partner)["name"] == "kept"
    assert found.reports[-1].holds == {"delete-vs-edit": 1}


def test_a_delete_waits_while_an_edit_may_be_hidden(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.remove("Account", name)
    found.new.edit("customer", partner, name="kept")
    found.new.unreadable.add("name")
    found.night()
    assert partner in found.new.rows["customer"]
    found.new.unreadable.clear()
    found.night()
    assert found.new.values("customer", partner)["name"] == "kept"
    assert found.reports[-1].holds == {"delete-vs-edit": 1}


def test_a_merge_leads_edits_of_the_loser_to_the_master(tmp_path: Path) -> None:
    found = world(tmp_path)
    loser = found.old.add("Account", Name="L")
    master = found.old.add("Account", Name="M", City="Bern")
    found.night()
    gone, kept = found.partner(loser), found.partner(master)
    found.new.edit("customer", gone, city="Rome")
    found.old.remove("Account", loser, into=master)
    found.night()
    found.night()
    cities = {found.new.values("customer", one)["city"] for one in (gone, kept)}
    assert cities == {found.old.values("Account", master)["City"]} == {"Rome"}
    assert found.night(full=True).writes == 0


def test_what_is_merged_into_a_new_record_brings_its_group_along(merged: tuple[World, str, str, str]) -> None:
    found, lead, other, new = merged
    master = found.old.add("Account", Name="M")
    found.old.remove("Account", other, into=master)
    found.night()
    assert list(found.new.rows["customer"]) == [new]
    assert found.partner(master) == found.partner(lead) == new
    assert {found.old.values("Account", name)["Name"] for name in (lead, master)} == {"M"}
    assert found.night(full=True).writes == 0


def test_what_is_merged_into_a_record_whose_partner_could_not_be_made_brings_its_own(
    linked: tuple[World, str, str],
) -> None:
    found, name, partner = linked
    master = found.old.add("Account", Name="M")

    def away(verb: str) -> None:
        if verb == "create":
            raise RetryableError("gone")

    found.new.before = away
    found.night()
    found.new.before = lambda _verb: None
    found.old.remove("Account", name, into=master)
    found.night()
    assert found.partner(master) == partner
    assert list(found.new.rows["customer"]) == [partner]
    assert found.new.values("customer", partner)["name"] == "M"
    assert found.night(full=True).status is Status.GREEN


def test_merges_on_both_sides_at_once_make_no_second_partner(tmp_path: Path) -> None:
    found = world(tmp_path)
    loser, second = (found.old.add("Account", Name=name) for name in ("L", "S"))
    found.night()
    one, two = found.partner(loser), found.partner(second)
    master = found.old.add("Account", Name="M")
    found.old.remove("Account", loser, into=master)
    found.new.remove("customer", one, into=two)
    found.night()
    found.night()
    assert list(found.new.rows["customer"]) == [two]
    assert found.partner(master) == found.partner(second) == two
    assert found.night(full=True).status is Status.GREEN


@pytest.mark.parametrize("full", [False, True])
def test_an_edit_of_the_master_reaches_what_was_merged_into_it_before(tmp_path: Path, *, full: bool) -> None:
    found = world(tmp_path)
    master, loser = (found.old.add("Account", Name=name) for name in ("M", "L"))
    found.night()
    kept, gone = found.partner(master), found.partner(loser)
    found.new.remove("customer", gone, into=kept)
    found.new.edit("customer", kept, city="Rome")
    found.night(full=full)
    assert {found.old.values("Account", name)["City"] for name in (master, loser)} == {"Rome"}
    assert found.night(full=True).writes == 0


@pytest.mark.parametrize("who", ["user", "sync"])
def test_a_delete_that_was_undone_proves_nothing_when_the_record_is_hidden_later(
    linked: tuple[World, str, str], who: str
) -> None:
    found, name, partner = linked
    if who == "user":
        found.old.remove("Account", name)
        found.settings = Settings(deletes=False)  # seen, and not carried out yet
    else:
        found.new.remove("customer", partner)
    found.night()
    found.settings = Settings()
    found.old.restore("Account", name)
    found.old.proofs["Account"].pop()  # a full comparison may swallow what the feed would tell
    found.night(full=True)
    if who == "sync":
        found.new.restore("customer", partner)
        found.night()
        assert found.reports[-1].holds == {"undelete": 1}
        return
    assert found.night().status is Status.GREEN
    found.old.hidden.add(name)
    found.night(full=True)
    assert partner in found.new.rows["customer"]
    assert found.reports[-1].holds == {"missing": 1}


@pytest.mark.parametrize("full", [False, True])
def test_what_lives_on_after_a_conversion_is_edited_without_coming_back(
    linked: tuple[World, str, str], *, full: bool
) -> None:
    found, name, partner = linked
    found.old.remove("Account", name, into="")
    (proof,) = found.old.proofs["Account"]
    found.old.proofs["Account"] = [replace(proof, kind=EvidenceKind.CONVERTED)]
    found.night()
    found.new.edit("customer", partner, name="on its own")
    for _ in range(2):
        report = found.night(full=full)
        assert (report.status, report.writes, report.holds) == (Status.GREEN, 0, {})


def test_nobody_is_asked_about_what_came_back_and_went_again(linked: tuple[World, str, str]) -> None:
    found, name, _ = linked
    found.old.remove("Account", name)
    found.night()
    found.old.restore("Account", name)
    assert found.night().holds == {"undelete": 1}
    found.old.remove("Account", name)
    found.night()
    with found.ledger.read() as connection:
        assert connection.execute(sa.select(conflicts.c.state)).scalars().all() == ["closed"]
    assert found.night().status is Status.GREEN


def test_a_field_that_could_not_be_read_when_its_record_was_carried_over_follows(tmp_path: Path) -> None:
    found = world(tmp_path)
    name = found.old.add("Account", Name="Ada", City="Basel", Stage="Cold")
    found.old.unreadable.add("City")
    found.night()
    partner = found.partner(name)
    assert (found.new.values("customer", partner)["name"], found.reports[-1].status) == ("Ada", Status.RED)
    found.old.unreadable.clear()
    found.old.edit("Account", name, Stage="Hot")
    found.night()
    assert found.new.values("customer", partner)["city"] == "Basel"
    assert found.new.values("customer", partner)["stage"] == "open"
    assert found.night().status is Status.GREEN


@pytest.mark.parametrize("full", [False, True])
def test_a_delete_waits_for_what_was_merged_into_its_group_and_had_come_back(
    tmp_path: Path, *, full: bool
) -> None:
    found = world(tmp_path)
    loser, master = (found.old.add("Account", Name=name) for name in ("L", "M"))
    found.night()
    back, partner = found.partner(loser), found.partner(master)
    found.new.remove("customer", back)
    found.night()
    assert loser not in found.old.rows["Account"]
    found.new.restore("customer", back)
    found.old.restore("Account", loser)
    found.night()
    assert found.reports[-1].holds == {"undelete": 1}
    found.old.remove("Account", loser, into=master)
    found.new.remove("customer", partner)
    found.night(full=full)
    assert master in found.old.rows["Account"]
    assert found.reports[-1].holds == {"undelete": 2}


def test_a_delete_waits_for_a_record_of_its_group_that_had_come_back(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    for name in (lead, other):
        found.old.remove("Account", name)
        found.night()
        if name == lead:
            found.old.restore("Account", lead)
            found.night()
    assert new in found.new.rows["customer"]
    decided(found, "old")
    found.night()
    assert found.night().holds == {}
    assert found.partner(lead) == new


def comes_back(found: World, name: str) -> None:
    """An old record is deleted, and brought back a night later."""
    found.old.remove("Account", name)
    found.night()
    found.old.restore("Account", name)
    found.night()


def test_what_was_merged_into_a_record_that_had_come_back_goes_along_when_that_is_merged_away(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    master = found.old.add("Account", Name="M")
    found.night()
    comes_back(found, other)
    found.old.remove("Account", other, into=master)
    found.night()
    found.old.edit("Account", lead, City="Rome")
    found.night()
    assert {found.new.values("customer", one)["city"] for one in found.new.rows["customer"]} == {"Rome"}
    assert new in found.new.rows["customer"]
    assert found.night(full=True).writes == 0


def test_what_had_come_back_goes_on_waiting_where_its_group_was_merged_into(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    master = found.old.add("Account", Name="M")
    found.night()
    comes_back(found, lead)
    found.old.remove("Account", other, into=master)
    found.night()
    assert found.reports[-1].holds == {"undelete": 1}
    found.old.remove("Account", master)
    found.night()
    assert new in found.new.rows["customer"]  # the partner of a record that lives
    decided(found, "old")
    found.night()
    found.night()
    assert found.partner(lead) == new


def test_all_merges_of_a_group_are_followed_when_they_are_told_at_once(tmp_path: Path) -> None:
    found = world(tmp_path)
    one, two, three = (found.old.add("Account", Name=name) for name in ("A", "B", "C"))
    master = found.old.add("Account", Name="M")
    new = found.new.add("customer", f"a:{one}", name="A")
    load(found, {one: new, two: new, three: new})
    partner = found.partner(master)
    found.old.remove("Account", one, into=two)
    found.old.remove("Account", three, into=master)
    found.night()
    found.old.edit("Account", master, City="Rome")
    found.night()
    assert found.old.values("Account", two)["City"] == "Rome"
    assert {found.new.values("customer", name)["city"] for name in (new, partner)} == {"Rome"}


def test_masters_of_records_that_had_come_back_on_both_sides_belong_together(tmp_path: Path) -> None:
    found = world(tmp_path)
    dead, one, two = (found.old.add("Account", Name=name) for name in ("D", "E", "F"))
    found.night()
    partners = {name: found.partner(name) for name in (dead, one, two)}
    found.old.remove("Account", dead)
    found.new.remove("customer", partners[dead])
    found.night()
    found.old.restore("Account", dead)
    found.new.restore("customer", partners[dead])
    found.night()
    found.old.remove("Account", dead, into=one)
    found.night()
    found.new.remove("customer", partners[dead], into=partners[two])
    found.night()
    found.old.remove("Account", two)
    found.night()
    assert set(found.new.rows["customer"]) == {partners[one], partners[two]}
    found.old.edit("Account", one, City="Rome")
    found.night()
    assert {row.values["city"] for row in found.new.rows["customer"].values()} == {"Rome"}
    assert found.night(full=True).status is Status.GREEN


def test_a_chain_of_merges_is_followed_to_its_end_before_any_of_its_groups_is_decided(tmp_path: Path) -> None:
    found = world(tmp_path)
    first, second, third = (found.old.add("Account", Name=name) for name in ("A", "B", "C"))
    found.night()
    master, last = found.partner(second), found.partner(third)
    found.new.remove("customer", found.partner(first), into=master)
    found.old.remove("Account", second, into=third)
    found.new.edit("customer", master, phone="2")
    found.old.edit("Account", third, Phone="3")
    report = found.night()
    assert (report.writes, report.holds) == (0, {"conflict": 1})
    assert found.new.values("customer", last)["phone"] is None


def test_what_a_system_deletes_with_a_record_of_ours_is_no_user_s_delete(tmp_path: Path) -> None:
    found = world(tmp_path)
    parent = found.old.add("Account", Name="p")
    found.night()
    found.new.remove("customer", found.partner(parent))
    child = found.old.add("Account", Name="c", Parent=parent)

    def cascade(verb: str) -> None:
        if verb == "delete" and child in found.old.rows["Account"]:
            found.old.remove("Account", child)

    found.old.before = cascade
    found.night()
    (partner,) = found.new.rows["customer"]
    assert found.old.rows["Account"] == {}
    found.night()
    assert list(found.new.rows["customer"]) == [partner]
    assert found.reports[-1].holds == {"undelete": 1}


def test_a_child_that_users_moved_to_a_record_of_ours_just_then_is_held_too(tmp_path: Path) -> None:
    found = world(tmp_path)
    parent, child = (found.old.add("Account", Name=name) for name in ("p", "c"))
    found.night()
    found.new.remove("customer", found.partner(parent))

    def cascade(verb: str) -> None:
        if verb == "delete" and child in found.old.rows["Account"]:
            found.old.edit("Account", child, Parent=parent)
            found.old.remove("Account", child)

    found.old.before = cascade
    found.night()
    partner = found.partner(child)
    found.night()
    assert list(found.new.rows["customer"]) == [partner]
    assert found.reports[-1].holds == {"undelete": 1}


def test_a_delete_by_a_user_counts_as_such_whatever_the_sync_deletes_later(tmp_path: Path) -> None:
    found = world(tmp_path)
    parent = found.old.add("Account", Name="p")
    child = found.old.add("Account", Name="c", Parent=parent)
    found.night()
    found.old.remove("Account", child)
    partner = found.partner(child)
    found.settings = Settings(deletes=False)
    found.new.edit("customer", partner, name="edited")
    assert found.night().holds == {"delete-vs-edit": 1}
    found.settings = Settings()
    found.new.remove("customer", found.partner(parent))
    found.night()
    assert found.night().holds == {"delete-vs-edit": 1}


def test_an_answer_that_is_lost_makes_no_second_record(tmp_path: Path) -> None:
    found = world(tmp_path)
    found.old.add("Account", Name="Ada")
    create = found.new.create

    def lost(*call: object) -> object:
        create(*call)  # type: ignore[arg-type]
        raise RetryableError("gone")

    found.new.create = lost  # type: ignore[method-assign,assignment]
    found.night()
    found.new.create = create  # type: ignore[method-assign]
    found.night()
    assert found.night().status is Status.GREEN
    assert len(found.new.rows["customer"]) == 1


def test_a_create_that_is_tried_again_names_no_record_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    found = world(tmp_path)
    parent = found.old.add("Account", Name="p")
    found.night()
    child = found.old.add("Account", Name="c", Parent=parent)

    def broken(verb: str) -> None:
        if verb == "create":
            raise RetryableError("gone")

    found.new.before = broken
    found.night()
    found.new.before = lambda _verb: None
    found.new.remove("customer", found.partner(parent))
    found.night()
    (made,) = found.new.rows["customer"].values()
    assert (made.values["name"], made.values["parent"]) == ("c", None)
    assert found.partner(child) == made.id


def test_a_link_waits_for_its_record(tmp_path: Path) -> None:
    found = world(tmp_path)
    child = found.old.add("Account", Name="c", Parent="O002")
    parent = found.old.add("Account", Name="p")
    assert found.night().status is Status.GREEN
    assert found.new.values("customer", found.partner(child))["parent"] == found.partner(parent)


def test_what_cannot_be_read_is_never_taken_for_empty(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.unreadable.add("City")
    found.old.edit("Account", name, Name="Z")
    report = found.night()
    assert found.new.values("customer", partner)["city"] == "Basel"
    assert found.new.values("customer", partner)["name"] == "Z"
    assert report.status is Status.RED
    found.old.unreadable.clear()
    found.night()
    assert found.night().status is Status.GREEN


def test_a_store_that_was_lost_is_rebuilt_from_the_keys_and_writes_nothing(
    linked: tuple[World, str, str], tmp_path: Path
) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, City="Rome")
    lost = World(
        found.old, found.new, open_ledger(f"sqlite:///{tmp_path / 'other.db'}", found.clock), found.clock
    )
    report = lost.night()
    assert (report.writes, report.status) == (0, Status.RED)
    assert lost.partner(name) == partner
    assert report.holds == {"base-lost": 1}
    assert len(found.new.rows["customer"]) == 1


def test_more_deletes_than_a_brake_allows_delete_nothing(tmp_path: Path) -> None:
    found = world(tmp_path)
    found.settings = Settings(limits=Limits(deletes_floor=3))
    names = [found.old.add("Account", Name=f"n{number}") for number in range(10)]
    found.night()
    for name in names[:4]:
        found.old.remove("Account", name)
    report = found.night()
    assert len(found.new.rows["customer"]) == 10
    assert (report.status, report.exit_code) == (Status.RED, 5)
    found.settings = Settings(limits=Limits(deletes_floor=4))
    found.night()
    assert len(found.new.rows["customer"]) == 6


def test_a_poisoned_record_waits_alone(tmp_path: Path) -> None:
    found = world(tmp_path)
    bad, good = (found.old.add("Account", Name=name) for name in "ab")
    found.night()
    found.old.edit("Account", bad, Name="poison")
    found.old.edit("Account", good, Name="fine")
    for _ in range(6):
        report = found.night()
    assert found.new.values("customer", found.partner(good))["name"] == "fine"
    assert [cause.code for cause in report.causes] == ["quarantine"]
    found.old.edit("Account", bad, Name="mended")
    assert found.night().status is Status.GREEN


def test_a_budget_that_is_used_up_is_never_green(tmp_path: Path) -> None:
    found = world(tmp_path)
    found.old.add("Account", Name="a")
    found.allowances = {"old": Allowance(calls=2)}
    report = found.night()
    assert (report.status, report.exit_code) == (Status.YELLOW, 4)
    assert len(found.old.calls) <= 2


def test_consent_is_never_widened(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.new.edit("customer", partner, optout="true")
    found.night()
    found.old.edit("Account", name, OptOut="false")
    found.night()
    assert found.new.values("customer", partner)["optout"] == "true"
    assert found.old.values("Account", name)["OptOut"] == "true"


def test_an_edit_against_the_direction_is_logged_and_stays(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.new.edit("customer", partner, score="9")
    report = found.night()
    assert report.figures["account"]["conflicts"] == 1
    assert found.old.values("Account", name)["Score"] is None
    assert found.new.values("customer", partner)["score"] == "9"


def test_a_value_that_a_new_record_has_on_the_wrong_side_is_logged_before_it_is_overwritten(
    tmp_path: Path,
) -> None:
    found = world(tmp_path)
    made = found.new.add("customer", name="Bo", score="9")
    assert found.night().figures["account"]["conflicts"] == 1
    (name,) = found.old.rows["Account"]
    assert found.old.values("Account", name)["Score"] is None
    found.old.edit("Account", name, Score="5")
    found.night()
    assert found.new.values("customer", made)["score"] == "5"
    with found.ledger.read() as connection:
        logged = connection.execute(sa.select(conflicts.c.field, conflicts.c.members)).all()
    assert {row.field for row in logged} == {"score"}
    assert all('"score":"9"' in row.members for row in logged)


def test_the_journal_gives_the_crosswalk_again(linked: tuple[World, str, str]) -> None:
    found, name, _ = linked
    found.old.remove("Account", name)
    found.night()
    with found.ledger.read() as connection:
        told = [one.body for one in journal.read(connection, kinds=("crosswalk",))]
        assert journal.verify(connection).holds
    opened = {tuple(row[:2]): row[2] for body in told if body["do"] == "open" for row in body["members"]}
    store = SyncStore(found.ledger)
    assert opened == {key: row.grp for key, row in store.members(list(opened)).items()}


def test_a_restored_store_counts_again_once_a_person_says_so(
    linked: tuple[World, str, str], tmp_path: Path
) -> None:
    found, name, _ = linked
    lost = World(
        found.old, found.new, open_ledger(f"sqlite:///{tmp_path / 'other.db'}", found.clock), found.clock
    )
    lost.night()
    lost.night()
    with lost.ledger.lease():
        accept_restored(SyncStore(lost.ledger), (found.old, found.new))
    found.old.edit("Account", name, City="Rome")
    assert lost.night().writes == 1
    assert lost.night().status is Status.GREEN


def test_a_lost_store_counts_again_only_once_a_run_found_every_partner(
    linked: tuple[World, str, str], tmp_path: Path
) -> None:
    found, name, partner = linked
    lost = World(
        found.old, found.new, open_ledger(f"sqlite:///{tmp_path / 'other.db'}", found.clock), found.clock
    )

    def away(verb: str) -> None:
        if verb == "find":
            raise RetryableError("gone")

    found.new.before = away
    lost.night()
    with lost.ledger.lease(), pytest.raises(SafetyStop, match="no run has rebuilt"):
        accept_restored(SyncStore(lost.ledger), (found.old, found.new))
    found.new.before = lambda _verb: None
    lost.night()
    with lost.ledger.lease():
        accept_restored(SyncStore(lost.ledger), (found.old, found.new))
    assert lost.partner(name) == partner


@pytest.mark.parametrize(("winner", "left"), [("old", 1), ("new", 0)])
def test_after_a_loss_of_the_store_a_person_says_whether_a_record_without_partner_is_new(
    linked: tuple[World, str, str], tmp_path: Path, winner: str, left: int
) -> None:
    found, _, partner = linked
    found.new.remove("customer", partner)
    lost = World(
        found.old, found.new, open_ledger(f"sqlite:///{tmp_path / 'other.db'}", found.clock), found.clock
    )
    assert lost.night().holds == {"undelete": 1}
    with lost.ledger.lease():
        accept_restored(SyncStore(lost.ledger), (found.old, found.new))
    assert lost.night().writes == 0
    decided(lost, winner)
    lost.night()
    lost.night()
    assert (len(found.new.rows["customer"]), len(found.old.rows["Account"])) == (left, left)
    assert lost.night(full=True).status is Status.GREEN


def decided(found: World, winner: str) -> None:
    """A person answers every open question in the same way."""
    c = conflicts.c
    with found.ledger.begin() as connection:
        connection.execute(
            conflicts.update().where(c.state == "open").values(state="resolved", winner=winner, who="Ada")
        )


def test_a_person_s_word_on_a_held_field_is_carried_out(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Phone="2")
    found.new.edit("customer", partner, phone="3")
    found.night()
    decided(found, "new")
    assert found.night().status is Status.GREEN
    assert found.old.values("Account", name)["Phone"] == found.new.values("customer", partner)["phone"] == "3"


def test_a_word_on_values_that_changed_since_is_not_obeyed(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Phone="2")
    found.new.edit("customer", partner, phone="3")
    found.night()
    decided(found, "new")
    found.old.edit("Account", name, Phone="4")
    found.night()
    assert found.old.values("Account", name)["Phone"] == "4"


@pytest.mark.parametrize(("winner", "left"), [("old", 0), ("new", 1)])
def test_a_person_s_word_on_a_delete_against_an_edit(
    linked: tuple[World, str, str], winner: str, left: int
) -> None:
    found, name, partner = linked
    found.old.remove("Account", name)
    found.new.edit("customer", partner, name="kept")
    found.night()
    decided(found, winner)
    found.night()
    found.night()
    assert len(found.new.rows["customer"]) == left
    assert len(found.old.rows["Account"]) == left
    assert found.night(full=True).status is Status.GREEN


def test_members_of_one_record_follow_whoever_changed(merged: tuple[World, str, str, str]) -> None:
    found, lead, other, new = merged
    found.old.edit("Account", other, City="Bern")
    assert found.night().writes == 2
    cities = [found.old.values("Account", lead)["City"], found.new.values("customer", new)["city"]]
    assert cities == ["Bern", "Bern"]
    assert found.old.values("Account", other)["Name"] == "B"
    assert found.night().status is Status.GREEN


def busy(found: World, *only: str) -> Callable[[], None]:
    """The old side updates nothing, or none of these records, until what is returned is called."""
    update = found.old.update

    def refused(of: str, rows: Sequence[Update]) -> Sequence[Answer]:
        return [
            Answer(Outcome.STALE, row.id) if row.id in only or not only else update(of, [row])[0]
            for row in rows
        ]

    found.old.update = refused  # type: ignore[method-assign,assignment]

    def free() -> None:
        found.old.update = update  # type: ignore[method-assign]

    return free


def test_a_value_that_some_of_a_group_got_is_not_written_to_them_again(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    free = busy(found)
    found.old.edit("Account", lead, Name="ab")
    found.night()
    written = found.new.written
    free()
    found.night()
    assert (found.old.values("Account", other)["Name"], found.new.values("customer", new)["name"]) == (
        "ab",
        "AB",
    )
    assert found.new.written == written
    assert found.night().status is Status.GREEN


def test_a_value_that_some_of_a_group_got_is_taken_back_from_them(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    free = busy(found)
    found.old.edit("Account", lead, Name="ab")
    found.night()
    found.old.edit("Account", lead, Name="A")
    free()
    found.night()
    assert (found.old.values("Account", other)["Name"], found.new.values("customer", new)["name"]) == (
        "A",
        "A",
    )
    assert found.night().status is Status.GREEN


def test_who_was_overwritten_owes_nobody_what_it_had(merged: tuple[World, str, str, str]) -> None:
    found, lead, other, new = merged
    free = busy(found, other)
    found.new.edit("customer", new, name="N")
    found.night()
    assert (found.old.values("Account", lead)["Name"], found.old.values("Account", other)["Name"]) == (
        "N",
        "B",
    )
    found.old.edit("Account", lead, Name="ab")
    free()
    found.night()
    found.old.edit("Account", lead, City="Rome")
    found.night()
    names = [found.old.values("Account", one)["Name"] for one in (lead, other)]
    assert (*names, found.new.values("customer", new)["name"]) == ("ab", "ab", "AB")


def test_an_answer_lost_in_a_group_counts_for_all_that_got_the_value(
    merged: tuple[World, str, str, str],
) -> None:
    found, lead, other, new = merged
    update = found.old.update

    def lost(*call: object) -> object:
        update(*call)  # type: ignore[arg-type]
        raise RetryableError("gone")

    found.old.update = lost  # type: ignore[method-assign,assignment]
    found.old.edit("Account", lead, Name="ab")
    found.night()
    found.old.update = update  # type: ignore[method-assign]
    written = found.written()
    found.night()
    assert found.written() == written
    assert (found.old.values("Account", other)["Name"], found.new.values("customer", new)["name"]) == (
        "ab",
        "AB",
    )
    assert found.night().status is Status.GREEN


def test_a_link_that_waited_is_a_value_like_any_other_when_it_is_cleared(tmp_path: Path) -> None:
    found = world(tmp_path)
    child, parent = found.old.add("Account", Name="c", Parent="away"), found.old.add("Account", Name="p")
    found.night()
    partner = found.partner(child)
    found.new.edit("customer", partner, parent=found.partner(parent))
    found.night()
    assert found.old.values("Account", child)["Parent"] == "away"
    found.old.edit("Account", child, Parent=None)
    found.night()
    assert found.new.values("customer", partner)["parent"] is None
    with found.ledger.read() as connection:
        assert connection.execute(sa.select(conflicts.c.field)).scalars().all() == ["parent"]
    assert found.night().status is Status.GREEN


@pytest.mark.postgres
def test_the_state_lives_in_postgresql_too(tmp_path: Path, postgres_url: str) -> None:
    found = world(tmp_path)
    found.ledger.close()
    found.ledger = open_ledger(postgres_url, found.clock, project="Zwei Seiten")
    name = found.old.add("Account", Name='李\'s "x"', City="Basel")
    assert found.night().status is Status.GREEN
    partner = found.partner(name)
    found.old.edit("Account", name, Name="Ada")
    found.new.edit("customer", partner, city="Bern")
    assert found.night(full=True).writes == 2
    report = found.night(full=True)
    assert (report.status, report.figures) == (Status.GREEN, {})
    found.old.remove("Account", name)
    found.night()
    assert found.night(full=True).status is Status.GREEN
    assert found.new.rows["customer"] == {}
    found.ledger.close()
