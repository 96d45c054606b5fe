"""Broken and hostile exports: each ends in an error that says which file, where and what to do, never in lost rows."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from connectors.files import FilesSource
from connectors.salesforce_export import SalesforceExport
from migrator.core.errors import FatalError, ProjectError

HEADER = b'"Id","Name","OwnerId"\r\n'
ROWS = b"".join(b'"001%015d","name %d, ""x""","005%015d"\r\n' % (n, n * 7919, n % 7) for n in range(3_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "WE_00DxY0000001AbCUAU_1.ZIP", HEADER + ROWS)


def write(path: Path, content: bytes, name: str = "Account.csv") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def read(path: Path, **settings: object) -> int:
    source = SalesforceExport({"path": str(path), **settings})
    return sum(page.rows.num_rows for item in source.describe() for page in source.read(item.name))


def test_the_unbroken_export_is_read(path: Path) -> None:
    assert read(path) == 3_000


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_zip_names_itself(path: Path, share: float) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(FatalError, match=r"WE_.*_1\.ZIP: this is not a whole zip file") as caught:
        read(path)
    assert "again" in caught.value.hint


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_flipped_byte_ends_in_an_error_naming_the_member(path: Path, share: float) -> None:
    raw = bytearray(path.read_bytes())
    packed = zipfile.ZipFile(path).infolist()[0].compress_size
    raw[60 + int((packed - 40) * share)] ^= 0x55
    path.write_bytes(bytes(raw))
    with pytest.raises(FatalError, match=r"_1\.ZIP!Account\.csv"):
        read(path, encoding="utf-8")


def test_a_wrong_checksum_alone_is_found_at_the_end_of_the_member(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    entry = raw.rfind(b"PK\x01\x02")
    for at in (14, entry + 16):
        raw[at : at + 4] = struct.pack("<I", struct.unpack("<I", raw[at : at + 4])[0] ^ 1)
    path.write_bytes(bytes(raw))
    with pytest.raises(FatalError, match="CRC"):
        read(path)


def test_an_encrypted_member_is_said_so(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(FatalError, match="encrypted"):
        read(path)


@pytest.mark.parametrize(
    "name", ["../Account.csv", "/etc/Account.csv", "C:\\Account.csv", "a/../../Account.csv"]
)
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FatalError, match="unsafe"):
        read(write(tmp_path / "x.zip", HEADER, name))


def test_a_bomb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("Account.csv", "w") as member,
    ):
        for _ in range(80):
            member.write(b"\0" * (1 << 20))
    with pytest.raises(FatalError, match="bomb"):
        read(path)


def test_a_field_that_never_closes_is_found_at_its_line(tmp_path: Path) -> None:
    cut = HEADER + ROWS[: ROWS.rindex(b'"name') + 8]
    with pytest.raises(
        FatalError, match=r"x\.zip!Account\.csv:3001: a quoted field begins here and is still open"
    ):
        read(write(tmp_path / "x.zip", cut))


def test_a_row_cut_between_fields_is_a_reject(tmp_path: Path) -> None:
    path = write(tmp_path / "x.zip", HEADER + ROWS[: ROWS.rindex(b',"005')])
    pages = list(SalesforceExport({"path": str(path)}).read("Account"))
    assert sum(page.rows.num_rows for page in pages) == 2_999
    (reject,) = [item for page in pages for item in page.rejects]
    assert (reject.place, reject.rule) == ("x.zip!Account.csv:3001", "file.ragged")


def test_half_quoted_rows_are_rejects_and_lose_nothing(tmp_path: Path) -> None:
    body = b'"001","plain","005"\n"002","said "hello" twice","005"\n"003","ok","005"\n004,5" pipe,005\n'
    pages = list(SalesforceExport({"path": str(write(tmp_path / "x.zip", HEADER + body))}).read("Account"))
    assert pages[0].rows.column("Name").to_pylist() == ["plain", "ok", '5" pipe']
    (reject,) = pages[0].rejects
    assert (reject.place, reject.rule) == ("x.zip!Account.csv:3", "file.quoting")
    assert reject.raw == '"002","said "hello" twice","005"'


def test_a_wrong_encoding_as_set_never_passes(tmp_path: Path) -> None:
    content = 'id,name\n1,"王伟"\n'.encode("gb18030")
    (tmp_path / "a.csv").write_bytes(content)
    for encoding in ("utf-8", "ascii", "utf-16", "utf-32-be"):
        source = FilesSource(
            {"path": str(tmp_path / "a.csv"), "encoding": encoding, "delimiter": ",", "header": True}
        )
        with pytest.raises(FatalError, match=r"a\.csv:\d+: (byte 0x.. .*at offset \d+ is not|not utf-16)"):
            list(source.read("a"))


def test_an_encoding_that_is_not_clear_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id,name\n1,Łódź Wałęsa\n".encode("cp1250"))
    with pytest.raises(ProjectError, match=r"a\.csv: the encoding is not clear"):
        FilesSource({"path": str(tmp_path)}).describe()
    source = FilesSource({"path": str(tmp_path), "encoding": "cp1250"})
    assert next(source.read("a")).rows.column("name").to_pylist() == ["Łódź Wałęsa"]


def test_a_file_that_vanishes_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    source = FilesSource({"path": str(tmp_path)})
    source.describe()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(FatalError, match=r"a\.csv: cannot read this file"):
        list(source.read("a"))
