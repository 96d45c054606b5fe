"""Mapping files read into the model: every problem of every file at once, each with its place and a hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.core.mapped import Normaliser
from migrator.mapping.kept import Kept, check_kept, kept_fields, kept_rule
from migrator.mapping.model import (
    Acceptance,
    DedupeRule,
    Exclusion,
    FieldRule,
    MappingRule,
    MappingTest,
    Review,
    SourceRule,
    TargetRule,
)
from migrator.mapping.model_rows import ExplodeRule, JoinRule
from migrator.mapping.model_sync import sync_model
from migrator.mapping.money import Currency, Keep
from migrator.mapping.standins import Inactive

INPUTS = ("from_", "expr", "value", "record_id", "python")
"""Keys of a field that say where its value comes from; exactly one is given."""
COMPANIONS = {
    "unmapped": "values", "missing": "lookup", "by": "lookup", "defer": "lookup", "inactive": "lookup", "using": "python",
}  # fmt: skip
"""Key of a field → the key that it means nothing without."""


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source as written, with its name and where it stands in the file."""

    name: str
    system: str
    rule: SourceRule
    path: TreePath


@dataclass(frozen=True, slots=True)
class FieldInput:
    """The rule of one field for one source, common and own part laid together, and where each key stands."""

    name: str
    rule: FieldRule
    base: TreePath
    keys: Mapping[str, TreePath]

    def path(self, key: str = "") -> TreePath:
        """Where `key` of the rule is written, or the field itself."""
        return self.keys.get(key, self.base)


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """One mapping file as parsed; nothing is checked against a schema yet."""

    rule: MappingRule
    document: Document
    project: Path
    sources: tuple[NamedSource, ...]
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """Target fields that keep an original because another field says so."""

    @property
    def name(self) -> str:
        """The mapping's name."""
        return self.rule.mapping

    def at(self, *path: str | int) -> Location:
        """The place of a value in the file."""
        return self.document.locate(path)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Target fields in order of appearance, what is kept last, the key first when no rule names it."""
        names = dict.fromkeys(
            [*self.rule.fields, *(name for item in self.sources for name in item.rule.fields), *self.kept]
        )
        key = self.rule.target.key
        return tuple(names) if key in names else (key, *names)

    def field(self, source: NamedSource, name: str) -> FieldInput:
        """The rule of field `name` for a source: its own part laid over the common one, key by key."""
        found, kept = self._written(source, name), self.kept.get(name)
        if kept is None:
            return found
        origin = self._written(source, kept.of)
        derived = kept_rule(origin.rule, kept.part)
        if not derived:
            return found
        path = (*origin.path("currency"), "keep", kept.part)
        values = derived | {key: getattr(found.rule, key) for key in found.keys}
        rule = FieldRule.model_construct(_fields_set=set(values), **values)
        keys = dict.fromkeys(derived, path) | dict(found.keys)
        return FieldInput(name, rule, found.base if found.keys else path, keys)

    def _written(self, source: NamedSource, name: str) -> FieldInput:
        common, own = self.rule.fields.get(name), source.rule.fields.get(name)
        common_path: TreePath = ("fields", name)
        own_path: TreePath = (*source.path, "fields", name)
        keys = {key: (*common_path, _written(key)) for key in (common.model_fields_set if common else ())}
        values = {key: getattr(common, key) for key in keys}
        if own is not None:
            if own.model_fields_set.intersection(INPUTS):
                keys = {key: path for key, path in keys.items() if key not in INPUTS}
            keys |= {key: (*own_path, _written(key)) for key in own.model_fields_set}
            values = {key: getattr(own if key in own.model_fields_set else common, key) for key in keys}
        if name == self.rule.target.key and common is None and own is None:
            return FieldInput(name, FieldRule(record_id=True), ("target", "key"), {})
        only = own if common is None else common if own is None else None
        rule = only or FieldRule.model_construct(_fields_set=set(keys), **values)
        return FieldInput(name, rule, own_path if own is not None and common is None else common_path, keys)


_REFERENCE = "docs/mapping.md tells what every key takes"


def _written(key: str) -> str:
    return "from" if key == "from_" else key


def parse_mapping(document: Document, project: Path) -> ObjectMapping:
    """One mapping file; raises `ProjectError` with every problem in it."""
    data = document.texts()
    if not isinstance(data, dict):
        raise ProjectError.at(
            document.locate(()), "a mapping file holds keys: mapping, target, source, fields", _REFERENCE
        )
    try:
        rule = MappingRule.model_validate(data)
    except ValidationError as error:
        raise_errors([*read_problems(error, document, data), *source_problems(document, data)])
        raise
    raise_errors([*source_problems(document, data), *check_kept(rule, document)])
    return ObjectMapping(rule, document, project, named_sources(rule), kept_fields(rule))


def named_sources(rule: MappingRule) -> tuple[NamedSource, ...]:
    """The sources of a mapping with their names."""
    if rule.source is not None:
        system = rule.source.system or ""
        return (NamedSource(system, system, rule.source, ("source",)),)
    return tuple(
        NamedSource(name, item.system or name, item, ("sources", name)) for name, item in rule.sources.items()
    )


def source_problems(document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with how many sources there are, which no single key can tell."""
    one, several = data.get("source"), data.get("sources")
    if (one is None) == (several is None):
        what = "no source" if one is None else "source and sources"
        return [
            Problem(document.locate(("source",)), f"this mapping has {what}", "write one of: source, sources")
        ]
    if isinstance(one, dict) and "system" not in one:
        return [Problem(document.locate(("source",)), "system is missing", "name a system of migration.yaml")]
    if several == {}:
        return [Problem(document.locate(("sources",)), "sources is empty", "name at least one")]
    return []


