"""Open conflicts as a workbook, one row a conflict, every cell inert; and the decisions filled in there back on record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.commands.project import Project, open_workspace
from migrator.commands.review import someone
from migrator.commands.sync_conflicts import SIDES, Asked, Conflict, decide, list_conflicts
from migrator.commands.sync_verdict import span
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.mapping.workbook_sheets import MAX_TEXT, Sheet, place, read_sheets, write_sheets
from migrator.staging import journal

MADE_BY = "migrator sync conflicts export"
ID, DECISION, WHY, WHO = "conflict", "decision", "why", "who"
_ASKED = (ID, "number", DECISION, WHY, WHO)
_TOLD = ("mapping", "field", "reason", "age", "owner", "old record", "new record")
_VALUES = ("old now", "old before", "new now", "new before")
MOST = 20_000
"""Conflicts of one workbook."""


@dataclass(frozen=True, slots=True)
class ExportedConflicts:
    """A workbook of conflicts."""

    path: Path
    conflicts: int
    left: int
    """Open ones that did not find room."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "conflicts": self.conflicts, "left": self.left}


@dataclass(frozen=True, slots=True)
class Decided:
    """What a workbook brought."""

    decided: int
    blank: int
    """Rows without a decision."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"decided": self.decided, "blank": self.blank}


def export_conflicts(project: Project, path: Path, objects: Sequence[str]) -> ExportedConflicts:
    """Write the open conflicts into a workbook; values stand in it as they are, and that they do is put on record."""
    if path.suffix.lower() != ".xlsx":
        raise ProjectError.at(str(path), "a workbook's name ends in .xlsx")
    found = list_conflicts(project, Asked(objects=objects, limit=MOST))
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        body = {"what": "values of conflicts", "number": len(found.conflicts), "who": someone("")}
        journal.append(connection, "shown", body, at=found.now, run=workspace.ledger.run)
        write_sheets([sheet_of(found.conflicts, found.now)], path)
    return ExportedConflicts(path, len(found.conflicts), found.total - len(found.conflicts))


def sheet_of(conflicts: Sequence[Conflict], now: datetime) -> Sheet:
    """The sheet that a person decides in."""
    return Sheet(
        "conflicts", (*_ASKED, *_TOLD, *_VALUES), tuple(_row(item, span(now - item.at)) for item in conflicts),
        hidden_columns=frozenset({ID}), read_only=frozenset({"number", *_TOLD, *_VALUES}),
        choices={DECISION: SIDES}, widths={WHY: 30, **dict.fromkeys(_VALUES, 40)}, frozen=4,
    )  # fmt: skip


def _row(item: Conflict, age: str) -> dict[str, str]:
    cells = {
        ID: json.dumps([item.number, item.digest]),
        "number": str(item.number),
        "mapping": item.mapping,
        "field": item.field or "(the whole record)",
        "reason": item.reason,
        "age": age,
        "owner": item.owner,
    }
    for side in SIDES:
        members = [member for member in item.members if member.side == side]
        cells[f"{side} record"] = "\n".join(f"{member.stream}:{member.id}" for member in members)
        cells[f"{side} now"] = "\n".join(_values(member.values) or member.presence for member in members)
        cells[f"{side} before"] = "\n".join(_values(member.bases) for member in members)
    return {name: _fitting(text) for name, text in cells.items() if text}


def _values(values: Mapping[str, Any]) -> str:
    if len(values) == 1:
        (value,) = values.values()
        return "∅" if value is None else str(value)
    return "\n".join(f"{name}: {'∅' if value is None else value}" for name, value in values.items())


def _fitting(text: str) -> str:
    most = MAX_TEXT - 100
    return text if len(text) <= most else f"{text[:most]} … (cut here: {len(text):,} characters)"


@dataclass(frozen=True, slots=True)
class _Answer:
    """One row that came back."""

    cells: Mapping[str, str]
    sheet: Sheet
    number: int
    file: str

    @property
    def take(self) -> str:
        return self.cells.get(DECISION, "").strip().lower()

    def at(self, column: str) -> Location:
        return place(self.file, self.sheet, column, self.number)

    @property
    def named(self) -> tuple[int, str] | None:
        """Number and digest of its conflict; None when the row names none."""
        try:
            found = json.loads(self.cells.get(ID, ""))
        except ValueError:
            return None
        match found:
            case [int(number), str(digest)]:
                return number, digest
            case _:
                return None


def import_conflicts(project: Project, path: Path, *, who: str) -> Decided:
    """Put the decisions of an exported workbook on record, all of them or none; a name in 'who' stands above `who`.

    Raises `ProjectError` with every problem at its cell, among them conflicts that were settled since the export.
    """
    answers = _read(path)
    given = [item for item in answers if item.take]
    open_ones = {item.number: item for item in _undecided(project)}
    raise_errors(_misfits(given, open_ones))
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        for item in given:
            number, _ = item.named or (0, "")
            name = item.cells.get(WHO, "").strip() or someone(who)
            decide(
                connection,
                workspace.ledger,
                number,
                item.take,
                who=name,
                note=item.cells.get(WHY, "").strip(),
            )
    return Decided(len(given), len(answers) - len(given))


def _undecided(project: Project) -> Iterator[Conflict]:
    for state in ("open", "resolved"):
        yield from list_conflicts(project, Asked(state=state, limit=10 * MOST)).conflicts


def _read(path: Path) -> list[_Answer]:
    sheets = [sheet for sheet in read_sheets(path, MADE_BY) if ID in sheet.columns]
    if not sheets:
        raise ProjectError.at(
            str(path), "there are no conflicts in this workbook", f"make one with: {MADE_BY}"
        )
    return [
        _Answer(row, sheet, number, path.name)
        for sheet in sheets
        for row, number in zip(sheet.rows, sheet.numbers, strict=True)
    ]


def _misfits(given: Iterable[_Answer], known: Mapping[int, Conflict]) -> Iterator[Problem]:
    seen: dict[int, _Answer] = {}
    for item in given:
        if item.take not in SIDES:
            yield Problem(
                item.at(DECISION), f"{item.take!r} is no side", "old or new: the side whose value stands"
            )
        named = item.named
        if named is None:
            hint = "undo what was done to the hidden column, or delete this row"
            yield Problem(item.at(ID), "this row names no conflict", hint)
            continue
        number, digest = named
        if number not in known or known[number].digest != digest:
            hint = "empty the cell; if the values differ again, the next export has it"
            yield Problem(item.at(DECISION), f"conflict {number} was settled since the export", hint)
        before = seen.setdefault(number, item)
        if before.take != item.take:
            yield Problem(
                item.at(DECISION), f"row {before.number} decides the same conflict in another way", "keep one"
            )
