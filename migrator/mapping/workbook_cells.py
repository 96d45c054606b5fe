"""Fields of a mapping as cells of texts, and back: one row a field, in the YAML's own words, nothing lost either way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from migrator.core.document import Document, TreePath
from migrator.core.errors import Location, ProjectError
from migrator.mapping.model import FieldRule
from migrator.mapping.model_by import tells_types
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.workbook_yaml import Tree, YamlText, pair, quoted

Rule = dict[str, Tree]
Cells = dict[str, str]
"""Column → text; blank cells are left out."""
Entries = dict[str, str | None]
"""A value map: old value → new value (None: the field stays empty)."""
Place = Callable[[str], Location]
"""Column → the place of its cell in the workbook."""

INPUTS = ("from", "expr", "value", "record_id", "python")
OWN = ("type", "required")
"""Keys of the common rule that have a column of their own."""
REVIEW = ("status", "by", "question")
PARTS = ("source", "transform", "values", "comment")
"""Columns that each layer of a mapping has."""
MAP = "map: "
"""What a cell says that takes its value map from the sheet of value maps."""
_KEYS = tuple(item.alias or name for name, item in FieldRule.model_fields.items())


@dataclass(frozen=True, slots=True)
class Layer:
    """A place in a mapping where fields are written: the common ones (name ''), or those of one source."""

    name: str
    path: TreePath

    def column(self, part: str) -> str:
        """Name of a column of this layer."""
        return f"{self.name} {part}" if self.name else part


@dataclass(frozen=True, slots=True)
class Row:
    """One field: its name, and its cells."""

    name: str
    cells: Cells


def layers(mapping: ObjectMapping) -> tuple[Layer, ...]:
    """The common layer, then one for each source."""
    own = (Layer(item.name, (*item.path, "fields")) for item in mapping.sources)
    return (Layer("", ("fields",)), *own)


def rules_of(mapping: ObjectMapping) -> dict[str, dict[str, Rule]]:
    """Layer → field → rule, as the file has them."""
    found = {}
    for layer in layers(mapping):
        node = mapping.document.texts()
        for part in layer.path:
            node = node.get(str(part)) if isinstance(node, dict) else None
        found[layer.name] = cast("dict[str, Rule]", node or {})
    return found


def map_name(mapping: str, layer: str, field: str) -> str:
    """What an inline value map is called in the sheet of value maps."""
    return f"{mapping}.{layer}/{field}" if layer else f"{mapping}/{field}"


def rows_of(mapping: ObjectMapping, text: YamlText) -> tuple[list[Row], dict[str, Entries]]:
    """All fields of a mapping in order of appearance, and its inline value maps by name."""
    rules, maps = rules_of(mapping), dict[str, Entries]()
    names = dict.fromkeys(name for found in rules.values() for name in found)
    rows = []
    for name in names:
        cells: Cells = {}
        first = primary(rules, name)
        for layer in layers(mapping):
            rule = rules[layer.name].get(name)
            if rule is not None:
                known_as = map_name(mapping.name, layer.name, name)
                cells |= _cells(layer, rule, maps, known_as, first == layer.name)
                remark = text.comment((*layer.path, name))
                cells[layer.column("comment")] = written(remark) if remark else ""
        rows.append(Row(name, {column: cell for column, cell in cells.items() if cell}))
    return rows, maps


def primary(rules: Mapping[str, Mapping[str, Rule]], name: str) -> str:
    """The layer whose rule carries the field's review: the first that names the field; '' when none does."""
    return next((layer for layer, found in rules.items() if name in found), "")


