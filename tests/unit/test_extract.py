"""Extract stages every record once, in one shape, counts what it folds, and rests when the source did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.clock import FixedClock
from migrator.core.connector import Page, Reject, SourceFacts
from migrator.core.errors import FatalError, RetryableError, SafetyStop
from migrator.core.progress import Quiet
from migrator.core.retry import PATIENT, RetryPolicy
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract import gather
from migrator.extract.extract import extract_object
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Dataset, Kind, Store
from migrator.testing.memory import MemoryObject, MemorySource

ONCE = RetryPolicy(attempts=1)
OVERLAP = SourceFacts(copies_overlap=True, recency_fields=("Stamp", "Older Stamp"))
REJECT = Reject("f.csv:3", "file.ragged", "3 columns instead of 2", 'a,"b\nc",\udcff')


def schema(*names: str, key: str = "Id", kind: FieldType = FieldType.STRING) -> ObjectSchema:
    return ObjectSchema("Order", key, tuple(FieldSchema(name, kind) for name in names))


def source(rows: dict[str, list[Any]], facts: SourceFacts = SourceFacts(), **more: Any) -> MemorySource:  # noqa: B008
    described = more.pop("schema", None) or schema(*rows)
    return MemorySource([MemoryObject(described, pa.table(rows), **more)], facts=facts)


class Desk:
    """A workspace and the calls tests make in it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store

    def session(self) -> DuckSession:
        return open_engine(EngineSettings(threads=1), self.folder)

    def extract(self, given: Any, page_rows: int = 2, policy: RetryPolicy = ONCE) -> Dataset:
        return extract_object(
            self.store, self.session, given, "old", given.describe()[0],
            files=self.folder / "files", progress=Quiet(), page_rows=page_rows, policy=policy,
        )  # fmt: skip

    def rows(self, kind: Kind = Kind.STAGED) -> list[dict[str, Any]]:
        dataset = self.store.need(kind, "old/Order", made_by="extract")
        with closing(self.session()) as session:
            session.view("found", dataset.files, dataset.schema())
            order = "__row" if kind is Kind.STAGED else "__place"
            return session.fetch(f"SELECT * FROM found ORDER BY {order}").to_pylist()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def desk(tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(gather, "PART_ROWS", 4)
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock)) as ledger:
        yield Desk(tmp_path, Store(tmp_path / "staging", ledger))


def test_rows_stand_as_read_in_the_order_of_the_schema(desk: Desk) -> None:
    table = {"Id": ["1", "2", None], 'na"me': ["王伟", "", "a\n'b'"], "select": [None, "x", "NULL"]}
    dataset = desk.extract(source(table))
    assert desk.rows() == [
        {"Id": "1", 'na"me': "王伟", "select": None, "__row": 0, "__place": "memory!Order:1", "__copy": 0},
        {"Id": "2", 'na"me': "", "select": "x", "__row": 1, "__place": "memory!Order:2", "__copy": 0},
        {"Id": None, 'na"me': "a\n'b'", "select": "NULL", "__row": 2, "__place": "memory!Order:3", "__copy": 0},
    ]  # fmt: skip
    assert [dataset.detail[name] for name in ("read", "folded", "copies", "rejects", "warnings")] == [
        3, 0, 0, 0, [],
    ]  # fmt: skip
    assert desk.rows(Kind.REJECTS) == []


def test_small_pages_become_few_parts_with_running_numbers(desk: Desk) -> None:
    dataset = desk.extract(source({"Id": [str(number) for number in range(11)]}), page_rows=1)
    assert [part.rows for part in dataset.parts] == [4, 4, 3]
    assert [row["__row"] for row in desk.rows()] == list(range(11))


def test_an_empty_object_has_a_dataset_with_its_columns(desk: Desk) -> None:
    dataset = desk.extract(source({"Id": pa.array([], pa.string())}))  # type: ignore[dict-item]
    assert dataset.rows == 0
    assert dataset.schema().names == ["Id", "__row", "__place", "__copy"]


def test_an_unchanged_source_is_not_read_again(desk: Desk) -> None:
    given = source({"Id": ["1"]})
    first = desk.extract(given)
    assert desk.extract(given) == first
    changed = desk.extract(source({"Id": ["2"]}))
    assert changed.fingerprint != first.fingerprint


