"""The commands `sync once`, `reconcile` and `watch`: one run under the lease, its verdict, and whoever is to be told of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from migrator.commands.binding import bind_project
from migrator.commands.erase_keep_out import refuse_restored
from migrator.commands.production import permit
from migrator.commands.project import QUIET, Project, Workspace, open_workspace, work_on
from migrator.commands.sync_conflicts import forget
from migrator.commands.sync_phase import read_phases, terms_of
from migrator.commands.sync_rehearsal import ListeningSide, PlannedWrite, rehearsed
from migrator.commands.sync_sides import open_side
from migrator.commands.sync_status import SyncStatus, look
from migrator.commands.sync_tell import Telling, tell
from migrator.commands.sync_verdict import Standing, judge_failure
from migrator.core.errors import Location, MigratorError, ProjectError, SafetyStop
from migrator.core.progress import Event, Progress
from migrator.core.translation import PairedObject, Rule
from migrator.core.twoway import Side, Which
from migrator.mapping.pairing import SyncPlan
from migrator.mapping.translator import MappingTranslator
from migrator.staging.ledger import Ledger
from migrator.sync.carry import StoredCrosswalk
from migrator.sync.decide import Terms
from migrator.sync.loaded import LoadedLinks
from migrator.sync.meter import Allowance
from migrator.sync.report import RunReport
from migrator.sync.run import Run, run_once
from migrator.sync.store import SyncStore
from migrator.sync.work import Settings

OpenSide: TypeAlias = Callable[[Project, str], Side]
"""Opens one system for the sync."""


@dataclass(frozen=True, slots=True)
class SyncRun:
    """What one run came to."""

    report: RunReport
    status: SyncStatus
    telling: Telling = field(default_factory=Telling)
    forgotten: int = 0
    """Conflicts whose values were kept long enough."""

    @property
    def standing(self) -> Standing:
        """The verdict."""
        return self.status.standing

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return self.standing.to_json() | {
            "report": self.report.to_dict(),
            "forgotten": self.forgotten,
            "alerts": {"delivered": self.telling.alerted, "trouble": list(self.telling.trouble)},
        }


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a run would write."""

    report: RunReport
    writes: tuple[PlannedWrite, ...]

    def to_json(self, *, unmask: bool) -> dict[str, Any]:
        """For `--json`."""
        figures = {name: dict(found) for name, found in self.report.figures.items()}
        listed = [item.to_json(unmask=unmask) for item in self.writes]
        return {"dry_run": True, "writes": listed, "figures": figures, "calls": dict(self.report.calls)}


def once(
    project: Project, *, production: Sequence[str] = (), full: bool = False, progress: Progress = QUIET,
    open_system: OpenSide = open_side,
) -> SyncRun:  # fmt: skip
    """One run; `full`: every record is compared. Tells whoever is to be told, also of a run that could not be made.

    Raises `SafetyStop` when it is paused, when somebody else holds the project, or for production that was not named.
    """
    plans = _plans(project)
    with work_on(project, "sync reconcile" if full else "sync once", progress) as workspace:
        _refuse_paused(workspace)
        try:
            refuse_restored(workspace)
            _permit(project, plans, _terms(workspace, plans), production)
            report = _run(workspace, plans, full=full, open_system=open_system)
        except MigratorError as error:
            _tell_failure(workspace, error)
            raise
        forgotten = forget(workspace.ledger, project.sync.keep)
        status = look(workspace)
        _note(workspace.progress, report, status)
        return SyncRun(
            report, status, tell(project, workspace.ledger, status.state, status.standing), forgotten
        )


def rehearse(project: Project, *, full: bool = False, open_system: OpenSide = open_side) -> Rehearsal:
    """The same run without writing anything anywhere; links to records that it would create are not in it yet."""
    plans = _plans(project)
    planned: list[PlannedWrite] = []
    with open_workspace(project) as workspace, rehearsed(workspace.ledger) as ledger:

        def listening(opened: Project, name: str) -> Side:
            return ListeningSide(name, open_system(opened, name), planned)

        trial = replace(workspace, ledger=ledger)
        report = _run(trial, plans, full=full, open_system=listening)
    return Rehearsal(report, tuple(planned))


def _plans(project: Project) -> tuple[SyncPlan, ...]:
    """What the mappings say is synced; bound as if nothing was staged, since systems are asked now."""
    with open_workspace(project) as workspace:
        bound = bind_project(workspace, staged=lambda _: None)
    if not bound.synced:
        raise ProjectError.at(
            Location(str(project.folder / project.mappings)), "no mapping is synced",
            "say in a mapping: sync: {direction: forward}, reverse or both",
        )  # fmt: skip
    return bound.synced


