"""The YAML of a mapping as a strict, frozen model: what may be written, nothing of what it means for a schema.

Scalars arrive as the texts they were written in (`Document.texts`), so `NO`, `01` and `1.10` keep their form.
Every docstring here is the hover text of the editor schema and the source of the reference in docs/mapping.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from migrator.core.document import did_you_mean
from migrator.core.mapped import Normaliser
from migrator.core.schema import FieldType
from migrator.mapping.dates import check_format
from migrator.mapping.hook_name import hook_name
from migrator.mapping.issues import RULES
from migrator.mapping.kinds import parse_kind
from migrator.mapping.labels import Label
from migrator.mapping.model_base import SCALAR, Name, Strict, problem
from migrator.mapping.model_by import LookupRule, ValueMap
from migrator.mapping.model_rows import ExplodeRule, JoinRule
from migrator.mapping.model_survival import Survival
from migrator.mapping.model_sync import SyncRule
from migrator.mapping.money import Money
from migrator.mapping.standins import StandIn
from migrator.mapping.transforms import VERBS
from migrator.mapping.warnings import WARNINGS


class Policy(Enum):
    """What becomes of a value that the value map does not know."""

    QUARANTINE = "quarantine"
    NULL = "null"
    KEEP = "keep"
    DEFAULT = "default"


def _column(value: str) -> str:
    if value.startswith("__"):
        raise problem(f"{value!r} begins with '__'", "such names are the tool's own: choose another")
    if not value.strip() or "\x00" in value:
        raise problem("a field needs a name", "write the name of the field in the target")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _verb(value: str) -> str:
    if value not in VERBS:
        raise problem(f"unknown clean verb {value!r}", did_you_mean(value, VERBS, noun="verbs"))
    return value


def _kind(value: str) -> str:
    try:
        parse_kind(value)
    except ValueError as error:
        name = value.partition("(")[0]
        known = [item.value for item in FieldType]
        hint = (
            "for example decimal(18,2) or string(80)"
            if name in known
            else did_you_mean(name, known, noun="types")
        )
        if "(" in value and ")" not in value:
            hint = "inside { } a comma ends the value: write type: 'decimal(18,2)' with quotes"
        raise problem(str(error), hint) from error
    return value


def _format(value: str) -> str:
    try:
        check_format(value)
    except ValueError as error:
        raise problem(str(error), "for example '%d.%m.%Y' or '%m/%d/%Y %I:%M %p'") from error
    return value


def _region(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}", value):
        raise problem(f"{value!r} is not a country", "two capital letters, for example CN, US or DE")
    return value


def _choice(words: tuple[str, ...]) -> BeforeValidator:
    """Accept one of `words` (a bare YAML null is the word 'null'), or {default: TEXT}."""

    def check(value: object) -> object:
        word = "null" if value is None else value
        if isinstance(word, str):
            if word not in words:
                raise problem(
                    f"{word!r} is not allowed here",
                    did_you_mean(word, (*words, "{default: …}"), noun="words"),
                )
            return {"policy": word}
        if isinstance(word, Mapping) and set(word) == {"default"}:
            return {"policy": "default", "text": word["default"]}
        raise problem(
            "this is not one of the words allowed here", f"one of: {', '.join(words)}, {{default: TEXT}}"
        )

    return BeforeValidator(check)


def _choice_schema(words: tuple[str, ...]) -> WithJsonSchema:
    default = {
        "type": "object",
        "properties": {"default": SCALAR},
        "required": ["default"],
        "additionalProperties": False,
    }
    return WithJsonSchema({"anyOf": [{"enum": [*words, None]}, default]})


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

TargetField: TypeAlias = Annotated[str, AfterValidator(_column)]
Scalar: TypeAlias = Annotated[str, WithJsonSchema(SCALAR)]


class Fallback(Strict):
    """A policy word, with the text that goes with 'default'."""

    policy: str
    text: Scalar | None = None


_QUARANTINE = Fallback(policy="quarantine")

Unmapped: TypeAlias = Annotated[
    Fallback, _choice(("quarantine", "null", "keep")), _choice_schema(("quarantine", "null", "keep"))
]
Missing: TypeAlias = Annotated[
    Fallback, _choice(("quarantine", "null")), _choice_schema(("quarantine", "null"))
]


STATUSES = ("open", "agreed", "blocked")


def _status(value: object) -> object:
    if value not in STATUSES:
        raise problem(f"{value!r} is not a status", did_you_mean(str(value), STATUSES, noun="words"))
    return value


class Review(Strict):
    """What people agreed on a field; changes nothing of what the mapping does."""

    status: Annotated[
        Literal["open", "agreed", "blocked"] | None,
        BeforeValidator(_status),
        Field(description="open, agreed or blocked."),
    ] = None
    by: Annotated[str | None, Field(description="Who looked at it.")] = None
    question: Annotated[str | None, Field(description="What is still to be answered.")] = None


class FieldRule(Strict):
    """How one target field gets its value."""

    from_: Annotated[
        str | None, Field(alias="from", description="Source column, exactly as the source names it.")
    ] = None
    expr: Annotated[
        str | None,
        Field(description="SQL scalar expression over source columns; see the table of functions."),
    ] = None
    value: Annotated[Scalar | None, Field(description="A constant; null leaves the field empty.")] = None
    record_id: Annotated[
        bool,
        Field(description="The record's own id in this migration, 'SOURCE:KEY'; the usual external key."),
    ] = False
    python: Annotated[
        Annotated[str, AfterValidator(hook_name)] | None,
        Field(
            description="A pandas function of the project: hooks.segment is segment in hooks.py; needs hooks: true."
        ),
    ] = None
    using: Annotated[
        tuple[str, ...],
        BeforeValidator(_listed),
        WithJsonSchema(_NAMES),
        Field(description="Source columns that the function of python: takes, in order."),
    ] = ()
    clean: Annotated[
        tuple[Annotated[str, AfterValidator(_verb)], ...],
        BeforeValidator(_listed),
        WithJsonSchema({"anyOf": [{"enum": list(VERBS)}, {"type": "array", "items": {"enum": list(VERBS)}}]}),
        Field(description="Clean verbs, applied to the text from left to right."),
    ] = ()
    values: Annotated[
        ValueMap | None,
        Field(
            description="Value map: {old: new}, a CSV file with columns source and target, or {by: COLUMN, maps: …}."
        ),
    ] = None
    unmapped: Annotated[
        Unmapped,
        Field(description="A value not in the map: quarantine (the default), null, keep, or {default: X}."),
    ] = _QUARANTINE
    lookup: Annotated[
        LookupRule,
        Field(
            description="Mapping(s) the linked record belongs to; MAPPING.SOURCE when it has several of one system; "
            "{type: COLUMN, TYPE: MAPPING} when a column tells."
        ),
    ] = ()
    by: Annotated[
        str | None, Field(description="Source column of the linked object that is matched, if not its key.")
    ] = None
    missing: Annotated[
        Missing,
        Field(
            description="The linked record is not in the source: quarantine (the default), null, or {default: KEY}."
        ),
    ] = _QUARANTINE
    inactive: Annotated[
        StandIn | None,
        Field(
            description="Linked records no longer in use: {when: CONDITION, use: KEY of the one that stands in}."
        ),
    ] = None
    defer: Annotated[
        bool | None,
        Field(description="Set this link in a second pass; by itself for self references and cycles."),
    ] = None
    default: Annotated[
        Scalar | None,
        Field(description="Takes the place of null and of an empty text, in the target's terms."),
    ] = None
    first: Annotated[
        Scalar | None,
        Field(
            description="What a record is created with; its own value is set in the second pass, after links."
        ),
    ] = None
    type: Annotated[
        Annotated[str, AfterValidator(_kind)] | None,
        Field(description="Type in the target, for example date, decimal(18,2), string(80)."),
    ] = None
    format: Annotated[
        tuple[Annotated[str, AfterValidator(_format)], ...],
        BeforeValidator(_listed),
        WithJsonSchema(_NAMES),
        Field(description="Date formats of the source, tried before the ISO forms, for example '%d.%m.%Y'."),
    ] = ()
    currency: Annotated[
        Money | None,
        Field(description="The amount's currency: {from: COLUMN} or {code: CNY}; to: and rates: convert it."),
    ] = None
    zone: Annotated[
        str | None,
        Field(description="Time zone of source times that do not say theirs, for example Asia/Shanghai."),
    ] = None
    required: Annotated[bool, Field(description="A row without a value goes to quarantine.")] = False
    unique: Annotated[bool, Field(description="The target holds each value once.")] = False
    length: Annotated[
        int | None,
        Field(ge=1, description="Most characters the target holds; longer values go to quarantine."),
    ] = None
    pii: Annotated[
        str | None,
        Field(description="Kind of personal data (name, email, phone, address, …); masked in reports."),
    ] = None
    label: Annotated[
        Label | None,
        Field(
            description="What users of the target call the field: a text, or {en: …, zh_CN: …, zh_TW: …, ms: …}."
        ),
    ] = None
    review: Annotated[
        Review | None,
        Field(exclude=True, description="What people agreed on the field: {status, by, question}."),
    ] = None
    """Excluded from dumps: a fingerprint is of what a mapping does, and no row is mapped anew for a signature."""


class Exclusion(Strict):
    """Rows that do not move, with the reason that the accounting shows."""

    when: Annotated[str, Field(description="SQL condition over source columns.")]
    reason: Annotated[str, Field(min_length=1, description="Why such rows do not move.")]


class SourceRule(Strict):
    """One source of an object."""

    system: Annotated[
        Name | None, Field(description="System in migration.yaml; the source's own name if left out.")
    ] = None
    object: Annotated[str, Field(min_length=1, description="Object (table, entity) of that system.")]
    key: Annotated[
        tuple[str, ...],
        BeforeValidator(_listed),
        WithJsonSchema(_NAMES),
        Field(description="Source column(s) that identify a record together; the schema's key if left out."),
    ] = ()
    join: Annotated[
        dict[Name, JoinRule],
        Field(description="Other objects whose columns are read too, as NAME.COLUMN: {NAME: {object, on}}."),
    ] = Field(default_factory=dict)
    explode: Annotated[
        ExplodeRule | None,
        Field(description="One row for each of the values that a column holds: {column, split, as}."),
    ] = None
    where: Annotated[
        str | None,
        Field(description="SQL condition; rows that do not meet it count as excluded, with it as reason."),
    ] = None
    exclude: Annotated[
        tuple[Exclusion, ...], Field(description="Rows that do not move; the first reason counts.")
    ] = ()
    drop: Annotated[
        dict[str, str], Field(description="Source columns that go nowhere on purpose: {column: reason}.")
    ] = Field(default_factory=dict)
    fields: Annotated[
        dict[TargetField, FieldRule], Field(description="Laid over the common fields, key by key.")
    ] = Field(default_factory=dict)


class TargetRule(Strict):
    """Where the records go."""

    system: Annotated[Name, Field(description="System in migration.yaml.")]
    object: Annotated[str, Field(min_length=1, description="Object (table, entity) of the target.")]
    key: Annotated[TargetField, Field(description="Target field that carries the unique external key.")]


def _or_name(schema: dict[str, Any]) -> None:
    """In the editor schema: keys, or only the name of a model."""
    keys = dict(schema)
    some = {"required": ["keys"], "properties": {"keys": {"minProperties": 1}}}
    keys["anyOf"] = [some, {"required": ["model"]}]
    schema.clear()
    schema["anyOf"] = [{"type": "string", "description": "Name of a model, or auto."}, keys]


class DedupeRule(Strict):
    """How duplicates are found, and what survives."""

    model_config = ConfigDict(json_schema_extra=_or_name)

    keys: Annotated[
        dict[str, dict[str, Normaliser]],
        Field(description="Name → {field: normaliser}; rows that agree in all fields of a key are one."),
    ] = Field(default_factory=dict)
    model: Annotated[
        str,
        Field(
            description="Finds probable duplicates: `auto`, worked out from the data, or the name of a file in dedupe/."
        ),
    ] = ""
    survivorship: Annotated[
        dict[str, Survival], Field(description="Field or group → rule; `default` for what is not named.")
    ] = Field(default_factory=dict)
    groups: Annotated[
        dict[str, Annotated[tuple[str, ...], Field(min_length=2)]],
        Field(description="Name → fields that all come from one record, for example an address."),
    ] = Field(default_factory=dict)
    recency: Annotated[
        str, Field(description="Target field (date or datetime) that says which row is newer.")
    ] = ""
    trust: Annotated[tuple[str, ...], Field(description="Source names, most trusted first.")] = ()
    region: Annotated[
        str,
        AfterValidator(_region),
        Field(description="Country for phone numbers without a country prefix, for example CN."),
    ] = ""
    identity: Annotated[
        tuple[str, ...],
        Field(
            description="Fields (tax id, national id) of which records that are one never have two values."
        ),
    ] = ()
    max_cluster: Annotated[int, Field(ge=2, description="Larger clusters are reported, not merged.")] = 50

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        """A name alone is that of a model."""
        return {"model": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _finds_something(self) -> DedupeRule:
        if not self.keys and not self.model:
            raise problem(
                "dedupe has neither keys nor a model",
                "write keys: {email: {email: email}}, or model: auto, or both",
            )
        return self


def _rule(value: str) -> str:
    if value not in RULES:
        raise problem(f"no issue is called {value!r}", did_you_mean(value, RULES, noun="issues"))
    return value


def _warning(value: str) -> str:
    if value not in WARNINGS:
        raise problem(f"no warning is called {value!r}", did_you_mean(value, WARNINGS, noun="warnings"))
    return value


class Acceptance(Strict):
    """A warning that somebody has looked at and accepts."""

    warning: Annotated[
        str,
        AfterValidator(_warning),
        WithJsonSchema({"enum": list(WARNINGS)}),
        Field(description="Code of the warning, as `migrator check` shows it."),
    ]
    field: Annotated[
        str, Field(min_length=1, description="The target field, or the source column, it is about.")
    ]
    reason: Annotated[str, Field(min_length=1, description="Why that is right; `migrator check` lists it.")]


TestRow: TypeAlias = Annotated[
    dict[str, str | None], WithJsonSchema({"type": "object", "additionalProperties": SCALAR})
]


class MappingTest(Strict):
    """Rows in, rows out: run by `migrator map test` through the query that the mapping is compiled to."""

    name: Annotated[str, Field(min_length=1, description="What the test shows, in a sentence.")]
    rows: Annotated[
        dict[str, tuple[TestRow, ...]],
        Field(
            min_length=1,
            description="Source of this mapping, or SYSTEM/OBJECT that it links to → rows of {column: text}.",
        ),
    ]
    expect: Annotated[
        tuple[TestRow, ...] | None,
        Field(description="The rows that move, in order; only the fields named are compared."),
    ] = None
    excluded: Annotated[str | None, Field(description="No row moves: each is excluded for this reason.")] = (
        None
    )
    issues: Annotated[
        tuple[Annotated[str, AfterValidator(_rule)], ...] | None,
        Field(description="Exactly these issues are found in the rows, warnings included."),
    ] = None

    @model_validator(mode="after")
    def _expects(self) -> MappingTest:
        if self.expect is None and self.excluded is None and self.issues is None:
            raise problem("this test expects nothing", "write one of: expect, excluded, issues")
        return self


class MappingRule(Strict):
    """One mapping: everything about one object of the target."""

    mapping: Annotated[
        Name, Field(description="The mapping's name: what accounting and explain call the object.")
    ]
    target: TargetRule
    source: Annotated[
        SourceRule | None, Field(description="The only source, short form; `system` names it.")
    ] = None
    sources: Annotated[dict[Name, SourceRule], Field(description="Several sources, by name.")] = Field(
        default_factory=dict
    )
    fields: Annotated[
        dict[TargetField, FieldRule], Field(description="Target fields and where they come from.")
    ] = Field(default_factory=dict)
    dedupe: Annotated[DedupeRule | None, Field(description="Duplicate rules; none if left out.")] = None
    sync: Annotated[
        SyncRule | None,
        Field(exclude=True, description="How records flow while both systems are used: {direction: both}."),
    ] = None
    accept: Annotated[
        tuple[Acceptance, ...],
        Field(exclude=True, description="Warnings that are right as they are, each with its reason."),
    ] = ()
    tests: Annotated[
        tuple[MappingTest, ...],
        Field(exclude=True, description="Rows in, rows out; run by `migrator map test`."),
    ] = ()


def json_schema() -> dict[str, Any]:
    """The editor schema of a mapping file, as JSON Schema."""
    schema = MappingRule.model_json_schema(by_alias=True)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A mapping of crm-migrator",
        **schema,
    }
