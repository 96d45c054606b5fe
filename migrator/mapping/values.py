"""Value maps: old value → new value, written inline or in a CSV file inside the project."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from migrator.core.errors import Location, Problem, ProjectError

COLUMNS = ("source", "target")
MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class ValueMap:
    """A value map that was read and checked."""

    name: str
    """What it is called: the file as written, or MAPPING/SOURCE/FIELD for an inline map."""
    entries: tuple[tuple[str, str | None], ...]
    """Old value → new value (None: null); each old value once."""
    file: str = ""
    """The CSV file as written; '' for an inline map."""

    @property
    def relation(self) -> str:
        """Name of its relation in the compiled query; no dataset can have it, since no system's name has a space."""
        return f"value map {self.name}"

    def as_table(self) -> pa.Table:
        """The entries as a relation with the columns source and target."""
        old, new = [item[0] for item in self.entries], [item[1] for item in self.entries]
        return pa.table({"source": pa.array(old, pa.string()), "target": pa.array(new, pa.string())})


def read_values(file: str, project: Path, place: Location) -> ValueMap:
    """The value map in `file`, a CSV (UTF-8, comma) with a header; an empty target means null.

    Raises `ProjectError` with every problem: outside the project, not there, no such columns, an old value twice.
    """
    path = resolve_inside(file, project, place)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError.at(
            place, f"cannot read the value map {file!r}: {why}", _READABLE[isinstance(error, OSError)]
        ) from error
    return ValueMap(file, _parse(text, file), file)


def resolve_inside(file: str, project: Path, place: Location) -> Path:
    """The absolute path of `file` below the project folder; raises `ProjectError` when it leads out, links included."""
    root = project.resolve()
    try:
        path = (root / file).resolve()
    except (OSError, ValueError) as error:
        raise ProjectError.at(place, f"{file!r} is not a path") from error
    if Path(file).is_absolute() or not path.is_relative_to(root):
        raise ProjectError.at(
            place,
            f"{file!r} lies outside the project folder",
            "copy it into the project and give its path from there",
        )
    return path


def _parse(text: str, file: str) -> tuple[tuple[str, str | None], ...]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if any(name not in header for name in COLUMNS):
            raise ProjectError.at(
                Location(file, 1, 1),
                "a value map needs the columns source and target",
                f"its header is: {', '.join(header)}",
            )
        return _entries(rows, header, file)
    except csv.Error as error:
        raise ProjectError.at(
            Location(file, rows.line_num), f"this is not valid CSV: {error}", "is a quote not closed?"
        ) from error


_READABLE = {True: "paths are relative to the project folder", False: "save it as CSV UTF-8"}


class _Rows(Protocol):
    """A CSV reader: rows, and the line it stands at."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


def _entries(rows: _Rows, header: list[str], file: str) -> tuple[tuple[str, str | None], ...]:
    old_at, new_at = (header.index(name) for name in COLUMNS)
    entries: dict[str, str | None] = {}
    problems: list[Problem] = []
    for row in rows:
        if not any(row):
            continue
        place = Location(file, rows.line_num)
        if len(row) != len(header):
            problems.append(
                Problem(
                    place,
                    f"{len(row)} cells where the header has {len(header)}",
                    "quote cells that hold a comma",
                )
            )
            continue
        old, new = row[old_at], row[new_at] or None
        if entries.setdefault(old, new) != new:
            message = f"the old value {old!r} stands here twice, with different new values"
            problems.append(Problem(place, message, "keep one"))
        if len(entries) > MAX_ENTRIES:
            raise ProjectError.at(
                place, f"more than {MAX_ENTRIES:,} entries", "use a lookup instead of a value map"
            )
    if problems:
        raise ProjectError(problems)
    return tuple(entries.items())
