"""The store shows whole datasets or none, finds committed parts again, and never takes foreign files for waste."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.core.errors import FatalError, SafetyStop
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Finished, Kind, Store, write_table

NAME = "旧 CRM/Order Item[1]"


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    with closing(open_ledger(database_url, project="a project")) as ledger:
        yield Store(tmp_path / "staging", ledger)


def rows(*values: int) -> pa.Table:
    return pa.table({"a": pa.array(values, pa.int64())})


def values(store: Store, kind: Kind = Kind.STAGED, name: str = NAME) -> list[int] | None:
    found = store.current(kind, name)
    if found is None:
        return None
    return [value for path in found.files for value in pq.read_table(path).column("a").to_pylist()]


def reopened(store: Store) -> Store:
    """What the next command sees after this one was killed."""
    return Store(store.root, store.ledger)


def test_is_invisible_until_complete_and_then_whole(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f1")
    building.add_table(rows(1, 2))
    building.add_table(rows(3))
    assert values(reopened(store)) is None
    dataset = building.complete({"warnings": ["ü"]})
    assert values(reopened(store)) == [1, 2, 3]
    assert reopened(store).current(Kind.STAGED, NAME) == dataset
    assert (dataset.rows, dataset.detail) == (3, {"warnings": ["ü"]})
    assert store.is_current(Kind.STAGED, NAME, "f1")
    assert not store.is_current(Kind.STAGED, NAME, "f2")
    assert store.names(Kind.STAGED) == (NAME,)


def test_replaces_the_dataset_before_and_its_files(store: Store) -> None:
    first = store.build(Kind.STAGED, NAME, "f1")
    first.add_table(rows(1))
    old = first.complete()
    second = store.build(Kind.STAGED, NAME, "f2")
    second.add_table(rows(2))
    assert values(store) == [1]
    second.complete()
    assert values(store) == [2]
    assert not any(path.exists() for path in old.files)


def test_goes_on_with_committed_parts_after_a_crash(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f1")
    building.add_table(rows(1), cursor="after 1", detail={"seen": 1})
    again = reopened(store).build(Kind.STAGED, NAME, "f1", resume=True)
    assert [(part.number, part.cursor, part.detail) for part in again.parts] == [(0, "after 1", {"seen": 1})]
    again.add_table(rows(2))
    again.complete()
    assert values(store) == [1, 2]


@pytest.mark.parametrize("spoil", ["other inputs", "file lost", "file cut", "no resume"])
def test_begins_anew_when_what_was_left_does_not_fit(store: Store, spoil: str) -> None:
    part = store.build(Kind.STAGED, NAME, "f1").add_table(rows(1))
    if spoil == "file lost":
        part.path.unlink()
    if spoil == "file cut":
        part.path.write_bytes(part.path.read_bytes()[:-3])
    wanted = "f2" if spoil == "other inputs" else "f1"
    assert reopened(store).build(Kind.STAGED, NAME, wanted, resume=spoil != "no resume").parts == ()
    assert not part.path.exists()


def test_replaced_parts_appear_with_completion_only(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f1")
    building.add_table(rows(1, 2))
    building.add_table(rows(3))
    building.replace(0, lambda path: write_table(rows(1), path))
    building.replace(0, lambda path: write_table(rows(7), path))
    left = reopened(store).build(Kind.STAGED, NAME, "f1", resume=True)
    assert left.rows == 3
    assert building.rows == 2
    dataset = building.complete()
    assert values(reopened(store)) == [7, 3]
    assert dataset.rows == 2
    assert sorted(dataset.files[0].parent.iterdir()) == sorted(dataset.files)


def test_truncated_parts_are_gone_and_their_numbers_free(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f1")
    for value in (1, 2, 3):
        building.add_table(rows(value))
    building.truncate(1)
    assert reopened(store).build(Kind.STAGED, NAME, "f1", resume=True).rows == 1
    building.add_table(rows(9))
    building.complete()
    assert values(store) == [1, 9]


def test_several_datasets_become_current_together_or_not_at_all(store: Store) -> None:
    one, other = store.build(Kind.STAGED, NAME, "f"), store.build(Kind.REJECTS, NAME, "f")
    one.add_table(rows(1))
    other.add_table(rows())
    store.build(Kind.REJECTS, NAME, "f")  # drops `other`, as a second command would
    with pytest.raises(SafetyStop, match="dropped by another command"):
        store.complete_all([Finished(one), Finished(other)])
    assert values(store) is None


def test_a_committed_number_is_not_written_twice(store: Store) -> None:
    building = store.build(Kind.OUTCOMES, "account", "f")
    building.add_table(rows(1), number=4)
    with pytest.raises(ValueError, match="part 4 is committed already"):
        building.add_table(rows(2), number=4)
    assert building.add_table(rows(2)).number == 5


def test_a_dataset_without_parts_cannot_complete(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one part"):
        store.build(Kind.STAGED, NAME, "f").complete()


def test_empty_parts_keep_the_schema_but_are_no_files(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f")
    building.add_table(rows())
    dataset = building.complete()
    assert dataset.files == ()
    assert dataset.schema().names == ["a"]


@pytest.mark.parametrize("harm", ["lost", "cut"])
def test_missing_or_cut_files_are_noticed_with_a_hint(store: Store, harm: str) -> None:
    building = store.build(Kind.MAPPED, "account", "f")
    building.add_table(rows(1))
    path = building.complete().files[0]
    if harm == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert not store.is_current(Kind.MAPPED, "account", "f")
    with pytest.raises(FatalError, match="missing or damaged") as caught:
        store.need(Kind.MAPPED, "account", made_by="map")
    assert "migrator map" in caught.value.hint


def test_need_names_the_command_that_makes_it(store: Store) -> None:
    with pytest.raises(FatalError, match="no mapped data for 'account'") as caught:
        store.need(Kind.MAPPED, "account", made_by="map")
    assert caught.value.hint == "run: migrator map"


def test_sweep_removes_only_what_nobody_vouches_for(store: Store) -> None:
    building = store.build(Kind.STAGED, NAME, "f")
    building.add_table(rows(1))
    building.complete()
    store.build(Kind.MAPPED, "account", "f").add_table(rows(2))
    stray = store.folder(Kind.MAPPED, "account", "0123456789ab")
    stray.mkdir(parents=True)
    (stray / "part-000000.parquet").write_bytes(b"half")
    foreign = store.root / "notes" / "mine" / "folder"
    foreign.mkdir(parents=True)
    assert reopened(store).sweep() == 1
    assert not stray.exists()
    assert foreign.exists()
    assert values(store) == [1]
    assert store.build(Kind.MAPPED, "account", "f", resume=True).rows == 1


def test_a_folder_of_another_ledger_is_left_alone(store: Store, tmp_path: Path) -> None:
    building = store.build(Kind.CROSSWALK, "account", "f")
    building.add_table(rows(1))
    building.complete()
    with closing(open_ledger(f"sqlite:///{tmp_path / 'other.db'}")) as ledger:
        other = Store(store.root, ledger)
        with pytest.raises(SafetyStop, match="belongs to another ledger"):
            other.sweep()
        with pytest.raises(SafetyStop, match="belongs to another ledger"):
            other.build(Kind.CROSSWALK, "account", "f")
    assert values(store, Kind.CROSSWALK, "account") == [1]


def test_discard_retires_the_current_dataset(store: Store) -> None:
    building = store.build(Kind.PLAN, "account", "f")
    building.add_table(rows(1))
    building.complete()
    store.discard(Kind.PLAN, "account")
    store.discard(Kind.PLAN, "account")
    assert store.current(Kind.PLAN, "account") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "订单" * 200, "x" * 5000, "a\nb*?", "Ünï/🙂"])
def test_any_name_has_a_folder(store: Store, name: str) -> None:
    building = store.build(Kind.STAGED, name, "f")
    building.add_table(rows(1))
    dataset = building.complete()
    assert values(store, name=name) == [1]
    assert dataset.files[0].resolve().is_relative_to((store.root / "staged").resolve())
    assert reopened(store).sweep() == 0


def test_a_folder_that_cannot_be_written_is_said_so(store: Store) -> None:
    store.root.parent.mkdir(parents=True, exist_ok=True)
    store.root.write_text("a file where the folder should be")
    with pytest.raises(FatalError, match="cannot write") as caught:
        store.build(Kind.STAGED, NAME, "f")
    assert "disk full" in caught.value.hint


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="cannot write"):
        write_table(rows(1), tmp_path / "no" / "such" / "folder.parquet")
    with pytest.raises(FatalError, match="No space left"):
        write_table(rows(*range(100_000)), _always_full(tmp_path) / "part.parquet")
    assert list(tmp_path.glob("*.writing")) == []


def _always_full(tmp_path: Path) -> Path:
    """A folder in which the file about to be written is the device that is always full."""
    (tmp_path / ".part.parquet.writing").symlink_to("/dev/full")
    return tmp_path
