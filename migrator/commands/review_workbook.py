"""Pairs to decide as a workbook: one row a pair, both records side by side, every cell inert; and the decisions back into the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from migrator.commands.inspect import looking
from migrator.commands.match_decisions import Entered, contradicted, there
from migrator.commands.project import Project, open_workspace
from migrator.commands.review import Waiting, waiting_pairs
from migrator.commands.target import flat
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, Location, Problem, ProjectError, raise_errors
from migrator.core.mapped import Same
from migrator.core.review import Asked
from migrator.dedupe.queue import Pair
from migrator.mapping.workbook_sheets import Sheet, place, read_sheets, title_for
from migrator.staging import match_decisions as decided
from migrator.staging.match_decisions import MatchDecision, Way

ID, WAS, DECISION, WHY, WHO = "pair", "was", "decision", "why", "who"
HIDDEN = (ID, WAS)
ASKED = (*HIDDEN, DECISION, WHY, WHO)
TOLD = ("weight", "because", "record 1", "record 2")
WORDS: Mapping[str, Same] = {"same": Same.SAME, "not same": Same.NOT_SAME, "unsure": Same.UNSURE}
MADE_BY = "migrator dedupe review export"
MOST_TEXT = 2_000
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class ExportedPairs:
    """A workbook of pairs."""

    path: Path
    pairs: int
    waiting: int
    """Pairs that nobody decided, those in the workbook included."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "pairs": self.pairs, "waiting": self.waiting}


def export_pairs(project: Project, path: Path, objects: Sequence[str], asked: Asked) -> ExportedPairs:
    """Write the pairs asked for into a workbook, a sheet for each mapping; personal values stand in it as they are."""
    if path.suffix.lower() != ".xlsx":
        raise ProjectError.at(str(path), "a workbook's name ends in .xlsx")
    found = waiting_pairs(project, objects, asked)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        _write(temporary, found, _standing(project))
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is it open in Excel?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return ExportedPairs(path, len(found.pairs), sum(found.waiting.values()))


Standing: TypeAlias = Mapping[tuple[str, str, str], MatchDecision]
"""(mapping, one, other) → the last word on it."""


def _standing(project: Project) -> Standing:
    with open_workspace(project) as workspace:
        return decided.standing(decided.decisions(workspace.ledger))


def _write(path: Path, found: Waiting, standing: Standing) -> None:
    from xlsxwriter import Workbook

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    taken: set[str] = set()
    with Workbook(str(path), options) as book:
        for name in found.objects:
            pairs = [pair for pair in found.pairs if pair.mapping == name]
            _write_sheet(book, title_for(name, taken), pairs, standing)


def _write_sheet(book: Any, title: str, pairs: Sequence[Pair], standing: Standing) -> None:
    looks = {
        "head": book.add_format({"bold": True, "bg_color": "#DDE6EE", "valign": "top"}),
        "asked": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top", "border": 1, "border_color": "#9AA7B5"}),
        "differs": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top", "bg_color": "#FFF2CC"}),
        "equal": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top", "font_color": "#566475"}),
    }  # fmt: skip
    page = book.add_worksheet(title)
    fields = tuple(dict.fromkeys(item.field for pair in pairs for item in pair.fields))
    header = (*ASKED, *TOLD, *(f"{name} · {number}" for name in fields for number in (1, 2)))
    page.set_column(0, len(HIDDEN) - 1, None, None, {"hidden": True})
    page.set_column(len(HIDDEN), len(header), 22)
    page.freeze_panes(1, len(ASKED))
    for column, text in enumerate(header):
        page.write_string(0, column, text, looks["head"])
    for row, pair in enumerate(pairs, start=1):
        for column, (text, look) in enumerate(_cells(pair, fields, standing)):
            page.write_string(row, column, text, looks[look])
    page.data_validation(
        1, ASKED.index(DECISION), max(len(pairs), 1), ASKED.index(DECISION),
        {"validate": "list", "source": list(WORDS), "error_message": f"one of: {', '.join(WORDS)}"},
    )  # fmt: skip
    page.autofilter(0, 0, max(len(pairs), 1), len(header) - 1)


def _cells(pair: Pair, fields: Sequence[str], standing: Standing) -> Iterator[tuple[str, str]]:
    """Text and look of every cell of a row."""
    said = standing.get((pair.mapping, pair.one, pair.other))
    word = next((text for text, verdict in WORDS.items() if said and said.verdict is verdict), "")
    yield json.dumps([pair.mapping, pair.one, pair.other, pair.weight]), "equal"
    for text in (word, word, said.why if said else "", ""):
        yield text, "asked"
    yield ("" if pair.weight is None else f"{pair.weight:+.1f}"), "equal"
    yield _because(pair), "equal"
    yield pair.one, "equal"
    yield pair.other, "equal"
    held = {item.field: item for item in pair.fields}
    for name in fields:
        item = held.get(name)
        look = "differs" if item and item.difference.differs else "equal"
        for value in (item.one, item.other) if item else ("", ""):
            yield _fitting(value or ""), look


def _because(pair: Pair) -> str:
    steps = [f"{step.field or 'prior'} {step.level} {step.bits:+.1f}" for step in pair.steps]
    return _fitting("\n".join([*(name for name in pair.rules if name != "model"), *steps]))


def _fitting(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} … (cut here: {len(text):,} characters)"


