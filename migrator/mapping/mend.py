"""A mapping file with mistakes read as far as it goes: what is wrong is told and left out, so that the rest can be checked too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from migrator.core.document import Document, TreePath
from migrator.core.errors import Location
from migrator.mapping.kept import kept_fields
from migrator.mapping.model import MappingRule
from migrator.mapping.parse import (
    COMPANIONS,
    INPUTS,
    ObjectMapping,
    existing,
    named_sources,
    source_problems,
)

_TRIES = 20
"""A part that is left out may bare a mistake behind it, but hardly so often."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A mapping without its mistakes."""

    mapping: ObjectMapping
    doubtful: frozenset[Location]
    """Places where something was left out: what is missed there is no further mistake."""


def mend(document: Document, project: Path) -> Mended | None:
    """A mapping that does not parse, without what is wrong in it; None when too little of it is right to go on."""
    data = document.texts()
    doubtful: set[Location] = set()
    if not isinstance(data, dict) or source_problems(document, data):
        return None
    for _ in range(_TRIES):
        try:
            rule = MappingRule.model_validate(data)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                path = _part(existing(item["loc"], data), item["type"])
                doubtful |= {document.locate(path), document.locate_key(path)}
                if not _leave_out(data, path):
                    return None
        else:
            mapping = ObjectMapping(rule, document, project, named_sources(rule), kept_fields(rule))
            return Mended(mapping, frozenset(doubtful))
    return None


def _part(path: TreePath, kind: str) -> TreePath:
    """The smallest part that can go: the key itself, or its list, since the places of a list are counted."""
    whole = path[:-1] if kind == "missing" else path
    counted = next((number for number, part in enumerate(whole) if isinstance(part, int)), len(whole))
    return whole[:counted]


_NEEDED = ("mapping", "target", "source", "sources")


def _leave_out(data: Any, path: TreePath) -> bool:
    """Take a part out of the data; False when the rest would be no mapping."""
    if not path or (path[0] in _NEEDED and len(path) < 2):
        return False
    node = data
    for part in path[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return False
    if len(path) > 1 and path[-2] == "fields" and node.get(path[-1]) != _EMPTY:
        node[path[-1]] = dict(_EMPTY)
        return True
    node.pop(path[-1], None)
    if len(path) > 2 and path[-3] == "fields":
        _excuse(node)
    return True


_EMPTY = {"value": None}


def _excuse(rule: dict[str, Any]) -> None:
    """Make up for what may have been left out: a field without a source of its value is no second mistake."""
    for key, other in COMPANIONS.items():
        if other not in rule:
            rule.pop(key, None)
    if not any(key in rule for key in ("from", *INPUTS)):
        rule |= _EMPTY
