"""Salesforce Data Exports: parts merged by name, ids canonical, nulls, types, binaries, and what is recognised."""

from __future__ import annotations

import csv
import io
import zipfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce_export import CONNECTOR, SalesforceExport, recognise
from connectors.salesforce_export.ids import canonical_ids
from connectors.salesforce_export.standard_fields import field_schema, label_of
from migrator.core.connector import FileSource, Page
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import FieldType, index_schemas

ORG = "00DxY0000001AbCUAU"


def sheet(*rows: list[str], newline: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=newline).writerows(rows)
    return out.getvalue()


def export_zip(folder: Path, number: int, members: dict[str, str | bytes], encoding: str = "utf-8") -> Path:
    path = folder / f"WE_{ORG}_{number}.ZIP"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content.encode(encoding) if isinstance(content, str) else content)
    return path


def rows_of(source: SalesforceExport, name: str, **arguments: object) -> list[dict[str, object]]:
    pages = list(source.read(name, **arguments))  # type: ignore[arg-type]
    return [row for page in pages for row in page.rows.to_pylist()]


def places_of(pages: list[Page]) -> list[str]:
    return [place for page in pages for place in page.places.to_pylist()]


ID15, ID18 = "001xY0000001AbC", "001xY0000001AbCQAU"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    export_zip(
        tmp_path,
        1,
        {
            "Account.csv": sheet(["Id", "Name", "ParentId"], [ID18, "Acme", ""], ["001000000000001AAA", 'a"b\nc', ID15]),
            "Attachment.csv": sheet(["Id", "Name", "ParentId", "BodyLength"], ["00PxY0000001AbCQAU", "x.txt", ID18, "2"], ["00PxY0000001AbDQAU", "y", ID18, "1"]),
            "Attachments/00PxY0000001AbC": b"hi",
            "Empty__c.csv": sheet(["Id", "OwnerId"]),
        },
    )  # fmt: skip
    export_zip(
        tmp_path, 2, {"Account.csv": sheet(["Name", "Id", "Industry"], ["Beta", "001000000000003", "Energy"])}
    )
    export_zip(tmp_path, 10, {"Account.csv": sheet(["Id", "Name"], [ID18, "Acme"], newline="\r\n")})
    return tmp_path


def test_parts_are_merged_by_name_in_the_order_of_their_numbers(export: Path) -> None:
    source = SalesforceExport({"path": str(export)})
    assert rows_of(source, "Account") == [
        {"Id": ID18, "Name": "Acme", "ParentId": None, "Industry": None},
        {"Id": "001000000000001AAA", "Name": 'a"b\nc', "ParentId": ID18, "Industry": None},
        {"Id": "001000000000003AAA", "Name": "Beta", "ParentId": None, "Industry": "Energy"},
        {"Id": ID18, "Name": "Acme", "ParentId": None, "Industry": None},
    ]
    assert places_of(list(source.read("Account"))) == [
        f"WE_{ORG}_1.ZIP!Account.csv:2",
        f"WE_{ORG}_1.ZIP!Account.csv:3",
        f"WE_{ORG}_2.ZIP!Account.csv:2",
        f"WE_{ORG}_10.ZIP!Account.csv:2",
    ]
    assert source.facts.copies_overlap


def test_a_header_without_records_is_an_object_without_rows(export: Path) -> None:
    (page,) = SalesforceExport({"path": str(export)}).read("Empty__c")
    assert page.rows.num_rows == 0
    assert page.rows.column_names == ["Id", "OwnerId"]


@pytest.mark.parametrize("page_rows", [1, 2, 3, 100])
def test_reading_goes_on_from_every_cursor(export: Path, page_rows: int) -> None:
    source = SalesforceExport({"path": str(export)})
    whole = rows_of(source, "Account")
    done = 0
    for page in source.read("Account", page_rows=page_rows):
        done += page.rows.num_rows
        assert rows_of(source, "Account", cursor=page.cursor, page_rows=page_rows) == whole[done:]


def test_a_cursor_of_something_else_is_refused(export: Path) -> None:
    source = SalesforceExport({"path": str(export)})
    for cursor in ("", "17", '{"part": 9, "records": 0}'):
        with pytest.raises(FatalError, match="cursor"):
            list(source.read("Account", cursor=cursor))


