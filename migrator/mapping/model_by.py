"""Value maps and look-ups in the YAML that another column chooses: a map for each record type, a mapping for each type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from migrator.mapping.model_base import SCALAR, Strict, mapping_reference, problem

OTHERWISE = "otherwise"
"""The map of record types that no other is written for."""
_TEXT: dict[str, Any] = {"type": "string"}
_ENTRIES: dict[str, Any] = {"type": "object", "additionalProperties": SCALAR}


class Values(Strict):
    """A value map: inline, or a CSV file inside the project."""

    file: str = ""
    inline: dict[str, str | None] = Field(default_factory=dict)


class ValuesByType(Strict):
    """A value map for each record type, which the column `by` tells."""

    by: str
    maps: dict[str, Values] = Field(default_factory=dict)
    file: str = ""
    """A CSV file with the columns record_type, source and target, in place of `maps`."""


def tells_types(value: Mapping[str, object]) -> bool:
    """Whether a value map as written is one for each record type."""
    return set(value) == {"by", "maps"}


def _values(value: object) -> object:
    if isinstance(value, Mapping) and tells_types(value):
        return _by_type(value["by"], value["maps"])
    return _plain(value)


def _plain(value: object) -> Values:
    if isinstance(value, str):
        return Values(file=value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if item is not None and not isinstance(item, str):
                raise problem(
                    f"the value map gives no plain value for {key!r}",
                    "write 'old': 'new' (or null); a map for each record type is {by: COLUMN, maps: {TYPE: {old: new}}}",
                )
        return Values(inline=dict(value))
    raise problem("this is not a value map", "write {old: new, …} or the path of a CSV file in the project")


def _by_type(by: object, maps: object) -> ValuesByType:
    if not isinstance(by, str) or not by:
        raise problem("by names no column", "by: the source column that holds the record type")
    if isinstance(maps, str):
        return ValuesByType(by=by, file=maps)
    if not isinstance(maps, Mapping) or not maps:
        hint = "write maps: {TYPE: {old: new}, otherwise: {old: new}}, or the path of a CSV file"
        raise problem("maps holds no value map", hint)
    return ValuesByType(by=by, maps={kind: _plain(item) for kind, item in maps.items()})


ValueMap: TypeAlias = Annotated[
    Values | ValuesByType,
    BeforeValidator(_values),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {
                    "type": "object",
                    "properties": {
                        "by": _TEXT,
                        "maps": {
                            "anyOf": [
                                _TEXT,
                                {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _ENTRIES]}},
                            ]
                        },
                    },
                    "required": ["by", "maps"],
                    "additionalProperties": False,
                },
                _ENTRIES,
            ]
        }
    ),
]


@dataclass(frozen=True, slots=True)
class LookupEntry:
    """One mapping that a look-up names, and the key it stands under in the file."""

    mapping: str
    at: int | str
    type: str | None = None
    """What the type column holds for its records; None when no column tells."""


class LookupByType(Strict):
    """A look-up whose mapping a column tells: `{type: COLUMN, TYPE: MAPPING, …}`."""

    type: str
    targets: dict[str, str]


def lookup_entries(lookup: tuple[str, ...] | LookupByType) -> tuple[LookupEntry, ...]:
    """What a look-up names, in its order."""
    if isinstance(lookup, LookupByType):
        return tuple(LookupEntry(mapping, kind, kind) for kind, mapping in lookup.targets.items())
    return tuple(LookupEntry(mapping, position) for position, mapping in enumerate(lookup))


def _lookup(value: object) -> object:
    if isinstance(value, str):
        return [value]
    return _lookup_by_type(value) if isinstance(value, Mapping) else value


def _lookup_by_type(value: Mapping[str, object]) -> LookupByType:
    column = value.get("type")
    if not isinstance(column, str) or not column:
        hint = "write {type: COLUMN, TYPE: MAPPING, …}, for example {type: WhatType, Account: account}"
        raise problem("this look-up does not say which column tells the type", hint)
    targets = {kind: item for kind, item in value.items() if kind != "type"}
    named = {kind: item for kind, item in targets.items() if isinstance(item, str)}
    if not named or len(named) < len(targets):
        wrong = next((kind for kind in targets if kind not in named), None)
        what = f"the type {wrong!r} names no mapping" if wrong is not None else "this look-up names no type"
        raise problem(what, "write {type: COLUMN, TYPE: MAPPING, …}")
    return LookupByType(type=column, targets={kind: mapping_reference(item) for kind, item in named.items()})


LookupRule: TypeAlias = Annotated[
    Annotated[tuple[Annotated[str, AfterValidator(mapping_reference)], ...], Tag("list")]
    | Annotated[LookupByType, Tag("by type")],
    Discriminator(lambda value: "by type" if isinstance(value, LookupByType) else "list"),
    BeforeValidator(_lookup),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT},
                {
                    "type": "object",
                    "properties": {"type": _TEXT},
                    "required": ["type"],
                    "additionalProperties": _TEXT,
                },
            ]
        }
    ),
]
"""What the key `lookup` of a field takes."""
