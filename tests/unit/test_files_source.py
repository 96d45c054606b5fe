"""Folders, zips and globs of data files as objects: what each format delivers, and how several files make one object."""

from __future__ import annotations

import gc
import json
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.files import CONNECTOR, FilesSource, recognise
from connectors.files.json_lines import _DECODER, value_text
from connectors.files.json_values import Shape, records
from migrator.core.connector import Page
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import FieldType, ObjectSchema, index_schemas


def opened(path: Path, **settings: object) -> FilesSource:
    return FilesSource({"path": str(path), **settings})


def rows_of(source: FilesSource, name: str) -> list[dict[str, object]]:
    return [row for page in source.read(name) for row in page.rows.to_pylist()]


def schema_of(source: FilesSource, name: str) -> ObjectSchema:
    return index_schemas(source.describe())[name]


def rejects_of(pages: list[Page]) -> list[tuple[str, str]]:
    return [(item.place, item.rule) for page in pages for item in page.rejects]


# --- CSV -------------------------------------------------------------------------------------------


def test_every_file_name_is_an_object_and_same_names_are_one(tmp_path: Path) -> None:
    for year, text in (("2023", "id,name,city\n1,王伟,北京\n"), ("2024", "Name,ID,fax\nBob,2,77\n")):
        (tmp_path / year).mkdir()
        (tmp_path / year / "Order.csv").write_text(text, "utf-8")
    (tmp_path / "select.tsv").write_text("a\tb\n1\t2\n")
    (tmp_path / "read me.pdf").write_bytes(b"%PDF")
    (tmp_path / ".hidden.csv").write_text("x,y\n1,2\n")
    source = opened(tmp_path)
    assert [item.name for item in source.describe()] == ["Order", "select"]
    assert schema_of(source, "Order").key == "id"
    assert rows_of(source, "Order") == [
        {"id": "1", "name": "王伟", "city": "北京", "fax": None},
        {"id": "2", "name": "Bob", "city": None, "fax": "77"},
    ]
    assert "read me.pdf" in "".join(source.notes(""))
    told = " ".join(source.notes("Order"))
    assert "2023/Order.csv: encoding utf-8" in told
    assert "comma-separated" in told
    assert "'Name' is read as 'name'" in told


def test_objects_can_be_made_of_any_files(tmp_path: Path) -> None:
    for name in ("acc_1.csv", "acc_2.csv", "acc_10.csv"):
        (tmp_path / name).write_text(f"id,file\n{name},x\n")
    source = opened(tmp_path, objects={"Account": "acc_*.csv"})
    assert [row["id"] for row in rows_of(source, "Account")] == ["acc_1.csv", "acc_2.csv", "acc_10.csv"]
    with pytest.raises(ProjectError, match=r"objects\.Contact.* matches no file"):
        opened(tmp_path, objects={"Contact": "con*.csv"}).describe()


def test_members_of_a_zip_are_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("客户.csv", "id,name\n1,王伟\n".encode("gb18030"))
        archive.writestr("sub/people.jsonl", '{"id": 1}\n')
        archive.writestr("__MACOSX/sub/people.jsonl", "rubbish")
    source = opened(tmp_path / "all.zip")
    assert {item.name for item in source.describe()} == {"客户", "people"}
    assert rows_of(source, "客户") == [{"id": "1", "name": "王伟"}]
    (page,) = source.read("people")
    assert page.places.to_pylist() == ["all.zip!sub/people.jsonl:1"]


