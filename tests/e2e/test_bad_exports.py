"""Exports as they really arrive: missing, cut off, damaged, locked, of another kind; told where, and nothing is lost by it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small_migration import (
    State,
    assert_told,
    copied,
    migrator,
    replace_in,
    staged_data,
    state,
    target_rows,
)

WEEKLY = "exports/salesforce/WE_00DxY0000001AbCUAU_1.ZIP"
PACKAGE, CSV = "exports/dynamics.zip", "exports/shop/Order.csv"
PROJECT = "migration.yaml"
SIGN_IN = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n"
AGAIN = "download or copy the file again"
Break = Callable[[Path], object]
Members = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """One way an export is broken, and what `migrator run` must say of it."""

    broken: Break
    says: tuple[str, ...]
    code: int = 3


def content(file: str, data: bytes) -> Break:
    return lambda folder: (folder / file).write_bytes(data)


def more(file: str, data: bytes) -> Break:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes() + data)


def without(file: str) -> Break:
    return lambda folder: (
        shutil.rmtree(folder / file) if (folder / file).is_dir() else (folder / file).unlink()
    )


def instead(file: str, data: bytes) -> Break:
    """Another file in the place of the shop's CSV."""
    return lambda folder: ((folder / CSV).unlink(), (folder / file).write_bytes(data))


def cut(file: str, share: float) -> Break:
    def broken(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: int(len(data) * share)])

    return broken