def _terms(workspace: Workspace, plans: Sequence[SyncPlan]) -> dict[str, Terms]:
    """What the phases ask for, by mapping; raises what `terms_of` raises."""
    return terms_of(workspace.project, read_phases(workspace.ledger), [plan.paired for plan in plans])


def _permit(
    project: Project, plans: Sequence[SyncPlan], terms: Mapping[str, Terms], named: Sequence[str]
) -> None:
    """Every system that may be written to is named, where it is production."""
    written = dict.fromkeys(name for plan in plans for name in written_by(project, plan.paired))
    now = {
        name
        for plan in plans
        for name in written_by(project, plan.paired, terms.get(plan.paired.mapping, Terms()).frozen)
    }
    for name in named:  # a schedule goes on naming what another phase writes
        if name not in written:
            raise SafetyStop(
                f"{name!r} was named, and the sync does not write to it",
                hint=f"it writes to: {', '.join(written)}",
            )
    for name in written:
        if name in now:
            permit(project, name, name if name in named else "")


def written_by(
    project: Project, paired: PairedObject, phase: Collection[Which] = frozenset()
) -> Iterator[str]:
    """Systems that a paired object may be written to; `phase`: sides that its phase does not write."""
    frozen = {*project.sync.frozen, *(which.value for which in phase)}
    if "new" not in frozen and any(pair.direction.goes_forward for pair in paired.pairs):
        yield paired.new_system
    if "old" not in frozen and any(pair.direction.goes_back for pair in paired.pairs):
        yield paired.old_system


def _refuse_paused(workspace: Workspace) -> None:
    pause = look(workspace).state.pause
    if pause is not None:
        raise SafetyStop(
            f"{pause.who} paused the sync on {pause.at:%Y-%m-%d %H:%M} UTC: {pause.why or 'no reason given'}",
            hint="when it may go on: migrator sync resume",
        )


def _run(workspace: Workspace, plans: Sequence[SyncPlan], *, full: bool, open_system: OpenSide) -> RunReport:
    project, ledger = workspace.project, workspace.ledger
    systems = dict.fromkeys(
        name for plan in plans for name in (plan.paired.old_system, plan.paired.new_system)
    )
    with _opened(project, systems, open_system) as sides, closing(workspace.session()) as session:
        store = SyncStore(ledger)
        _link_loaded(workspace, plans, store, sides)
        translator = MappingTranslator(session, tuple(plans), StoredCrosswalk(store))
        left = project.gates.left()
        run = Run(
            store, translator, sides, settings_of(project),
            allowances={name: Allowance(left.get(name)) for name in sides},
            terms={
                name: replace(settings_of(project).terms, policy=found.policy, frozen=found.frozen)
                for name, found in _terms(workspace, plans).items()
            },
        )  # fmt: skip
        return run_once(run, full=full)


def _link_loaded(
    workspace: Workspace, plans: Sequence[SyncPlan], store: SyncStore, sides: Mapping[str, Side]
) -> None:
    """What the load brought over is linked first: merged records would otherwise look like new ones."""
    store.open()
    grouped: dict[str, list[SyncPlan]] = {}
    for plan in plans:
        grouped.setdefault(plan.paired.mapping, []).append(plan)
    with closing(workspace.session()) as session:
        links = LoadedLinks(store, session, workspace.store)
        for found in grouped.values():
            obj = found[0].forward.mapped
            links.enter(obj, [plan.paired for plan in found], sides[obj.target_system])


@contextmanager
def _opened(
    project: Project, systems: Mapping[str, None], open_system: OpenSide
) -> Iterator[dict[str, Side]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(closing(open_system(project, name))) for name in systems}


def settings_of(project: Project) -> Settings:
    """The engine's settings, as the project says them."""
    said = project.sync
    terms = Terms(
        policy=Rule(said.policy) if said.policy else None,
        frozen=frozenset(Which(name) for name in said.frozen),
    )
    return replace(
        Settings(), scan_every=said.reconcile, rotation=said.reconcile.days, terms=terms, deletes=said.deletes
    )


def _tell_failure(workspace: Workspace, error: MigratorError) -> None:
    """A run that could not be made is told too; a ledger that fails must not hide what happened first."""
    ledger: Ledger = workspace.ledger
    standing = judge_failure(
        error.exit_code, error.message.splitlines()[0], error.hint or "see docs/sync.md", ledger.clock.now()
    )
    try:
        tell(workspace.project, ledger, look(workspace).state, standing)
    except MigratorError as second:
        error.add_note(f"and nobody could be told: {second.message}")


def _note(progress: Progress, report: RunReport, status: SyncStatus) -> None:
    for mapping, figures in sorted(report.figures.items()):
        if mapping:
            progress.tell(Event.BATCH, "sync", mapping, dict(figures))
    standing = status.standing
    counts = {"exit_code": standing.exit_code, "causes": len(standing.causes)}
    progress.tell(Event.JUDGED, standing.status.value, "", counts)
