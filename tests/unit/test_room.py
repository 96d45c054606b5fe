"""Disks that are likely to be too small are told before a step begins: per file system, with what is wanted and what is free."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.commands.measured import need_room, what_steps_took
from migrator.commands.project import load_project, open_workspace
from migrator.commands.room import SHARES, Step, claims, source_files
from migrator.core.errors import FatalError
from migrator.staging.room import ASKED_FROM, RESERVE, Claim, Disk, RoomCheck, amount, shortages
from tests.small_migration import assert_told, migrator, write_small

sizes = st.integers(0, 10 * ASKED_FROM)


@given(st.lists(st.tuples(st.sampled_from("ab"), sizes)), sizes, sizes)
def test_what_goes_to_one_disk_is_added_up_and_nothing_else(
    wanted: list[tuple[str, int]], free_a: int, free_b: int
) -> None:
    disks = {"a": Disk(1, free_a), "b": Disk(2, free_b)}
    asked = [Claim(f"what {number}", Path(f"/{disk}/{number}"), size) for number, (disk, size) in enumerate(wanted)]  # fmt: skip
    found = {item.free: item.wanted for item in shortages(asked, lambda place: disks[place.parts[1]])}
    expected = {}
    for disk, place in disks.items():
        total = sum(size for where, size in wanted if where == disk)
        if total >= ASKED_FROM and total * (1 + RESERVE) > place.free:
            expected[place.free] = total
    assert found == expected


@given(st.integers(0, 10**15), st.sampled_from(Step))
def test_what_a_step_claims_grows_in_step_with_what_it_reads(read: int, step: Step) -> None:
    share = SHARES[step]
    assert share.kept > 0
    assert int(2 * read * share.kept) == pytest.approx(2 * int(read * share.kept), abs=2)


def test_amounts_are_told_as_people_read_them() -> None:
    assert [amount(size) for size in (0, 999, 1500, 45e6, 2.5e9, 31e9, 7.5e15)] == [
        "0 bytes", "999 bytes", "1.5 kB", "45 MB", "2.5 GB", "31 GB", "7,500.0 TB",
    ]  # fmt: skip


def test_a_step_that_would_fill_the_disk_is_refused_with_all_places_unless_it_may_begin(
    tmp_path: Path,
) -> None:
    project = load_project(write_small(tmp_path / "project"))
    with open_workspace(project) as workspace:
        target = tmp_path / "crm.db"
        with pytest.raises(FatalError) as told:
            need_room(workspace, Step.LOAD, 10**15, targets=[target])
        message = str(told.value)
        assert message.startswith("load is about to write 14,500.0 TB (staging 3,500.0 TB in ")
        for part in (str(target), "spills 5,000.0 TB", "are free on that disk", "engine.temp_directory", "--any-disk"):  # fmt: skip
            assert part in message
        need_room(workspace, Step.LOAD, 1000, targets=[target])
        begins = replace(workspace, project=replace(project, room=RoomCheck.BEGIN))
        need_room(begins, Step.LOAD, 10**15, targets=[target])


def test_a_step_beside_an_extract_leaves_room_for_what_that_has_yet_to_read(tmp_path: Path) -> None:
    project = load_project(write_small(tmp_path / "project"))
    with open_workspace(project) as workspace:
        need_room(replace(workspace, beside=lambda: 0), Step.LOAD, 1000)
        with pytest.raises(FatalError, match=r"staging 350\.0 TB"):
            need_room(replace(workspace, beside=lambda: 10**15), Step.LOAD, 1000)


def test_spills_begin_where_memory_ends_and_what_is_laid_aside_at_once(tmp_path: Path) -> None:
    project = load_project(write_small(tmp_path / "project"))
    with open_workspace(project) as workspace:
        by_name = {claim.what: claim.bytes for claim in claims(workspace, Step.DEDUPE, 10_000_000)}
        assert by_name["spills"] == 0
        by_name = {claim.what: claim.bytes for claim in claims(workspace, Step.PLAN, 10_000_000)}
        assert by_name["spills"] == 15_000_000
        by_name = {claim.what: claim.bytes for claim in claims(workspace, Step.PLAN, 1_000_000_000)}
        assert by_name["spills"] == 4_000_000_000 - 500_000_000 + 1_500_000_000


def test_an_export_larger_than_the_disk_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_small(tmp_path / "project")
    with (folder / "exports" / "shop" / "Order.csv").open("r+b") as file:
        file.truncate(15 << 40)
    said = migrator(folder, capsys, "extract")
    assert_told(said, 3, "about to write")
    assert "staging" in said.err


def test_what_each_step_took_is_kept_until_it_has_something_to_do_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_small(tmp_path / "project")
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    with open_workspace(load_project(folder)) as workspace:
        first = what_steps_took(workspace.ledger)
    assert {step: took.rows > 0 and took.bytes > 0 for step, took in first.items()} == dict.fromkeys(
        (Step.EXTRACT, Step.MAP, Step.DEDUPE, Step.PLAN, Step.LOAD), True
    )
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    with open_workspace(load_project(folder)) as workspace:
        again = what_steps_took(workspace.ledger)
    del first[Step.PLAN], again[Step.PLAN]  # planned anew, now that the records are there
    assert again == first


def test_files_of_a_source_are_found_however_its_path_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for name in ("one.csv", "two.csv", "other.txt"):
        (folder / name).write_text(name)
    assert [item.name for item in source_files(folder / "one.csv")] == ["one.csv"]
    assert [item.name for item in source_files(folder)] == ["one.csv", "other.txt", "two.csv"]
    assert [item.name for item in source_files(folder / "*.csv")] == ["one.csv", "two.csv"]
    assert source_files(tmp_path / "gone") == []
