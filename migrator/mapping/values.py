"""Value maps: old value → new value, written inline or in a CSV file inside the project."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from migrator.core.errors import Location, Problem, ProjectError

COLUMNS = ("source", "target")
TYPE = "record_type"
"""The column of a CSV file that holds a map for each record type; blank: for all that have none of their own."""
MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class ValueMap:
    """A value map that was read and checked."""

    name: str
    """What it is called: the file as written, or MAPPING/SOURCE/FIELD for an inline map."""
    entries: tuple[tuple[str, str | None], ...]
    """Old value → new value (None: null); each old value once, or once for each record type."""
    file: str = ""
    """The CSV file as written; '' for an inline map."""
    types: tuple[str, ...] = ()
    """The record type of each entry ('': any that has no map of its own); empty when one map is for all rows."""

    @property
    def known_types(self) -> tuple[str, ...]:
        """Record types that have a map of their own."""
        return tuple(dict.fromkeys(item for item in self.types if item))

    def of_type(self, name: str) -> tuple[tuple[str, str | None], ...]:
        """The entries for one record type."""
        return tuple(entry for entry, item in zip(self.entries, self.types, strict=True) if item == name)

    @property
    def relation(self) -> str:
        """Name of its relation in the compiled query; no dataset can have it, since no system's name has a space."""
        return f"value map {self.name}" + (" by record type" if self.types else "")

    def as_table(self) -> pa.Table:
        """The entries as a relation with the columns source and target, and record_type where it decides."""
        old, new = [item[0] for item in self.entries], [item[1] for item in self.entries]
        columns = {"source": pa.array(old, pa.string()), "target": pa.array(new, pa.string())}
        if self.types:
            columns[TYPE] = pa.array(self.types, pa.string())
        return pa.table(columns)


def read_values(file: str, project: Path, place: Location, *, by_type: bool = False) -> ValueMap:
    """The value map in `file`, a CSV (UTF-8, comma) with a header; an empty target means null.

    `by_type`: the file has a column record_type too. Raises `ProjectError` with every problem: outside the project, not
    there, no such columns, an old value twice.
    """
    path = resolve_inside(file, project, place)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError.at(
            place, f"cannot read the value map {file!r}: {why}", _READABLE[isinstance(error, OSError)]
        ) from error
    entries = _parse(text, file, (TYPE, *COLUMNS) if by_type else COLUMNS)
    types = tuple(kind for kind, _, _ in entries) if by_type else ()
    return ValueMap(file, tuple((old, new) for _, old, new in entries), file, types)


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


_Entry = tuple[str, str, str | None]
"""Record type ('' where none decides), old value, new value."""


def _parse(text: str, file: str, wanted: Sequence[str]) -> tuple[_Entry, ...]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if any(name not in header for name in wanted):
            raise ProjectError.at(
                Location(file, 1, 1),
                f"{_WHAT[len(wanted)]} needs the columns {', '.join(wanted[:-1])} and {wanted[-1]}",
                f"its header is: {', '.join(header)}",
            )
        return _entries(rows, header, file, wanted)
    except csv.Error as error:
        raise ProjectError.at(
            Location(file, rows.line_num), f"this is not valid CSV: {error}", "is a quote not closed?"
        ) from error


_WHAT = {2: "a value map", 3: "a value map by record type"}
_READABLE = {True: "paths are relative to the project folder", False: "save it as CSV UTF-8"}


class _Rows(Protocol):
    """A CSV reader: rows, and the line it stands at."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


def _entries(rows: _Rows, header: list[str], file: str, wanted: Sequence[str]) -> tuple[_Entry, ...]:
    type_at = header.index(TYPE) if TYPE in wanted else None
    old_at, new_at = (header.index(name) for name in COLUMNS)
    entries: dict[tuple[str, str], str | None] = {}
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
        kind, old, new = row[type_at] if type_at is not None else "", row[old_at], row[new_at] or None
        if entries.setdefault((kind, old), new) != new:
            message = f"the old value {old!r} stands here twice, with different new values"
            hint = "keep one"
            if type_at is None and TYPE in header:
                hint = f"keep one, or read the column {TYPE}: values: {{by: COLUMN, maps: {file}}}"
            problems.append(Problem(place, message, hint))
        if len(entries) > MAX_ENTRIES:
            raise ProjectError.at(
                place, f"more than {MAX_ENTRIES:,} entries", "use a lookup instead of a value map"
            )
    if problems:
        raise ProjectError(problems)
    return tuple((kind, old, new) for (kind, old), new in entries.items())
