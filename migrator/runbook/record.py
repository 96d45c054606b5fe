"""What the journal tells of runbooks: steps done, facts established, approvals, gates, rehearsals; written and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from migrator.core.fingerprint import fingerprint
from migrator.core.phases import Phase
from migrator.runbook.facts import Value
from migrator.staging.journal import Entry, append, read
from migrator.staging.ledger import Ledger
from migrator.staging.phases import KIND as PHASE

STEP = "runbook.step"
APPROVAL = "runbook.approval"
FORCE = "runbook.force"
GATE = "gate"
REHEARSAL = "runbook.rehearsal"
_KINDS = (STEP, APPROVAL, FORCE, GATE, REHEARSAL, PHASE)


class State(Enum):
    """How far a step came."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Footing:
    """What a plan stands on: the file, the mappings and the tool. When one changes, approvals are void."""

    content: str
    mapping: str
    tool: str

    @property
    def plan(self) -> str:
        """The plan's hash: what approvals are bound to."""
        return fingerprint(self.content, self.mapping, self.tool)

    @property
    def basis(self) -> str:
        """Mapping and tool alone: what computed facts and rehearsals are bound to."""
        return f"{self.mapping}/{self.tool}"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One row about a step."""

    number: int
    at: datetime
    began: datetime
    plan: str
    book: str
    step: str
    groups: tuple[str, ...]
    state: State
    seconds: float
    by: str
    message: str
    evidence: Mapping[str, str]
    """`file` and `sha256`; empty without evidence."""
    facts: Mapping[str, Value]
    basis: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes to one step, or (`condition`) to passing a condition that does not hold."""

    at: datetime
    plan: str
    step: str
    name: str
    role: str
    expires: datetime
    reason: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal, and how long each step took, in seconds."""

    at: datetime
    book: str
    content: str
    basis: str
    ended: str
    """`done`, or how it failed."""
    steps: Mapping[str, float]
    drill: bool


@dataclass(slots=True)
class History:
    """Everything the journal tells of runbooks, in the order in which it happened."""

    steps: list[StepRow] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    forces: list[Approval] = field(default_factory=list)
    rehearsals: list[Rehearsal] = field(default_factory=list)
    gates: list[Entry] = field(default_factory=list)
    phases: list[Entry] = field(default_factory=list)
    number: int = 0
    """Of the last row that was read."""

    def last(self, plan: str, step: str) -> StepRow | None:
        """The last row about a step of a plan."""
        return next((row for row in reversed(self.steps) if (row.plan, row.step) == (plan, step)), None)

    def before(self, group: str, phase: Phase) -> int:
        """The number of the row with which a group was last put in a phase before `phase`; 0 when there is none.

        Steps of a phase that were done before that count for nothing any more: the group was taken back since.
        """
        return next(
            (
                entry.number for entry in reversed(self.phases)
                if entry.body["group"] == group and Phase(entry.body["to"]).number < phase.number
            ),
            0,
        )  # fmt: skip

    def fact(self, name: str, group: str, basis: str, *, said: bool) -> StepRow | None:
        """The last step that established a fact for a group; None when there is none.

        What the tool computed counts only on the mapping and the tool it was computed with; what people said stays.
        """
        return next(
            (
                row for row in reversed(self.steps)
                if name in row.facts and group in row.groups and (said or row.basis == basis)
            ),
            None,
        )  # fmt: skip


def replay(ledger: Ledger, known: History | None = None) -> History:
    """Read everything from the journal; with what is `known` already, only what came since, into it."""
    found = known or History()
    with ledger.read() as connection:
        for entry in read(connection, after=found.number, kinds=_KINDS):
            _add(found, entry)
    return found


def _add(found: History, entry: Entry) -> None:
    found.number, body = entry.number, entry.body
    match entry.kind:
        case "runbook.step":
            found.steps.append(_step(entry))
        case "runbook.approval":
            found.approvals.append(_approval(entry))
        case "runbook.force":
            found.forces.append(_approval(entry))
        case "runbook.rehearsal":
            found.rehearsals.append(
                Rehearsal(
                    entry.at, body["book"], body["content"], body["basis"], body["ended"], body["steps"], body["drill"]
                )
            )  # fmt: skip
        case "gate":
            found.gates.append(entry)
        case _:
            found.phases.append(entry)


def write(ledger: Ledger, kind: str, body: Mapping[str, Any]) -> None:
    """Add one row to the journal, in a transaction of its own."""
    with ledger.begin() as connection:
        append(connection, kind, body, at=ledger.clock.now(), run=ledger.run)


def approve(
    ledger: Ledger, kind: str, *, plan: str, step: str, name: str, role: str, valid: float, **more: str
) -> None:
    """Put an approval (`APPROVAL`) or a permission to force (`FORCE`) on record; it ends after `valid` seconds."""
    expires = ledger.clock.now() + timedelta(seconds=valid)
    write(ledger, kind, {"plan": plan, "step": step, "name": name, "role": role, "expires": expires, **more})


def _step(entry: Entry) -> StepRow:
    body = entry.body
    return StepRow(
        entry.number, entry.at, datetime.fromisoformat(body["began"]), body["plan"], body["book"], body["step"], tuple(body["groups"]), State(body["state"]),
        body.get("seconds", 0.0), body.get("by", ""), body.get("message", ""), body.get("evidence") or {},
        body.get("facts") or {}, body.get("basis", ""),
    )  # fmt: skip


def _approval(entry: Entry) -> Approval:
    body = entry.body
    return Approval(
        entry.at, body["plan"], body["step"], body["name"], body["role"], datetime.fromisoformat(body["expires"]),
        body.get("reason", ""), body.get("group", ""),
    )  # fmt: skip
