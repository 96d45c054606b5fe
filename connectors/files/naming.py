"""Column names as they become fields: unique whatever their case, never empty, never one of our reserved names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_RESERVED = "__"
"""Columns that begin so belong to staging."""


@dataclass(frozen=True, slots=True)
class Header:
    """Field names in the file's order, and what was changed to get them, in words."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def name_columns(cells: Sequence[str]) -> Header:
    """Deterministic field names for header cells; no column is ever lost.

    Surrounding blanks go; an empty name becomes `column_N`; a name that stands there before, in whatever case, becomes
    `Name_2`; a name beginning with '__' gets an 'x' in front.
    """
    wanted = {cell.strip().casefold() for cell in cells}
    names: list[str] = []
    notes: list[str] = []
    taken: set[str] = set()
    for position, cell in enumerate(cells, start=1):
        plain = cell.strip() or f"column_{position}"
        plain = f"x{plain}" if plain.startswith(_RESERVED) else plain
        name, again = plain, 1
        while name.casefold() in taken or (again > 1 and name.casefold() in wanted):
            again += 1
            name = f"{plain}_{again}"
        taken.add(name.casefold())
        names.append(name)
        if name != cell:
            notes.append(f"column {position} {cell!r} is called {name!r}")
    return Header(tuple(names), tuple(notes))


def key_of(object_name: str, names: Sequence[str]) -> str:
    """The column that by its name is the record's key (id, <object>id, <object>_id, guid), or ''."""
    plain = object_name.rpartition(".")[2].casefold()
    folded = {name.casefold(): name for name in reversed(names)}
    for known in (
        "id",
        f"{plain}id",
        f"{plain}_id",
        f"{plain.removesuffix('s')}id",
        f"{plain.removesuffix('s')}_id",
        "guid",
    ):
        if known in folded:
            return folded[known]
    return ""