def test_binaries_are_named_by_record_and_opened(export: Path) -> None:
    source = SalesforceExport({"path": str(export)})
    assert isinstance(source, FileSource)
    rows = rows_of(source, "Attachment")
    assert [row["Body"] for row in rows] == [
        f"WE_{ORG}_1.ZIP!Attachments/00PxY0000001AbC",
        "Attachment/00PxY0000001AbDQAU",
    ]
    with source.open_file("Attachment", str(rows[0]["Body"])) as stream:
        assert stream.read() == b"hi"
    for missing in (str(rows[1]["Body"]), "../../etc/passwd"):
        with pytest.raises(FatalError, match="no file"):
            source.open_file("Attachment", missing)
    schema = index_schemas(source.describe())["Attachment"]
    assert schema.field("Body").type is FieldType.FILE  # type: ignore[union-attr]


def test_an_unpacked_folder_reads_the_same(export: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(export / f"WE_{ORG}_1.ZIP") as archive:
        archive.extractall(folder)
    source = SalesforceExport({"path": str(folder)})
    assert len(rows_of(source, "Account")) == 2
    body = rows_of(source, "Attachment")[0]["Body"]
    assert body == "Attachments/00PxY0000001AbC"
    with source.open_file("Attachment", str(body)) as stream:
        assert stream.read() == b"hi"


def test_file_versions_may_have_names_after_their_id(tmp_path: Path) -> None:
    versions = ["068000000000001AAA", "068000000000002AAA", "068000000000003AAA"]
    export_zip(
        tmp_path,
        1,
        {
            "ContentVersion.csv": sheet(["Id", "Title"], *[[item, "t"] for item in versions]),
            "ContentVersion/068000000000001AAA.pdf": b"1",
            "ContentVersion/068000000000002AAA/contract.pdf": b"2",
            "ContentVersion/068000000000003_plan.xlsx": b"3",
            "ContentVersion/strange.bin": b"?",
        },
    )
    source = SalesforceExport({"path": str(tmp_path)})
    files = [row["VersionData"] for row in rows_of(source, "ContentVersion")]
    assert [source.open_file("ContentVersion", str(item)).read() for item in files] == [b"1", b"2", b"3"]
    assert "strange.bin" in "".join(source.notes("ContentVersion"))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "王伟"), ("gb18030", "北京科技有限公司"), ("cp932", "株式会社サンプル"), ("latin-1", "Müller & Söhne"), ("utf-16", "Łódź 王伟")],
)  # fmt: skip
def test_the_encoding_is_found_out_for_the_whole_export(tmp_path: Path, encoding: str, name: str) -> None:
    plain = sheet(["Id", "Name"], [ID18, "plain"])
    export_zip(
        tmp_path, 1, {"Account.csv": plain, "Contact.csv": sheet(["Id", "Name"], [ID18, name])}, encoding
    )
    source = SalesforceExport({"path": str(tmp_path)})
    assert rows_of(source, "Contact")[0]["Name"] == name
    assert rows_of(source, "Account")[0]["Name"] == "plain"
    assert source.encoding().encoding in "".join(source.notes(""))


def test_a_wrong_encoding_as_set_is_an_error_with_its_place(tmp_path: Path) -> None:
    export_zip(tmp_path, 1, {"Account.csv": sheet(["Id", "Name"], [ID18, "x"], [ID18, "王伟"])}, "gb18030")
    source = SalesforceExport({"path": str(tmp_path), "encoding": "utf-8"})
    with pytest.raises(
        FatalError, match=r"_1\.ZIP!Account\.csv:3: byte 0xCD at offset \d+ is not utf-8"
    ) as caught:
        rows_of(source, "Account")
    assert "gb18030" in caught.value.hint


def test_types_references_and_personal_data_come_from_names() -> None:
    exported = {"Account", "Contact", "User", "Task", "Lead", "Opportunity"}

    def told(owner: str, name: str) -> tuple[FieldType, tuple[str, ...], str]:
        found = field_schema(owner, name, exported)
        return found.type, found.references, found.pii

    assert told("Contact", "AccountId") == (FieldType.REFERENCE, ("Account",), "")
    assert told("Account", "ParentId") == (FieldType.REFERENCE, ("Account",), "")
    assert told("Contact", "OwnerId") == (FieldType.REFERENCE, ("User",), "")
    assert told("Task", "WhoId") == (FieldType.REFERENCE, ("Contact", "Lead"), "")
    assert told("Task", "WhatId")[1] == ("Account", "Contact", "Lead", "Opportunity", "User")
    assert told("Contact", "CampaignId") == (FieldType.REFERENCE, (), "")
    assert told("Contact", "Email") == (FieldType.STRING, (), "email")
    assert told("Contact", "Name") == (FieldType.STRING, (), "name")
    assert told("Account", "Name") == (FieldType.STRING, (), "")
    assert told("Account", "BillingCity") == (FieldType.STRING, (), "address")
    assert told("Contact", "Birthdate") == (FieldType.DATE, (), "birthdate")
    assert told("Opportunity", "Amount")[0] is FieldType.DECIMAL
    assert told("Account", "Paid__c") == (FieldType.STRING, (), "")
    assert label_of("AccountId") == "Account ID"
    assert label_of("Loyalty_Level__c") == "Loyalty Level"


