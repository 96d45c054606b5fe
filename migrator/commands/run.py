"""The whole job as one command: every step, then the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.commands import overlap, steps
from migrator.commands.project import Project
from migrator.commands.validate import Validated, validate
from migrator.core.errors import DataError
from migrator.core.progress import Progress, Quiet

QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did, and whether it holds."""

    steps: steps.RunReport
    validation: Validated | None
    overlapped: overlap.Overlapped | None = None
    """What came of it when load and extract were to overlap; None when they were not."""

    def to_json(self) -> dict[str, Any]:
        """For `migrator run --json`."""
        return {
            "plan": self.steps.plan.to_json(),
            "load": self.steps.load.to_json(),
            **self.steps.accounting.to_json(),
            "validation": self.validation.to_json() if self.validation else None,
            **({"overlap": self.overlapped.to_json()} if self.overlapped else {}),
        }

    def raise_unless_it_holds(self, *, strict: bool) -> None:
        """Raise `DataError` when the equation is open or validation fails; `strict`: also when a record is held back."""
        accounting = self.steps.accounting
        if not accounting.closed:
            raise DataError(
                "the accounting does not close: some records are in no class",
                hint="run it again, then: migrator status",
            )
        if self.validation is not None and not self.validation.holds:
            raise DataError("the target does not hold what it should", hint=f"read {self.validation.html}")
        if strict and accounting.held:
            raise DataError(
                f"{accounting.held:,} records are quarantined or wait", hint="migrator quarantine list"
            )


def run(
    project: Project,
    *,
    progress: Progress = QUIET,
    with_validation: bool = True,
    production: str = "",
    overlapping: bool = False,
) -> Run:
    """Do everything that is not done yet; what the target refused stays quarantined.

    `production` is the system that a person named; `overlapping`: what can be loaded by itself is, while the rest is
    still being read.
    """
    overlapped = None
    if overlapping:
        done, overlapped = overlap.run(project, progress, production)
    else:
        done = steps.run(project, progress, production)
    return Run(done, validate(project, progress=progress) if with_validation else None, overlapped)
