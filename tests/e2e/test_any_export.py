"""Any export moves into an empty database by `init` and `run` alone: nothing edited, nothing lost, no value changed."""

from __future__ import annotations

import csv
import io
import sqlite3
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tests.e2e.demo_project import run
from tests.postgres import TestServer

Rows = Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Moved:
    """What `init` and `run` said, and the database they filled."""

    folder: Path
    told: Mapping[str, Any]
    ran: Mapping[str, Any]
    url: str

    def tables(self) -> dict[str, list[tuple[str | None, ...]]]:
        """Every table of the target with its rows as text, read by SQLAlchemy alone."""
        engine = sa.create_engine(self.url)
        with engine.connect() as connection:
            names = sa.inspect(connection).get_table_names()
            found = {name: _rows(connection, name) for name in names}
        engine.dispose()
        return found

    def type_of(self, table: str, column: str) -> str:
        """The type of a column, without its length."""
        engine = sa.create_engine(self.url)
        with engine.connect() as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)  # SQLAlchemy does not know our exact decimals
            columns = sa.inspect(connection).get_columns(table)
        engine.dispose()
        return next(str(item["type"]).partition("(")[0] for item in columns if item["name"] == column)


def _rows(connection: sa.Connection, name: str) -> list[tuple[str | None, ...]]:
    return sorted(
        (tuple(map(_text, row)) for row in connection.execute(sa.text(f'SELECT * FROM "{name}"'))), key=repr
    )


def _text(value: object) -> str | None:
    """A value as text, whatever type the database's driver gives it."""
    match value:
        case None:
            return None
        case bool():
            return str(int(value))
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
        case float() | Decimal():
            return f"{Decimal(str(value)).normalize():f}"
        case _:
            return str(value)


def expected(rows: Rows) -> list[tuple[str | None, ...]]:
    return sorted((tuple(map(_text, row)) for row in rows), key=repr)


RUN = ("run",)
LOADED = ("run", "--skip-validate")
"""For what another test has validated already: validation is the dearest step of a small project."""


def move(
    folder: Path,
    *sources: object,
    target: str = "",
    settings: Sequence[str] = (),
    command: Sequence[str] = RUN,
) -> Moved:
    """init, check, run, and run again, which must write nothing; every record in exactly one class."""
    url = target or f"sqlite:///{folder / 'target.db'}"
    project = folder / "project"
    given = [part for source in sources for part in ("--source", str(source))]
    given += [part for setting in settings for part in ("--set", setting)]
    told = _asked("init", str(project), *given, "--target", url)
    here = f"-C{project}"
    _asked(here, "check")
    ran = _asked(here, *command)
    assert ran["closed"]
    assert command == LOADED or ran["validation"]["holds"], ran["validation"]
    again = _asked(here, *LOADED)
    assert (again["load"]["written"], again["closed"]) == (0, True)
    return Moved(project, told, ran, url)


def _asked(*arguments: str) -> dict[str, Any]:
    answer = run(*arguments, "--json")
    assert answer.code == 0, answer.err + answer.out
    return answer.json()


def write_csv(path: Path, rows: Rows, encoding: str = "utf-8", delimiter: str = ",") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


# --- files -----------------------------------------------------------------------------------------

