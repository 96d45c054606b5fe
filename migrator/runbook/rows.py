"""The rows that one run of a runbook writes about its steps and gates, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from migrator.core.errors import DataError
from migrator.runbook.gates import Judged
from migrator.runbook.parse import Placed
from migrator.runbook.record import GATE, STEP, Footing, History, State, StepRow, replay, write
from migrator.runbook.world import World


@dataclass(frozen=True, slots=True)
class Rows:
    """What one run writes, and everything that was written so far."""

    book: str
    world: World
    footing: Footing
    known: History = field(default_factory=History)

    def read(self) -> History:
        """Everything on record, what others wrote meanwhile included."""
        return replay(self.world.ledger, self.known)

    def last(self, step: str) -> StepRow | None:
        """The last row about a step of this plan."""
        return self.read().last(self.footing.plan, step)

    def step(
        self, step: str, groups: Sequence[str], state: State, *, row: StepRow | None = None, **more: Any
    ) -> StepRow:
        """Write one row about a step; `row`: an earlier one, whose figures it takes over."""
        if row is not None:
            more = {"seconds": row.seconds, "by": row.by, "evidence": row.evidence, "began": row.began} | more
        write(self.world.ledger, STEP, self.body(step, groups, state, **more))
        found = self.last(step)
        if found is None:
            raise DataError(f"the row about {step} is not in the journal", hint="migrator audit verify")
        return replace(found, facts=found.facts or (row.facts if row else {}))

    def body(self, step: str, groups: Sequence[str], state: State, **more: Any) -> dict[str, Any]:
        """What stands in a row about a step."""
        began: datetime = more.pop("began", self.world.hands.clock.now())
        return {
            "plan": self.footing.plan, "book": self.book, "basis": self.footing.basis, "step": step,
            "groups": list(groups), "state": state.value, "mode": self.world.mode.value, "began": began,
            "operator": self.world.operator, **more,
        }  # fmt: skip

    def gate(self, placed: Placed, judged: Sequence[tuple[str, Judged]], *, passed: bool) -> None:
        """Write what a gate found, also when it refused; nothing for a step that enters no phase."""
        if not judged:
            return
        conditions = [
            {
                "code": item.gate.code, "name": item.gate.name, "group": group, "holds": item.finding.holds,
                "read": item.finding.read, "forced_by": list(item.forced_by),
            }
            for group, item in judged
        ]  # fmt: skip
        body = {
            "plan": self.footing.plan, "step": placed.id, "phase": placed.step.phase.value, "passed": passed,
            "mode": self.world.mode.value, "by": self.world.operator, "conditions": conditions,
        }  # fmt: skip
        write(self.world.ledger, GATE, body)
