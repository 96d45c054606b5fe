"""A part of the full comparison every day: what no feed tells is found in turn, absence is held, and a part too thin is braked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migrator.commands.sync import settings_of
from migrator.sync.report import Status
from tests.sync_kit import write_project
from tests.sync_world import World, world


@pytest.fixture
def linked(tmp_path: Path) -> World:
    """Fourteen pairs, compared whole in the first night; a month until the next time."""
    found = world(tmp_path)
    for number in range(14):
        found.old.add("Account", Name=f"n{number}", Score="0")
    found.night()
    found.settings = replace(found.settings, scan_every=found.settings.scan_every * 5, rotation=7)
    return found


def quiet_change(found: World, name: str, value: str) -> None:
    """A formula: the value is another one, and neither stamp nor version says so."""
    found.old.rows["Account"][name].values["Score"] = value


def test_all_are_looked_at_once_in_so_many_days(linked: World) -> None:
    for name in list(linked.old.rows["Account"]):
        quiet_change(linked, name, "7")
    arrived = []
    for _ in range(7):
        linked.night()
        assert linked.reports[-1].reconciled == []
        arrived.append(sum(row.values["score"] == "7" for row in linked.new.rows["customer"].values()))
    assert arrived == [2, 4, 6, 8, 10, 12, 14]
    assert linked.night().status is Status.GREEN


@pytest.mark.slow
def test_it_begins_anew_at_the_end(linked: World) -> None:
    for _ in range(9):
        linked.night()
    for name in list(linked.old.rows["Account"]):
        quiet_change(linked, name, "8")
    for _ in range(8):
        linked.night()
    assert {row.values["score"] for row in linked.new.rows["customer"].values()} == {"8"}


def test_once_a_day_however_often_it_runs(linked: World) -> None:
    linked.night()
    before = linked.old.calls.count("fetch")
    for _ in range(5):
        linked.night(hours=1)
    assert linked.old.calls.count("fetch") == before


@pytest.mark.slow
def test_without_it_nothing_is_found_before_the_full_comparison(linked: World) -> None:
    linked.settings = replace(linked.settings, rotation=0)
    quiet_change(linked, "O001", "7")
    for _ in range(8):
        assert linked.night().writes == 0


def test_what_is_not_there_is_held_and_heals(linked: World) -> None:
    linked.old.hidden.add("O001")
    linked.night()
    assert linked.reports[-1].holds == {"missing": 1}
    linked.old.hidden.clear()
    assert linked.night().status is Status.GREEN
    assert linked.written() == 14


@pytest.mark.slow
def test_a_part_of_which_too_much_is_gone_is_braked(tmp_path: Path) -> None:
    found = world(tmp_path)
    for number in range(70):
        found.old.add("Account", Name=f"n{number}")
    found.night()
    found.settings = replace(found.settings, scan_every=found.settings.scan_every * 5, rotation=7)
    found.old.hidden |= {f"O{number:03d}" for number in range(1, 6)}
    report = found.night()
    assert [cause.code for cause in report.causes] == ["brake"]
    assert report.holds == {}
    found.old.hidden.clear()
    assert found.night().status is Status.GREEN


def test_a_project_compares_a_seventh_a_day_when_it_says_nothing(tmp_path: Path) -> None:
    assert settings_of(write_project(tmp_path / "a")).rotation == 7
    assert settings_of(write_project(tmp_path / "b", "sync: {reconcile: 12h}\n")).rotation == 0
