"""Configuration Migration exports: every field type, links, files, several packages, encodings, pages and cursors."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from connectors.dynamics_export import CONNECTOR, DynamicsExport, recognise
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import FieldType
from tests.migration_export import Table, data_xml, pack, pages, read_all, schema_xml, write_zip

A = "0A000000-0000-0000-0000-00000000000A"
B = "0b000000-0000-0000-0000-00000000000b"
C = "0c000000-0000-0000-0000-00000000000c"

LINK = (
    '<relationships><relationship name="{name}" manyToMany="true" isreflexive="{reflexive}" relatedEntityName="{name}" '
    'm2mTargetEntity="{target}" m2mTargetEntityPrimaryKey="{target}id"/></relationships>'
)


def links(name: str, source: str, *targets: str) -> str:
    inner = "".join(f"<targetid>{target}</targetid>" for target in targets)
    return (
        f'<m2mrelationship sourceid="{source}" targetentityname="lead" targetentitynameidfield="leadid" '
        f'm2mrelationshipname="{name}"><targetids>{inner}</targetids></m2mrelationship>'
    )


def one(tmp_path: Path, table: Table) -> dict[str, str | None]:
    (row,) = read_all(write_zip(tmp_path / "e.zip", table), table.name)
    return {name: value for name, value in row.items() if value is not None}


def test_values_stay_text_exactly_as_they_are(tmp_path: Path) -> None:
    record = {
        "accountid": A,
        "name": 'Ünïcode "王伟" & <b>\nsecond line\t=SUM(A1)',
        "revenue": "0012.3400",
        "employees": "7",
        "big": "-9007199254740993",
        "share": "1.5E-3",
        "vip": "True",
        "createdon": "2024-06-15T14:30:00.0000000Z",
        "modifiedon": "6/15/2024 2:30:00 PM",
        "statecode": "0",
        "empty": "",
        "image": "aGVsbG8=",
        "odd": "kept",
    }
    kinds = {
        "accountid": "guid", "name": "string", "revenue": "money", "employees": "number", "big": "bigint", "share": "float",
        "vip": "bool", "createdon": "datetime", "modifiedon": "datetime", "statecode": "state", "empty": "memo",
        "image": "imagedata", "odd": "Unknown", "absent": "string",
    }  # fmt: skip
    assert one(tmp_path, Table("account", kinds, [record])) == {**record, "accountid": A.lower()}


@pytest.mark.parametrize(
    ("raw", "staged"),
    [
        ("[-1,100000000,100000001,-1]", "100000000;100000001"),
        ("[-1,5,-1]", "5"),
        ("[-1,-1]", ""),
        ("[-1,-1,-1]", "-1"),
        ("[7, 8]", "7;8"),
        ("[]", ""),
        ("1,2", "1,2"),
        ("n/a", "n/a"),
    ],
)
def test_a_collection_loses_its_marks_and_nothing_else(tmp_path: Path, raw: str, staged: str) -> None:
    table = Table("a", {"aid": "guid", "kinds": "optionsetvaluecollection"}, [{"aid": A, "kinds": raw}])
    assert one(tmp_path, table)["kinds"] == staged


def test_lookups_carry_name_always_and_type_only_where_it_can_vary(tmp_path: Path) -> None:
    table = Table(
        "contact",
        {
            "contactid": "guid",
            "bossid": {"type": "entityreference", "lookupType": "contact"},
            "customerid": {"type": "customer", "lookupType": "account|contact"},
            "ownerid": "owner",
            "aboutid": "lookup",
        },
        [
            {
                "contactid": A,
                "bossid": {"value": f"{{{A}}}", "lookupentity": "contact", "lookupentityname": "Ann & Bo"},
                "customerid": {"value": B, "lookupentity": "account", "lookupentityname": "ACME"},
                "ownerid": {"value": C, "lookupentity": "team", "lookupentityname": ""},
                "aboutid": {"value": C, "lookupentity": "lead"},
            }
        ],
    )
    assert one(tmp_path, table) == {
        "contactid": A.lower(),
        "bossid": A.lower(),
        "bossid__name": "Ann & Bo",
        "customerid": B.lower(),
        "customerid__name": "ACME",
        "customerid__type": "account",
        "ownerid": C.lower(),
        "ownerid__name": "",
        "ownerid__type": "team",
        "aboutid": C.lower(),
        "aboutid__type": "lead",
    }
    source = DynamicsExport(tmp_path / "e.zip")
    schema = source.describe()[0]
    assert {item.name: item.references for item in schema.fields if item.type is FieldType.REFERENCE} == {
        "bossid": ("contact",),
        "customerid": ("account", "contact"),
        "ownerid": ("systemuser", "team"),
        "aboutid": (),
    }
    source.close()


def test_the_schema_says_keys_labels_types_and_personal_data(tmp_path: Path) -> None:
    table = Table(
        "contact",
        {"contactid": {"type": "guid", "primaryKey": "true"}, "emailaddress1": "string", "birthdate": "datetime",
         "income": "money", "companyid": "lookup"},
        relationships='<relationships><relationship name="r" referencingEntity="contact" referencingAttribute="companyid" '
        'referencedEntity="account" referencedAttribute="accountid"/></relationships>',
    )  # fmt: skip
    path = pack(
        tmp_path / "e.zip",
        schema_xml(table, order_first=True, mode="relative").encode(),
        data_xml(table).encode(),
    )
    source = DynamicsExport(path)
    (schema,) = source.describe()
    assert (schema.name, schema.key, schema.label) == ("contact", "contactid", "Contact")
    fields = {item.name: item for item in schema.fields}
    assert fields["contactid"].type is FieldType.ID
    assert fields["contactid"].required
    assert fields["emailaddress1"].pii == "email"
    assert fields["birthdate"].label == "Birthdate (dates relative)"
    assert (fields["income"].type, fields["income"].precision, fields["income"].scale) == (
        FieldType.DECIMAL,
        28,
        10,
    )
    assert fields["companyid"].references == ("account",)
    assert source.count("contact") == 0
    assert list(source.read("contact")) == []
    source.close()


def test_all_parties_are_kept_with_their_part_in_it(tmp_path: Path) -> None:
    def party(guid: str, mask: str) -> str:
        return (
            f'<activitypointerrecords id="{guid}"><field name="partyid" value="{guid}" lookupentity="contact" '
            f'lookupentityname="Bo &amp; Co"/><field name="participationtypemask" value="{mask}"/></activitypointerrecords>'
        )

    table = Table(
        "email",
        {"emailid": "guid", "to": "partylist", "cc": "partylist"},
        [
            {
                "emailid": A,
                "to": {"value": "", "#inner": party(B, "2") + "\n " + party(C, "2")},
                "cc": {"value": ""},
            }
        ],
    )
    row = one(tmp_path, table)
    assert json.loads(row["to"] or "") == [
        {
            "id": guid,
            "partyid": guid,
            "partyid__type": "contact",
            "partyid__name": "Bo & Co",
            "participationtypemask": "2",
        }
        for guid in (B.lower(), C.lower())
    ]
    assert row["cc"] == "[]"


def test_what_the_schema_does_not_declare_is_kept_as_json(tmp_path: Path) -> None:
    table = Table(
        "contact",
        {"contactid": "guid", "bossid": {"type": "lookup", "lookupType": "contact"}},
        [
            {"contactid": A, "new_extra": "7", "bossid": {"value": B, "lookupentity": "lead"}, "@newId": C},
            {"@id": B},
        ],
    )
    first, second = read_all(write_zip(tmp_path / "e.zip", table), "contact")
    assert json.loads(first["undeclared_fields"]) == {
        "new_extra": "7",
        "bossid@lookupentity": "lead",
        "record@newId": C,
    }
    assert second == {"contactid": B.lower(), "bossid": None, "bossid__name": None, "undeclared_fields": None}


def test_a_record_that_cannot_be_understood_becomes_a_reject_with_its_text(tmp_path: Path) -> None:
    records = (
        '<record id="1"><field name="name" value="a"/><field name="name" value="b"/></record>'
        '<record><field name="name" value="nobody"/></record>'
        '<record id="3"><field value="x"/></record>'
        '<record id="4"><blob/></record>'
        '<record id="5"><field name="name" value="fine"/></record>'
    )
    table = Table("a", {"aid": "guid", "name": "string"})
    data = data_xml(table).replace("<records>", f"<records>{records}")
    (page,) = pages(pack(tmp_path / "e.zip", schema_xml(table).encode(), data.encode()), "a")
    assert page.rows["name"].to_pylist() == ["fine"]
    assert [item.rule for item in page.rejects] == [
        "xml.field-twice", "xml.no-id", "xml.field-unnamed", "xml.element-unknown",
    ]  # fmt: skip
    assert (
        page.rejects[0].raw
        == '<record id="1"><field name="name" value="a"/><field name="name" value="b"/></record>'
    )
    assert page.rejects[0].place.startswith("e.zip!data.xml:3 (byte ")


def test_rejects_come_once_with_the_page_they_stand_in(tmp_path: Path) -> None:
    table = Table("a", {"aid": "guid", "name": "string"})
    records = "".join(f'<record id="{n}"/><record/>' for n in range(4))
    data = data_xml(table).replace("<records>", f"<records>{records}")
    path = pack(tmp_path / "e.zip", schema_xml(table).encode(), data.encode())
    together = list(pages(path, "a", page_rows=1))
    assert [page.rows["aid"].to_pylist() for page in together] == [["0"], ["1"], ["2"], ["3"]]
    assert [len(page.rejects) for page in together] == [1, 1, 1, 1]
    for page, rest in zip(together, range(3, 0, -1), strict=False):
        assert len([item for later in pages(path, "a", cursor=page.cursor) for item in later.rejects]) == rest


def test_places_name_the_line_and_the_byte(tmp_path: Path) -> None:
    table = Table("a", {"aid": "guid", "name": "memo"}, [{"aid": A, "name": "x\ny"}, {"aid": B}])
    data = data_xml(table)
    places = [
        place
        for page in pages(write_zip(tmp_path / "e.zip", table), "a")
        for place in page.places.to_pylist()
    ]
    for place, guid in zip(places, (A, B), strict=True):
        byte = data.encode().index(f'<record id="{guid}"'.encode())
        assert place == f"e.zip!data.xml:{data[:byte].count(chr(10)) + 1} (byte {byte})"


def test_links_are_an_object_of_their_own(tmp_path: Path) -> None:
    account = Table(
        "account", {"accountid": "guid"}, [{"accountid": A}],
        relationships=LINK.format(name="accountleads", reflexive="false", target="lead"),
        links=links("accountleads", A, B, C) + links("accountleads", B) + links("accountleads", "", B),
    )  # fmt: skip
    path = write_zip(tmp_path / "e.zip", account, Table("lead", {"leadid": "guid"}))
    source = DynamicsExport(path)
    schema = source.describe()[-1]
    assert (schema.name, schema.key, schema.field_names) == (
        "accountleads",
        "id",
        ("id", "accountid", "leadid"),
    )
    assert [item.references for item in schema.fields] == [(), ("account",), ("lead",)]
    (page,) = source.read("accountleads")
    assert page.rows.to_pylist() == [
        {"id": f"{A}:{item}".lower(), "accountid": A.lower(), "leadid": item.lower()} for item in (B, C)
    ]
    assert [item.rule for item in page.rejects] == ["xml.link-without-end"]
    (rest,) = source.read("accountleads", cursor=next(source.read("accountleads", page_rows=1)).cursor)
    assert rest.rows["leadid"].to_pylist() == [C.lower()]
    assert len(rest.rejects) == 1
    source.close()


def test_a_reflexive_relationship_has_two_different_ends(tmp_path: Path) -> None:
    table = Table(
        "account", {"accountid": "guid"}, [],
        relationships=LINK.format(name="friends", reflexive="true", target="account"), links=links("friends", A, B),
    )  # fmt: skip
    (row,) = read_all(write_zip(tmp_path / "e.zip", table), "friends")
    assert row == {"id": f"{A}:{B}".lower(), "accountidone": A.lower(), "accountidtwo": B.lower()}


def test_relationships_that_share_a_table_are_objects_of_their_own(tmp_path: Path) -> None:
    declared = "".join(
        f'<relationship name="list{other}_association" manyToMany="true" isreflexive="false" relatedEntityName="listmember" '
        f'm2mTargetEntity="{other}" m2mTargetEntityPrimaryKey="{other}id"/>'
        for other in ("contact", "lead")
    )
    table = Table(
        "list", {"listid": "guid"}, [{"listid": A}], relationships=f"<relationships>{declared}</relationships>",
        links=links("listcontact_association", A, B) + links("listlead_association", A, C),
    )  # fmt: skip
    path = write_zip(
        tmp_path / "e.zip", table, Table("contact", {"contactid": "guid"}), Table("lead", {"leadid": "guid"})
    )
    (contact,) = read_all(path, "listcontact_association")
    (lead,) = read_all(path, "listlead_association")
    assert (contact["listid"], contact["contactid"]) == (A.lower(), B)
    assert (lead["listid"], lead["leadid"]) == (A.lower(), C)


def test_links_exported_from_both_sides_are_one_object(tmp_path: Path) -> None:
    account = Table(
        "account", {"accountid": "guid"},
        relationships=LINK.format(name="accountleads", reflexive="false", target="lead"), links=links("accountleads", A, B),
    )  # fmt: skip
    lead = Table(
        "lead", {"leadid": "guid"},
        relationships=LINK.format(name="accountleads", reflexive="false", target="account"), links=links("accountleads", B, A),
    )  # fmt: skip
    source = DynamicsExport(write_zip(tmp_path / "e.zip", account, lead))
    rows = [row for page in source.read("accountleads") for row in page.rows.to_pylist()]
    assert rows == [{"id": f"{A}:{B}".lower(), "accountid": A.lower(), "leadid": B.lower()}] * 2
    assert source.facts.copies_overlap
    source.close()


def test_files_are_opened_by_reference(tmp_path: Path) -> None:
    table = Table(
        "annotation",
        {"annotationid": "guid", "new_file": "filedata", "documentbody": "string"},
        [
            {
                "annotationid": A,
                "new_file": {"value": B.upper(), "filename": "合同.pdf"},
                "documentbody": "aGVsbG8=",
            }
        ],
    )
    source = DynamicsExport(write_zip(tmp_path / "e.zip", table, files={f"files/{B}.bin": b"content"}))
    ((row,),) = (page.rows.to_pylist() for page in source.read("annotation"))
    assert row["new_file__filename"] == "合同.pdf"
    assert source.open_file("annotation", row["new_file"]).read() == b"content"
    assert source.open_file("annotation", row["documentbody"]).read() == b"hello"
    with pytest.raises(FatalError, match="not in the export"):
        source.open_file("annotation", "files/none.bin")
    with pytest.raises(FatalError, match="not valid base64"):
        source.open_file("annotation", "base64:%%%")
    source.close()


@pytest.mark.parametrize("page_rows", [1, 2, 3, 7, 100])
def test_pages_go_on_from_any_cursor(tmp_path: Path, page_rows: int) -> None:
    records = [{"aid": f"{n:08d}-0000-0000-0000-000000000000", "name": f"line\n{n}"} for n in range(7)]
    table = Table("a", {"aid": "guid", "name": "memo"}, records)
    other = Table("b", {"bid": "guid"}, [{"bid": A}])
    path = write_zip(tmp_path / "e.zip", table, other, Table("a2", {"a2id": "guid"}))
    whole = [
        (row["aid"], place)
        for page in pages(path, "a")
        for row, place in zip(page.rows.to_pylist(), page.places.to_pylist(), strict=True)
    ]
    assert [item[0] for item in whole] == [record["aid"] for record in records]
    cursor, found = None, []
    while page := next(iter(pages(path, "a", cursor=cursor, page_rows=page_rows)), None):
        assert page.rows.num_rows <= page_rows
        found += zip(page.rows["aid"].to_pylist(), page.places.to_pylist(), strict=True)
        cursor = page.cursor
    assert found == whole


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", ""),
        ("gb18030", "GB2312"),
        ("cp932", "Shift_JIS"),
        ("utf-8", "utf-16"),
    ],
)
def test_every_encoding_gives_the_same_rows(tmp_path: Path, encoding: str, declared: str) -> None:
    table = Table("a", {"aid": "guid", "name": "string"}, [{"aid": A, "name": "東京 & 会社"}])
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    schema, data = (f"{head}{text}".encode(encoding) for text in (schema_xml(table), data_xml(table)))
    path = pack(tmp_path / "e.zip", schema, data)
    assert [row["name"] for row in read_all(path, "a")] == ["東京 & 会社"]
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    assert [row["name"] for row in read_all(folder, "a")] == ["東京 & 会社"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_way_of_packing_is_read(tmp_path: Path, method: int) -> None:
    table = Table("a", {"aid": "guid"}, [{"aid": A}, {"aid": B}])
    with zipfile.ZipFile(tmp_path / "e.zip", "w", method) as archive:
        archive.writestr("inner/data_schema.xml", schema_xml(table))
        archive.writestr("inner/data.xml", data_xml(table))
    assert [row["aid"] for row in read_all(tmp_path / "e.zip", "a")] == [A.lower(), B.lower()]


def test_comments_cdata_and_odd_spelling_change_nothing(tmp_path: Path) -> None:
    table = Table("a", {"aid": "guid", "name": "string"}, [{"aid": A, "name": "x"}])
    odd = (
        f"<record id='{B}'><!-- <record id=\"no\"></record> </records> --><field value='it&apos;s' name='name'></field></record>"
        f'<record id="{C}"><field name="name"><![CDATA[</records><b>]]></field></record><?pi <records>?>'
    )
    data = data_xml(table).replace("</records>", f"{odd}</records>")
    rows = read_all(pack(tmp_path / "e.zip", schema_xml(table).encode(), data.encode()), "a")
    assert [(row["aid"], row["name"]) for row in rows] == [
        (A.lower(), "x"), (B.lower(), "it's"), (C.lower(), "</records><b>"),
    ]  # fmt: skip


def test_several_exports_in_a_folder_are_one_source(tmp_path: Path) -> None:
    write_zip(tmp_path / "1.zip", Table("a", {"aid": "guid", "one": "string"}, [{"aid": A, "one": "1"}]))
    write_zip(
        tmp_path / "2.zip",
        Table("a", {"aid": "guid", "two": "string"}, [{"aid": B, "two": "2"}]),
        Table("b", {"bid": "guid"}),
    )
    source = DynamicsExport(tmp_path)
    assert [item.name for item in source.describe()] == ["a", "b"]
    assert source.facts.copies_overlap
    rows = [row for page in source.read("a") for row in page.rows.to_pylist()]
    assert [(row["aid"], row["one"], row["two"]) for row in rows] == [
        (A.lower(), "1", None),
        (B.lower(), None, "2"),
    ]
    assert source.count("a") == 2
    source.close()
    write_zip(tmp_path / "3.zip", Table("a", {"aid": "guid", "two": "money"}))
    with pytest.raises(FatalError, match=r"a\.two is decimal here and string"):
        DynamicsExport(tmp_path).describe()


def test_data_the_schema_does_not_know_is_never_left_out_in_silence(tmp_path: Path) -> None:
    known, unknown = (
        Table("account", {"accountid": "guid"}),
        Table("acount", {"acountid": "guid"}, [{"acountid": A}]),
    )
    path = pack(tmp_path / "e.zip", schema_xml(known).encode(), data_xml(known, unknown).encode())
    with pytest.raises(
        FatalError, match=r"(?s)'acount', which data_schema\.xml does not declare.*did you mean"
    ):
        list(DynamicsExport(path).read("account"))
    linked = Table("account", {"accountid": "guid"}, links=links("mystery", A, B))
    path = pack(tmp_path / "f.zip", schema_xml(known).encode(), data_xml(linked).encode())
    with pytest.raises(FatalError, match="relationship 'mystery'"):
        list(DynamicsExport(path).read("account"))


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = DynamicsExport(
        write_zip(tmp_path / "e.zip", Table("a", {"aid": "guid"}, [{"aid": A}]))
    ).fingerprint("a")
    assert DynamicsExport(tmp_path / "e.zip").fingerprint("a") == first
    write_zip(tmp_path / "e.zip", Table("a", {"aid": "guid"}, [{"aid": B}]))
    assert DynamicsExport(tmp_path / "e.zip").fingerprint("a") != first


def test_recognition_and_settings(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", Table("a", {"aid": "guid"}))
    found = recognise(str(path))
    assert found is not None
    assert found.settings == {"path": str(path)}
    assert recognise(str(tmp_path)) is not None
    (tmp_path / "other").mkdir()
    assert recognise(str(tmp_path / "other")) is None
    assert recognise(str(tmp_path / "nothing.zip")) is None
    assert recognise("sqlite:///x.db") is None
    assert CONNECTOR.open_source is not None
    with pytest.raises(ProjectError, match="path"):
        CONNECTOR.open_source({})
    with pytest.raises(FatalError, match="no such file"):
        CONNECTOR.open_source({"path": str(tmp_path / "nothing.zip")}).describe()


def test_an_unknown_object_is_answered_with_the_nearest(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", Table("account", {"accountid": "guid"}))
    with pytest.raises(FatalError, match=r"(?s)no object 'acount'.*account"):
        list(DynamicsExport(path).read("acount"))
