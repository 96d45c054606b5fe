"""Where a runbook is carried out, what a run of it comes to, and whether it can be carried out there at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.core.errors import Problem, ProjectError, SafetyStop, Severity
from migrator.runbook.checking import check_runbook
from migrator.runbook.established import NoFacts
from migrator.runbook.execute import Hands
from migrator.runbook.facts import Facts
from migrator.runbook.gates import Mode
from migrator.runbook.parse import Runbook
from migrator.staging.ledger import Ledger


class Cancelled(SafetyStop):
    """The cutover was broken off and taken back: users may work in the old system."""


def silent(step: str, text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class World:
    """Where a runbook is carried out."""

    ledger: Ledger
    hands: Hands
    operator: str
    mode: Mode
    evidence: Path
    """The folder that evidence is kept in."""
    mapping: str
    """A digest of the mappings."""
    live: Facts = field(default_factory=NoFacts)
    rehearsed: dict[str, float] = field(default_factory=dict)
    """Worst seconds of each step in rehearsals that count."""
    tell: Callable[[str, str], None] = silent
    """Is told what happens: the id of a step, and words."""


@dataclass(slots=True)
class RunReport:
    """What one run of a runbook did."""

    book: str
    plan: str
    mode: str
    done: dict[str, float] = field(default_factory=dict)
    """Step → seconds."""
    held: list[str] = field(default_factory=list)
    """Steps that were done before, and hold."""
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Recipients and text of every message that was due."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "runbook": self.book, "plan": self.plan, "mode": self.mode, "done": self.done, "held": self.held,
            "messages": [{"to": to, "text": text} for to, text in self.messages],
        }  # fmt: skip


def refuse_unless_sound(book: Runbook, world: World) -> list[Problem]:
    """Raise `ProjectError` when a runbook cannot be carried out as it is; returns its warnings."""
    problems = check_runbook(book, world.rehearsed)
    rule = book.rule
    if rule.mapping_hash and rule.mapping_hash != world.mapping:
        problems.append(
            Problem(book.at("mapping_hash"), f"the mappings are {world.mapping} now, the runbook was made for {rule.mapping_hash}",
                    "rehearse with these mappings, then write their hash here")
        )  # fmt: skip
    if rule.tool_version and rule.tool_version != __version__:
        problems.append(
            Problem(book.at("tool_version"), f"this is migrator {__version__}, the runbook was made for {rule.tool_version}",
                    "rehearse with this one, then write its version here")
        )  # fmt: skip
    if world.mode is Mode.REAL:
        problems = [
            replace(item, severity=Severity.ERROR) if item.code == "unnamed" else item for item in problems
        ]
    errors = [item for item in problems if item.severity is Severity.ERROR]
    if errors:
        raise ProjectError(errors)
    return problems
