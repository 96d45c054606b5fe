"""Zips that strangers made: what is refused before reading, and what is caught while reading."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import pytest

from connectors.archive import Archive, ArchiveLimits
from migrator.core.errors import FatalError

CONTENT = b"Id,Name\n" + b"".join(b"%d,somebody %d\n" % (n, n * 7919) for n in range(5_000))


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_read_whole_in_the_archives_order(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"z.csv": CONTENT, "files/中文.bin": b"x", "empty.csv": b""})
    with Archive(path) as archive:
        assert list(archive.members) == ["z.csv", "files/中文.bin", "empty.csv"]
        assert archive.open_member("z.csv").read() == CONTENT
        assert archive.open_member("empty.csv").read() == b""


def test_folders_are_no_members_and_backslashes_are_separators(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"files/": b"", "files\\a.bin": b"x"})
    with Archive(path) as archive:
        assert list(archive.members) == ["files/a.bin"]
        assert archive.open_member("files/a.bin").read() == b"x"


@pytest.mark.parametrize("name", ["../up.csv", "a/../../up.csv", "/etc/x", "C:/x", "..\\up", "a\nb"])
def test_a_name_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FatalError, match="unsafe"):
        Archive(make_zip(tmp_path / "a.zip", {name: b"x"}))


def test_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FatalError, match="unsafe"):
        Archive(tmp_path / "a.zip")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("A.csv", b"1")
        archive.writestr("A.csv", b"2")
    with pytest.raises(FatalError, match="twice"):
        Archive(path)


def test_a_bomb_is_refused_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"A.csv": b"0" * 4_000_000})
    with pytest.raises(FatalError, match="bomb"):
        Archive(path, limits=ArchiveLimits(free_bytes=1 << 20))
    with pytest.raises(FatalError, match="bomb"):
        Archive(path, limits=ArchiveLimits(total_bytes=1 << 20))
    Archive(path).close()


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"A.csv": CONTENT, "B.csv": CONTENT}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    second = raw.rfind(b"PK\x01\x02")
    raw[second + 42 : second + 46] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    with pytest.raises(FatalError, match="shares bytes"):
        Archive(path)


@pytest.mark.parametrize(("at", "value", "match"), [(8, b"\x01", "encrypted"), (10, b"\x09", "Deflate64")])
def test_what_cannot_be_unpacked_is_said_before_reading(
    tmp_path: Path, at: int, value: bytes, match: str
) -> None:
    path = make_zip(tmp_path / "a.zip", {"A.csv": CONTENT})
    raw = bytearray(path.read_bytes())
    entry = raw.rfind(b"PK\x01\x02")
    raw[entry + at : entry + at + 1] = value
    path.write_bytes(bytes(raw))
    with pytest.raises(FatalError, match=match):
        Archive(path)


def test_a_flipped_byte_never_passes(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"A.csv": CONTENT})
    raw = path.read_bytes()
    size = zipfile.ZipFile(path).infolist()[0].compress_size
    for at in range(40, 40 + size - 10, size // 40):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        with Archive(path) as archive, pytest.raises(FatalError, match=r"a\.zip!A\.csv.*damaged"):
            archive.open_member("A.csv").read()


@pytest.mark.parametrize("share", [0, 1, 10, 50, 99])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: int) -> None:
    raw = make_zip(tmp_path / "a.zip", {"A.csv": CONTENT}).read_bytes()
    (tmp_path / "a.zip").write_bytes(raw[: len(raw) * share // 100])
    with pytest.raises(FatalError, match="not a whole zip"):
        Archive(tmp_path / "a.zip")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="no such file"):
        Archive(tmp_path / "a.zip")
    with (
        Archive(make_zip(tmp_path / "a.zip", {"A.csv": b""})) as archive,
        pytest.raises(FatalError, match=r"no 'B\.csv'"),
    ):
        archive.open_member("B.csv")