NAMES = ["Order", "select", "a b", "x.y", "名称", "naïve", 'qu"ote', "L" * 100, "case", "CASE", "1st", "__id", "", "id", "record_id"]  # fmt: skip
FIELDS = ["Order", "select", "a_b", "x_y", "名称", "naïve", "qu_ote", "L" * 60, "case", "CASE_2", "x_1st", "x__id", "column_13", "id", "record_id_2"]  # fmt: skip
CHINESE = [
    ("K001", "上海测试有限公司", "1000.50", "2020-01-31", "2021-01-02 10:00:00", None, "010-65520001", "多行\n备注；和\"引号\" 😀"),
    ("K002", "𠮷野家", "-0.25", "2020-02-29", "2021-01-02 10:00:01.5", "K001", "01065520002", None),
]  # fmt: skip
NUMBERS = [
    ("1", "00012", "1,234,567", "9" * 38, "1.5E+3", "3.10", "1,50", "9223372036854775807", " 7 ", "J", "true", "1"),
    ("2", "90210", "2", "1" * 38, "2E0", "-0.05", "2,00", "-1", "x", "N", "FALSE", "0"),
]  # fmt: skip
DATES = [
    ("1", "31.01.2024", "2024/01/31", "2024-01-31", "0001-01-01", "2024-01-31T23:30:00-05:00", "2024-01-31"),
    ("2", "29.02.2024", "2024/02/29", "2024-02-29", "9999-12-31", "2024-02-29T00:00:00.123456Z", "01.02.2024"),
]  # fmt: skip


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a consultant gets it: every encoding, dialect, format and kind of name."""
    folder = tmp_path_factory.mktemp("odd")
    header = ["客户编号", "客户名称", "注册资本", "成立日期", "创建时间", "上级客户", "电话", "备注"]
    write_csv(folder / "客户.csv", [header, *CHINESE], "gb18030", ";")
    write_csv(folder / "utf16.tsv", [["Id", "Naïve"], ["1", "é😀"]], "utf-16", "\t")
    write_csv(folder / "west.csv", [["Nr", "Straße"], ["1", "Müllerstraße – „Haus“"]], "cp1252", ";")
    write_csv(folder / "names.csv", [NAMES, [f"v{at}" for at in range(len(NAMES))]])
    write_csv(folder / "numbers.csv", [["id", "zip", "thousands", "digits", "power", "money", "comma", "long", "blank", "jn", "flag", "bit"], *NUMBERS])  # fmt: skip
    write_csv(folder / "dates.csv", [["id", "de", "slash", "iso", "edge", "moment", "mixed"], *DATES])
    write_csv(folder / "nokey.csv", [["name", "amount"], ["a", "1"], ["a", "1"]])
    write_csv(folder / "lines.csv", [["id", "item"], ["O1", "x"], ["O1", "y"], ["O2", "x"], ["O2", "x"]])
    write_csv(folder / "copies.csv", [["id", "v"], *([str(at), "v"] for at in range(30)), ["7", "other"]])
    write_csv(folder / "header.csv", [["id", "name"]])
    write_csv(folder / "wide.csv", [["id", *(f"c{at}" for at in range(100))], ["1", *map(str, range(100))]])
    write_csv(folder / "long.csv", [["id", "text"], ["1", "é" * 1_000_000 + "\nend"]])
    (folder / "empty.csv").touch()
    (folder / "people.jsonl").write_text(
        '{"id":1,"at":{"city":"東京"},"n":1.10}\n{"id":2,"tags":["a",1],"N":null}\n'
    )
    (folder / "array.json").write_text('[\n{"id": 1, "v": "x"},\n{"id": 2, "v": "]"}\n]')
    _write_workbook(folder / "book.xlsx")
    _write_parquet(folder / "typed.parquet")
    return folder


def _write_workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Kunden"
    for row in (
        ["Bericht 2024"],
        [],
        ["Kunden-Nr", "Umsatz", "Seit", "Aktiv", "Formel"],
        [1, 1.1, date(2024, 1, 31), True, "=B4*2"],
    ):
        book.active.append(row)
    book.create_sheet("Leer")
    book.save(path)


def _write_parquet(path: Path) -> None:
    moment = datetime(2024, 1, 31, 23, 30, 0, 123456, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array([1], pa.int64()),
            "exact": pa.array([Decimal("0.125")], pa.decimal128(38, 10)),
            "zoned": pa.array([moment], pa.timestamp("us", "Asia/Shanghai")),
            "local": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
            "day": pa.array([date(1, 1, 1)]),
            "clock": pa.array([time(1, 2, 3, 4)]),
            "list": pa.array([[1, None]]),
            "big": pa.array([2**64 - 1], pa.uint64()),
            "bytes": pa.array([b"\x00\xff"]),
        }
    )
    pq.write_table(table, path)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_folder_of_odd_files(
    kind: str, odd_files: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    moved = move(tmp_path, f"odd={odd_files}", target=target, command=LOADED if target else RUN)
    found = moved.tables()
    stamp = "2024-01-31 23:30:00.123456Z"
    want: dict[str, Rows] = {
        "客户": [(*CHINESE[0][:4], "2021-01-02 10:00:00.000000Z", *CHINESE[0][5:]), (*CHINESE[1][:4], "2021-01-02 10:00:01.500000Z", *CHINESE[1][5:])],
        "utf16": [("1", "é😀")],
        "west": [("1", "Müllerstraße – „Haus“")],
        "names": [tuple(f"v{at}" for at in range(len(NAMES)))],
        "numbers": [(*NUMBERS[0][:10], "1", "1"), (*NUMBERS[1][:10], "0", "0")],
        "dates": [(*DATES[0][:5], "2024-02-01 04:30:00.000000Z", DATES[0][6]), (*DATES[1][:5], "2024-02-29 00:00:00.123456Z", DATES[1][6])],
        "nokey": [("odd:0", "a", "1"), ("odd:1", "a", "1")],
        "lines": [("odd:0", "O1", "x"), ("odd:1", "O1", "y"), ("odd:2", "O2", "x"), ("odd:3", "O2", "x")],
        "copies": [(str(at), "v") for at in range(30)],
        "header": [],
        "empty": [],
        "wide": [("1", *map(str, range(100)))],
        "long": [("1", "é" * 1_000_000 + "\nend")],
        "people": [("1", '{"city":"東京"}', "1.10", None, None), ("2", None, None, '["a",1]', None)],
        "array": [("1", "x"), ("2", "]")],
        "book_Kunden": [("1", "1.1", "2024-01-31", "1", "=B4*2")],
        "book_Leer": [],
        "typed": [("1", "0.125", stamp, stamp, "0001-01-01", "01:02:03.000004", "[1,null]", str(2**64 - 1), "AP8=")],
    }  # fmt: skip
    assert found.keys() == want.keys()
    for name, rows in want.items():
        assert [tuple(map(_number, row)) for row in found[name]] == [
            tuple(map(_number, row)) for row in expected(rows)
        ], name
    assert moved.ran["objects"]["copies"]["quarantined"] == 1
    assert sum(item["quarantined"] for item in moved.ran["objects"].values()) == 1
    assert [
        moved.type_of(*place) for place in (("dates", "iso"), ("客户", "成立日期"), ("numbers", "zip"))
    ] == ["DATE", "DATE", "VARCHAR"]
    notes = "\n".join(moved.told["notes"])
    for told in (
        "encoding gb18030",
        "encoding cp1252",
        "encoding utf-16",
        "semicolon-separated",
        "'__id' is called 'x__id'",
        "row 1 is a title",
    ):
        assert told in notes
    assert any("lines: id is no key" in warning for warning in moved.told["warnings"])
    extracted = _asked(f"-C{moved.folder}", "extract")
    assert any("encoding gb18030" in note for step in extracted["steps"] for note in step["notes"])


def _number(text: str | None) -> str | None:
    """3.10 and 3.1 are the same amount, whatever the driver shows."""
    try:
        plain = text is not None and "." in text and not text.startswith("0001") and Decimal(text)
    except ArithmeticError:
        return text
    return f"{plain.normalize():f}" if isinstance(plain, Decimal) else text


def test_a_file_that_is_not_clear_is_told_and_settled_at_init(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    write_csv(tmp_path / "old" / "pl.csv", [["id", "nazwa"], ["1", "Zażółć gęślą jaźń Łódź"]], "cp1250")
    write_csv(tmp_path / "old" / "en.csv", [["id", "name"], ["1", "naïve"]])
    answer = run("init", str(tmp_path / "project"), "--source", str(tmp_path / "old"))
    assert answer.code == 2
    moved = move(tmp_path, tmp_path / "old", settings=["files={pl.csv: {encoding: cp1250}}"], command=LOADED)
    assert moved.tables() == {"pl": [("1", "Zażółć gęślą jaźń Łódź")], "en": [("1", "naïve")]}


def test_references_cycles_and_equal_names_in_two_systems(tmp_path: Path) -> None:
    """Accounts and contacts point to each other and to themselves, by natural keys; two systems call them the same."""
    wanted: dict[str, list[tuple[object, ...]]] = {}
    for system in ("left", "right"):
        folder = tmp_path / system
        folder.mkdir()
        accounts = [
            (f"A-{at}", f"{system} {at}", f"A-{at // 2}" if at > 1 else None, 100 + at) for at in range(1, 21)
        ]
        contacts = [(100 + at, f"A-{(at * 7) % 20 + 1}", 100 + at % 20 + 1) for at in range(1, 21)]
        members = [(f"A-{at % 20 + 1}", 100 + at % 19 + 1) for at in range(30)] + [("A-1", 999)]
        write_csv(
            folder / "account.csv", [["account_no", "name", "parent_account", "main_contact"], *accounts]
        )
        write_csv(folder / "contact.csv", [["contact_id", "account_no", "manager_id"], *contacts])
        write_csv(folder / "member.csv", [["account_no", "contact_id"], *members])
        wanted |= {f"{system}_account": accounts, f"{system}_contact": contacts}
        kept = [*members[:-1], ("A-1", None)]
        wanted[f"{system}_member"] = [(f"{system}:{at}", *row) for at, row in enumerate(kept)]
    moved = move(tmp_path, tmp_path / "left", tmp_path / "right")
    assert moved.tables() == {name: expected(rows) for name, rows in wanted.items()}
    loose = [warning for warning in moved.told["warnings"] if "1 of 20 values tested are no key" in warning]
    assert len(loose) == 2
    engine = sa.create_engine(moved.url)
    keys = {
        (name, item["constrained_columns"][0], item["referred_table"])
        for name in wanted
        for item in sa.inspect(engine).get_foreign_keys(name)
    }
    engine.dispose()
    assert {(f"{side}_account", "main_contact", f"{side}_contact") for side in ("left", "right")} <= keys
    assert {
        ("left_account", "parent_account", "left_account"),
        ("right_member", "contact_id", "right_contact"),
    } <= keys


# --- exports of known systems ----------------------------------------------------------------------


def id15(prefix: str, number: int) -> str:
    return f"{prefix}5g000Xy{number:05d}"


def id18(prefix: str, number: int) -> str:
    plain, letters = id15(prefix, number), "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    groups = (plain[at : at + 5] for at in (0, 5, 10))
    return plain + "".join(
        letters[sum(1 << at for at, char in enumerate(group) if char.isupper())] for group in groups
    )


def quoted(rows: Rows, encoding: str = "cp1252") -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(encoding)


def test_a_weekly_export_over_several_zips(tmp_path: Path) -> None:
    """Person accounts, queues as owners, custom look-ups of 15 characters, overlapping parts, files, headers alone."""
    folder = tmp_path / "export"
    folder.mkdir()
    stamp = "2024-01-01 10:00:00"
    header = [
        "Id",
        "Name",
        "ParentId",
        "OwnerId",
        "IsPersonAccount",
        "AnnualRevenue",
        "SystemModstamp",
        "Region__c",
    ]
    accounts = [
        (id18("001", at), f"Müller {at}", id18("001", at // 2) if at else None, id18("00G" if at % 3 else "005", 1), str(at % 2), f"{at}000.5", stamp, id15("a00", at % 2))
        for at in range(12)
    ]  # fmt: skip
    members: list[dict[str, bytes]] = [
        {"Account.csv": quoted([header, *accounts[:8]])},
        {"Account.csv": quoted([header, *accounts[6:]]), "Lead.csv": quoted([["Id", "Name"]])},
        {"User.csv": quoted([["Id", "Name"], [id18("005", 1), "Zoë"]]), "Group.csv": quoted([["Id", "Name"], [id18("00G", 1), "Queue"]])},
        {"Region__c.csv": quoted([["Id", "Name", "Parent__c"], [id18("a00", 0), "EU", ""], [id18("a00", 1), "DE", id15("a00", 0)]])},
        {"ContentVersion.csv": quoted([["Id", "Title"], [id18("068", 1), "a.pdf"]]), f"ContentVersion/{id18('068', 1)}": b"%PDF"},
    ]  # fmt: skip
    for number, content in enumerate(members, start=1):
        with zipfile.ZipFile(folder / f"WE_00D5g000000AbcdEAC_{number}.ZIP", "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    found = move(tmp_path, folder).tables()
    want = [(*row[:6], "2024-01-01 10:00:00.000000Z", id18("a00", int(str(row[4])))) for row in accounts]
    assert [tuple(map(_number, row)) for row in found["Account"]] == [
        tuple(map(_number, row)) for row in expected(want)
    ]
    assert found["Region__c"] == expected(
        [(id18("a00", 0), "EU", None), (id18("a00", 1), "DE", id18("a00", 0))]
    )
    assert (found["Lead"], found["User"], found["Group"]) == (
        [],
        [(id18("005", 1), "Zoë")],
        [(id18("00G", 1), "Queue")],
    )
    assert found["ContentVersion"][0][2].startswith("sha256:")


def guid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def test_a_configuration_migration_package(tmp_path: Path) -> None:
    """Every record of a package: the order first, an unknown type, several choices, and an object related to itself."""
    types = {
        "accountid": "guid", "name": "string", "revenue": "money", "n": "number", "donotemail": "bool",
        "createdon": "datetime", "multi": "optionsetvaluecollection", "weird": "hologram",
    }  # fmt: skip
    fields = "".join(
        f'<field displayname="{name}" name="{name}" type="{kind}"{" primaryKey=" + chr(34) + "true" + chr(34) if kind == "guid" else ""}/>'
        for name, kind in types.items()
    )
    schema = (
        '<entities dateMode="absolute"><entityImportOrder><entityName>account</entityName></entityImportOrder>'
        '<entity name="account" displayname="Account" etc="1" primaryidfield="accountid" primarynamefield="name">'
        f"<fields>{fields}<field displayname='Parent' name='parentid' type='entityreference' lookupType='account'/></fields>"
        '<relationships><relationship name="twins" manyToMany="true" isreflexive="true" relatedEntityName="twins"'
        ' m2mTargetEntity="account" m2mTargetEntityPrimaryKey="accountid"/></relationships></entity></entities>'
    )
    values = {"name": "客户 &amp; 1", "revenue": "100.5000", "n": "7", "donotemail": "True", "createdon": "2024-06-15T14:30:00.0000000Z", "multi": "[-1,1,2,-1]", "weird": "w"}  # fmt: skip
    record = "".join(f'<field name="{name}" value="{value}"/>' for name, value in values.items())
    parent = f'<field name="parentid" value="{guid(1)}" lookupentity="account" lookupentityname="x"/>'
    data = (
        '<entities><entity name="account" displayname="Account"><records>'
        f'<record id="{guid(1)}"><field name="accountid" value="{guid(1)}"/>{record}</record>'
        f'<record id="{guid(2)}"><field name="accountid" value="{guid(2)}"/>{parent}</record></records>'
        f'<m2mrelationships><m2mrelationship sourceid="{guid(1)}" targetentityname="account" targetentitynameidfield="accountid"'
        f' m2mrelationshipname="twins"><targetids><targetid>{guid(2)}</targetid></targetids></m2mrelationship></m2mrelationships>'
        "</entity></entities>"
    )
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("data_schema.xml", schema)
        archive.writestr("data.xml", data)
    found = move(tmp_path, tmp_path / "package.zip").tables()
    first, second = ([_number(value) for value in row] for row in found["account"])
    assert first[:8] == [guid(1), "客户 & 1", "100.5", "7", "1", "2024-06-15 14:30:00.000000Z", "1;2", "w"]
    assert (second[0], second[8]) == (guid(2), guid(1))
    assert [row[1:] for row in found["twins"]] == [(guid(1), guid(2))]


def test_a_database(tmp_path: Path) -> None:
    """Composite keys, no key, bytes, generated columns, cycles, unique nulls, and a view."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.executescript("""
            CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT UNIQUE, boss INTEGER REFERENCES customer (id),
                amount NUMERIC(12, 2), photo BLOB, "Weird ""col" TEXT, shout TEXT AS (email || '!') STORED);
            CREATE TABLE "order" ("order" INTEGER, line INTEGER, customer_id INTEGER REFERENCES customer (id),
                PRIMARY KEY ("order", line)) WITHOUT ROWID;
            CREATE TABLE one (id INTEGER PRIMARY KEY, two INTEGER REFERENCES two (id));
            CREATE TABLE two (id INTEGER PRIMARY KEY, one INTEGER REFERENCES one (id));
            CREATE TABLE loose (a, b);
            CREATE VIEW seen AS SELECT id FROM customer;
            INSERT INTO customer VALUES (1, NULL, 2, 1.25, x'00ff', 'x'), (2, NULL, 1, -2, NULL, NULL);
            INSERT INTO "order" VALUES (1, 1, 1), (1, 2, 2);
            INSERT INTO one VALUES (1, 2), (2, 1);
            INSERT INTO two VALUES (1, 1), (2, 2);
            INSERT INTO loose VALUES (1, 'x'), ('text', 1.5);
        """)
    moved = move(tmp_path, f"sqlite:///{tmp_path / 'old.db'}")
    found = moved.tables()
    customers = [[_number(value) for value in row] for row in found["customer"]]
    assert [row[:4] for row in customers] == [["1", None, "2", "1.25"], ["2", None, "1", "-2"]]
    assert [str(row[4])[:7] for row in customers] == ["sha256:", "None"]
    assert found["order"] == expected([("1|1", 1, 1, 1), ("1|2", 1, 2, 2)])
    assert (found["one"], found["two"]) == (expected([(1, 2), (2, 1)]), expected([(1, 1), (2, 2)]))
    assert sorted(row[1:] for row in found["loose"]) == [("1", "x"), ("text", "1.5")]
    assert any("a view" in note for note in moved.told["notes"])


@pytest.mark.postgres
def test_a_database_with_schemas_partitions_and_times_with_offsets(
    tmp_path: Path, postgres_server: TestServer
) -> None:
    with postgres_server.database() as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in (
                "CREATE SCHEMA other", "CREATE TABLE other.hidden (id int)",
                "CREATE TABLE shift (id uuid PRIMARY KEY, begins timetz, tags text[], any_number numeric, label char(5))",
                "CREATE TABLE log (id int PRIMARY KEY, at date) PARTITION BY RANGE (id)",
                "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10)",
                f"INSERT INTO shift VALUES ('{guid(1)}', '10:00+02', '{{a,\"b,c\"}}', 1.25, 'ab')",
                "INSERT INTO log VALUES (1, '2024-01-31')",
            ):  # fmt: skip
                connection.execute(sa.text(statement))
        engine.dispose()
        moved = move(tmp_path, f"old={url}")
    found = moved.tables()
    assert found.keys() == {"shift", "log"}
    assert [tuple(map(_number, row)) for row in found["shift"]] == [
        (guid(1), "10:00:00+02", '["a","b,c"]', "1.25", "ab")
    ]
    assert found["log"] == [("1", "2024-01-31")]
    assert any("schema other holds 1 tables" in note for note in moved.told["notes"])
