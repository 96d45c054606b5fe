"""What a mapping file says of the two-way sync: which way fields flow, who wins, and how values come back.

Every description here is hover text of the editor schema and has its line in docs/mapping.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from migrator.core.document import did_you_mean
from migrator.core.sameness import Comparison
from migrator.core.translation import DeletePolicy, Rule
from migrator.mapping.model_base import SCALAR, Strict, problem
from migrator.mapping.model_by import Values

DIRECTIONS = ("forward", "reverse", "both")
_OLDER = {"back": "reverse"}
"""Words that an earlier version took."""
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": SCALAR}


def _direction(value: object) -> object:
    word = _OLDER.get(str(value), value)
    if word not in DIRECTIONS:
        raise problem(f"{value!r} is not a direction", did_you_mean(str(value), DIRECTIONS, noun="words"))
    return word


Way: TypeAlias = Annotated[
    Literal["forward", "reverse", "both"],
    BeforeValidator(_direction),
    WithJsonSchema({"enum": list(DIRECTIONS)}),
]

_RULES = tuple(item.value for item in Rule if item is not Rule.NEWEST)
_LARGEST_SKEW = 86_400.0


class PolicyRule(Strict):
    """How a conflict of one field is settled; `skew` in seconds for newest only."""

    rule: Rule
    skew: float = 0.0


def _policy(value: object) -> object:
    if isinstance(value, Mapping) and set(value) == {"newest"}:
        return PolicyRule(rule=Rule.NEWEST, skew=_skew(value["newest"]))
    if value == Rule.NEWEST.value:
        hint = "write {newest: SECONDS}: within how many seconds two times of the two systems say nothing"
        raise problem("newest says no skew", hint)
    if value not in _RULES:
        word = str(value) if isinstance(value, str) else "this"
        hint = did_you_mean(word, (*_RULES, "{newest: SECONDS}"), noun="policies")
        raise problem(f"{value!r} is not a policy", hint)
    return PolicyRule(rule=Rule(value))


def _skew(value: object) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*s?", str(value))
    seconds = float(found[1]) if found else 0.0
    if not 0 < seconds <= _LARGEST_SKEW:
        raise problem(
            f"{value!r} is no bound of seconds", "for example {newest: 5}; measure it: migrator sync status"
        )
    return seconds


PolicyWord: TypeAlias = Annotated[
    PolicyRule,
    BeforeValidator(_policy),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_RULES)},
                {
                    "type": "object",
                    "properties": {"newest": {"type": ["number", "string"]}},
                    "required": ["newest"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Mapping) else value


def _map(value: object) -> object:
    if isinstance(value, str):
        return Values(file=value)
    if isinstance(value, Mapping) and all(item is None or isinstance(item, str) for item in value.values()):
        return Values(inline=dict(value))
    raise problem("this is not a value map", "write {new: old, …} or the path of a CSV file in the project")


class WayBack(Strict):
    """How one column of the old side gets its value from the new side."""

    to: Annotated[
        str | None, Field(description="Column of the old side; left out where the field comes from one.")
    ] = None
    expr: Annotated[str | None, Field(description="SQL scalar expression over fields of the new side.")] = (
        None
    )
    values: Annotated[
        Values | None,
        BeforeValidator(_map),
        WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS]}),
        Field(description="Value map {new: old}, or a CSV file with columns source (new) and target (old)."),
    ] = None

    @model_validator(mode="after")
    def _says_how(self) -> WayBack:
        if (self.expr is None) == (self.values is None):
            what = "says nothing" if self.expr is None else "has expr and values"
            raise problem(f"this way back {what}", "write one of: {expr: …}, {values: {new: old}}")
        return self


_SAME = tuple(item.value for item in Comparison)


def _comparison(value: object) -> object:
    if value not in _SAME:
        raise problem(f"{value!r} is no way to compare", did_you_mean(str(value), _SAME, noun="words"))
    return value


class SyncField(Strict):
    """What is special about one field of the new side."""

    direction: Annotated[
        Way | None, Field(description="forward, reverse or both, where it is not the mapping's own.")
    ] = None
    reverse: Annotated[
        tuple[WayBack, ...],
        BeforeValidator(_listed),
        Field(description="How it comes back: {expr: …} or {values: {new: old}}, or a list, one a column."),
    ] = ()
    same: Annotated[
        Comparison | None,
        BeforeValidator(_comparison),
        WithJsonSchema({"enum": list(_SAME)}),
        Field(description="When two values say the same: text, email, phone, rich_text, number, date, …"),
    ] = None


class Deactivated(Strict):
    """Values that mean that a record is no longer in use, on each side."""

    new: Annotated[
        dict[str, Annotated[str, WithJsonSchema(SCALAR)]],
        Field(min_length=1, description="Field of the new side → value that means inactive."),
    ]
    old: Annotated[
        dict[str, Annotated[str, WithJsonSchema(SCALAR)]],
        Field(description="Column of the old side → value that means inactive."),
    ] = Field(default_factory=dict)


class DeleteRule(Strict):
    """What a proven delete on one side does on the other."""

    policy: DeletePolicy = DeletePolicy.HOLD
    deactivated: Deactivated | None = None


_DELETES = ("propagate", "hold")


def _delete(value: object) -> object:
    if isinstance(value, Mapping) and set(value) == {"deactivate"}:
        return {"policy": DeletePolicy.DEACTIVATE, "deactivated": value["deactivate"]}
    if value == "deactivate":
        hint = "write deactivate: {new: {FIELD: VALUE}, old: {COLUMN: VALUE}}"
        raise problem("deactivate does not say which values mean inactive", hint)
    if value not in _DELETES:
        hint = did_you_mean(str(value), (*_DELETES, "{deactivate: …}"), noun="words")
        raise problem(f"{value!r} is not what a delete can do", hint)
    return {"policy": DeletePolicy(str(value))}


_DEACTIVATED_SCHEMA = {
    "type": "object",
    "properties": {"new": _TEXTS, "old": _TEXTS},
    "required": ["new"],
    "additionalProperties": False,
}


def _enforced(value: object) -> object:
    if value in ("true", "false"):
        return ["*"] if value == "true" else []
    return [value] if isinstance(value, str) else value


def _consent(value: object) -> object:
    if isinstance(value, str):
        return {value: "false"}
    if isinstance(value, list):
        return {str(item): "false" for item in value}
    return value


class SyncRule(Strict):
    """How records flow between the two systems while both are used."""

    direction: Annotated[Way, Field(description="forward (old to new), reverse, or both.")]
    key: Annotated[
        str | None,
        Field(description="Column of the old side for the new record's id; without it new ones stay there."),
    ] = None
    policy: Annotated[
        dict[str, PolicyWord],
        Field(description="`default` and fields → old_wins, new_wins, hold, merge:…, {newest: SECONDS}."),
    ] = Field(default_factory=dict)
    enforce: Annotated[
        tuple[str, ...],
        BeforeValidator(_enforced),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}),
        Field(description="true, or fields: an edit on the side that does not own a field is reverted."),
    ] = ()
    consent: Annotated[
        dict[str, str],
        BeforeValidator(_consent),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, _TEXTS]}
        ),
        Field(
            description="Consent fields, or {FIELD: VALUE that restricts most}; never widened by the sync."
        ),
    ] = Field(default_factory=dict)
    delete: Annotated[
        DeleteRule,
        BeforeValidator(_delete),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": list(_DELETES)},
                    {
                        "type": "object",
                        "properties": {"deactivate": _DEACTIVATED_SCHEMA},
                        "required": ["deactivate"],
                        "additionalProperties": False,
                    },
                ]
            }
        ),
        Field(
            description="A proven delete: hold (the default), propagate, or {deactivate: {new: …, old: …}}."
        ),
    ] = DeleteRule()
    fields: Annotated[
        dict[str, SyncField], Field(description="Field of the new side → what is special about it.")
    ] = Field(default_factory=dict)


def sync_model(parents: Sequence[str]) -> type[Strict] | None:
    """The model of what stands at a path of keys below `sync`; None where there is none of ours."""
    match [*parents]:
        case []:
            return SyncRule
        case ["fields", _]:
            return SyncField
        case ["fields", _, "reverse"]:
            return WayBack
        case ["delete", *_]:
            return Deactivated
        case _:
            return None