def flipped(file: str, member: str) -> Break:
    """One packed byte of a member changed, its checksum not."""

    def broken(folder: Path) -> None:
        data = bytearray((folder / file).read_bytes())
        with zipfile.ZipFile(folder / file) as archive:
            info = archive.getinfo(member)
        data[info.header_offset + 30 + len(member) + info.compress_size // 2] ^= 0xFF
        (folder / file).write_bytes(bytes(data))

    return broken


def locked(file: str) -> Break:
    """Every member marked as encrypted."""

    def broken(folder: Path) -> None:
        data = bytearray((folder / file).read_bytes())
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = data.find(signature)
            while at >= 0:
                data[at + flags] |= 1
                at = data.find(signature, at + 4)
        (folder / file).write_bytes(bytes(data))

    return broken


def packed(file: str, change: Callable[[Members], object]) -> Break:
    """The zip packed again with other members."""

    def broken(folder: Path) -> None:
        with zipfile.ZipFile(folder / file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(folder / file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return broken


def member(file: str, name: str, old: bytes, new: bytes) -> Break:
    def change(members: Members) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return packed(file, change)


def data_xml(change: Callable[[bytes], bytes]) -> Break:
    return packed(PACKAGE, lambda members: members.update({"data.xml": change(members["data.xml"])}))


def schema_xml(change: Callable[[bytes], bytes]) -> Break:
    return packed(
        PACKAGE, lambda members: members.update({"data_schema.xml": change(members["data_schema.xml"])})
    )


def contacts(change: Callable[[bytes], bytes]) -> Break:
    return packed(WEEKLY, lambda members: members.update({"Contact.csv": change(members["Contact.csv"])}))


def of_shop(setting: str) -> Break:
    return lambda folder: replace_in(folder / PROJECT, {"path: exports/shop": setting})


MANY_ORDERS = "".join(f'"x{number}","文","1"\n' for number in range(3000)).encode()

ZIPS: Mapping[str, Case] = {
    "folder missing": Case(without("exports/salesforce"), ("exports/salesforce: there is no such file", "`path`")),
    "folder empty": Case(without(WEEKLY), ("exports/salesforce: there is no such file or folder, or nothing in it",)),
    "package missing": Case(without(PACKAGE), ("exports/dynamics.zip: no such file", "`path`")),
    "package a folder": Case(
        lambda folder: ((folder / PACKAGE).unlink(), (folder / PACKAGE).mkdir()), ("holds no data_schema.xml",)
    ),
    **{f"weekly cut at {share:.0%}": Case(cut(WEEKLY, share), (".ZIP: this is not a whole zip", AGAIN)) for share in (0, 0.01, 0.5, 0.99)},
    **{f"package cut at {share:.0%}": Case(cut(PACKAGE, share), (".zip: this is not a whole zip", AGAIN)) for share in (0, 0.5, 0.98)},
    "weekly damaged": Case(flipped(WEEKLY, "Contact.csv"), ("1.ZIP!Contact.csv: the packed data is damaged", AGAIN)),
    "package damaged": Case(flipped(PACKAGE, "data.xml"), ("dynamics.zip!data.xml: the packed data is damaged", AGAIN)),
    "weekly with a password": Case(locked(WEEKLY), ("1.ZIP!Account.csv: this member is encrypted", "unpack the zip")),
    "package with a password": Case(locked(PACKAGE), ("this member is encrypted", "unpack the zip")),
    "weekly a sign-in page": Case(content(WEEKLY, SIGN_IN), ("1.ZIP: this is not a whole zip file: it is a web page", AGAIN)),
    "package a sign-in page": Case(content(PACKAGE, SIGN_IN), ("dynamics.zip: this is not a whole zip file: it is a web page",)),
    "member a sign-in page": Case(contacts(lambda _: SIGN_IN), ("Contact.csv:1: this is a web page, not data", "sign in")),
    "weekly without CSV": Case(
        packed(WEEKLY, lambda members: (members.clear(), members.update({"readme.txt": b"x"}))), ("there is no CSV file here",)
    ),
    "weekly without an object": Case(
        packed(WEEKLY, lambda members: members.pop("Contact.csv")), ("contact.yaml:5:13: 'salesforce' has no object 'Contact'",), 2
    ),
    "object without a byte": Case(contacts(lambda _: b""), ("contact.yaml:5:13: salesforce/Contact has no columns",), 2),
    "a name that climbs out": Case(
        packed(WEEKLY, lambda members: members.update({"../evil.csv": b"a"})), ("the member name '../evil.csv' is unsafe",)
    ),
    "a quote that never closes": Case(
        contacts(lambda data: data + b'"003000000000009AAA","b\n'), ("1.ZIP!Contact.csv:6: a quoted field begins here",)
    ),
    "a byte of no encoding": Case(
        contacts(lambda data: data + b'"003000000000009AAA","\xff\xfe","","",""\n'),
        ("the text is in no encoding that we can tell", "are UTF-8, but not", "003000000000009AAA", "set `encoding:`"), 2,
    ),
}  # fmt: skip

XML: Mapping[str, Case] = {
    "no data": Case(packed(PACKAGE, lambda members: members.pop("data.xml")), ("no data.xml", "export again")),
    "no schema": Case(packed(PACKAGE, lambda members: members.pop("data_schema.xml")), ("no data_schema.xml",)),
    "data cut": Case(data_xml(lambda data: data[:-60]), ("dynamics.zip!data.xml:", "it is cut", "export again")),
    "data cut in a tag": Case(data_xml(lambda data: data[: len(data) // 2]), ("!data.xml:", "not well-formed XML: unclosed")),
    "data empty": Case(data_xml(lambda _: b""), ("dynamics.zip!data.xml:", "not well-formed XML")),
    "data a sign-in page": Case(data_xml(lambda _: SIGN_IN), ("dynamics.zip!data.xml:", "it is refused")),
    "schema cut": Case(schema_xml(lambda data: data[:-30]), ("dynamics.zip!data_schema.xml:1:", "not well-formed XML")),
    "schema empty": Case(schema_xml(lambda _: b""), ("dynamics.zip!data_schema.xml:1:1: ", "not well-formed XML")),
    "a document type": Case(data_xml(lambda data: b'<!DOCTYPE x [<!ENTITY y "z">]>' + data), ("!data.xml:1: a document type",)),
    "an outer entity": Case(
        schema_xml(lambda data: b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>' + data),
        ("data_schema.xml: a document type or entity declaration stands here; it is refused",),
    ),
    "a bare &": Case(member(PACKAGE, "data.xml", b"ACME Tools", b"ACME & Tools"), ("!data.xml:6:", "not well-formed")),
    "a byte that is not UTF-8": Case(member(PACKAGE, "data.xml", b"ACME", b"AC\xff"), ("!data.xml:6:", "not well-formed")),
    "a tag closed by another": Case(member(PACKAGE, "data.xml", b"</record>", b"</rekord>"), ("mismatched tag",)),
    "an object the schema lacks": Case(
        member(PACKAGE, "data_schema.xml", b'<entity name="contact"', b'<entity name="kontakt"'),
        ("contact.yaml:12:13: 'dynamics' has no object 'contact'", "did you mean 'kontakt'?"), 2,
    ),
    "a field the schema lacks": Case(
        member(PACKAGE, "data_schema.xml", b'name="lastname"', b'name="surname"'),
        ("contact.yaml:14:25: dynamics/contact has no column 'lastname'", "did you mean 'surname'?"), 2,
    ),
    "data the schema lacks": Case(
        member(PACKAGE, "data.xml", b'<entity name="contact"', b'<entity name="lead"'), ("the entity 'lead'", "account, contact")
    ),
}  # fmt: skip

TEXT: Mapping[str, Case] = {
    "folder missing": Case(without("exports/shop"), ("exports/shop: there is no such file or folder", "`path`")),
    "file missing": Case(without(CSV), ("exports/shop: there is no such file or folder, or nothing in it",)),
    "no match": Case(of_shop('path: "exports/shop/*.tsv"'), ("exports/shop/*.tsv: there is no such file",)),
    "of no known kind": Case(instead("exports/shop/Order.docx", b"x"), ("none of the files here is data we read", ".csv")),
    "a sign-in page": Case(content(CSV, SIGN_IN), ("Order.csv:1: this is a web page, not data", "sign in and download")),
    "empty": Case(content(CSV, b""), ("order.yaml:5:11: shop/Order has no columns",), 2),
    "another header": Case(content(CSV, b"Number,select\nA,b\n"), ("order.yaml:6:8: unknown column 'No.'",), 2),
    "a wrong encoding": Case(of_shop("path: exports/shop, encoding: ascii"), ("Order.csv:5: byte 0xE6 at offset", "`encoding:`")),
    "UTF-16 without a mark": Case(of_shop("path: exports/shop, encoding: utf-16"), ("Order.csv:1: not utf-16", "utf-16-le")),
    "a bad byte late": Case(
        lambda folder: (of_shop("path: exports/shop, encoding: utf-8")(folder), more(CSV, MANY_ORDERS + b'"B","\xff","1"\n')(folder)),
        ("Order.csv:3008: byte 0xFF at offset", "undecodable: quarantine"),
    ),
    "binary": Case(content(CSV, bytes(range(256)) * 20), ("Order.csv: the text is in no encoding that we can tell",), 2),
    "a workbook that is none": Case(instead("exports/shop/Order.xlsx", SIGN_IN), ("Order.xlsx: ", "web page")),
    "a workbook without sheets": Case(
        lambda folder: ((folder / CSV).unlink(), shutil.copy(folder / PACKAGE, folder / "exports/shop/Order.xlsx")),
        ("Order.xlsx: this is no whole Excel workbook", "save it as .xlsx again"),
    ),
    "Parquet that is none": Case(instead("exports/shop/Order.parquet", b"PAR1....PAR1"), ("Order.parquet: this is no whole Parquet",)),
}  # fmt: skip

CASES = {
    f"{family}: {name}": case
    for family, cases in {"zip": ZIPS, "xml": XML, "text": TEXT}.items()
    for name, case in cases.items()
}
MOVED = {
    "rows of other lengths": (more(CSV, b'"A-6","x"\n"A-7","y","1","2"\n'), "order", "file.ragged", 2),
    "a zero byte": (more(CSV, b'"A-6","\x00","1"\n'), "order", "file.zero-byte", 1),
    "a row cut off": (
        contacts(lambda data: data + b'"003000000000009AAA","Cut"\n'),
        "contact",
        "file.ragged",
        1,
    ),
}
"""What is no error of the file but of a row: it goes to quarantine, and the others move."""
ANEW = (
    "zip: weekly damaged",
    "zip: package cut at 50%",
    "xml: data cut",
    "text: a bad byte late",
    "text: a sign-in page",
)
"""Cases that are also met by a project that has moved nothing yet."""


@pytest.mark.parametrize("name", CASES)
def test_a_broken_export_is_told_and_what_was_moved_stands(
    name: str, shared: Path, small_done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    case.broken(shared)
    try:
        said = migrator(shared, capsys, "run", "--skip-validate")
    finally:
        _mend(shared, small_done)
    assert_told(said, case.code, *case.says)
    assert target_rows(shared / "crm.db") == target_rows(small_done / "crm.db")
    mended = migrator(shared, capsys, "extract")
    assert mended.code == 0, mended
    assert _made_of(shared) == _made_of(small_done)


@pytest.mark.parametrize("name", ANEW)
def test_a_first_run_goes_on_once_the_export_is_mended(
    name: str, small: Path, undisturbed: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = copied(small, tmp_path / "project")
    CASES[name].broken(project)
    assert_told(migrator(project, capsys, "run", "--skip-validate"), CASES[name].code, *CASES[name].says)
    assert not (project / "crm.db").exists()
    _mend(project, small)
    mended = migrator(project, capsys, "run", "--skip-validate")
    assert mended.code == 0, mended
    assert state(project, capsys) == undisturbed


@pytest.mark.parametrize("name", MOVED)
def test_a_broken_row_is_held_back_and_the_others_move(
    name: str, small_done: Path, undisturbed: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, mapping, rule, rows = MOVED[name]
    project = copied(small_done, tmp_path / "project")
    broken(project)
    said = migrator(project, capsys, "run", "--skip-validate")
    assert said.code == 0, said
    found = state(project, capsys)
    assert found.target == undisturbed.target
    assert found.account["closed"]
    assert found.account["objects"][mapping]["reasons"]["quarantined"][rule] == rows
    _mend(project, small_done)
    assert migrator(project, capsys, "run", "--skip-validate").code == 0
    assert state(project, capsys) == undisturbed


def _made_of(folder: Path) -> list[tuple[str, ...]]:
    """Kind, name and fingerprint of the datasets: what they were made of."""
    return [(kind, name, fingerprint) for kind, name, _, fingerprint in staged_data(folder)]


def _mend(folder: Path, whole: Path) -> None:
    shutil.rmtree(folder / "exports", ignore_errors=True)
    shutil.copytree(whole / "exports", folder / "exports")
    shutil.copy2(whole / PROJECT, folder / PROJECT)