def _cells(layer: Layer, rule: Rule, maps: dict[str, Entries], known_as: str, first: bool) -> Cells:
    rest = dict(rule)
    cells: Cells = {}
    source = next((key for key in INPUTS if key in rest), None)
    if source is not None:
        cells[layer.column("source")] = f"{source}: {written(cast('str | None', rest.pop(source)))}"
    if not layer.name:
        for key in OWN:
            if rest.get(key) is not None:
                cells[key] = written(cast("str", rest.pop(key)))
    match rest.get("values"):
        case dict() as entries if not tells_types(entries):
            maps[known_as] = cast("Entries", rest.pop("values"))
            cells[layer.column("values")] = f"{MAP}{written(known_as)}"
        case str() as file:
            del rest["values"]
            cells[layer.column("values")] = quoted(file) if file.startswith(MAP) else written(file)
        case _:
            pass
    review = rest.get("review")
    told = first and isinstance(review, dict) and review and None not in review.values()
    if told:
        del rest["review"]
    lines = [pair(key, value) for key, value in rest.items()]
    cells[layer.column("transform")] = "\n".join(lines) if lines or cells else "{}"
    if told and isinstance(review, dict):
        cells |= {key: written(cast("str", value)) for key, value in review.items()}
    return cells


def rules_from(
    row: Row, known: tuple[Layer, ...], first: str, maps: Mapping[str, Entries], place: Place
) -> dict[str, Rule]:
    """Layer → rule of one row; layers without a rule are left out. Raises `ProjectError` at the cell that is wrong."""
    found: dict[str, Rule] = {}
    for layer in known:
        cells = {part: row.cells.get(layer.column(part), "") for part in PARTS}
        own = {key: row.cells.get(key, "") for key in OWN if not layer.name}
        review = {key: row.cells.get(key, "") for key in REVIEW if layer.name == first}
        if any([*cells.values(), *own.values(), *review.values()]):
            rule = _source(cells["source"], place(layer.column("source")))
            rule |= _filled(own, place)
            more = _transform(cells["transform"], place(layer.column("transform")))
            if cells["values"]:
                more["values"] = _values(cells["values"], maps, place(layer.column("values")))
            if any(review.values()):
                more["review"] = _filled(review, place)
            doubled = next((key for key in more if key in rule), None)
            if doubled is not None:
                at = place(layer.column("transform"))
                raise ProjectError.at(at, f"{doubled} stands in a cell of its own too", "keep one")
            found[layer.name] = rule | more
    return found


def _filled(cells: Cells, place: Place) -> Rule:
    return {key: read(text, place(key)) for key, text in cells.items() if text}


def _source(text: str, at: Location) -> Rule:
    if not text:
        return {}
    key, colon, rest = text.partition(":")
    if colon and key in INPUTS:
        return {key: read(rest.removeprefix(" ").strip() or "null", at)}
    return {"from": read(text, at)}


def _transform(text: str, at: Location) -> Rule:
    if not text:
        return {}
    try:
        tree = Document(text, str(at)).texts()
    except ProjectError as error:
        words = error.problems[0].message
        raise ProjectError.at(at, words, "one KEY: VALUE a line, as in YAML") from error
    if not isinstance(tree, dict):
        hint = f"one KEY: VALUE a line, for example clean: trim; keys: {', '.join(_KEYS)}"
        raise ProjectError.at(at, f"this is no list of keys: {text[:40]!r}", hint)
    return cast("Rule", tree)


def _values(text: str, maps: Mapping[str, Entries], at: Location) -> Tree:
    if not text.startswith(MAP):
        return read(text, at)
    name = read(text.removeprefix(MAP).strip(), at)
    if name is None or name not in maps:
        raise ProjectError.at(
            at, f"there is no value map {name!r}", "write its rows in the sheet of value maps"
        )
    return cast("Tree", dict(maps[name]))


def written(text: str | None) -> str:
    """A scalar as a cell shows it: as it is; in double quotes where a reader or a sheet could take it for another."""
    if text is None:
        return "null"
    odd = text != text.strip() or text[:1] == '"' or text == "null" or not text
    seen = all(char.isprintable() or char == "\n" for char in text)
    return quoted(text) if odd or not seen else text


def read(text: str, at: Location) -> str | None:
    """The inverse of `written`."""
    if text == "null":
        return None
    if not text.startswith('"'):
        return text
    try:
        found = Document(text, str(at)).texts()
    except ProjectError as error:
        raise ProjectError.at(
            at, "these double quotes do not close", 'write "text", \\" for a quote'
        ) from error
    if not isinstance(found, str) or not re.fullmatch(r'".*"', text, re.DOTALL):
        raise ProjectError.at(
            at, f"this is not one text in double quotes: {text[:40]!r}", "take the quotes off"
        )
    return found