_SHAPES: Mapping[str, type] = {"currency": Currency, "keep": Keep, "inactive": Inactive}
"""Key of a field → the model of what it holds."""
_MODELS: Mapping[str, type] = {
    "target": TargetRule,
    "source": SourceRule,
    "dedupe": DedupeRule,
    "tests": MappingTest,
    "accept": Acceptance,
}


def read_problems(error: ValidationError, document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """All of pydantic's errors in our words, each with its place."""
    problems = []
    for item in error.errors(include_url=False):
        path = existing(item["loc"], data)
        problems.append(_problem(item, path, document))
    return list(dict.fromkeys(problems))


def existing(loc: tuple[int | str, ...], data: object) -> TreePath:
    """The part of pydantic's path that stands in the file; a key that is missing or wrong is kept as the last."""
    kept: list[str | int] = []
    node: object = data
    for part in loc:
        match node, part:
            case dict(), _ if part in node:
                node = node[part]
            case list(), int() if part < len(node):
                node = node[part]
            case _, "[key]":
                continue
            case dict(), str() if part == loc[-1]:
                return (*kept, part)
            case _:
                continue
        kept.append(part)
    return tuple(kept)


def _problem(item: Any, path: TreePath, document: Document) -> Problem:
    """One of pydantic's errors in our words."""
    kind, given = item["type"], item["input"]
    last = str(path[-1]) if path else ""
    place, hint = document.locate(path), ""
    match kind:
        case "mapping":
            message, hint = item["ctx"]["message"], item["ctx"]["hint"]
            place = document.locate_key(path) if "[key]" in item["loc"] else place
        case "extra_forbidden":
            message, hint = (
                f"unknown key {last!r}",
                did_you_mean(last, _keys_beside(item["loc"]), noun="keys"),
            )
            place = document.locate_key(path)
        case "missing":
            message, hint = f"{last} is missing", _MISSING_HINTS.get(last, "")
            place = document.locate(path[:-1])
        case "enum":
            words = [word.value for word in Normaliser]
            message, hint = f"{given!r} is not allowed here", did_you_mean(str(given), words, noun="words")
        case "too_short":
            message, hint = f"{last} is empty", _MISSING_HINTS.get(last, "")
        case "bool_parsing" | "bool_type":
            message = f"{last} must be true or false, not {_shape(given)}"
        case "int_parsing" | "int_type" | "greater_than_equal":
            message = f"{last} must be a whole number above zero, not {_shape(given)}"
        case "model_type" | "dict_type":
            message = f"{last} must hold keys, not {_shape(given)}"
            hint = "for example {from: Name}" if len(path) > 1 and path[-2] == "fields" else ""
        case _:
            wanted = {"string_type": "a text", "tuple_type": "a list"}.get(kind)
            message = f"{last} must be {wanted}, not {_shape(given)}" if wanted else f"{last}: {item['msg']}"
    return Problem(place, message, hint or _REFERENCE)


_MISSING_HINTS = {
    "mapping": "name the mapping: mapping: contact",
    "target": "say where the records go: target: {system: new, object: contact, key: legacy_id}",
    "key": "name the target field that carries the unique external key",
    "on": "for example on: {AccountId: Id}: a column of this source, and the one there that it equals",
    "column": "name the column that holds the values",
    "as": "name the value, for example as: industry",
    "when": "a condition over source columns",
    "use": "the key of the record that takes its place, for example use: 0055g000001",
    "reason": "say why such rows do not move; the accounting shows it",
    "warning": "the code of a warning, as migrator check shows it",
    "field": "the target field, or the source column, that the warning is about",
    "direction": "one of: forward, reverse, both",
    "keys": "for example keys: {email: {email: email}}",
    "name": "say what the test shows",
    "rows": "for example rows: {salesforce: [{Id: '1', Name: Acme}]}",
}


def _shape(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return repr(value)


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed where pydantic found an unknown one."""
    parents = [str(part) for part in loc[:-1] if isinstance(part, str)]
    model: type[Any] | None
    match parents:
        case []:
            model = MappingRule
        case ["sync", *below]:
            model = sync_model(below)
        case ["sources", _, "join", _] | ["source", "join", _]:
            model = JoinRule
        case ["sources", _, "explode"] | ["source", "explode"]:
            model = ExplodeRule
        case [*_, "fields", _]:
            model = FieldRule
        case [*_, "fields", _, "review"]:
            model = Review
        case [*_, "fields", _, first] | [*_, "fields", _, "currency", first] if first in _SHAPES:
            model = _SHAPES[first]
        case [*_, "exclude"]:
            model = Exclusion
        case ["sources", _]:
            model = SourceRule
        case [first] if first in _MODELS:
            model = _MODELS[first]
        case _:
            return []
    return [field.alias or name for name, field in model.model_fields.items()] if model else []
