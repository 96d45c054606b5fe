"""A runbook file read into the model: every problem at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from migrator.core.document import Document, did_you_mean
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.core.fingerprint import fingerprint
from migrator.mapping.parse import existing
from migrator.runbook.model import (
    Action,
    Approvals,
    Communication,
    Evidence,
    Group,
    Question,
    Role,
    RunbookRule,
    Step,
    Window,
)

_REFERENCE = "docs/runbooks.md tells what every key takes"
EACH = "each"
_MODELS: Mapping[str, type] = {
    "window": Window, "approvals": Approvals, "evidence": Evidence,
    "communication": Communication, "roles": Role, "groups": Group, "form": Question, "steps": Step, "undo": Action,
}  # fmt: skip
_HINTS = {
    "rehearsed": "rehearsed times are data: `migrator runbook rehearse` measures them, nobody writes them",
    "planned": "how long it takes when all goes well, such as planned: 15m",
    "rollback": "the id of a step under undo, {nothing: why}, or {runbook: name}",
    "phase": "one of P0 to P11",
    "of": "the roles that may approve, such as of: [crm-owner, release-manager]",
    "owner": "a role of this runbook",
    "backup_owner": "another role of this runbook",
    "command": "a verb such as `load`, `manual`, {external: [program, argument]}, {wait: 10m} or {wait_for: lag < 1m}",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A step or undo step, with the group it is about and its place in the file."""

    rule: Step | Action
    path: tuple[str | int, ...]
    group: str = ""

    @property
    def id(self) -> str:
        """Its id, with the group where the step stands for every group in turn."""
        return f"{self.rule.id}@{self.group}" if self.group else self.rule.id

    @property
    def step(self) -> Step:
        """The step; raises `TypeError` for an undo step."""
        if not isinstance(self.rule, Step):
            raise TypeError(f"{self.rule.id} is an undo step")
        return self.rule


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook as parsed; `check` says whether it can be carried out."""

    rule: RunbookRule
    document: Document
    steps: tuple[Placed, ...]
    """In the order in which they are carried out, steps for each group laid out."""
    undo: Mapping[str, Placed]

    @property
    def name(self) -> str:
        """The name of the runbook."""
        return self.rule.runbook

    @property
    def content(self) -> str:
        """A digest of everything that the file says; comments and order of keys do not count."""
        return fingerprint(self.document.texts())

    def at(self, *path: str | int) -> Location:
        """The place of a value in the file."""
        return self.document.locate(path)

    def groups_of(self, placed: Placed) -> tuple[str, ...]:
        """The groups that a step is about."""
        named = placed.group or placed.step.group
        return (named,) if named else tuple(self.rule.groups)

    def told_of(self, group: str) -> dict[str, list[str]]:
        """What stands in the journal of a group that is moved: the mappings it is made of, and all waves beside it."""
        return {"objects": list(self.rule.groups[group].objects), "waves": list(self.rule.groups)}

    def undo_of(self, placed: Placed) -> Placed | None:
        """The undo step that takes a step back; None when there is none."""
        name = placed.step.rollback
        found = self.undo.get(name) if isinstance(name, str) else None
        return replace(found, group=placed.group) if found else None


def read_runbook(path: Path, *, shown_as: str | None = None) -> Runbook:
    """Read a runbook file; raises `ProjectError` with every problem of its form."""
    return parse_runbook(Document.read(path, shown_as=shown_as))


def parse_runbook(document: Document) -> Runbook:
    """A runbook from its document; raises `ProjectError` with every problem of its form."""
    data = document.texts()
    if not isinstance(data, dict):
        raise ProjectError.at(
            document.locate(()), "a runbook holds keys: runbook, title, roles, steps", _REFERENCE
        )
    try:
        rule = RunbookRule.model_validate(data)
    except ValidationError as error:
        raise_errors(
            dict.fromkeys(_problem(item, data, document) for item in error.errors(include_url=False))
        )
        raise
    undo = {item.id: Placed(item, ("undo", number)) for number, item in enumerate(rule.undo)}
    return Runbook(rule, document, _laid_out(rule), undo)


def _laid_out(rule: RunbookRule) -> tuple[Placed, ...]:
    """The steps in their order; a run of steps `group: each` is repeated as a whole for one group after the other."""
    found: list[Placed] = []
    waves: list[Placed] = []

    def lay_out() -> None:
        for group in rule.groups:
            found.extend(replace(item, group=group) for item in waves)
        waves.clear()

    for number, step in enumerate(rule.steps):
        placed = Placed(step, ("steps", number))
        if step.group == EACH:
            waves.append(placed)
            continue
        lay_out()
        found.append(placed)
    lay_out()
    return tuple(found)


def _problem(item: Any, data: object, document: Document) -> Problem:
    """One of pydantic's errors in our words."""
    path = existing(item["loc"], data)
    last = str(path[-1]) if path else "the file"
    place = document.locate(path)
    match item["type"]:
        case "mapping":
            return Problem(place, item["ctx"]["message"], item["ctx"]["hint"] or _REFERENCE)
        case "extra_forbidden":
            hint = _HINTS.get(last) or did_you_mean(last, _keys_at(path[:-1]), noun="keys")
            return Problem(document.locate_key(path), f"unknown key {last!r}", hint or _REFERENCE)
        case "missing":
            return Problem(document.locate(path[:-1]), f"{last} is missing", _HINTS.get(last, _REFERENCE))
        case "union_tag_not_found" | "union_tag_invalid" | "string_type" if last in _HINTS:
            return Problem(place, f"{last} cannot be written like this", _HINTS[last])
        case "enum" | "literal_error":
            return Problem(place, f"{last} cannot be {item['input']!r}", f"one of: {item['ctx']['expected']}")
        case _:
            return Problem(place, f"{last}: {item['msg'].lower()}", _HINTS.get(last, _REFERENCE))


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    words = [part for part in path if isinstance(part, str)]
    model = next((_MODELS[word] for word in reversed(words) if word in _MODELS), RunbookRule)
    return [field.alias or name for name, field in model.model_fields.items()]  # type: ignore[attr-defined]
