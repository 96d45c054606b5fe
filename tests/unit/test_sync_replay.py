"""The crosswalk can be had from the journal again, change by change, and whoever changes its table by hand is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.staging.sync_tables import members
from migrator.sync import erasing
from migrator.sync.replay import Replayed, replay
from tests.sync_world import World, world


@pytest.fixture
def lived(tmp_path: Path) -> World:
    """Links, a merge, a delete, a record that came back, and one that was erased."""
    found = world(tmp_path)
    loser, master, third, fourth = (found.old.add("Account", Name=name) for name in ("L", "M", "N", "O"))
    found.night()
    found.old.remove("Account", loser, into=master)
    found.old.remove("Account", third)
    found.night()
    found.night()
    with found.ledger.begin() as connection:
        erasing.forget(connection, found.ledger, [("account/a", fourth)])
    return found


def compared(found: World) -> Replayed:
    with found.ledger.read() as connection:
        return replay(connection)


def test_the_journal_tells_the_crosswalk_as_it_is(lived: World) -> None:
    done = compared(lived)
    assert done.same
    assert done.told == done.shown > 8


@pytest.mark.parametrize(
    "change",
    [{"grp": 99}, {"since": 77}, {"until": 5}, {"id": "O999"}, None],
    ids=["group", "since", "until", "id", "gone"],
)
def test_a_link_that_was_changed_by_hand_is_seen(lived: World, change: dict[str, object] | None) -> None:
    c = members.c
    mine = (c.stream == "account/a", c.id == "O002", c.until.is_(None))
    with lived.ledger.begin() as connection:
        done = connection.execute(
            members.delete().where(*mine)
            if change is None
            else members.update().where(*mine).values(**change)
        )
        assert done.rowcount == 1
    assert not compared(lived).same


def test_a_ledger_without_a_sync_is_as_it_tells(tmp_path: Path) -> None:
    assert compared(world(tmp_path)) == Replayed(0, 0, same=True)