def test_globs_name_files(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text("id,name\n1,x\n")
    assert opened(tmp_path / "*.csv").object_names() == ["a", "b"]


def test_a_file_that_is_named_is_csv_whatever_its_extension(tmp_path: Path) -> None:
    (tmp_path / "dump.dat").write_text("id,v\n1,x\n")
    (tmp_path / "readme.txt").write_text("Hello, you")
    assert opened(tmp_path / "dump.dat").object_names() == ["dump"]
    assert opened(tmp_path, objects={"Deal": "*.dat"}).object_names() == ["Deal"]


def test_an_empty_file_is_an_object_without_fields(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    source = opened(tmp_path)
    assert schema_of(source, "empty").fields == ()
    assert sum(page.rows.num_rows for page in source.read("empty")) == 0
    assert "empty" in " ".join(source.notes("empty"))


def test_undecodable_bytes_refuse_their_row_when_so_set(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,x\n2,\xff\xfe\n3,y\n")
    with pytest.raises(FatalError, match=r"a\.csv:3"):
        rows_of(opened(tmp_path, encoding="utf-8"), "a")
    pages = list(opened(tmp_path, encoding="utf-8", undecodable="quarantine").read("a"))
    assert rejects_of(pages) == [("a.csv:3", "file.undecodable")]
    assert pages[0].rejects[0].raw == "2,\\xFF\\xFE"
    assert pages[0].rows.num_rows == 2


def test_settings_are_checked_all_at_once() -> None:
    with pytest.raises(ProjectError) as caught:
        FilesSource(
            {"delimiter": "::", "quote": "é", "header": "yes", "zero_bytes": "x", "objects": 3, "Path": "x"}
        )
    assert len(caught.value.problems) == 7
    FilesSource(
        {"path": "x", "delimiter": "tab", "quote": "none", "header": False, "objects": {"a": ["*.csv"]}}
    )


def test_the_fingerprint_follows_files_and_what_changes_their_reading(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,name\n1,x\n")
    first = opened(tmp_path).fingerprint("a")
    assert opened(tmp_path).fingerprint("a") == first
    assert opened(tmp_path, delimiter=";").fingerprint("a") != first
    file.write_text("id,name\n1,xy\n")
    assert opened(tmp_path).fingerprint("a") != first


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="no such file"):
        opened(tmp_path / "none.csv").describe()
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(FatalError, match=r"photo\.jpg"):
        opened(tmp_path).describe()
    (tmp_path / "people.csv").write_text("id,x\n1,2\n")
    with pytest.raises(FatalError, match=r"'peple'[\s\S]*did you mean 'people'"):
        opened(tmp_path).fingerprint("peple")


def test_data_files_are_recognised_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,x\n1,2\n")
    assert recognise(str(tmp_path / "people.csv")).confidence == 0.7  # type: ignore[union-attr]
    found = recognise(str(tmp_path))
    assert found is not None
    assert found.settings == {"path": str(tmp_path)}
    assert recognise(str(tmp_path / "none")) is None
    assert recognise("sqlite:///x.db") is None
    assert CONNECTOR.open_source is not None


# --- JSON Lines ------------------------------------------------------------------------------------


def test_json_keeps_numbers_as_written_and_nested_values_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": 12345678901234567890, "sum": 1.10, "ok": true, "gone": null, "empty": ""}\n'
        "\n"
        '{"id": 2, "late": {"x": [1.50, "王", null, true]}, "tags": []}\n'
        "not json\n"
        "[1]\n"
        '{"id": 3, "id": 4}\n'
        '{"id": NaN}\n'
        '{"id": 5}',
        "utf-8",
    )
    source = opened(tmp_path)
    pages = list(source.read("a"))
    blank = dict.fromkeys(["sum", "ok", "gone", "empty", "late", "tags"])
    assert pages[0].rows.to_pylist() == [
        {**blank, "id": "12345678901234567890", "sum": "1.10", "ok": "true", "empty": ""},
        {**blank, "id": "2", "late": '{"x":[1.50,"王",null,true]}', "tags": "[]"},
        {**blank, "id": "5"},
    ]
    assert pages[0].places.to_pylist() == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:8"]
    assert rejects_of(pages) == [(f"a.jsonl:{line}", "json.line") for line in (4, 5, 6, 7)]
    kinds = {item.name: item.type for item in schema_of(source, "a").fields}
    assert kinds["late"] is FieldType.JSON
    assert kinds["sum"] is FieldType.STRING


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=3))
def test_json_text_means_the_same_value(value: dict[str, object]) -> None:
    text = value_text(_DECODER.decode(json.dumps(value)))
    assert text is not None
    assert json.loads(text) == value


# --- Excel -----------------------------------------------------------------------------------------


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Deals"
    sheet.append([None])
    sheet.append(["id", "value", "when", "won", "note"])
    sheet.append([1, 0.1, datetime(2024, 1, 31), True, '王伟\n"x"'])  # noqa: DTZ001 (Excel knows no zones)
    sheet.append([2.0, 1e21, datetime(2024, 1, 31, 13, 5), False, "#N/A"])  # noqa: DTZ001
    sheet.append([])
    sheet.append([3, 12345678.9, time(13, 5), None, timedelta(hours=30, minutes=2)])
    sheet.append([4, None, None, None, None, "beyond"])
    sheet.append([5, "=1+1", date(2024, 2, 1)])
    book.create_sheet("选择").append(["a", "b"])
    path = tmp_path / "Book.xlsx"
    book.save(path)
    book.close()
    return path


