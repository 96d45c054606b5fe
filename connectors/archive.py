"""Zip archives that strangers made, opened so that nothing in them can harm us or be lost in silence.

Checked before the first byte is unpacked: names that climb out of the archive, links, encryption, methods we cannot
unpack, members that share bytes or a name, and sizes no honest export has. Checked while reading: every fault of
the packed bytes, the CRC included, becomes a `FatalError` that says which member, at which byte, and what to do.
"""

from __future__ import annotations

import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from migrator.core.errors import FatalError

_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
_DRIVE = re.compile(r"^[A-Za-z]:")
_AGAIN = "download or copy the file again, and compare its size with the original"


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What is taken for a decompression bomb. Deflate cannot pass 1032:1, and honest CSV or XML stays below 100:1."""

    ratio: int = 500
    """Most bytes a packed byte may become, over a whole archive and for any member above `free_bytes`."""
    free_bytes: int = 64 << 20
    """Members and archives that unpack to less are harmless at any ratio."""
    total_bytes: int = 4 << 40
    """Most bytes an archive may unpack to."""
    members: int = 5_000_000


DEFAULT_LIMITS = ArchiveLimits()


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive; sizes in bytes."""

    name: str
    """Its path inside the archive, parted by '/'."""
    size: int
    packed: int
    crc: int
    info: zipfile.ZipInfo


class Archive:
    """A checked zip file; `members` by name in the archive's own order, folders left out. Close it, or use `with`."""

    def __init__(self, path: Path, *, limits: ArchiveLimits = DEFAULT_LIMITS) -> None:
        """Open and check the directory of the zip; raises `FatalError` for whatever makes it unsafe or unreadable."""
        self.path = path
        self._zip = _open(path)
        try:
            self.members = {item.name: item for item in _members(self._zip, path.name, limits)}
        except BaseException:
            self._zip.close()
            raise

    def open_member(self, name: str) -> BinaryIO:
        """The unpacked bytes of a member, forwards only, buffered; a fault in them raises `FatalError` from `read`.

        Reading to the end proves the CRC, so a member that was read whole is whole.
        """
        member = self.members.get(name)
        if member is None:
            raise FatalError(f"{self.path.name}: there is no {name!r} in this zip", hint=_AGAIN)
        place = f"{self.path.name}!{name}"
        try:
            packed = self._zip.open(member.info)
        except (*_BROKEN, OSError) as error:
            raise FatalError(f"{place}: the packed data is damaged: {error}", hint=_AGAIN) from error
        return cast("BinaryIO", io.BufferedReader(_GuardedMember(packed, place), 1 << 20))

    def close(self) -> None:
        """Release the file; may be called twice."""
        self._zip.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _GuardedMember(io.RawIOBase):
    """The unpacked stream of one member, whose every fault is a `FatalError` with the byte it stands at."""

    def __init__(self, packed: IO[bytes], place: str) -> None:
        self._packed = packed
        self._place = place
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # any writable buffer; 3.11 has no name for one
        view = memoryview(buffer)
        try:
            block = self._packed.read(len(view))
        except (*_BROKEN, OSError) as error:
            raise FatalError(
                f"{self._place}: the packed data is damaged after byte {self._at:,}: {error}", hint=_AGAIN
            ) from error
        view[: len(block)] = block
        self._at += len(block)
        return len(block)

    def close(self) -> None:
        self._packed.close()
        super().close()


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise FatalError(f"{path}: no such file") from error
    except OSError as error:
        raise FatalError(f"{path}: cannot read this file: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RecursionError) as error:
        raise FatalError(f"{path}: this is not a whole zip file: {_begins(path)}", hint=_AGAIN) from error


def _begins(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        return "the file is empty"
    if is_web_page(head):
        return "it is a web page, such as a sign-in page saved in its place"
    if head[:2] == b"PK":
        return "it begins as one, but its directory at the end is missing or damaged"
    return f"it begins with {head[:4]!r}"


def is_web_page(head: bytes) -> bool:
    """Whether a file that should be data begins as HTML: what a browser saves when the sign-in has run out."""
    return head.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _members(archive: zipfile.ZipFile, shown: str, limits: ArchiveLimits) -> Iterator[Member]:
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise FatalError(
            f"{shown}: {len(infos):,} members, more than the {limits.members:,} that are accepted",
            hint="this is no CRM export; if it is, split it",
        )
    _check_sizes(infos, shown, limits)
    _check_overlap(infos, shown)
    seen: set[str] = set()
    for info in infos:
        name = _checked_name(info, shown)
        if info.is_dir() or name.endswith("/"):
            continue
        _check_packing(info, f"{shown}!{name}", limits)
        if name in seen:
            raise FatalError(
                f"{shown}!{name}: this name stands twice in the zip, and only one of the two could be read",
                hint="unpack it by hand, decide which is right, and zip the folder again",
            )
        seen.add(name)
        yield Member(name, info.file_size, info.compress_size, info.CRC, info)


def _checked_name(info: zipfile.ZipInfo, shown: str) -> str:
    raw = info.orig_filename
    name = raw.replace("\\", "/")
    unsafe = (
        not name
        or name.startswith("/")
        or _DRIVE.match(name)
        or ".." in name.split("/")
        or any(ord(letter) < 32 for letter in name)
        or stat.S_ISLNK(info.external_attr >> 16)
    )
    if unsafe:
        raise FatalError(
            f"{shown}: the member name {raw!r} is unsafe: it is empty, a link, or points outside the archive",
            hint="this zip was not made by a CRM export; ask for where it comes from before opening it",
        )
    return name


def _check_packing(info: zipfile.ZipInfo, place: str, limits: ArchiveLimits) -> None:
    if info.flag_bits & 0x1:
        raise FatalError(
            f"{place}: this member is encrypted",
            hint="unpack the zip with its password and give the folder instead",
        )
    if info.compress_type not in _METHODS:
        method = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        raise FatalError(
            f"{place}: packed with {method}, which cannot be read here",
            hint="unpack it and give the folder, or zip it again with the ordinary method (Deflate)",
        )
    if info.file_size > limits.free_bytes and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise FatalError(
            f"{place}: {info.compress_size:,} bytes would unpack to {info.file_size:,}: taken for a decompression bomb",
            hint="if the file is honest, unpack it yourself and give the folder",
        )


def _check_sizes(infos: list[zipfile.ZipInfo], shown: str, limits: ArchiveLimits) -> None:
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > limits.total_bytes or (total > limits.free_bytes and total > limits.ratio * max(packed, 1)):
        raise FatalError(
            f"{shown}: {packed:,} packed bytes would unpack to {total:,}: taken for a decompression bomb",
            hint="if the file is honest, unpack it yourself and give the folder",
        )


def _check_overlap(infos: list[zipfile.ZipInfo], shown: str) -> None:
    """Two members that share packed bytes are the trick of small bombs; no honest writer makes them."""
    end = 0
    for info in sorted(infos, key=lambda item: item.header_offset):
        if info.header_offset < end:
            raise FatalError(
                f"{shown}!{info.filename}: shares bytes with another member: the zip is damaged or made to harm",
                hint=_AGAIN,
            )
        end = info.header_offset + info.compress_size