def test_another_key_is_read_again_another_type_is_not(desk: Desk) -> None:
    first = desk.extract(source({"Id": ["1"]}))
    typed = schema("Id", kind=FieldType.INTEGER)
    assert desk.extract(source({"Id": ["1"]}, schema=typed)).id == first.id
    assert desk.extract(source({"Id": ["1"]}, schema=schema("Id", key=""))).id != first.id


def test_a_live_source_is_always_read_and_named_by_its_content(desk: Desk) -> None:
    live = SourceFacts(live=True)
    first = desk.extract(source({"Id": ["1", "2"], "a": ["x", "y"]}, live))
    again = desk.extract(source({"Id": ["2", "1"], "a": ["y", "x"]}, live))
    assert again.id != first.id
    assert again.fingerprint == first.fingerprint
    assert desk.extract(source({"Id": ["1", "2"], "a": ["x", "z"]}, live)).fingerprint != first.fingerprint
    assert desk.extract(source({"Id": ["1", "2"], "a": ["y", "x"]}, live)).fingerprint != first.fingerprint


def test_rejects_are_kept_beside_the_rows(desk: Desk) -> None:
    dataset = desk.extract(source({"Id": ["1"]}, rejects=(REJECT,)))
    assert dataset.detail["rejects"] == 1
    assert desk.rows(Kind.REJECTS) == [
        {"__place": "f.csv:3", "rule": "file.ragged", "message": "3 columns instead of 2", "raw": 'a,"b\nc",\\udcff'}
    ]  # fmt: skip


class Breaking(MemorySource):
    """Fails once, after so many pages, having delivered a reject with every page; notes where it was asked to begin."""

    def __init__(self, given: MemorySource, *, after: int, cursors: bool = True) -> None:
        super().__init__(list(given.objects.values()), facts=given.facts)
        self.after = after
        self.cursors = cursors
        self.begun: list[str | None] = []

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        self.begun.append(cursor)
        for page in super().read(object_name, cursor=cursor, page_rows=page_rows):
            if self.after == 0:
                self.after = -1
                raise RetryableError("the line is down")
            self.after -= 1
            place = f"bad after {page.cursor}"
            yield replace(
                page, rejects=(replace(REJECT, place=place),), cursor=page.cursor if self.cursors else None
            )


@pytest.mark.parametrize(("cursors", "begun"), [(True, [None, "8"]), (False, [None, None])])
@pytest.mark.parametrize("live", [True, False])
def test_an_interrupted_extract_goes_on_and_doubles_nothing(
    desk: Desk, *, cursors: bool, begun: list[str | None], live: bool
) -> None:
    given = source({"Id": [str(number) for number in range(20)]}, SourceFacts(live=live))
    breaking = Breaking(given, after=5, cursors=cursors)
    with pytest.raises(RetryableError):
        desk.extract(breaking)
    assert desk.store.current(Kind.STAGED, "old/Order") is None
    dataset = desk.extract(breaking)
    assert breaking.begun == begun
    assert [row["Id"] for row in desk.rows()] == [str(number) for number in range(20)]
    assert dataset.detail["rejects"] == 10
    assert len({row["__place"] for row in desk.rows(Kind.REJECTS)}) == 10


def test_a_live_extract_left_for_days_begins_anew(desk: Desk, clock: FixedClock) -> None:
    breaking = Breaking(
        source({"Id": [str(number) for number in range(20)]}, SourceFacts(live=True)), after=5
    )
    with pytest.raises(RetryableError):
        desk.extract(breaking)
    clock.sleep(timedelta(days=2).total_seconds())
    desk.extract(breaking)
    assert breaking.begun == [None, None]
    assert len(desk.rows()) == 20


def test_a_source_that_changes_meanwhile_stops_for_safety(desk: Desk) -> None:
    class Changing(MemorySource):
        asked = 0

        def fingerprint(self, object_name: str) -> str:
            self.asked += 1
            return f"{object_name}{self.asked}"

    given = source({"Id": ["1"]})
    with pytest.raises(SafetyStop, match="changed while it was read"):
        desk.extract(Changing(list(given.objects.values())))
    assert desk.store.current(Kind.STAGED, "old/Order") is None


def test_a_column_nobody_described_is_not_dropped(desk: Desk) -> None:
    with pytest.raises(SafetyStop, match="did not describe: more"):
        desk.extract(source({"Id": ["1"], "more": ["x"]}, schema=schema("Id")))


