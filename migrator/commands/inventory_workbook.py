"""The register as a workbook: one line a component, evidence to read and answers to fill in, every cell inert; and back.

A hidden sheet keeps each answer as it was exported: what is imported is what its reader changed, and a line about which
somebody else said something meanwhile is refused, so that neither overwrites the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.inventory_integrations import Integrations, integrations_of
from migrator.commands.inventory_register import Entered, Register, enter, read_register
from migrator.commands.lean_workbook import write_lines
from migrator.commands.project import Project, open_workspace
from migrator.core.errors import Problem, ProjectError, raise_errors
from migrator.inventory.answers import ANSWERS, wrong
from migrator.inventory.register import Row, operations
from migrator.inventory.usage import values_told
from migrator.mapping.workbook_sheets import MAX_TEXT, Sheet, place, read_sheets

MADE_BY = "migrator inventory register export"
ID, WAS = "id", "was"
_INTEGRATION = (
    "partner",
    "partner_kind",
    "moves",
    "keys_held",
    "volume",
    "criticality",
    "target_design",
    "dual_run",
    "switch_date",
)
"""Answers that have their place on the sheet of integrations."""
_PLAIN = tuple(name for name in ANSWERS if name not in _INTEGRATION)
_TOLD = (
    "kind", "object", "name", "label", "capability (found)", "state", "use", "because", "filled", "values", "by segment", "newest", "used by",
    "uses", "on layouts", "hard-coded", "marks", "findings", "size", "losses", "coverage (found)", "counterpart (found)",
    "differences (found)", "proposed", "rule", "reason of the rule", "decided by", "decided on", "history", "file",
)  # fmt: skip
_CALLED = (
    "direction",
    "protocol",
    "trigger",
    "endpoints",
    "credential",
    "found to move",
    "old ids in it",
    "evidence",
)
_WIDE = {
    "because": 40,
    "reason of the rule": 44,
    "reason": 30,
    "name": 34,
    "losses": 34,
    "history": 40,
    "by segment": 30,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A workbook of the register."""

    path: Path
    rows: int
    integrations: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "rows": self.rows, "integrations": self.integrations}


def export_register(project: Project, path: Path, systems: Sequence[str] = ()) -> Exported:
    """Write the whole register; raises `ProjectError` when the name is no workbook's."""
    if path.suffix.lower() != ".xlsx":
        raise ProjectError.at(str(path), "a workbook's name ends in .xlsx")
    with open_workspace(project) as workspace:
        register = read_register(workspace, systems)
    found = integrations_of(register)
    write_lines(path, _sheets(register, found))
    return Exported(path, len(register.rows), len(found.found))


def _sheets(register: Register, found: Integrations) -> Iterator[Sheet]:
    yield Sheet(
        "functions", (ID, *_PLAIN[:2], *_TOLD, *_PLAIN[2:]), tuple(_line(row) for row in register.rows),
        read_only=frozenset({ID, *_TOLD}), choices=_choices(_PLAIN), widths=_WIDE, frozen=1,
    )  # fmt: skip
    yield Sheet(
        "integrations", (ID, *_CALLED, *_INTEGRATION), tuple(_called(found)), read_only=frozenset({ID, *_CALLED}),
        choices=_choices(_INTEGRATION), widths={"endpoints": 40, "found to move": 40}, frozen=1,
    )  # fmt: skip
    columns = ("capability", "old", "new", "note")
    handbook = tuple(
        {"capability": one.capability, "old": _cut(one.old), "new": _cut(one.new), "note": _cut(one.note)}
        for one in operations(register.rows)
    )
    yield Sheet(
        "handbook", columns, handbook, read_only=frozenset(columns), widths={"old": 50, "new": 50}, frozen=0
    )
    was = tuple({ID: row.item.id, WAS: _packed(row.answers)} for row in register.rows)
    yield Sheet("_exported", (ID, WAS), was, hidden=True)


