"""A ledger put back from a backup, and what users merged meanwhile: every record finds the group that its key names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.staging.ledger import open_ledger
from migrator.sync.state import LIVE
from migrator.sync.store import SyncStore
from tests.sync_world import World, world


@pytest.fixture
def restored(tmp_path: Path) -> tuple[World, World]:
    """A world with one linked record, and the same with the ledger as it was then."""
    found = world(tmp_path)
    found.old.add("Account", Name="Ada")
    found.night()
    with (
        closing(sqlite3.connect(tmp_path / "ledger.db")) as now,
        closing(sqlite3.connect(tmp_path / "backup.db")) as then,
    ):
        now.backup(then)
    put_back = open_ledger(f"sqlite:///{tmp_path / 'backup.db'}", found.clock)
    return found, World(found.old, found.new, put_back, found.clock)


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


def group_of(found: World, name: str) -> set[str]:
    """Ids of the live members of an old record's group."""
    store = SyncStore(found.ledger)
    grp = store.members([("account/a", name)])["account/a", name].grp
    return {row.id for row in store.members_of([grp])[grp] if row.state == LIVE}
