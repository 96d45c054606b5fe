"""Where the files of an export are: in a zip, in an unpacked folder, or in several of them side by side."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from connectors.archive import Archive
from connectors.dynamics_export.encoding import transcoded, xml_encoding
from connectors.dynamics_export.spans import (
    BLOCK,
    Checksum,
    DeflatedSpans,
    PlainSpans,
    Spans,
    SpooledSpans,
)
from migrator.core.errors import FatalError
from migrator.core.fingerprint import fingerprint

SCHEMA = "data_schema.xml"
DATA = "data.xml"
_SCHEMA_LIMIT = 256 << 20


class Package(Protocol):
    """One export: a schema, its data, and binary files."""

    @property
    def place(self) -> str:
        """What its places begin with: 'export.zip!' or 'folder/'."""
        ...

    def schema(self) -> str:
        """The text of data_schema.xml."""
        ...

    def data(self) -> Spans:
        """The bytes of data.xml as UTF-8."""
        ...

    def open_file(self, name: str) -> BinaryIO | None:
        """A binary file by its path inside the export, or None when it is not here."""
        ...

    def fingerprint(self) -> str:
        """Changes when the content may have changed."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


@dataclass(slots=True)
class ZipPackage:
    """A Configuration Migration zip; the files may stand in a folder inside it."""

    path: Path
    _archive: Archive
    _folder: str

    @classmethod
    def open(cls, path: Path) -> ZipPackage:
        """Check the zip; raises `FatalError` when it is unsafe or holds no such export."""
        archive = Archive(path)
        found = sorted(
            (name for name in archive.members if _is_schema(name)), key=lambda name: name.count("/")
        )
        if not found:
            archive.close()
            raise FatalError(
                f"{path.name}: holds no {SCHEMA}, so it is no Configuration Migration export",
                hint=f"it holds {', '.join(list(archive.members)[:5]) or 'nothing'}",
            )
        return cls(path, archive, found[0][: -len(SCHEMA)])

    @property
    def place(self) -> str:
        """'export.zip!'."""
        return f"{self.path.name}!{self._folder}"

    def schema(self) -> str:
        """The text of data_schema.xml."""
        with self._archive.open_member(self._folder + SCHEMA) as stream:
            return _schema_text(stream, self.place + SCHEMA)

    def data(self) -> Spans:
        """The bytes of data.xml: packed or stored UTF-8 is read in place, anything else is spooled."""
        name, place = self._folder + DATA, self.place + DATA
        member = self._archive.members.get(name)
        if member is None:
            raise FatalError(
                f"{self.place}: there is a {SCHEMA} but no {DATA}", hint="export again, with data"
            )
        with self._archive.open_member(name) as stream:
            encoding = xml_encoding(stream.read(1024), place)
        if encoding != "utf-8" or member.info.compress_type not in {zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED}:
            return SpooledSpans(transcoded(_blocks(self._archive.open_member(name)), encoding, place), place)
        checksum = Checksum(member.size, member.crc)
        start = _content_start(self.path, member.info, place)
        if member.info.compress_type == zipfile.ZIP_STORED:
            return PlainSpans(self.path, place, start=start, checksum=checksum)
        return DeflatedSpans(self.path, place, start=start, packed=member.packed, checksum=checksum)

    def open_file(self, name: str) -> BinaryIO | None:
        """A member below the folder of the export."""
        full = self._folder + name
        return self._archive.open_member(full) if full in self._archive.members else None

    def fingerprint(self) -> str:
        """Checksums that the zip itself carries."""
        return fingerprint(
            self.path.name, [(item.name, item.size, item.crc) for item in self._archive.members.values()]
        )

    def close(self) -> None:
        """Close the zip."""
        self._archive.close()


@dataclass(frozen=True, slots=True)
class FolderPackage:
    """An unpacked export."""

    path: Path

    @property
    def place(self) -> str:
        """'folder/'."""
        return f"{self.path.name}/"

    def schema(self) -> str:
        """The text of data_schema.xml."""
        with (self.path / SCHEMA).open("rb") as stream:
            return _schema_text(stream, self.place + SCHEMA)

    def data(self) -> Spans:
        """The bytes of data.xml: UTF-8 is read in place, anything else is spooled."""
        path, place = self.path / DATA, self.place + DATA
        try:
            with path.open("rb") as stream:
                encoding = xml_encoding(stream.read(1024), place)
        except OSError as error:
            raise FatalError(f"{place}: cannot read this file: {error.strerror}") from error
        if encoding == "utf-8":
            return PlainSpans(path, place)
        return SpooledSpans(transcoded(_blocks(path.open("rb")), encoding, place), place)

    def open_file(self, name: str) -> BinaryIO | None:
        """A file inside the folder; names that lead out of it are not here."""
        path = self.path / name
        inside = path.resolve().is_relative_to(self.path.resolve())
        return path.open("rb") if inside and path.is_file() else None

    def fingerprint(self) -> str:
        """Sizes and times of change."""
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        stats = [(str(path.relative_to(self.path)), path.stat()) for path in found]
        return fingerprint(self.path.name, [(name, item.st_size, item.st_mtime_ns) for name, item in stats])

    def close(self) -> None:
        """Nothing is held."""


def find_packages(path: Path) -> list[Path]:
    """The exports at `path`, by name: a zip, an unpacked folder, or a folder that holds such zips and folders."""
    if path.is_file():
        return [path] if _zip_has_schema(path) else []
    if (path / SCHEMA).is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(
        item
        for item in path.iterdir()
        if (item.is_file() and item.suffix.lower() == ".zip" and _zip_has_schema(item))
        or (item / SCHEMA).is_file()
    )


def open_packages(path: Path) -> list[Package]:
    """Open what `find_packages` finds; raises `FatalError` when there is nothing or a zip is unsafe or damaged."""
    if not path.exists():
        raise FatalError(
            f"{path}: no such file or folder", hint="check `path` of this system in migration.yaml"
        )
    if path.is_file():
        return [ZipPackage.open(path)]
    found = find_packages(path)
    if not found:
        raise FatalError(
            f"{path}: holds no {SCHEMA} and no zip with one",
            hint="give the Configuration Migration zip or its folder",
        )
    _refuse_damaged(path)
    return [FolderPackage(item) if item.is_dir() else ZipPackage.open(item) for item in found]


def _refuse_damaged(folder: Path) -> None:
    """A damaged zip beside the exports may be one of them: leaving it out would lose what it holds in silence."""
    for item in sorted(folder.iterdir()):
        if item.is_file() and item.suffix.lower() == ".zip" and not zipfile.is_zipfile(item):
            Archive(item).close()  # raises, and says what is wrong with it


def _zip_has_schema(path: Path) -> bool:
    """Whether a zip's directory names a schema."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_is_schema(name.replace("\\", "/")) for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return False


def _is_schema(name: str) -> bool:
    return name == SCHEMA or name.endswith(f"/{SCHEMA}")


def _schema_text(stream: BinaryIO, place: str) -> str:
    raw = stream.read(_SCHEMA_LIMIT)
    if len(raw) == _SCHEMA_LIMIT:
        raise FatalError(f"{place}: more than {_SCHEMA_LIMIT:,} bytes, which no schema has")
    return b"".join(transcoded([raw], xml_encoding(raw[:1024], place), place)).decode()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while block := stream.read(BLOCK):
            yield block


def _content_start(path: Path, info: zipfile.ZipInfo, place: str) -> int:
    """Where a member's packed bytes begin: behind its local header, whose name and extra fields vary in length."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise FatalError(f"{place}: the zip has no such member where its directory says it is")
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + 30 + names
