"""Whether a step may begin now: everything that is missing, told at once and by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.core.clock import Clock
from migrator.core.errors import SafetyStop
from migrator.core.phases import CUTOVER, Phase, may_follow
from migrator.runbook.approvals import FORCES, count, missing
from migrator.runbook.durations import spoken
from migrator.runbook.established import Established
from migrator.runbook.execute import evidence_problem
from migrator.runbook.expression import evaluate
from migrator.runbook.gates import NEVER_FORCED, Judged, Mode, gate_of, judge
from migrator.runbook.mistakes import call_of, worst_seconds
from migrator.runbook.parse import Placed
from migrator.runbook.record import State
from migrator.staging.phases import Standing


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why a step may not begin."""

    code: str
    """G01 … for a condition of a gate; `order`, `evidence`, `precondition`, `approval`, `window` for the rest."""
    told: str

    def __str__(self) -> str:
        return self.told if self.code.startswith("G") else f"{self.code}: {self.told}"


class Refused(SafetyStop):
    """A step may not begin."""

    def __init__(self, step: str, reasons: Sequence[Refusal]) -> None:
        lines = "".join(f"\n    - {item}" for item in reasons)
        super().__init__(
            f"{step} may not begin:{lines}", hint="settle that, then go on with: migrator runbook resume"
        )
        self.step, self.reasons = step, tuple(reasons)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that it takes to judge a step, at one moment."""

    facts: Established
    clock: Clock
    operator: str
    mode: Mode
    evidence: Path
    rehearsed: dict[str, float]

    @property
    def plan(self) -> str:
        """The hash of the plan."""
        return self.facts.footing.plan

    def phase_of(self, group: str) -> Phase | None:
        """Where a group stands."""
        found: Standing | None = self.facts.standings.get(group)
        return found.phase if found else None


def refusals(look: Look, placed: Placed) -> tuple[list[Refusal], list[tuple[str, Judged]]]:
    """Every reason why a step may not begin, and what the gate found, by group, when it enters a phase."""
    call = call_of(look.facts.book, placed)
    entering = call.enters if call else None
    judged = list(_gate(look, placed, entering)) if entering else []
    reasons = [
        *_order(look, placed, entering),
        *(Refusal(item.gate.code, f"{item} ({group})") for group, item in judged if not item.passes),
        *_evidence(look, placed, entering),
        *_preconditions(look, placed),
        *_approvals(look, placed),
        *_window(look, placed),
    ]
    return reasons, judged


def _order(look: Look, placed: Placed, entering: Phase | None) -> Iterator[Refusal]:
    for group in look.facts.book.groups_of(placed):
        now = look.phase_of(group)
        said = now.value if now else "no phase"
        if entering is not None and entering not in may_follow(now):
            yield Refusal("order", f"{group} is in {said}: {entering.value} does not follow it")
        if (
            entering is None
            and now is not placed.step.phase
            and not (now is None and placed.step.phase is Phase.P0)
        ):
            yield Refusal("order", f"{group} is in {said}, the step belongs to {placed.step.phase.value}")


def _gate(look: Look, placed: Placed, entering: Phase) -> Iterator[tuple[str, Judged]]:
    groups = look.facts.book.groups_of(placed)
    facts = replace(look.facts, together=frozenset(groups))
    for group in groups:
        for item in judge(gate_of(entering, look.phase_of(group), look.mode), facts, group):
            forced = () if item.passes or item.gate.code in NEVER_FORCED else _forced(look, item, group)
            yield group, replace(item, forced_by=forced)


def _forced(look: Look, item: Judged, group: str) -> tuple[str, ...]:
    """The people who let a condition pass that does not hold; fewer than two let nothing pass."""
    said = [
        row for row in look.facts.history.forces if row.step == item.gate.code and row.group in {"", group}
    ]
    ballot = count(
        said, plan=look.plan, now=look.clock.now(), operator=look.operator, roles=look.facts.book.rule.roles
    )
    return ballot.names if len(ballot.names) >= FORCES else ()


def _evidence(look: Look, placed: Placed, entering: Phase | None) -> Iterator[Refusal]:
    """Evidence of the steps of this phase, and of the one before when a phase is entered, still proves what it did."""
    book = look.facts.book
    groups = set(book.groups_of(placed))
    for item in book.steps:
        if item.id == placed.id:
            return
        own = item.step.phase is placed.step.phase
        before = entering is not None and item.step.phase.number == entering.number - 1
        row = look.facts.history.last(look.plan, item.id)
        if not (own or before) or row is None or row.state is not State.DONE or not groups & set(row.groups):
            continue
        age = (look.clock.now() - row.at).total_seconds()
        found = evidence_problem(item, row.evidence, look.evidence, age)
        if found:
            yield Refusal("evidence", found)


def _preconditions(look: Look, placed: Placed) -> Iterator[Refusal]:
    for asked in placed.step.preconditions:
        for group in look.facts.book.groups_of(placed):
            found = evaluate(asked.condition, look.facts, group)
            if not found.holds:
                yield Refusal("precondition", f"{asked.text}: {found.told} ({group})")


def _approvals(look: Look, placed: Placed) -> Iterator[Refusal]:
    wanted = placed.step.approvals
    if wanted is None or look.mode is Mode.REHEARSAL:
        return
    said = [row for row in look.facts.history.approvals if row.step == placed.id]
    ballot = count(
        said, plan=look.plan, now=look.clock.now(), operator=look.operator, roles=look.facts.book.rule.roles,
        of=wanted.of,
    )  # fmt: skip
    for text in missing(wanted, ballot):
        yield Refusal("approval", text)


def _window(look: Look, placed: Placed) -> Iterator[Refusal]:
    """The rest of the evening must fit into what is left of the window, when it takes long."""
    window = look.facts.book.rule.window
    if placed.step.phase not in CUTOVER or look.mode is Mode.REHEARSAL or not window.start or not window.end:
        return
    now = look.clock.now()
    if now < window.start:
        yield Refusal("window", f"it opens in {spoken((window.start - now).total_seconds())}")
    steps = look.facts.book.steps
    rest = sum(
        worst_seconds(item, look.rehearsed)
        for item in steps[steps.index(placed) :]
        if item.step.phase in CUTOVER and item.group == placed.group
    )
    left = (window.end - max(now, window.start)).total_seconds()
    if rest > left:
        yield Refusal(
            "window",
            f"what is left takes {spoken(rest)} in the worst case, the window has {spoken(max(left, 0))}",
        )