def test_cells_are_delivered_as_they_stand(workbook: Path) -> None:
    source = opened(workbook)
    assert [item.name for item in source.describe()] == ["Book.Deals", "Book.选择"]
    pages = list(source.read("Book.Deals"))
    assert [list(row.values()) for row in pages[0].rows.to_pylist()] == [
        ["1", "0.1", "2024-01-31T00:00:00", "true", '王伟\n"x"'],
        ["2", "1000000000000000000000", "2024-01-31T13:05:00", "false", "#N/A"],
        ["3", "12345678.9", "13:05:00", None, "30:02:00"],
        ["5", "=1+1", "2024-02-01", None, None],
    ]
    assert pages[0].places.to_pylist() == [f"Book.xlsx!Deals:{row}" for row in (3, 4, 6, 8)]
    assert rejects_of(pages) == [("Book.xlsx!Deals:7", "file.ragged")]
    assert pages[0].rejects[0].raw == "4\t\t\t\t\tbeyond"
    assert schema_of(source, "Book.Deals").key == "id"
    (empty,) = source.read("Book.选择")
    assert empty.rows.column_names == ["a", "b"]


def test_a_workbook_in_a_zip_is_unpacked_and_cleaned_up(workbook: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(workbook, "Book.xlsx")
    source = opened(tmp_path / "w.zip")
    assert len(rows_of(source, "Book.Deals")) == 4
    kept = list(source._finder._unpacked.values())
    source.close()
    gc.collect()
    assert kept
    assert not any(path.exists() for path in kept)


def test_a_broken_workbook_is_an_error_with_its_name(workbook: Path, tmp_path: Path) -> None:
    (tmp_path / "Cut.xlsx").write_bytes(workbook.read_bytes()[:2000])
    with pytest.raises(FatalError, match=r"Cut\.xlsx"):
        opened(tmp_path / "Cut.xlsx").describe()
    with zipfile.ZipFile(tmp_path / "Odd.xlsx", "w") as archive:
        archive.writestr("hello.txt", "x")
    with pytest.raises(FatalError, match=r"Odd\.xlsx.* no whole Excel workbook"):
        opened(tmp_path / "Odd.xlsx").describe()


# --- Parquet ---------------------------------------------------------------------------------------


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    instant = datetime(2024, 1, 31, 12, 30, 0, 5, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "sum": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
            "day": pa.array([date(2024, 1, 31), None], pa.date32()),
            "at": pa.array([instant, None], pa.timestamp("ms", tz="Asia/Shanghai")),
            "local": pa.array([instant.replace(tzinfo=None), None], pa.timestamp("us")),
            "tags": pa.array([["a", "王"], None], pa.list_(pa.string())),
            "kind": pa.array(["x", None]).dictionary_encode(),
            "raw": pa.array([b"\x00\x01", None], pa.binary()),
            "big": pa.array([2**64 - 1, None], pa.uint64()),
        },
    )  # fmt: skip
    pq.write_table(table, tmp_path / "deals.parquet", row_group_size=1)
    source = opened(tmp_path)
    first = rows_of(source, "deals")[0]
    assert first == {
        "id": 1, "sum": Decimal("1.10"), "day": date(2024, 1, 31), "at": instant.replace(microsecond=0),
        "local": "2024-01-31T12:30:00.000005", "tags": '["a","王"]', "kind": "x", "raw": "AAE=", "big": Decimal(2**64 - 1),
    }  # fmt: skip
    kinds = {item.name: item.type for item in schema_of(source, "deals").fields}
    assert kinds["id"] is FieldType.INTEGER
    assert (kinds["sum"], kinds["at"], kinds["tags"]) == (
        FieldType.DECIMAL,
        FieldType.DATETIME,
        FieldType.JSON,
    )
    assert source.count("deals") == 2
    assert "times without a zone" in " ".join(source.notes("deals"))


def test_instants_are_never_rounded(tmp_path: Path) -> None:
    fine = pa.table(
        {"at": pa.array([1], pa.timestamp("ns", tz="UTC")), "local": pa.array([1], pa.timestamp("ns"))}
    )
    pq.write_table(fine.select(["local"]), tmp_path / "a.parquet")
    assert rows_of(opened(tmp_path), "a") == [{"local": "1970-01-01T00:00:00.000000001"}]
    pq.write_table(fine, tmp_path / "a.parquet")
    with pytest.raises(FatalError, match=r"a\.parquet: column 'at'"):
        rows_of(opened(tmp_path), "a")