def _choices(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    # a list of choices in a cell holds 255 characters
    return {
        name: ANSWERS[name].words
        for name in names
        if ANSWERS[name].words and len(",".join(ANSWERS[name].words)) < 250
    }


def _packed(answers: Mapping[str, str]) -> str:
    text = json.dumps(dict(answers), ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else json.dumps({})


def _cut(text: str, most: int = 2_000) -> str:
    return text if len(text) <= most else f"{text[:most]} … (cut here: {len(text):,} characters)"


def _line(row: Row) -> dict[str, str]:
    part, usage = row.item.component, row.evidence.usage
    told = {
        "kind": part.kind.value, "object": part.owner, "name": part.name, "label": part.label, "capability (found)": row.capability,
        "state": part.state.value, "use": row.evidence.use.value, "because": str(row.evidence.because),
        "filled": f"{usage.fill:.1%}" if usage else row.evidence.not_measured, "newest": usage.newest if usage else "",
        "values": "\n".join(values_told(usage)) if usage else "",
        "by segment": "\n".join(f"{one.by} {one.value or '–'}: {one.filled:,} of {one.rows:,}" for one in (usage.segments[:12] if usage else ())),
        "used by": f"{row.item.used_by_count}\n" + "\n".join(one.id for one in row.item.used_by[:8]),
        "uses": f"{row.item.uses_count}\n" + "\n".join(one.id for one in row.item.uses[:8]),
        "on layouts": str(sum(1 for one in row.item.used_by if one.kind.value == "layout or form")),
        "hard-coded": "\n".join(f"{one.text} ({one.place})" for one in row.item.literals[:8]),
        "marks": "\n".join(f"{name}: {text}" for name, text in part.marks.items()), "findings": "\n".join(part.findings),
        "size": ", ".join(f"{name} {count}" for name, count in part.size.items()), "losses": "\n".join(row.losses),
        "coverage (found)": row.counterpart.coverage.value, "counterpart (found)": row.counterpart.name,
        "differences (found)": row.counterpart.differences, "proposed": row.proposal.decision.value, "rule": row.proposal.rule,
        "reason of the rule": str(row.proposal.reason), "decided by": row.decided_by, "decided on": row.decided_on,
        "history": "\n".join(_told(one.at.date().isoformat(), one.who, one.changes) for one in row.history),
        "file": f"{part.file}:{part.line}" if part.file else "",
    }  # fmt: skip
    said = {name: row.answers.get(name, "") for name in _PLAIN}
    return (
        {name: _cut(text) for name, text in told.items() if text}
        | {ID: row.item.id}
        | {name: text for name, text in said.items() if text}
    )


def _told(day: str, who: str, changes: Mapping[str, str]) -> str:
    return f"{day} {who}: " + "; ".join(
        f"{name} = {text or '(taken back)'}" for name, text in changes.items()
    )


def _called(found: Integrations) -> Iterator[dict[str, str]]:
    for one in found.found:
        said = found.answers.get(one.item.id, {})
        told = {
            "direction": one.direction, "protocol": one.protocol, "trigger": one.trigger, "endpoints": "\n".join(one.endpoints),
            "credential": one.credential, "found to move": "\n".join(one.moves[:20]), "old ids in it": "yes" if one.holds_ids else "",
            "evidence": "\n".join(one.places[:8]),
        }  # fmt: skip
        answers = {name: said.get(name, "") for name in _INTEGRATION}
        yield {ID: one.item.id} | {name: _cut(text) for name, text in (told | answers).items() if text}


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a workbook that came back."""

    id: str
    said: Mapping[str, str]
    sheet: Sheet
    number: int
    file: str

    def at(self, name: str) -> Any:
        return place(self.file, self.sheet, name, self.number)


def import_register(project: Project, path: Path, *, who: str, dry_run: bool = False) -> Entered:
    """Put on record what the reader of an exported workbook filled in or changed; all of it or nothing.

    Raises `ProjectError` with every problem at its cell: no such component, an answer that is none, a line about which
    somebody said something since the export.
    """
    if not who.strip():
        raise ProjectError.at("--by", "who says so?", "give --by NAME")
    lines, was = _read(path)
    with open_workspace(project) as workspace:
        register = read_register(workspace)
        known = {row.item.id: row for row in register.rows}
        changed = [(line, _changes(line, was)) for line in lines]
        raise_errors(problem for line, said in changed for problem in _misfits(line, said, known, was))
        merged: dict[str, dict[str, str]] = {}
        for line, said in changed:
            if said:
                merged.setdefault(line.id, {}).update(said)
        entered = [(known[name], said) for name, said in merged.items()]
        if dry_run:
            return Entered(tuple(merged), 0, (), merged)
        return enter(workspace, entered, who=who, way="workbook")


def _read(path: Path) -> tuple[list[_Line], dict[str, dict[str, str]]]:
    sheets = read_sheets(path, MADE_BY)
    kept = next((sheet for sheet in sheets if sheet.title == "_exported"), None)
    if kept is None:
        raise ProjectError.at(
            str(path), "this is no exported register: its hidden sheet is gone", f"make one with: {MADE_BY}"
        )
    was = {row[ID]: json.loads(row.get(WAS) or "{}") for row in kept.rows}
    lines = [
        _Line(
            row.get(ID, ""),
            {name: row.get(name, "") for name in ANSWERS if name in sheet.columns},
            sheet,
            number,
            path.name,
        )
        for sheet in sheets
        if sheet is not kept and ID in sheet.columns
        for row, number in zip(sheet.rows, sheet.numbers, strict=True)
        if any(row.values())
    ]
    return lines, was


def _changes(line: _Line, was: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    before = was.get(line.id, {})
    return {name: text for name, text in line.said.items() if text != before.get(name, "")}


def _misfits(
    line: _Line, said: Mapping[str, str], known: Mapping[str, Row], was: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    if not said:
        return
    row = known.get(line.id)
    if row is None or line.id not in was:
        hint = "undo what was done to the column 'id', or scan and export again"
        yield Problem(line.at(ID), f"there is no component {line.id!r}", hint)
        return
    for name, message, hint in wrong(said):
        yield Problem(line.at(name), message, hint)
    if said.get("decision") and not (said.get("reason") or row.answers.get("reason")):
        yield Problem(line.at("reason"), f"{line.id}: a decision needs its reason", "fill it in")
    for name, text in said.items():
        now = row.answers.get(name, "")
        if now not in (was[line.id].get(name, ""), text):
            by = next((one.who for one in reversed(row.history) if name in one.changes), "somebody")
            hint = "talk to each other; undo your change of this cell, or export again"
            yield Problem(line.at(name), f"{by} said {now!r} since the export", hint)
