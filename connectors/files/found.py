"""Which files a path means: a file, a folder with all below it, a glob, or a zip of files; each can be opened again and again."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from connectors.archive import Archive, Member
from connectors.files.detection import Sample, detect
from migrator.core.errors import FatalError, ProjectError

_UTF8_NAME = 0x800


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file on disk, or one member of a zip."""

    name: str
    """Path below the source, with '/'; for zips 'ZIP!MEMBER'."""
    path: Path
    """The file itself, or the zip that holds it."""
    stamp: tuple[str | int, ...]
    """Changes when the content may have: size and time of a file, size and checksum of a member."""
    archive: Archive | None = None
    member: Member | None = None

    @property
    def stem(self) -> str:
        """The object name that the file's name suggests."""
        return PurePosixPath(self.name.rpartition("!")[2]).stem

    @property
    def suffix(self) -> str:
        """The extension in small letters, with its dot."""
        return PurePosixPath(self.name.rpartition("!")[2]).suffix.lower()

    def open(self) -> BinaryIO:
        """The bytes from the start; raises `FatalError` when they cannot be had."""
        if self.archive is not None and self.member is not None:
            return self.archive.open_member(self.member.name)
        try:
            return self.path.open("rb")
        except OSError as error:
            raise FatalError(f"{self.path}: cannot read this file: {error.strerror or error}") from error


@dataclass
class Finder:
    """Finds files and keeps what it opened for them: zips, and members that had to be unpacked. Close it."""

    _archives: dict[Path, Archive] = field(default_factory=dict)
    _unpacked: dict[str, Path] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def find(self, path: str) -> list[FoundFile]:
        """All files that `path` means, in a fixed order; raises `FatalError` when there are none."""
        root = Path(path).expanduser()
        if root.is_dir():
            found = [
                item for item in sorted(root.rglob("*")) if item.is_file() and not _is_hidden(item, root)
            ]
            base = root
        elif root.is_file():
            found, base = [root], root.parent
        else:
            matches = sorted(glob.glob(str(root), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
            found = [item for item in map(Path, matches) if item.is_file()]
            base = _fixed_part(root)
        if not found:
            raise FatalError(
                f"{path}: there is no such file or folder, or nothing in it",
                hint="check `path` of this system in migration.yaml",
            )
        files = [item for each in found for item in self._files(each, base)]
        return sorted(files, key=lambda item: _natural(item.name))

    def _files(self, path: Path, base: Path) -> list[FoundFile]:
        name = path.relative_to(base).as_posix()
        if path.suffix.lower() != ".zip":
            status = path.stat()
            return [FoundFile(name, path, (status.st_size, status.st_mtime_ns))]
        archive = self.archive(path)
        return [
            FoundFile(f"{name}!{_member_name(member)}", path, (member.size, member.crc), archive, member)
            for member in archive.members.values()
            if not _is_hidden(Path(member.name), Path())
        ]

    def archive(self, path: Path) -> Archive:
        """The checked zip at `path`, opened once."""
        if path not in self._archives:
            self._archives[path] = Archive(path)
        return self._archives[path]

    def local(self, file: FoundFile) -> Path:
        """A path for readers that must jump about in a file: members are unpacked to a temporary folder."""
        if file.archive is None:
            return file.path
        if file.name not in self._unpacked:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="migrator-")
            target = Path(self._folder.name) / f"{len(self._unpacked)}{file.suffix}"
            with file.open() as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
            self._unpacked[file.name] = target
        return self._unpacked[file.name]

    def close(self) -> None:
        """Release zips and the temporary folder; may be called twice."""
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()
        self._unpacked.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "~$")) or part == "__MACOSX" for part in path.relative_to(root).parts)


def _fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _natural(name: str) -> list[tuple[int, str]]:
    """Order by which part 2 comes before part 10."""
    pieces: list[tuple[int, str]] = []
    digits = ""
    for char in f"{name}\0":
        if char.isdecimal() and char.isascii():
            digits += char
            continue
        if digits:
            pieces.append((int(digits), ""))
            digits = ""
        pieces.append((-1, char))
    return pieces


def _member_name(member: Member) -> str:
    """Names not marked as UTF-8 are nominally cp437, which hardly any tool that writes other letters means."""
    if member.info.flag_bits & _UTF8_NAME or member.name.isascii():
        return member.name
    try:
        raw = member.name.encode("cp437")
        return raw.decode(detect(Sample(raw, raw, complete=True), member.name).encoding)
    except (ProjectError, UnicodeError):
        return member.name


def shown(names: Sequence[str]) -> str:
    """A few names for a message."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
