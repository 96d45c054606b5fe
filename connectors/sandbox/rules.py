"""Validation and duplicate rules that a folder of seeds brings along, in `rules.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sandbox.faults import checked
from connectors.sandbox.shape import DuplicateRule
from migrator.core.document import Document
from migrator.core.errors import Location, Problem, raise_errors

_KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "validation": (
        {"object": str, "name": str, "wrong": str, "message": str, "field": str},
        ("object", "name", "wrong", "message"),
    ),
    "duplicates": ({"object": str, "name": str, "fields": list, "alert": bool}, ("object", "name", "fields")),
}
"""The keys of a rule of each kind, and those it cannot be without."""


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """A validation rule as written: `wrong` is a condition in the system's own language."""

    place: Location
    object: str
    name: str
    wrong: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class WrittenRules:
    """The rules of a folder."""

    validation: tuple[WrittenRule, ...] = ()
    duplicates: tuple[tuple[Location, str, DuplicateRule], ...] = ()
    """Place, object and rule."""


def read_rules(folder: Path) -> WrittenRules:
    """The rules in `rules.yaml` of a folder, if there is one; raises `ProjectError` with every problem and its place.

    ::

        validation:
          - {object: Opportunity, name: no_minus, wrong: "Amount < 0", message: Amount below zero, field: Amount}
        duplicates:
          - {object: Account, name: same_name, fields: [Name], alert: true}
    """
    path = folder / "rules.yaml"
    if not path.exists():
        return WrittenRules()
    document, problems = Document.read(path), list[Problem]()
    top = checked(document, (), {"validation": list, "duplicates": list}, problems)
    validation = tuple(
        WrittenRule(place, **raw) for place, raw in _each(document, top, "validation", problems)
    )
    duplicates = tuple(
        (place, raw["object"], DuplicateRule(raw["name"], tuple(raw["fields"]), raw.get("alert", True)))
        for place, raw in _each(document, top, "duplicates", problems)
    )
    raise_errors(problems)
    return WrittenRules(validation, duplicates)


def _each(
    document: Document, top: dict[str, Any], kind: str, problems: list[Problem]
) -> Iterator[tuple[Location, dict[str, Any]]]:
    known, needed = _KINDS[kind]
    for number in range(len(top.get(kind) or ())):
        place = document.locate((kind, number))
        raw = checked(document, (kind, number), known, problems)
        missing = [name for name in needed if name not in raw]
        if missing:
            problems.append(Problem(place, f"a rule needs {', '.join(missing)}"))
            continue
        yield place, raw