def test_parts_with_different_types_become_text(tmp_path: Path) -> None:
    for folder, values in (("a", pa.array([1])), ("b", pa.array(["x"])), ("c", pa.array([True]))):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"v": values}), tmp_path / folder / "t.parquet")
    source = opened(tmp_path)
    assert rows_of(source, "t") == [{"v": "1"}, {"v": "x"}, {"v": "true"}]
    assert "different types" in " ".join(source.notes("t"))


def test_a_broken_parquet_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(FatalError, match=r"a\.parquet: this is no whole Parquet file"):
        opened(tmp_path).describe()


# --- cursors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c", "j", "p", "x"])
@pytest.mark.parametrize("page_rows", [1, 3, 100])
def test_reading_goes_on_from_every_cursor(tmp_path: Path, name: str, page_rows: int) -> None:
    numbers = list(range(1, 8))
    (tmp_path / "c.csv").write_text("id,v\n" + "".join(f"{n},x\n" if n != 4 else "ragged\n" for n in numbers))
    (tmp_path / "j.jsonl").write_text("".join(f'{{"id": {n}}}\n' if n != 4 else "bad\n" for n in numbers))
    pq.write_table(pa.table({"id": numbers}), tmp_path / "p.parquet", row_group_size=2)
    book = openpyxl.Workbook()
    for row in [["id"], *[[n] for n in numbers]]:
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    source = opened(tmp_path)
    whole = rows_of(source, name)
    assert len(whole) >= 6
    done = 0
    for page in source.read(name, page_rows=page_rows):
        assert page.rows.num_rows <= page_rows
        assert len(page.places) == page.rows.num_rows
        done += page.rows.num_rows
        rest = [row for later in source.read(name, cursor=page.cursor) for row in later.rows.to_pylist()]
        assert rest == whole[done:]
    assert done == len(whole)


def test_titles_above_the_header_are_told_and_not_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Sales report 2024"], [], ["region", "q1"], ["north", 1]):
        book.active.append(row)
    book.save(tmp_path / "Report.xlsx")
    source = opened(tmp_path / "Report.xlsx")
    assert rows_of(source, "Report") == [{"region": "north", "q1": "1"}]
    assert "row 1 is a title and not read: 'Sales report 2024'" in "".join(source.notes("Report"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('[\n {"a": "x,]}\\"", "b": [1, {}]},\n\n {"a": null}\n]\n', [2, 4]),
        ('{"a": "x,]}\\"",\n "b": [1, {}]}\n{"a":\nnull}', [1, 3]),
        ('{"a": "x,]}\\"", "b": [1, {}]}\n{"a": null}\n', [1, 2]),
    ],
    ids=["array", "over several lines", "lines"],
)
def test_json_is_read_however_its_objects_stand(tmp_path: Path, text: str, lines: list[int]) -> None:
    (tmp_path / "things.json").write_text(text)
    source = opened(tmp_path)
    assert rows_of(source, "things") == [{"a": 'x,]}"', "b": "[1,{}]"}, {"a": None, "b": None}]
    places = [place for page in source.read("things") for place in page.places.to_pylist()]
    assert places == [f"things.json:{line}" for line in lines]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_records_of_json_do_not_depend_on_blocks(size: int) -> None:
    text = '[{"a":"é\\\\\\"]"},{"b":[{}]} ,\n[1]]'.encode()
    blocks = [text[at : at + size] for at in range(0, len(text), size)]
    found = list(records(blocks, Shape.ARRAY, "x.json"))
    assert found == [(1, '{"a":"é\\\\\\"]"}'.encode()), (1, b'{"b":[{}]}'), (2, b"[1]")]


def test_an_array_cut_off_is_told_with_its_line() -> None:
    with pytest.raises(FatalError, match=r"x.json:1: the file ends inside its array"):
        list(records([b'[{"a":1},\n'], Shape.ARRAY, "x.json"))


def test_one_file_may_be_written_another_way(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,name\n1,Łódź\n", encoding="utf-8")
    (tmp_path / "old.csv").write_text("id;name\n1;Łódź\n", encoding="cp1250")
    source = opened(tmp_path, files={"old*.csv": {"encoding": "cp1250"}}, keys={"new": "name", "old": ""})
    assert [rows_of(source, name) for name in ("new", "old")] == [[{"id": "1", "name": "Łódź"}]] * 2
    assert [item.key for item in source.describe()] == ["name", ""]


def test_keys_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    for keys, told in (({"b": ""}, "no object 'b'"), ({"a": "nam"}, "no column 'nam'")):
        with pytest.raises(ProjectError, match=told):
            opened(tmp_path, keys=keys).describe()
