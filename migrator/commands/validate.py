"""The validate command: the target read back, the rules run, every row compared, the report written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.commands.binding import bind_project, selected
from migrator.commands.estimate import compared_in
from migrator.commands.measured import measured
from migrator.commands.origins import origins
from migrator.commands.project import Project, work_on
from migrator.commands.report import check_language
from migrator.commands.room import Step
from migrator.commands.target import flat, target_system
from migrator.commands.ways import ways
from migrator.core.clock import SystemClock
from migrator.core.progress import Progress, Quiet
from migrator.staging.accounting import account
from migrator.staging.engines import Work

if TYPE_CHECKING:
    from validation.waivers import UsedWaiver

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
    xlsx: Path
    warnings: tuple[str, ...] = ()
    """What is wrong with the waivers, in words."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "verdict": self.verdict,
            "holds": self.holds,
            "reasons": list(self.reasons),
            "report": str(self.html),
            "json": str(self.json),
            "failing": str(self.failing),
            "xlsx": str(self.xlsx),
            "warnings": list(self.warnings),
        }


def validate(
    project: Project,
    *,
    progress: Progress = QUIET,
    language: str = "en",
    show_pii: bool = False,
    seed: int = 7,
    objects: Sequence[str] = (),
    sample: int | None = None,
    since: datetime | None = None,
    target_only: bool = False,
) -> Validated:
    """Prove what the target holds; the report goes to `reports/` in the project, a folder a run.

    `objects` (mappings), `sample` (records of each) and `since` (of the last outcome) look at less; `target_only` leaves
    out the rules on what was mapped.
    """
    # Great Expectations comes with it: three seconds that no other command should wait for
    from validation.privacy import Privacy
    from validation.relations import Pick
    from validation.validate import Scope
    from validation.validate import validate as prove

    spoken = check_language(language)
    with work_on(project, "validate", progress) as workspace:
        bound = bind_project(workspace)
        groups = bound.groups
        selected(bound, objects)
        everything = flat(groups)
        with closing(workspace.session_for(Work.VALIDATE)) as session:
            accounting = account(workspace.store, session, everything)
        with (
            measured(workspace, Step.VALIDATE, everything),
            closing(project.open_target(target_system(groups))) as target,
        ):
            found = prove(
                workspace.store, partial(workspace.session_for, Work.VALIDATE), target, everything, accounting,
                out=project.folder / "reports" / workspace.ledger.run, progress=workspace.progress, clock=SystemClock(),
                suites=project.folder / "validation", project=project.name, language=spoken,
                privacy=Privacy.OPEN if show_pii else Privacy.MASKED, origins=origins(bound), seed=seed,
                scope=Scope(tuple(objects), Pick(sample, since), before=not target_only), ways=ways(bound),
                costs=[item.to_json() for item in compared_in(workspace.ledger).steps],
            )  # fmt: skip
    return Validated(
        found.verdict.value,
        found.holds,
        tuple(item.id for item in found.decision.blocking),
        found.html,
        found.json,
        found.failing.csv,
        found.xlsx,
        tuple(warning for item in found.waivers if (warning := _told(item))),
    )


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the rules say of what the mapping made, and where every failing record is listed."""

    verdict: str
    holds: bool
    reasons: tuple[str, ...]
    exceptions: tuple[str, ...]
    rules: int
    json: Path
    failing: Path

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "verdict": self.verdict, "holds": self.holds, "reasons": list(self.reasons), "rules": self.rules,
            "exceptions": list(self.exceptions), "json": str(self.json), "failing": str(self.failing),
        }  # fmt: skip


def validate_before(
    project: Project, objects: Sequence[str] = (), *, show_pii: bool = False, progress: Progress = QUIET
) -> Rehearsed:
    """Run the rules over what the mapping made, before anything is loaded; no target is opened."""
    from validation.before import validate_before as prove
    from validation.privacy import Privacy

    with work_on(project, "validate", progress) as workspace:
        chosen = flat(selected(bind_project(workspace), objects))
        found = prove(
            workspace.store, partial(workspace.session_for, Work.VALIDATE), chosen, out=project.folder / "reports" / f"before-{workspace.ledger.run}",
            suites=project.folder / "validation", clock=SystemClock(),
            privacy=Privacy.OPEN if show_pii else Privacy.MASKED,
        )  # fmt: skip
    return Rehearsed(
        found.decision.verdict.value, found.decision.verdict.holds,
        tuple(item.id for item in found.decision.blocking), tuple(item.id for item in found.decision.exceptions),
        len(found.checks), found.json, found.failing.csv,
    )  # fmt: skip


def _told(used: UsedWaiver) -> str:
    """What a person should know of a waiver that does not do what it was written for; '' when it does."""
    from validation.waivers import WaiverState

    item = used.waiver
    match used.state:
        case WaiverState.ACTIVE:
            return ""
        case WaiverState.EXPIRED:
            return f"{item.place}: the waiver of {item.check} expired on {item.expires}"
        case WaiverState.EXCEEDED:
            return f"{item.place}: {item.check} fails more often than the {item.at_most} waived"
        case WaiverState.UNUSED:
            return f"{item.place}: {item.check} does not fail; the waiver can go"
        case WaiverState.UNKNOWN:
            return f"{item.place}: there is no check {item.check}{f' ({used.hint})' if used.hint else ''}"