@pytest.mark.parametrize("names", [("Id", "ID"), ("Id", "__Row"), ("Id", "__copy")])
def test_columns_that_cannot_stand_together_are_told(desk: Desk, names: tuple[str, str]) -> None:
    with pytest.raises(FatalError, match="cannot stand beside"):
        desk.extract(source({name: ["1"] for name in names}))


class Paged(MemorySource):
    """Delivers the pages it is given, whatever their columns and types."""

    def __init__(self, described: ObjectSchema, pages: list[pa.Table]) -> None:
        super().__init__([MemoryObject(described, pages[0])])
        self.pages = pages

    def read(self, *_: object, **__: object) -> Iterator[Page]:
        yield from (Page(rows) for rows in self.pages)


def test_pages_of_different_types_become_one_type_without_loss(desk: Desk) -> None:
    pages = [
        pa.table({"Id": [1, 2, 3, 4], "n": pa.nulls(4), "m": pa.array([1, 2, 3, 4], pa.int32())}),
        pa.table({"Id": ["5", "6", "7", "8"], "n": pa.array([1, 2, 3, 4], pa.int8())}),
        pa.table({"m": pa.array([2**40], pa.int64()), "n": pa.array([7], pa.int32())}),
        pa.table({"none": pa.nulls(4), "n": pa.array([1] * 4, pa.int8()), "Id": pa.nulls(4)}),
    ]
    desk.extract(Paged(schema("Id", "n", "m", "none"), pages))
    rows = desk.rows()
    assert [row["Id"] for row in rows] == [*"12345678", *[None] * 5]
    assert [row["n"] for row in rows] == [None, None, None, None, 1, 2, 3, 4, 7, 1, 1, 1, 1]
    assert [row["m"] for row in rows] == [1, 2, 3, 4, *[None] * 4, 2**40, *[None] * 4]
    assert {row["none"] for row in rows} == {None}


ROWS = {
    "Id": ["a", "b", "a", None, "a", "c", "b", "", None, ""],
    "v": ["1", "1", "1", "9", "2", "1", "1", "8", "9", "8"],
    "Stamp": [
        "2024-01-01T10:00:00Z", "x", "2024-01-01T10:00:00Z", "x", "2024-01-01 09:00:00.5+00", "x", "x", "x", "x", "x",
    ],
}  # fmt: skip


def test_of_overlapping_copies_the_newest_stays(desk: Desk) -> None:
    dataset = desk.extract(source(ROWS, OVERLAP))
    assert [(row["Id"], row["v"], row["__row"], row["__copy"]) for row in desk.rows()] == [
        ("a", "1", 0, 0), ("b", "1", 1, 0), (None, "9", 3, 0), ("c", "1", 5, 0), ("", "8", 7, 0), (None, "9", 8, 0),
        ("", "8", 9, 0),
    ]  # fmt: skip
    told = {
        name: dataset.detail[name] for name in ("read", "folded", "superseded", "superseded_keys", "copies")
    }
    assert told == {"read": 10, "folded": 3, "superseded": 1, "superseded_keys": ["a"], "copies": 0}
    assert "1 older copies" in dataset.detail["warnings"][0]
    assert dataset.rows == dataset.detail["read"] - dataset.detail["folded"]


def test_without_overlap_differing_rows_under_one_key_are_numbered(desk: Desk) -> None:
    dataset = desk.extract(source(ROWS))
    assert [(row["Id"], row["v"], row["__copy"]) for row in desk.rows() if row["Id"]] == [
        ("a", "1", 0), ("b", "1", 0), ("a", "2", 1), ("c", "1", 0),
    ]  # fmt: skip
    assert (dataset.detail["folded"], dataset.detail["superseded"], dataset.detail["copies"]) == (2, 0, 1)


