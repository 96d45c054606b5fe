"""What makes the rows of a source in the YAML: other objects joined to it, and values exploded into rows of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from migrator.core.document import did_you_mean
from migrator.mapping.model_base import Name, Strict, problem

KEEP, QUARANTINE, EXCLUDE = "keep", "quarantine", "exclude"
_REASON = "write missing: {exclude: why such rows do not move}"


class JoinMissing(Strict):
    """What becomes of a row that finds no partner; `reason` goes with 'exclude'."""

    policy: str
    reason: str = ""


def _missing(value: object) -> object:
    if value in (KEEP, QUARANTINE):
        return {"policy": value}
    if value == EXCLUDE:
        raise problem("exclude says no reason", _REASON)
    if isinstance(value, Mapping) and set(value) == {EXCLUDE}:
        reason = value[EXCLUDE]
        if not isinstance(reason, str) or not reason:
            raise problem("exclude says no reason", _REASON)
        return {"policy": EXCLUDE, "reason": reason}
    words = (KEEP, QUARANTINE, "{exclude: REASON}")
    raise problem(f"{value!r} is not allowed here", did_you_mean(str(value), words, noun="words"))


Missing: TypeAlias = Annotated[
    JoinMissing,
    BeforeValidator(_missing),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [KEEP, QUARANTINE]},
                {
                    "type": "object",
                    "properties": {EXCLUDE: {"type": "string"}},
                    "required": [EXCLUDE],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class JoinRule(Strict):
    """Another object whose one matching record gives columns to each row, as NAME.COLUMN."""

    object: Annotated[str, Field(min_length=1, description="Object (table, entity) that is joined.")]
    system: Annotated[
        Name | None, Field(description="System it is read from; the source's own if left out.")
    ] = None
    on: Annotated[
        dict[str, str],
        Field(min_length=1, description="{COLUMN of this source: COLUMN of that object}; all must be equal."),
    ]
    missing: Annotated[
        Missing,
        Field(description="A row that finds no partner: keep (the default), quarantine, {exclude: REASON}."),
    ] = JoinMissing(policy=KEEP)


class ExplodeRule(Strict):
    """One row for each of the values that a column holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    column: Annotated[str, Field(min_length=1, description="Column that holds the values.")]
    split: Annotated[
        str | None, Field(min_length=1, description="What stands between the values, for example ';'.")
    ] = None
    json_: Annotated[bool, Field(alias="json", description="The values are a JSON list.")] = False
    parts: Annotated[
        tuple[str, ...],
        Field(
            description="Fields of the JSON objects in the list, as columns AS.FIELD; the first that is filled is the value."
        ),
    ] = ()
    as_: Annotated[Name, Field(alias="as", description="What the value is called in this mapping.")]

    @model_validator(mode="after")
    def _one_way(self) -> ExplodeRule:
        if (self.split is None) is not self.json_:
            raise problem("explode says not how values are told apart", "give one of: split: ';', json: true")
        if self.parts and not self.json_:
            raise problem("parts means nothing without json", "only JSON objects have fields")
        return self
