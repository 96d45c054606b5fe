"""The command `sync status`: where the sync stands and the verdict on it, as numbers and words."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from migrator.commands.project import Project, Workspace, open_workspace
from migrator.commands.sync_phase import GroupPhase, read_phases
from migrator.commands.sync_state import AGE_NAMES, SyncState, read_state
from migrator.commands.sync_verdict import Standing, judge
from migrator.core.errors import MigratorError
from migrator.sync.work import Settings


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """Where it stands, and what that means."""

    state: SyncState
    standing: Standing
    phases: tuple[GroupPhase, ...] = ()
    """Where the groups of a cutover stand; none before a runbook moved any."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        state = self.state
        last = state.last
        return self.standing.to_json() | {
            "last_run": None if last is None else {
                "run": last.run, "status": last.status, "started_at": last.started_at.isoformat(),
                "finished_at": last.finished_at.isoformat() if last.finished_at else None,
                "figures": last.report.get("figures", {}), "calls": last.report.get("calls", {}),
            },
            "phases": [item.to_json() for item in self.phases],
            "working": state.working,
            "paused": None if state.pause is None else {
                "who": state.pause.who, "at": state.pause.at.isoformat(), "why": state.pause.why
            },
            "streams": [
                {
                    "stream": item.name, "linked": state.linked.get(item.name, 0),
                    "pulled_at": item.pulled_at.isoformat() if item.pulled_at else None,
                    "lag_seconds": int((state.now - item.pulled_at).total_seconds()) if item.pulled_at else None,
                    "compared_at": item.scanned_at.isoformat() if item.scanned_at else None,
                }
                for item in state.streams
            ],
            "backlog": [
                {
                    "mapping": item.mapping, "records": item.records, "failing": item.failing,
                    "quarantined": item.quarantined, "oldest": item.oldest.isoformat(),
                }
                for item in state.waiting
            ],
            "errors": dict(state.errors),
            "open_conflicts": [
                {
                    "mapping": item.mapping, "field": item.field, "number": item.number,
                    "ages": dict(zip(AGE_NAMES, item.ages, strict=True)), "oldest": item.oldest.isoformat(),
                }
                for item in state.open
            ],
            "decided": state.decided,
            "logged": {"all": state.logged, "last_day": state.logged_lately},
            "holds": [
                {"mapping": item.mapping, "kind": item.kind, "number": item.number, "oldest": item.oldest.isoformat()}
                for item in state.held
            ],
            "brakes": [
                {"mapping": item.mapping, "kind": item.kind, "measured": item.measured, "allowed": item.allowed}
                for item in state.brakes
            ],
            "deferred_links": state.deferred,
            "unsettled_writes": state.unsettled,
            "mismatches": state.mismatched,
            "erasures_open": state.erasures,
            "calls_left": dict(state.left),
        }  # fmt: skip


def sync_status(project: Project) -> SyncStatus:
    """Where the sync stands; looks at the ledger only, and connects to nothing."""
    with open_workspace(project) as workspace:
        _know_budgets(project)
        return look(workspace)


def look(workspace: Workspace) -> SyncStatus:
    """The same, in a workspace that is open."""
    project = workspace.project
    state = read_state(
        workspace.ledger,
        workspace.ledger.clock.now(),
        attempts=Settings().attempts,
        left=project.gates.left(),
    )
    return SyncStatus(state, judge(state, project.sync), read_phases(workspace.ledger))


def _know_budgets(project: Project) -> None:
    """Limits are known without asking a system, but only once it is opened; one that cannot be opened has no line."""
    for name in project.systems:
        with suppress(MigratorError), closing(project.open_source(name)):
            continue
