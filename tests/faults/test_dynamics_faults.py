"""Damaged Dynamics exports: cut, flipped, ill-formed or hostile files end in a located error, never in fewer rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from connectors.dynamics_export import DynamicsExport, recognise
from migrator.core.errors import FatalError
from tests.migration_export import Table, data_xml, pack, schema_xml, write_zip

RELATION = (
    '<relationships><relationship name="ab" manyToMany="true" isreflexive="false" relatedEntityName="ab" '
    'm2mTargetEntity="b" m2mTargetEntityPrimaryKey="bid"/></relationships>'
)
A = Table(
    "a",
    {"aid": "guid", "name": "string"},
    [{"aid": str(n), "name": f"somebody & 王{n}"} for n in range(8)],
    relationships=RELATION,
    links='<m2mrelationship sourceid="1" m2mrelationshipname="ab"><targetids><targetid>2</targetid></targetids></m2mrelationship>',
)
B = Table("b", {"bid": "guid"}, [{"bid": "1"}])


def folder_with(path: Path, data: bytes, schema: bytes | None = None) -> Path:
    path.mkdir(exist_ok=True)
    (path / "data_schema.xml").write_bytes(schema or schema_xml(A, B).encode())
    (path / "data.xml").write_bytes(data)
    return path


def everything(path: Path) -> int:
    source = DynamicsExport(path)
    try:
        return sum(
            page.rows.num_rows for item in source.describe() for page in source.read(item.name, page_rows=3)
        )
    finally:
        source.close()


def test_cut_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = data_xml(A, B).encode()
    assert everything(folder_with(tmp_path / "e", whole)) == 10
    for at in range(0, len(whole) - 1, 7):
        with pytest.raises(FatalError) as caught:
            everything(folder_with(tmp_path / "e", whole[:at]))
        assert str(caught.value).startswith("e/data.xml")


@pytest.mark.parametrize("name", ["data.xml", "data_schema.xml"])
def test_a_flipped_byte_of_the_packed_data_is_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "e.zip", A, B)
    raw = path.read_bytes()
    begin = raw.index(name.encode()) + len(name)
    for at in range(begin, begin + 120, 5):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x3C]) + raw[at + 1 :])
        with pytest.raises(FatalError, match=r"e\.zip"):
            everything(path)


def test_a_flipped_letter_of_a_stored_member_is_refused(tmp_path: Path) -> None:
    """Well-formed all the same, and far behind the first block: only the checksum can tell."""
    long = Table("a", A.fields, [{"aid": "1", "name": "x" * 2_500_000 + "somebody"}])
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data_schema.xml", schema_xml(long))
        archive.writestr("data.xml", data_xml(long))
    raw = (tmp_path / "e.zip").read_bytes()
    (tmp_path / "e.zip").write_bytes(raw.replace(b"somebody", b"somebudy", 1))
    with pytest.raises(FatalError, match=r"e\.zip!data\.xml: the packed data is damaged"):
        everything(tmp_path / "e.zip")


def test_a_cut_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", A, B)
    raw = path.read_bytes()
    for at in range(0, len(raw) - 1, 97):
        path.write_bytes(raw[:at])
        with pytest.raises(FatalError):
            everything(path)


def test_no_flip_of_a_plain_byte_loses_rows_in_silence(tmp_path: Path) -> None:
    """A changed letter may change a value; the number of records can only stay, or the file is refused."""
    whole = data_xml(A, B).encode()
    for at in range(0, len(whole), 11):
        for letter in b'<>"\x00&':
            try:
                rows = everything(folder_with(tmp_path / "e", whole[:at] + bytes([letter]) + whole[at + 1 :]))
            except FatalError:
                continue
            assert rows == 10, (at, letter)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("somebody &amp; 王5", "a < b", r"e/data\.xml:\d+:\d+: this is not well-formed.*byte"),
        ("</records>", "</record>", r"inside the <records> of entity 'a'|not well-formed"),
        ('<record id="3">', '<other id="3">', r"not well-formed"),
        ("<records>", "<rows></rows><records>", r"<rows> where <records> or <m2mrelationships> belongs"),
        ("<records>", "words<records>", r"the text 'words' between elements"),
        ('<record id="3">', 'words<record id="3">', r"the text 'words' stands between records"),
        ('<record id="3">', '<row/><record id="3">', r"<row> stands where only <record> may"),
        ("<targetids>", "<x/><targetids>", r"<x> stands where no such element may"),
        (' m2mrelationshipname="ab"', "", r"does not say which relationship"),
        ('entity name="a"', 'entity nome="a"', r"an <entity> without a name"),
    ],
)  # fmt: skip
def test_ill_formed_or_foreign_content_is_located(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = data_xml(A, B)
    assert old in text
    with pytest.raises(FatalError, match=message):
        everything(folder_with(tmp_path / "e", text.replace(old, new, 1).encode()))


def test_the_line_and_byte_of_the_fault_are_right(tmp_path: Path) -> None:
    text = data_xml(A, B).replace("somebody &amp; 王5", "somebody & nobody")
    byte = text.encode().index(b"& nobody")
    with pytest.raises(FatalError) as caught:
        everything(folder_with(tmp_path / "e", text.encode()))
    assert f"data.xml:{text.encode()[:byte].count(10) + 1}:" in str(caught.value)
    told = int(str(caught.value).split("(byte ")[1].split(")")[0].replace(",", ""))
    assert abs(told - byte) <= 2


@pytest.mark.parametrize("name", ["data.xml", "data_schema.xml"])
@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE entities [<!ENTITY a "aaaaaaaaaa">]>',
        '<!DOCTYPE entities SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE entities [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
    ],
)
def test_document_types_and_entities_are_refused(tmp_path: Path, name: str, doctype: str) -> None:
    texts = {"data.xml": data_xml(A, B), "data_schema.xml": schema_xml(A, B)}
    texts[name] = doctype + texts[name].replace("somebody", "&a;" if "ENTITY a" in doctype else "x")
    with pytest.raises(FatalError, match="refused"):
        everything(folder_with(tmp_path / "e", texts["data.xml"].encode(), texts["data_schema.xml"].encode()))


def test_bytes_that_do_not_decode_are_located(tmp_path: Path) -> None:
    raw = data_xml(A, B).encode()
    at = raw.index("王".encode())
    with pytest.raises(
        FatalError, match=r"e/data\.xml:\d+:\d+: this is not well-formed XML: not well-formed"
    ):
        everything(folder_with(tmp_path / "e", raw[:at] + b"\xff" + raw[at + 1 :]))
    head = '<?xml version="1.0" encoding="gbk"?>'
    broken = (head + data_xml(A, B)).encode("gbk").replace("王".encode("gbk"), b"\xff\xff", 1)
    with pytest.raises(FatalError, match=r"byte \d+: not valid gb18030"):
        everything(folder_with(tmp_path / "e", broken))
    with pytest.raises(FatalError, match="'klingon' of this file is not known"):
        everything(folder_with(tmp_path / "e", b'<?xml version="1.0" encoding="klingon"?>' + raw))


@pytest.mark.parametrize("schema", ["<entities/>", "<other/>", "<entities><entity name='a'>", ""])
def test_a_broken_schema_is_located(tmp_path: Path, schema: str) -> None:
    with pytest.raises(FatalError, match=r"e/data_schema\.xml"):
        everything(folder_with(tmp_path / "e", data_xml(A, B).encode(), schema.encode() or b" "))


def test_a_zip_without_data_or_schema_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("data_schema.xml", schema_xml(A, B))
    with pytest.raises(FatalError, match=r"no data\.xml"):
        everything(tmp_path / "e.zip")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("Account.csv", "Id")
    with pytest.raises(FatalError, match=r"holds no data_schema\.xml"):
        everything(tmp_path / "f.zip")
    pack(tmp_path / "g.zip", schema_xml(A, B).encode(), data_xml(A, B).encode())
    assert everything(tmp_path / "g.zip") == 10


def test_a_damaged_zip_beside_an_export_is_not_left_out(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "1.zip", A, B)
    (tmp_path / "2.zip").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FatalError, match=r"2\.zip: this is not a whole zip"):
        everything(tmp_path)
    assert recognise(str(tmp_path / "2.zip")) is None
