"""Fields that a mapping writes because another field keeps its original: the amount and the currency before a conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.core.document import Document, TreePath
from migrator.core.errors import Problem
from migrator.mapping.model import FieldRule, MappingRule

_INPUTS = ("from_", "expr", "value", "record_id", "python")
_SHARED = (*_INPUTS, "using", "clean", "format")
"""What the kept amount has in common with the converted one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A target field that keeps `part` ('amount' or 'currency') of what is converted in the field `of`."""

    of: str
    part: str


def kept_fields(rule: MappingRule) -> dict[str, Kept]:
    """Target field → what it keeps, over the common fields and those of every source."""
    return {name: kept for _, name, kept in _keeps(rule)}


def _keeps(rule: MappingRule) -> Iterable[tuple[TreePath, str, Kept]]:
    layers: list[tuple[TreePath, Mapping[str, FieldRule]]] = [(("fields",), rule.fields)]
    if rule.source is not None:
        layers.append((("source", "fields"), rule.source.fields))
    layers += [(("sources", name, "fields"), item.fields) for name, item in rule.sources.items()]
    for path, fields in layers:
        for of, item in fields.items():
            keep = item.currency.keep if item.currency is not None else None
            for part in ("amount", "currency"):
                name = getattr(keep, part, None)
                if name is not None:
                    yield (*path, of, "currency", "keep", part), name, Kept(of, part)


def kept_rule(origin: FieldRule, part: str) -> dict[str, Any]:
    """Keys of the rule that keeps `part` of what the rule `origin` converts; none where it converts nothing."""
    money = origin.currency
    if money is None or money.keep is None or getattr(money.keep, part) is None:
        return {}
    if part == "amount":
        own = {key: getattr(origin, key) for key in _SHARED if key in origin.model_fields_set}
        return own | {
            "currency": money.model_copy(update={"to": None, "rates": None, "on": None, "keep": None})
        }
    given = {"value": money.code} if money.from_ is None else {"from_": money.from_}
    return given | {"clean": ("trim", "upper")}


def check_kept(rule: MappingRule, document: Document) -> list[Problem]:
    """Fields that are kept twice over, or that also say themselves where their value comes from."""
    problems = []
    first: dict[str, Kept] = {}
    own = [rule.fields, *(item.fields for item in (rule.source, *rule.sources.values()) if item is not None)]
    for path, name, kept in _keeps(rule):
        place = document.locate(path)
        if first.setdefault(name, kept) != kept or name == kept.of:
            problems.append(
                Problem(place, f"{name!r} is to hold two things", "keep it in a field of its own")
            )
        elif any(name in fields and fields[name].model_fields_set.intersection(_INPUTS) for fields in own):
            hint = f"remove it there: {name!r} may have a type, a label and so on, but no value of its own"
            problems.append(Problem(place, f"the field {name!r} has a value of its own beside this", hint))
    return problems
