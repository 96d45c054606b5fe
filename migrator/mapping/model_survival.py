"""The YAML of what survives when records are merged: a word, or how a value is made of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from migrator.core.document import did_you_mean
from migrator.core.mapped import Survivorship
from migrator.mapping.hook_name import hook_name
from migrator.mapping.model_base import Strict, problem

WORDS = tuple(rule.value for rule in Survivorship if rule is not Survivorship.CUSTOM)


class SurvivalRule(Strict):
    """How the value of a field, or of a group of fields, is chosen among the records that are merged, or made of them."""

    rule: Annotated[
        Survivorship | None, Field(description="One of the words; alone it may stand without braces.")
    ] = None
    union: Annotated[
        str | None,
        Field(min_length=1, description="Every distinct value, most trusted first, with this between them."),
    ] = None
    expr: Annotated[
        str | None, Field(description="SQL expression over aggregates of the records' fields: max(score).")
    ] = None
    python: Annotated[
        str | None,
        AfterValidator(hook_name),
        Field(
            description="Function of the project: takes lists of the records' values, gives one value each."
        ),
    ] = None
    using: Annotated[
        tuple[str, ...],
        Field(description="Target fields that the function takes, in order; alone: the field itself."),
    ] = ()

    @model_validator(mode="after")
    def _says_one(self) -> SurvivalRule:
        said = [name for name in ("rule", "union", "expr", "python") if getattr(self, name) is not None]
        if len(said) != 1:
            raise problem(
                f"this says {' and '.join(said)}" if said else "this says nothing",
                'write a word, or one of {union: "; "}, {expr: …}, {python: hooks.…}',
            )
        if self.using and self.python is None:
            raise problem("only a function takes fields by 'using'", "an expression names them itself")
        return self

    @property
    def kind(self) -> Survivorship:
        """The rule as the engine knows it."""
        if self.rule is not None:
            return self.rule
        return Survivorship.UNION if self.union is not None else Survivorship.CUSTOM


def _spelt(value: object) -> object:
    word = value.get("rule", WORDS[0]) if isinstance(value, Mapping) else value
    if not isinstance(word, str) or word not in WORDS:
        hint = did_you_mean(str(word), WORDS, noun="words")
        raise problem(f"{word!r} is not allowed here", hint)
    return value if isinstance(value, Mapping) else {"rule": value}


Survival: TypeAlias = Annotated[
    SurvivalRule,
    BeforeValidator(_spelt),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(WORDS)},
                {
                    "type": "object",
                    "properties": {
                        name: {"type": "array", "items": {"type": "string"}}
                        if name == "using"
                        else {"enum": list(WORDS)}
                        if name == "rule"
                        else {"type": "string"}
                        for name in SurvivalRule.model_fields
                    },
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""A rule as it is written: `most_recent`, or `{union: "; "}`."""