def test_only_ids_are_made_canonical() -> None:
    values = ["001xY0000001AbC", "001xY0000001AbCqau", ID18, "003aBcDeFgHiJkL", "00D000000000000", "A. Long Name!!!", "001xY0000001AbCXXX", "001xY0000001AbCxxx", "客户客户客", "", None]  # fmt: skip
    expected = [ID18, ID18, ID18, "003aBcDeFgHiJkLQKV", "00D000000000000EAA", *values[5:]]
    column = pa.chunked_array([values[:3], values[3:]], pa.string())
    assert canonical_ids(column).to_pylist() == expected
    assert canonical_ids(column.slice(2, 5)).to_pylist() == expected[2:7]


@given(st.from_regex(r"[A-Za-z0-9]{15}", fullmatch=True))
def test_the_checksum_is_that_of_the_protocol_sheet(id15: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    groups = [id15[start : start + 5] for start in (0, 5, 10)]
    tail = "".join(alphabet[sum(1 << i for i, c in enumerate(group) if "A" <= c <= "Z")] for group in groups)
    assert canonical_ids(pa.chunked_array([[id15]])).to_pylist() == [id15 + tail]


def test_the_fingerprint_follows_the_content(export: Path) -> None:
    first = SalesforceExport({"path": str(export)}).fingerprint("Account")
    assert SalesforceExport({"path": str(export)}).fingerprint("Account") == first
    assert SalesforceExport({"path": str(export), "encoding": "utf-8"}).fingerprint("Account") != first
    export_zip(export, 10, {"Account.csv": sheet(["Id", "Name"], [ID18, "Acma"])})
    assert SalesforceExport({"path": str(export)}).fingerprint("Account") != first


def test_exports_are_recognised_by_name_or_by_their_columns(export: Path, tmp_path: Path) -> None:
    assert recognise(str(export)).confidence == 0.95  # type: ignore[union-attr]
    (export / f"WE_{ORG}_1.ZIP").rename(tmp_path / "copy.zip")
    assert recognise(str(tmp_path / "copy.zip")).confidence == 0.85  # type: ignore[union-attr]
    other = tmp_path / "other"
    other.mkdir()
    (other / "people.csv").write_text("id,name\n1,x\n")
    assert recognise(str(other)) is None
    assert recognise("postgresql://host/db") is None


def test_settings_are_checked_all_at_once() -> None:
    with pytest.raises(ProjectError) as caught:
        SalesforceExport({"paht": "x", "encoding": "utf8000", "undecodable": "skip"})
    assert len(caught.value.problems) == 4
    assert "did you mean 'path'?" in str(caught.value)
    assert CONNECTOR.open_source is not None


def test_what_is_no_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="no such file"):
        SalesforceExport({"path": str(tmp_path / "none")}).describe()
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(FatalError, match="no CSV file here"):
        SalesforceExport({"path": str(tmp_path)}).describe()


def test_custom_look_ups_are_told_by_their_values(tmp_path: Path) -> None:
    """Ids of 15 characters match keys of 18; what only looks like an id stays: mere digits, unknown prefixes, notes."""
    digits = "001000000000123"
    rows = [
        ["Id", "Parent__c", "Serial__c", "Other__c", "Note__c", "Empty__c"],
        [ID18, ID15, digits, "zzzxY0000001AbC", ID15, ""],
        ["001xY0000001AbDQAU", "", digits, "zzzxY0000001AbC", "none", ""],
        ["001xY0000001AbEQAU", ID18.lower()[:3] + ID18[3:], digits, "", "", ""],
    ]
    export_zip(tmp_path, 1, {"Thing__c.csv": sheet(*rows)})
    with closing(SalesforceExport({"path": str(tmp_path)})) as source:
        found = rows_of(source, "Thing__c")
        assert [row["Parent__c"] for row in found] == [ID18, None, ID18]
        assert [row["Serial__c"] for row in found] == [digits] * 3
        assert [row["Other__c"] for row in found] == ["zzzxY0000001AbC", "zzzxY0000001AbC", None]
        assert [row["Note__c"] for row in found] == [ID15, "none", None]
        assert [note for note in source.notes("Thing__c") if "custom look-ups Parent__c" in note]