@pytest.mark.parametrize(
    ("stamps", "kept"),
    [
        (["2024-01-01", "2024-01-01T00:00:01Z"], "new"),
        (["2024-01-02T00:30:00+02:00", "2024-01-01T23:00:00Z"], "new"),
        (["2024-01-02T00:30:00-02:00", "2024-01-01T23:00:00Z"], "old"),
        (["2024-01-01", "2024-01-01"], "new"),
        (["13/01/2024 8:00", "2024-01-02"], None),
        ([None, None], None),
    ],
)
def test_newest_is_told_by_the_moment_not_by_the_text(
    desk: Desk, stamps: list[str | None], kept: str | None
) -> None:
    table = {"Id": ["a", "a"], "v": ["old", "new"], "Stamp": pa.array(stamps, pa.string())}
    dataset = desk.extract(source(table, OVERLAP))  # type: ignore[arg-type]
    expected = [("old", 0), ("new", 1)] if kept is None else [(kept, 0)]
    assert [(row["v"], row["__copy"]) for row in desk.rows()] == expected
    assert dataset.detail["copies"] == (1 if kept is None else 0)


def test_only_parts_with_copies_are_written_again(desk: Desk) -> None:
    ids = [str(number) for number in range(12)]
    dataset = desk.extract(source({"Id": [*ids, "1"], "v": [*ids, "other"]}))
    assert [part.path.name for part in dataset.parts] == [
        "part-000000.parquet", "part-000001.parquet", "part-000002.parquet", "part-000003.1.parquet",
    ]  # fmt: skip


def test_no_key_no_folding(desk: Desk) -> None:
    assert desk.extract(source({"a": ["x", "x"]}, schema=schema("a", key=""))).rows == 2


def file_source(references: list[str | None], files: dict[str, bytes]) -> MemorySource:
    described = ObjectSchema(
        "Order", "Id", (FieldSchema("Id", FieldType.ID), FieldSchema("Body", FieldType.FILE))
    )
    rows = pa.table(
        {"Id": [str(n) for n in range(len(references))], "Body": pa.array(references, pa.string())}
    )
    return MemorySource([MemoryObject(described, rows)], files=files)


def test_members_are_kept_by_content_each_once(desk: Desk) -> None:
    big = bytes(range(256)) * 10_000
    given = file_source(["x", "y", "z", None, "x", ""], {"x": big, "y": big, "z": b""})
    desk.extract(given)
    name = hashlib.sha256(big).hexdigest()
    empty = hashlib.sha256(b"").hexdigest()
    assert [row["Body"] for row in desk.rows()] == [
        f"sha256:{name}", f"sha256:{name}", f"sha256:{empty}", None, f"sha256:{name}", None,
    ]  # fmt: skip
    assert (desk.folder / "files" / name[:2] / name).read_bytes() == big
    kept = [path.name for path in (desk.folder / "files").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted([name, empty])


def test_a_missing_member_is_a_warning_and_an_empty_field(desk: Desk) -> None:
    dataset = desk.extract(file_source(["x", "gone", "lost", "gone"], {"x": b"1"}))
    assert [row["Body"] is None for row in desk.rows()] == [False, True, True, True]
    (warning,) = dataset.detail["warnings"]
    assert warning.startswith("Body: 2 files that records name are not in the export")
    assert "gone" in warning


class Shaky(MemorySource):
    """Breaks off after a few pages of every read."""

    reads = 0

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        self.reads += 1
        for number, page in enumerate(super().read(object_name, cursor=cursor, page_rows=page_rows)):
            if number == 4:
                raise RetryableError("503", retry_after=7.0)
            yield page


def test_a_source_that_breaks_off_is_read_on_from_its_last_part(desk: Desk, clock: FixedClock) -> None:
    rows = {"Id": [f"A{number:02d}" for number in range(40)], "Name": [str(number) for number in range(40)]}
    shaky = Shaky([MemoryObject(schema(*rows), pa.table(rows))])
    began = clock.now()
    done = desk.extract(shaky, policy=PATIENT)
    assert done.rows == 40
    assert [row["Id"] for row in desk.rows()] == rows["Id"]
    assert shaky.reads > PATIENT.attempts, "patience begins anew whenever rows came"
    assert clock.now() - began >= timedelta(seconds=7 * (shaky.reads - 1)), (
        "the system's own hint is waited for"
    )


def test_a_source_that_stays_away_ends_the_extract_with_its_work_saved(desk: Desk) -> None:
    class Away(MemorySource):
        reads = 0

        def read(self, *_: object, **__: object) -> Iterator[Page]:
            self.reads += 1
            raise RetryableError("503")
            yield

    rows = {"Id": ["A1"], "Name": ["x"]}
    away = Away([MemoryObject(schema(*rows), pa.table(rows))])
    with pytest.raises(RetryableError):
        desk.extract(away, policy=PATIENT)
    assert away.reads == 6
