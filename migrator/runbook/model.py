"""A runbook file as a model: what stands in it, in which shapes; the editor's JSON Schema is generated from it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

from migrator.core.phases import Phase
from migrator.mapping.model_base import problem
from migrator.runbook.durations import PATTERN, seconds
from migrator.runbook.expression import Condition, NotACondition, parse_condition

_ID = re.compile(r"[^\W_][\w@.-]*")


class Strict(BaseModel):
    """A part of a runbook: keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _seconds(value: object) -> float:
    try:
        return seconds(str(value))
    except ValueError:
        raise problem(f"{value!r} is not a time", "for example 90s, 15m, 1h30m or 14d") from None


class Asked(Strict):
    """A condition as written, and what it means."""

    text: str
    condition: Condition


def _asked(value: object) -> Asked:
    text = str(value)
    try:
        return Asked(text=text, condition=parse_condition(text))
    except NotACondition as error:
        raise problem(str(error), error.hint) from None


def _verification(value: object) -> Asked:
    if not isinstance(value, dict):
        return _asked(value)
    if set(value) != {"query", "expect"}:
        raise problem(
            "a verification is a condition, or query and expect", "{query: canary.result, expect: pass}"
        )
    return _asked(f"{value['query']} == {value['expect']}")


def _shape(value: object) -> str:
    """Which of several shapes a value is written in: its first key, or `text`."""
    if isinstance(value, dict):
        return str(next(iter(value), ""))
    return "text" if isinstance(value, str) else ""


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value) or len(value) > 60:
        raise problem(f"{value!r} cannot be a name here", "letters, digits, - . and _; at most 60")
    return value


def _moment(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise problem(f"{value!r} is not a moment with its zone", "for example 2026-03-06T20:00+08:00")
    return found


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_TEXT = {"type": "string"}
Duration: TypeAlias = Annotated[
    float, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "pattern": f"^{PATTERN.pattern}$"})
]
"""Seconds, written as 15m."""
Expression: TypeAlias = Annotated[Asked, BeforeValidator(_asked), WithJsonSchema(_TEXT)]
"""A condition over facts."""
Verification: TypeAlias = Annotated[
    Asked,
    BeforeValidator(_verification),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {
                    "type": "object",
                    "properties": {"query": _TEXT, "expect": _TEXT},
                    "required": ["query", "expect"],
                },
            ]
        }
    ),
]
Identifier: TypeAlias = Annotated[str, AfterValidator(_identifier)]
Moment: TypeAlias = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema(_TEXT | {"format": "date-time"})
]
Texts: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
]


class Role(Strict):
    """Who does something, and who does it when that person cannot."""

    what: str = ""
    owner: str = ""
    backup: str = ""


class Group(Strict):
    """Objects that change phase together: all of a system, or the records of a business unit."""

    objects: Texts = ()
    """Mappings; none stands for all."""
    unit: str = ""
    """The business unit whose records they are, in words."""
    after: Texts = ()
    """Groups that this one refers to: it enters no phase before they do."""


class Window(Strict):
    """When the evening is: two moments, or only how long it may take while they are not fixed yet."""

    start: Moment | None = None
    end: Moment | None = None
    length: Duration | None = None

    @property
    def seconds(self) -> float | None:
        """How long it is; None when nothing is said."""
        if self.start and self.end:
            return (self.end - self.start).total_seconds()
        return self.length


class Approvals(Strict):
    """Who must say yes before a step begins: so many different people, each in one of these roles, never the operator."""

    need: Annotated[int, Field(ge=1)]
    of: Texts
    not_: Literal["operator"] = Field("operator", alias="not")
    valid: Duration = 86_400.0
    """How long an approval stands."""


class Evidence(Strict):
    """What a step leaves as proof."""

    file: str
    """A name in the run's evidence folder: what the command answered, or a person, is written there."""
    max_age: Duration | None = None


class Nothing(Strict):
    """There is nothing to take back, and why."""

    nothing: str


class OtherRunbook(Strict):
    """Another runbook takes this back."""

    runbook: Identifier


class External(Strict):
    """A program of the user's: never through a shell. A last line of JSON on its standard output may state facts."""

    external: Annotated[tuple[str, ...], Field(min_length=1)]


class Wait(Strict):
    """Time that must pass."""

    wait: Duration


class WaitFor(Strict):
    """Something that must come to hold."""

    wait_for: Expression
    every: Duration = 30.0


Command: TypeAlias = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[External, Tag("external")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[WaitFor, Tag("wait_for")],
    Discriminator(_shape),
]
Rollback: TypeAlias = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[Nothing, Tag("nothing")]
    | Annotated[OtherRunbook, Tag("runbook")],
    Discriminator(_shape),
]


class Question(Strict):
    """One field of the form of a manual step."""

    ask: str
    type: Literal["text", "number", "yes_no", "time", "file"] = "text"


class Communication(Strict):
    """What is said to whom when the step is done."""

    to: Texts
    text: str


class Action(Strict):
    """What steps and undo steps have in common."""

    id: Identifier
    title: str
    owner: str
    backup_owner: str
    planned: Duration
    limit: Duration | None = None
    """When it has not ended by then, it is cancelled."""
    command: Command
    instructions: str = ""
    """What a person does, or should know."""
    form: dict[str, Question] = {}
    verification: Verification | None = None
    """What decides whether the step is done; without it, that its command ended well."""
    evidence: Evidence | None = None
    communication: Communication | None = None


class Step(Action):
    """One step."""

    phase: Phase
    group: str = ""
    """The group it is about; `each` stands for every group in turn; nothing for all of them together."""
    preconditions: tuple[Expression, ...] = ()
    rollback: Rollback | None = None
    point_of_no_return: bool = False
    approvals: Approvals | None = None
    abort_if: tuple[Expression, ...] = ()


class RunbookRule(Strict):
    """The whole file."""

    runbook: Identifier
    version: str
    title: str
    about: str = ""
    starts_in: Phase | None = None
    """The phase that its groups are in when it begins; nothing when they are in none."""
    groups: dict[str, Group] = {"all": Group()}
    roles: dict[str, Role]
    recipients: dict[str, str] = {}
    """Whom messages go to, and how they are reached."""
    window: Window = Window()
    fall_back: Annotated[
        Literal["yes", "no"] | None, WithJsonSchema({"enum": ["yes", "no", True, False]})
    ] = None
    """Whether a way back is wanted after the switch."""
    exceptions: Annotated[int, Field(ge=0)] = 0
    """Records that may stay behind."""
    parallel: Duration | None = None
    """How long both systems are kept after the switch."""
    mapping_hash: str = ""
    tool_version: str = ""
    abort_if: tuple[Expression, ...] = ()
    steps: tuple[Step, ...]
    undo: tuple[Action, ...] = ()
