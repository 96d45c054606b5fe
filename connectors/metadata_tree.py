"""The files of an export of metadata, in a folder or in a zip alike; links are not followed, nothing outside is opened."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from connectors.archive import Archive, ArchiveLimits
from migrator.core.errors import FatalError

LARGEST = 64 << 20
"""Bytes of a file that is read at once; a larger one is not understood."""
PASSED_OVER = frozenset({".git", ".hg", ".svn", ".sf", ".sfdx", "node_modules", "__MACOSX"})
"""Folders that tools keep beside the export; what is in them is no part of it."""
_LIMITS = ArchiveLimits(total_bytes=8 << 30, members=1_000_000)


class Tree(Protocol):
    """Files by their path below the root, parted by '/'."""

    @property
    def names(self) -> Sequence[str]:
        """All files, sorted."""
        ...

    def open(self, name: str) -> BinaryIO:
        """The bytes of a file; raises `FatalError` when they cannot be read."""
        ...

    def size(self, name: str) -> int:
        """Bytes of a file."""
        ...

    def is_link(self, name: str) -> bool:
        """Whether it only points elsewhere."""
        ...


def content(tree: Tree, name: str) -> bytes:
    """A whole file of at most `LARGEST` bytes; raises `FatalError` when it is larger or cannot be read."""
    if tree.size(name) > LARGEST:
        raise FatalError(
            f"{name}: {tree.size(name):,} bytes, more than the {LARGEST:,} that are read at once"
        )
    with tree.open(name) as stream:
        return stream.read()


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files of a folder or a zip; raises `FatalError` when there is neither, or the zip is unsafe."""
    if path.is_dir():
        yield _Folder(path)
    else:
        with Archive(path, limits=_LIMITS) as archive:
            yield _Zip(archive)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.names: Sequence[str] = sorted(self._list())

    def _list(self) -> Iterator[str]:
        for folder, below, files in os.walk(self._root, onerror=_unreadable):
            below[:] = sorted(name for name in below if name not in PASSED_OVER)
            here = Path(folder)
            linked = [name for name in below if (here / name).is_symlink()]
            for name in (*files, *linked):
                yield (here / name).relative_to(self._root).as_posix()

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._root / name).open("rb")
        except OSError as error:
            raise FatalError(f"{name}: cannot read this file: {error.strerror}") from error

    def size(self, name: str) -> int:
        return (self._root / name).lstat().st_size

    def is_link(self, name: str) -> bool:
        path = self._root / name
        return path.is_symlink() or not path.is_file()


def _unreadable(error: OSError) -> None:
    raise FatalError(
        f"cannot list {error.filename}: {error.strerror}", hint="the whole folder must be readable"
    ) from error


class _Zip:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.names: Sequence[str] = sorted(
            name for name in archive.members if not PASSED_OVER.intersection(name.split("/"))
        )

    def open(self, name: str) -> BinaryIO:
        return self._archive.open_member(name)

    def size(self, name: str) -> int:
        return self._archive.members[name].size

    def is_link(self, name: str) -> bool:  # noqa: ARG002 (a zip with links was refused when it was opened)
        return False


def at(file: str, pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[str, int, str]]:
    """Lines and texts with the file they stand in."""
    return ((file, line, text) for line, text in pieces)


def lines_of(raw: bytes) -> Iterator[tuple[int, str]]:
    """Line numbers and lines of a text file; bytes that are not UTF-8 are shown as such, which loses no name."""
    text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", errors="replace", newline=None)
    for number, line in enumerate(text, start=1):
        if stripped := line.strip():
            yield number, stripped
