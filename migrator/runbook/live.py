"""Facts that a project can compute at any moment, without a step that establishes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from migrator.commands.binding import read_mappings, source_systems
from migrator.commands.inventory_register import read_register
from migrator.commands.project import Project, open_workspace
from migrator.core.components import ComponentKind, ComponentState
from migrator.inventory.rules import Decision
from migrator.runbook.facts import Value
from migrator.staging.erasures import backlog
from migrator.staging.store import Kind

AUTOMATIONS = frozenset(
    {
        ComponentKind.AUTOMATION,
        ComponentKind.CODE,
        ComponentKind.APPROVAL,
        ComponentKind.ASSIGNMENT,
        ComponentKind.SCHEDULED_JOB,
    }
)
"""Kinds of functions that may fire on a load."""
RUNNING = frozenset({ComponentState.ACTIVE, ComponentState.UNKNOWN})


@dataclass(slots=True)
class ProjectFacts:
    """What the project's connectors and its sync say of themselves; looked up once a run where it cannot change."""

    project: Project
    _kept: dict[str, Value | None] = field(default_factory=dict)

    def value(self, name: str, group: str) -> Value | None:  # noqa: ARG002 (a project has one set of mappings)
        """What the fact is now; None when this project cannot know it."""
        if name == "erasure.backlog":
            with open_workspace(self.project) as workspace:
                return float(backlog(workspace.ledger))
        if name == "automations.listed":
            return self._listed()
        if name == "overlap.needed":
            if name not in self._kept:
                self._kept[name] = self._overlap()
            return self._kept[name]
        return None

    def _listed(self) -> bool | None:
        """Whether somebody decided about every automation that is active; None where none were scanned: then people say it."""
        with open_workspace(self.project) as workspace:
            if not workspace.store.names(Kind.FUNCTIONS):
                return None
            rows = read_register(workspace).rows
        open_ones = [
            row for row in rows
            if row.item.component.kind in AUTOMATIONS and row.item.component.state in RUNNING
            and row.decision is Decision.UNDECIDED
        ]  # fmt: skip
        return not open_ones

    def _overlap(self) -> float:
        """How late a change may become visible in the systems that are read, in seconds; of the slowest."""
        systems: Mapping[str, None] = dict.fromkeys(source_systems(read_mappings(self.project)))
        seconds = []
        for system in systems:
            with closing(self.project.open_source(system)) as source:
                seconds.append(source.facts.late_seconds)
        return max(seconds, default=0.0)
