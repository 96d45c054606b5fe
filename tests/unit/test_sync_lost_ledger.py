"""A ledger put back from a backup, and what users merged meanwhile: every record finds the group that its key names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.staging.ledger import open_ledger
from migrator.sync.guard import accept_restored
from migrator.sync.report import Status
from migrator.sync.state import LIVE
from migrator.sync.store import SyncStore
from tests.sync_world import World, dies_at, world


@pytest.fixture
def restored(tmp_path: Path) -> tuple[World, World]:
    """A world with one linked record, and the same with the ledger as it was then."""
    found = world(tmp_path)
    found.old.add("Account", Name="Ada")
    found.night()
    return found, put_back(found, tmp_path)


def put_back(found: World, folder: Path) -> World:
    """The same systems, with another ledger that is as this one is now."""
    backup = folder / "backup.db"
    with closing(sqlite3.connect(folder / "ledger.db")) as now, closing(sqlite3.connect(backup)) as then:
        now.backup(then)
    return World(found.old, found.new, open_ledger(f"sqlite:///{backup}", found.clock), found.clock)


def test_a_record_that_something_was_merged_into_keeps_the_partner_its_key_names(
    restored: tuple[World, World],
) -> None:
    found, lost = restored
    later = found.old.add("Account", Name="Bea")
    found.night()
    partner = found.partner(later)
    found.new.remove("customer", found.partner("O001"), into=partner)
    for _ in range(2):
        lost.night()
    assert lost.partner(later) == lost.partner("O001") == partner


def test_a_record_whose_partner_was_merged_away_goes_on_with_its_master(
    restored: tuple[World, World],
) -> None:
    found, lost = restored
    later = found.old.add("Account", Name="Bea")
    found.night()
    partner = found.partner(later)
    found.old.remove("Account", later, into="O001")
    for _ in range(2):
        report = lost.night()
    assert group_of(lost, "O001") == {"O001", found.partner("O001"), partner}
    assert report.writes == 0


def test_the_partner_of_a_master_that_took_its_loser_s_place_joins_them(
    restored: tuple[World, World],
) -> None:
    found, lost = restored
    later = found.old.add("Account", Name="Bea")
    found.night()
    found.old.remove("Account", "O001", into=later)
    for _ in range(2):
        report = lost.night()
    assert group_of(lost, later) == {later, found.partner("O001"), found.partner(later)}
    assert report.writes == 0


def test_what_was_not_carried_before_the_ledger_was_lost_outlives_the_partner(
    restored: tuple[World, World],
) -> None:
    found, lost = restored
    later = found.old.add("Account", Name="Bea")
    found.night()
    found.old.edit("Account", later, City="Rome")
    lost.night()
    accept(lost)
    found.new.remove("customer", lost.partner(later))
    assert lost.night().holds == {"delete-vs-edit": 1}
    assert later in found.old.rows["Account"]


def test_a_partner_that_was_about_to_be_made_may_have_been_made_and_deleted_since(tmp_path: Path) -> None:
    found, lost, name = restored_before_a_create(tmp_path)
    found.new.remove("customer", found.partner(name))
    for _ in range(2):
        report = lost.night()
    assert report.holds == {"undelete": 1}
    accept(lost)
    assert lost.night().writes == 0


@pytest.mark.parametrize("full", [False, True])
def test_a_record_that_was_hidden_when_its_partner_was_about_to_be_made_again_may_have_had_one(
    tmp_path: Path, *, full: bool
) -> None:
    found, lost, name = restored_before_a_create(tmp_path)
    found.new.remove("customer", found.partner(name))
    found.old.hidden.add(name)
    lost.night()
    accept(lost)
    lost.night(full=full)
    found.old.hidden.clear()
    found.old.edit("Account", name, City="Rome")
    report = lost.night(full=full)
    assert (report.writes, report.holds) == (0, {"undelete": 1})


def restored_before_a_create(tmp_path: Path) -> tuple[World, World, str]:
    """The world, itself as it was when a partner was about to be made, and the record it was made for since."""
    found = world(tmp_path)
    found.night()
    name = found.old.add("Account", Name="Ada")
    found.passing = dies_at("sync.intent.after")
    with pytest.raises(KeyboardInterrupt):
        found.night()
    lost = put_back(found, tmp_path)
    found.passing = lambda _name: None
    found.night()
    return found, lost, name


@pytest.fixture
def unread(restored: tuple[World, World]) -> tuple[World, str, str]:
    """A ledger that counts again though a record was hidden when it was rebuilt; that record, and its partner, which names it."""
    found, lost = restored
    hidden = found.new.add("customer", name="Bea")
    found.night()
    partner = next(row.id for row in found.old.rows["Account"].values() if row.values["Key"] == hidden)
    found.new.hidden.add(hidden)
    lost.night()
    accept(lost)
    return lost, hidden, partner


def accept(lost: World) -> None:
    """A person lets the ledger count again."""
    with lost.ledger.lease():
        accept_restored(SyncStore(lost.ledger), (lost.old, lost.new))


def test_a_record_that_was_hidden_when_the_ledger_was_rebuilt_may_have_had_a_partner(
    unread: tuple[World, str, str],
) -> None:
    lost, hidden, partner = unread
    lost.old.remove("Account", partner)
    lost.new.hidden.discard(hidden)
    report = lost.night()
    assert (report.writes, report.holds) == (0, {"undelete": 1})


def test_a_record_that_was_hidden_when_the_ledger_was_rebuilt_finds_its_partner_by_key(
    unread: tuple[World, str, str],
) -> None:
    lost, hidden, partner = unread
    lost.night(full=True)
    lost.new.hidden.discard(hidden)
    assert lost.night().holds == {}
    assert lost.partner(partner) == hidden


@pytest.mark.parametrize("edited", [False, True])
def test_a_record_that_nothing_named_while_it_was_hidden_is_older_than_the_ledger(
    restored: tuple[World, World], *, edited: bool
) -> None:
    found, lost = restored
    later = found.old.add("Account", Name="Bea")
    found.night()
    found.new.remove("customer", found.partner(later))
    found.old.hidden.add(later)
    lost.night()
    accept(lost)
    lost.night()
    found.old.hidden.clear()
    if edited:
        found.old.edit("Account", later, City="Rome")
    fresh = found.old.add("Account", Name="Cid")
    report = lost.night(full=True)
    assert (report.writes, report.holds) == (1, {"undelete": 1})
    assert lost.partner(fresh) in found.new.rows["customer"]


def test_a_record_that_stays_hidden_is_asked_about_when_it_shows_up_at_last(
    unread: tuple[World, str, str],
) -> None:
    lost, hidden, partner = unread
    lost.old.remove("Account", partner)
    for _ in range(8):
        report = lost.night(full=True)
    assert report.status is Status.GREEN
    lost.new.hidden.discard(hidden)
    report = lost.night(full=True)
    assert (report.writes, report.holds) == (0, {"undelete": 1})


def group_of(found: World, name: str) -> set[str]:
    """Ids of the live members of an old record's group."""
    store = SyncStore(found.ledger)
    grp = store.members([("account/a", name)])["account/a", name].grp
    return {row.id for row in store.members_of([grp])[grp] if row.state == LIVE}
