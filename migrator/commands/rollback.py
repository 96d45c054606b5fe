"""The way back as a command: which loads can be taken back, and taking one back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.commands.binding import bind_project, check_names
from migrator.commands.production import permit
from migrator.commands.project import Project, Workspace, open_workspace, work_on
from migrator.commands.target import flat, target_system
from migrator.core.document import did_you_mean
from migrator.core.errors import DataError, ProjectError, SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.progress import Progress, Quiet
from migrator.load.lanes import Lanes
from migrator.load.rollback import Rollback
from migrator.load.rollback import rollback as roll_back
from migrator.load.send import Sender
from migrator.load.undo import changed
from migrator.staging.engine import Session
from migrator.staging.relation import relation
from migrator.staging.store import Kind

QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """One run that wrote to the target."""

    run: str
    command: str
    started_at: datetime | None
    written: dict[str, int]
    """Object → records it created or changed, links set afterwards not counted again."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run": self.run, "command": self.command, "started_at": self.started_at, "written": self.written,
        }  # fmt: skip


def written_runs(project: Project) -> list[WrittenRun]:
    """The runs that wrote to the target, the latest first; those taken back since are among them."""
    with open_workspace(project) as workspace, closing(workspace.session()) as session:
        counts = _counts(workspace, session, flat(bind_project(workspace).groups))
        known = {item.id: item for item in workspace.ledger.list_runs(1000)}
    found = [
        WrittenRun(
            run, known[run].command if run in known else "", known[run].started_at if run in known else None,
            dict(written),
        )
        for run, written in counts.items()
    ]  # fmt: skip
    return sorted(found, key=lambda item: (str(item.started_at or ""), item.run), reverse=True)


def _counts(
    workspace: Workspace, session: Session, objects: Sequence[MappedObject]
) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    names = {obj.name for obj in objects}
    for name in workspace.store.names(Kind.ANSWERS):
        answers = workspace.store.current(Kind.ANSWERS, name)
        if answers is None or answers.detail["object"] not in names:
            continue
        history = workspace.store.need(Kind.HISTORY, name, made_by="load")
        told, before = relation(session, answers), relation(session, history)
        rows = session.fetch(
            f"SELECT run, count(*) AS n FROM (SELECT run FROM {told} WHERE outcome IN ('created', 'updated')"
            f" UNION ALL SELECT a.run FROM {told} AS a JOIN {before} AS h ON h.__id = a.__id"
            f" WHERE a.outcome = 'unchanged' AND {changed(history)}) GROUP BY run"
        )
        for row in rows.to_pylist():
            counted = counts.setdefault(row["run"], Counter())
            if name.startswith(f"{Kind.OUTCOMES.value}:") or not counted[answers.detail["object"]]:
                counted[answers.detail["object"]] += row["n"]
    return counts


def rollback(
    project: Project,
    run: str,
    objects: Sequence[str] = (),
    *,
    dry_run: bool,
    confirmed: bool,
    progress: Progress = QUIET,
    production: str = "",
) -> Rollback:
    """Delete what `run` created and restore what it changed; `production` is the system that a person named.

    Raises `ProjectError` for names nobody knows and `SafetyStop` when it is not `confirmed`, neither dry.
    """
    known = [item.run for item in written_runs(project)]
    if run not in known:
        hint = did_you_mean(run, known, noun="runs") if known else "no load has written anything yet"
        raise ProjectError.at("RUN", f"no load of this project has the id {run!r}", hint)
    if not dry_run and not confirmed:
        raise SafetyStop(
            f"this deletes and changes records of the target that run {run} wrote",
            hint="look first with --dry-run; then say --yes",
        )
    with work_on(project, "rollback", progress) as workspace:
        groups = bind_project(workspace).groups
        check_names(objects, [item.name for item in flat(groups)])
        if not dry_run:
            permit(project, target_system(groups), production)
        system = target_system(groups)
        with (
            closing(workspace.session()) as session,
            closing(project.open_target(system)) as target,
            Lanes(project.gates.parallel(system)) as lanes,
        ):
            sender = Sender(target, workspace.ledger, workspace.fence, lanes=lanes)
            return roll_back(
                workspace.store, session, sender, groups, run,
                only=tuple(objects), dry_run=dry_run, progress=workspace.progress,
            )  # fmt: skip


def raise_unless_whole(found: Rollback) -> None:
    """Raise `DataError` when records were left that a person has to look at."""
    if found.not_taken_back:
        verb = "would not be" if found.dry_run else "were not"
        raise DataError(
            f"{found.not_taken_back:,} records {verb} taken back",
            hint="settle what the table tells, then run the same command again: it takes back what is left",
        )
