"""A runbook as its documents show it: every step with its people, times, conditions and way back, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.phases import CUTOVER, Phase
from migrator.runbook.checking import evening
from migrator.runbook.durations import spoken
from migrator.runbook.gates import GateCondition, Mode, gate_of
from migrator.runbook.mistakes import call_of
from migrator.runbook.model import External, Nothing, OtherRunbook, Role, Wait, WaitFor
from migrator.runbook.parse import Placed, Runbook
from migrator.runbook.record import Approval, History, State, StepRow
from migrator.runbook.rehearsing import Timing


@dataclass(frozen=True, slots=True)
class StepView:
    """One step in words."""

    id: str
    phase: Phase
    title: str
    group: str
    owner: str
    backup: str
    planned: str
    limit: str
    rehearsed: str
    """`median / worst`; '' before a rehearsal."""
    seconds: float
    """Planned, or the worst that was measured: the width of its bar."""
    command: str
    instructions: str
    questions: tuple[str, ...]
    conditions: tuple[str, ...]
    gate: tuple[GateCondition, ...]
    verification: str
    evidence: str
    approvals: str
    rollback: str
    triggers: tuple[str, ...]
    message: tuple[str, str] | None
    final: bool
    """Whether it is the point of no return."""
    state: str = ""
    took: str = ""
    at: str = ""
    by: str = ""
    why: str = ""
    """Why it failed or was taken back."""
    hash: str = ""
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BookView:
    """A whole runbook in words."""

    book: Runbook
    steps: tuple[StepView, ...]
    undo: tuple[StepView, ...]
    phases: tuple[tuple[Phase, tuple[StepView, ...]], ...]
    """Steps phase by phase, in their order; a phase may come again for another group."""
    worst: str
    """Of the evening, in words; '' when there is none."""
    window: str
    plan: str = ""
    standing: Mapping[str, str] | None = None
    """Group → phase; None for a document without a project behind it."""
    made: str = ""

    def of_role(self, role: str) -> tuple[StepView, ...]:
        """What a role does, as owner or as backup."""
        return tuple(step for step in (*self.steps, *self.undo) if role in {step.owner, step.backup})


def view(
    book: Runbook,
    *,
    timings: Mapping[str, Timing] | None = None,
    history: History | None = None,
    plan: str = "",
    standing: Mapping[str, str] | None = None,
    made: str = "",
) -> BookView:
    """A runbook in words; with a `history` also what became of it under `plan`."""
    times, rows = timings or {}, history or History()
    steps = tuple(_step(book, placed, times, rows, plan) for placed in book.steps)
    undo = tuple(_step(book, placed, times, rows, plan) for placed in book.undo.values())
    worst = evening(book, {step: item.worst for step, item in times.items()})
    return BookView(
        book,
        steps,
        undo,
        tuple(_by_phase(steps)),
        spoken(worst) if worst else "",
        _window(book),
        plan,
        standing,
        made,
    )


def _by_phase(steps: Sequence[StepView]) -> Iterator[tuple[Phase, tuple[StepView, ...]]]:
    part: list[StepView] = []
    for step in steps:
        if part and (step.phase, step.group) != (part[0].phase, part[0].group):
            yield part[0].phase, tuple(part)
            part = []
        part.append(step)
    if part:
        yield part[0].phase, tuple(part)


def _step(
    book: Runbook, placed: Placed, times: Mapping[str, Timing], history: History, plan: str
) -> StepView:
    rule, timing = placed.rule, times.get(placed.id)
    row = history.last(plan, placed.id)
    facts = _of_step(book, placed) if placed.path[0] == "steps" else _of_undo()
    message = rule.communication
    return StepView(
        id=placed.id, title=rule.title, group=placed.group, owner=rule.owner, backup=rule.backup_owner,
        planned=spoken(rule.planned), limit=spoken(rule.limit) if rule.limit else "",
        rehearsed=f"{spoken(timing.median)} / {spoken(timing.worst)}" if timing else "",
        seconds=max(rule.planned, timing.worst if timing else 0.0), command=_command(rule.command),
        instructions=rule.instructions, questions=tuple(item.ask for item in rule.form.values()),
        verification=rule.verification.text if rule.verification else "",
        evidence=_evidence(placed), message=(", ".join(message.to), message.text) if message else None,
        approved_by=tuple(dict.fromkeys(item.name for item in _approved(history.approvals, plan, placed.id))),
        **facts, **_result(row),
    )  # fmt: skip


def _of_step(book: Runbook, placed: Placed) -> dict[str, Any]:
    step = placed.step
    call = call_of(book, placed)
    entering = call.enters if call else None
    wanted = step.approvals
    whole = book.rule.abort_if if step.phase in CUTOVER else ()
    return {
        "phase": step.phase, "conditions": tuple(item.text for item in step.preconditions),
        "gate": gate_of(entering, None, Mode.REAL) if entering else (),
        "approvals": f"{wanted.need} of {', '.join(wanted.of)}, not the operator" if wanted else "",
        "rollback": _rollback(step.rollback), "final": step.point_of_no_return,
        "triggers": tuple(item.text for item in (*step.abort_if, *whole)),
    }  # fmt: skip


def _of_undo() -> dict[str, Any]:
    return {
        "phase": Phase.P4, "conditions": (), "gate": (), "approvals": "", "rollback": "", "final": False, "triggers": (),
    }  # fmt: skip


def _result(row: StepRow | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        "state": row.state.value, "took": spoken(row.seconds) if row.state is State.DONE else "",
        "at": f"{row.at:%Y-%m-%d %H:%M} UTC", "by": row.by, "why": row.message, "hash": row.evidence.get("sha256", ""),
    }  # fmt: skip


def _approved(said: Sequence[Approval], plan: str, step: str) -> Iterator[Approval]:
    return (item for item in said if (item.plan, item.step) == (plan, step))


def _command(command: str | External | Wait | WaitFor) -> str:
    match command:
        case External(external=words):
            return " ".join(words)
        case Wait(wait=seconds):
            return f"wait {spoken(seconds)}"
        case WaitFor(wait_for=asked):
            return f"wait until {asked.text}"
        case text:
            return text


def _rollback(rollback: str | Nothing | OtherRunbook | None) -> str:
    match rollback:
        case None:
            return ""
        case Nothing(nothing=why):
            return f"nothing to take back: {why}"
        case OtherRunbook(runbook=name):
            return f"runbook {name}"
        case step:
            return step


def _evidence(placed: Placed) -> str:
    evidence = placed.rule.evidence
    if evidence is None:
        return ""
    return f"{evidence.file}, at most {spoken(evidence.max_age)} old" if evidence.max_age else evidence.file


def _window(book: Runbook) -> str:
    window = book.rule.window
    if window.start and window.end:
        return f"{window.start:%Y-%m-%d %H:%M %z} to {window.end:%Y-%m-%d %H:%M %z}"
    return spoken(window.length) if window.length else ""


def people(roles: Mapping[str, Role]) -> list[tuple[str, str, str, str]]:
    """Role, owner, backup and what the role is for."""
    return [
        (name, role.owner or "not named yet", role.backup or "not named yet", role.what)
        for name, role in roles.items()
    ]