@dataclass(frozen=True, slots=True)
class _Answer:
    """One row of a workbook that came back, as written."""

    row: Mapping[str, str]
    sheet: Sheet
    number: int
    file: str

    def at(self, column: str) -> Location:
        return place(self.file, self.sheet, column, self.number)

    @property
    def pair(self) -> tuple[str, str, str]:
        mapping, one, other, _ = json.loads(self.row[ID])
        return mapping, one, other

    @property
    def weight(self) -> float | None:
        """What the model gave the pair when it was exported."""
        found: float | None = json.loads(self.row[ID])[3]
        return found

    @property
    def verdict(self) -> Same | None:
        return WORDS.get(self.row.get(DECISION, "").strip().lower())

    @property
    def changed(self) -> bool:
        return self.row.get(DECISION, "").strip().lower() != self.row.get(WAS, "")


def import_pairs(project: Project, path: Path, *, who: str) -> Entered:
    """Put the decisions of an exported workbook on record: those that its reader filled in or changed.

    A name in the column 'who' stands above `who`. All of it or nothing: raises `ProjectError` with every problem at its
    cell, among them pairs that somebody decided otherwise since the export.
    """
    answers = _read(path)
    with looking(project) as (workspace, session, bound):
        raise_errors(_misfits(answers, {item.name for item in flat(bound.groups)}))
        changed = [item for item in answers if item.changed]
        raise_errors(_unknown(changed, lambda name, ids: ids - there(workspace.store, session, name, ids)))
        standing = decided.standing(decided.decisions(workspace.ledger))
        raise_errors(_overtaken(changed, standing))
        fresh = [item for item in changed if item.verdict is not _word(standing.get(item.pair))]
        made = decided.record(workspace.ledger, [_decision(item, who) for item in fresh])
        return Entered(made, len(changed) - len(made), contradicted=contradicted(workspace.ledger, made))


def _word(said: MatchDecision | None) -> Same | None:
    return said.verdict if said else None


def _read(path: Path) -> list[_Answer]:
    sheets = [sheet for sheet in read_sheets(path, MADE_BY) if ID in sheet.columns]
    if not sheets:
        raise ProjectError.at(str(path), "there are no pairs in this workbook", f"make one with: {MADE_BY}")
    problems = [
        Problem(place(path.name, sheet, "", 1), f"the column {name!r} is gone", f"export again: {MADE_BY}")
        for sheet in sheets
        for name in (WAS, DECISION)
        if name not in sheet.columns
    ]
    raise_errors(problems)
    return [
        _Answer(row, sheet, number, path.name)
        for sheet in sheets
        for row, number in zip(sheet.rows, sheet.numbers, strict=True)
    ]


def _misfits(answers: Iterable[_Answer], known: set[str]) -> Iterator[Problem]:
    seen: dict[str, _Answer] = {}
    for item in answers:
        named = item.row.get(ID, "")
        if not _names_a_pair(named, known):
            hint = "undo what was done to the hidden columns, or delete this row"
            yield Problem(item.at(ID), "this row names no pair of this project", hint)
            continue
        text = item.row.get(DECISION, "").strip().lower()
        if text and text not in WORDS:
            hint = did_you_mean(text, WORDS, noun="decisions") or f"one of: {', '.join(WORDS)}"
            yield Problem(item.at(DECISION), f"{text!r} is no decision", hint)
        before = seen.setdefault(named, item)
        if before.row.get(DECISION) != item.row.get(DECISION):
            yield Problem(
                item.at(DECISION), f"row {before.number} decides the same pair in another way", "keep one"
            )


def _names_a_pair(text: str, known: set[str]) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    if not isinstance(found, list) or len(found) != 4 or not all(isinstance(part, str) for part in found[:3]):
        return False
    weight = found[3] is None or isinstance(found[3], int | float)
    return weight and found[0] in known and found[1] < found[2]


def _unknown(answers: Sequence[_Answer], missing: Callable[[str, set[str]], set[str]]) -> Iterator[Problem]:
    named: dict[str, set[str]] = {}
    for item in answers:
        mapping, one, other = item.pair
        named.setdefault(mapping, set()).update((one, other))
    gone = {mapping: missing(mapping, ids) for mapping, ids in named.items()}
    for item in answers:
        mapping, *records = item.pair
        for record in records:
            if record in gone[mapping]:
                yield Problem(
                    item.at(DECISION), f"there is no record {mapping}/{record} any more", "delete this row"
                )


def _overtaken(answers: Iterable[_Answer], standing: Standing) -> Iterator[Problem]:
    for item in answers:
        now = standing.get(item.pair)
        if (now.said if now else "") not in (_said(item.row.get(WAS, "")), _said(item.row.get(DECISION, ""))):
            said = f"{now.who} said {now.said} on {now.at:%Y-%m-%d %H:%M} UTC" if now else "it was taken back"
            yield Problem(
                item.at(DECISION), f"this pair was decided since the export: {said}",
                "talk to each other; empty this cell, or export again to decide anew",
            )  # fmt: skip


def _said(cell: str) -> str:
    verdict = WORDS.get(cell.strip().lower())
    return verdict.value if verdict else ""


def _decision(item: _Answer, who: str) -> MatchDecision:
    mapping, one, other = item.pair
    return MatchDecision(
        mapping, one, other, item.verdict, item.row.get(WHO, "").strip() or who, item.row.get(WHY, "").strip(),
        Way.WORKBOOK, item.weight,
    )  # fmt: skip
