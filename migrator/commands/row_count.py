"""About how many rows a source object has: as the source knows, else from the head of its files and their sizes, else by reading."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import numpy as np

from migrator.commands.project import Project
from migrator.commands.room import source_files
from migrator.core.connector import Source

HEAD = 4 << 20
"""Bytes of each file that are looked at."""
_QUOTED = frozenset({".csv", ".tsv", ".txt"})
_LINES = frozenset({".jsonl", ".ndjson"})


def count_rows(project: Project, system: str, source: Source, name: str) -> int:
    """About how many rows; a source that cannot be told otherwise is read to its end."""
    known = source.count(name)
    if known is not None:
        return known
    path = project.settings(system).get("path")
    if isinstance(path, str):
        guessed = [_rows(*item) for item in _files(Path(path), name)]
        if guessed:
            return sum(guessed)
    return sum(page.rows.num_rows for page in source.read(name))


def _files(path: Path, name: str) -> Iterator[tuple[str, int, bytes]]:
    """Suffix, size and head of the text files and members called like an object."""
    for file in source_files(path):
        if file.suffix.lower() == ".zip":
            with closing(zipfile.ZipFile(file)) as archive:
                for member in archive.infolist():
                    if _is_meant(Path(member.filename), name):
                        with archive.open(member) as stream:
                            yield Path(member.filename).suffix.lower(), member.file_size, _head(stream)
        elif _is_meant(file, name):
            with file.open("rb") as stream:
                yield file.suffix.lower(), file.stat().st_size, _head(stream)


def _is_meant(path: Path, name: str) -> bool:
    return path.stem.lower() == name.lower() and path.suffix.lower() in _QUOTED | _LINES


def _head(stream: IO[bytes]) -> bytes:
    return stream.read(HEAD)


def _rows(suffix: str, size: int, head: bytes) -> int:
    """Line ends outside of quotes, as many in all as in the head; the header of a table is no row."""
    if not head:
        return 0
    read = np.frombuffer(head, np.uint8)
    ends = read == ord("\n")
    if suffix in _QUOTED:
        ends &= np.cumsum(read == ord('"')) % 2 == 0
    lines = int(ends.sum()) + (head[-1:] != b"\n" and len(head) == size)
    return max(round(lines * size / len(head)) - (suffix in _QUOTED), 0)
