"""The validate command: the target read back, the rules run, every row compared, the report written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, work_on
from migrator.commands.steps import flat, target_system
from migrator.core.clock import SystemClock
from migrator.core.progress import Progress, Quiet
from migrator.staging.accounting import account

QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class Validated:
    """The verdict in words, whether it holds, and where it is written."""

    verdict: str
    holds: bool
    reasons: tuple[str, ...]
    """Ids of the checks that block: 'OBJECT/SECTION/RULE/FIELD'."""
    html: Path
    json: Path
    failing: Path

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "verdict": self.verdict,
            "holds": self.holds,
            "reasons": list(self.reasons),
            "report": str(self.html),
            "json": str(self.json),
            "failing": str(self.failing),
        }


def validate(project: Project, *, progress: Progress = QUIET) -> Validated:
    """Prove what the target holds; the report goes to `reports/` in the project, a folder a run."""
    # Great Expectations comes with it: three seconds that no other command should wait for
    from validation.validate import validate as prove

    with work_on(project, "validate") as workspace:
        groups = bind_project(workspace).groups
        objects = flat(groups)
        with closing(workspace.session()) as session:
            accounting = account(workspace.store, session, objects)
        with closing(project.open_target(target_system(groups))) as target:
            found = prove(
                workspace.store, workspace.session, target, objects, accounting,
                out=project.folder / "reports" / workspace.ledger.run, progress=progress, clock=SystemClock(),
                suites=project.folder / "validation", project=project.name,
            )  # fmt: skip
    return Validated(
        found.verdict.value,
        found.holds,
        tuple(item.id for item in found.decision.blocking),
        found.html,
        found.json,
        found.failing.csv,
    )
