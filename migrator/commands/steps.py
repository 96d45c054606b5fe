"""The steps of the main job, one plain function a verb: extract, map, dedupe, plan, load, validate, and run for all.

Each takes a project, works on it alone, does what is not yet done, and returns what it did. Each starts from what the
step before left in staging, so any of them may be killed and called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.binding import (
    bind_project,
    bind_sources,
    merged_schemas,
    read_mappings,
    selected,
    source_objects,
    staged_types,
)
from migrator.commands.erase_keep_out import is_anybody_forgotten, keep_out, refuse_restored
from migrator.commands.measured import measured, need_room
from migrator.commands.members import give_files
from migrator.commands.plan_file import read as read_plan
from migrator.commands.plan_file import take_up
from migrator.commands.production import permit
from migrator.commands.project import Project, Workspace, open_workspace, work_on
from migrator.commands.room import Step, source_bytes
from migrator.commands.target import flat, plan_for_target, target_system
from migrator.core.connector import NotedSource, Source
from migrator.core.dialect import Dialect
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject
from migrator.core.progress import Event, Progress, Quiet
from migrator.core.retry import PATIENT, call
from migrator.core.schema import ObjectSchema, index_schemas
from migrator.dedupe.run import dedupe as dedupe_object
from migrator.extract.extract import extract_object, is_staged
from migrator.load.load import LoadReport
from migrator.load.load import load as load_objects
from migrator.load.plan import Groups, Plan, Retry
from migrator.mapping.bound import Bound
from migrator.mapping.compile import compile_mapping
from migrator.mapping.compile_survival import survival_hooks
from migrator.mapping.dialects.carry import written_for
from migrator.mapping.hook_run import register_hooks
from migrator.mapping.run import map_object
from migrator.staging.accounting import Accounting, account
from migrator.staging.engine import Session
from migrator.staging.engines import Work
from migrator.staging.held import remember
from migrator.staging.match_decisions import judgements
from migrator.staging.merged import remember_merged
from migrator.staging.store import Dataset, Kind

QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class StepLine:
    """What one step holds for one object now, whether this command made it or found it made."""

    step: str
    name: str
    rows: int
    seconds: float
    """How long making it took, in the run that made it."""
    detail: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "step": self.step,
            "name": self.name,
            "rows": self.rows,
            "seconds": self.seconds,
            **self.detail,
        }


@dataclass(frozen=True, slots=True)
class RunReport:
    """One whole run: what was planned, written and proven, and what became of every record."""

    plan: Plan
    load: LoadReport
    accounting: Accounting


def extract(project: Project, objects: Sequence[str] = (), progress: Progress = QUIET) -> list[StepLine]:
    """Read every source object that a mapping uses into staging; objects are named 'system/object'."""
    with work_on(project, "extract", progress) as workspace, ExitStack() as opened:
        return _extract(workspace, objects, workspace.progress, open_sources(project, opened, objects))


def map_records(project: Project, objects: Sequence[str] = (), progress: Progress = QUIET) -> list[StepLine]:
    """Run every mapping's one query over what is staged."""
    with work_on(project, "map", progress) as workspace:
        return _map(workspace, objects, workspace.progress)


def show_sql(project: Project, name: str, dialect: Dialect = Dialect.DUCKDB) -> str:
    """The one query of a mapping, readable; raises `ProjectError` where another engine would compute it in another way."""
    with open_workspace(project) as workspace:
        bound = bind_project(workspace)
        selected(bound, [name])
        found = next(item for item in bound.mappings if item.name == name)
        return written_for(
            dialect, compile_mapping(found), lambda relation: staged_types(workspace, relation), found.place
        )


def dedupe(project: Project, objects: Sequence[str] = (), progress: Progress = QUIET) -> list[StepLine]:
    """Find duplicates among mapped records, and what survives."""
    with work_on(project, "dedupe", progress) as workspace:
        bound = bind_project(workspace)
        return dedupe_in(workspace, bound, selected(bound, objects))


def load(project: Project, progress: Progress = QUIET, production: str = "") -> LoadReport:
    """Plan what changed, and write it to the target in batches; `production` is the system that a person named."""
    with work_on(project, "load", progress) as workspace:
        groups = bind_project(workspace).groups
        permit(project, target_system(groups), production)
        plan_in(workspace, groups)
        return send(workspace, groups)


def load_planned(
    project: Project, plan_file: str, progress: Progress = QUIET, production: str = ""
) -> LoadReport:
    """Carry out exactly a plan that was saved (its path, or its id); go on with it when a load of it was killed.

    Raises `SafetyStop` when the plan is stale, naming what changed since.
    """
    file = read_plan(project, plan_file)
    with work_on(project, "load", progress) as workspace:
        bound = bind_project(workspace)
        permit(project, target_system(bound.groups), production)
        take_up(workspace, bound, file)
        return send(workspace, bound.groups)


def run(project: Project, progress: Progress = QUIET, production: str = "") -> RunReport:
    """Extract, map, dedupe, plan and load everything, as one run; `validate` is a command of its own.

    `production` is the system that a person named.
    """
    with work_on(project, "run", progress) as workspace:
        return finish(workspace, prepare(workspace, production))


def finish(workspace: Workspace, groups: Groups) -> RunReport:
    """Plan and load what is prepared, and account for every record."""
    planned = plan_in(workspace, groups)
    loaded = send(workspace, groups)
    with closing(workspace.session()) as session:
        accounting = account(workspace.store, session, flat(groups))
    return RunReport(planned, loaded, accounting)


def prepare(workspace: Workspace, production: str | None) -> Groups:
    """Extract, map and dedupe everything, once it is sure that the target may be written to; what a plan starts from.

    `production` is the system that a person named; None when nothing is to be written.
    """
    with ExitStack() as opened:
        sources, _ = begin(workspace, opened, production)
        _extract(workspace, (), workspace.progress, sources)
    return prepare_staged(workspace)


def begin(
    workspace: Workspace, opened: ExitStack, production: str | None
) -> tuple[Mapping[str, Source], Bound]:
    """The sources, open until `opened` ends, and the mappings bound to them, once the target may be written to."""
    project = workspace.project
    sources = open_sources(project, opened)
    bound = bind_sources(project, sources)
    system = target_system(bound.groups)
    project.open_target(system).close()  # its settings; nobody connects yet
    if production is not None:
        permit(project, system, production)
    return sources, bound


def prepare_staged(workspace: Workspace) -> Groups:
    """Map and dedupe everything that is staged."""
    _map(workspace, (), workspace.progress)
    bound = bind_project(workspace)
    dedupe_in(workspace, bound, bound.groups)
    return bound.groups


def open_sources(project: Project, opened: ExitStack, objects: Sequence[str] = ()) -> dict[str, Source]:
    """The systems that mappings read (`objects`: of these objects only) by name, open until `opened` ends."""
    wanted = source_objects(read_mappings(project))
    named = {name.partition("/")[0] for name in objects} or set(wanted)
    return {
        system: opened.enter_context(closing(project.open_source(system)))
        for system in wanted
        if system in named
    }


def _extract(
    workspace: Workspace, objects: Sequence[str], progress: Progress, sources: Mapping[str, Source]
) -> list[StepLine]:
    wanted = source_objects(read_mappings(workspace.project))
    known = [f"{system}/{name}" for system, names in wanted.items() for name in names]
    for name in objects:
        if name not in known:
            hint = did_you_mean(name, known, noun="source objects")
            raise ProjectError.at("--object", f"no mapping reads {name!r}", hint)
    lines = []
    with measured(workspace, Step.EXTRACT):
        for system, names in wanted.items():
            chosen = [name for name in names if not objects or f"{system}/{name}" in objects]
            if chosen:
                lines += extract_system(workspace, sources[system], system, chosen, progress)
    if is_anybody_forgotten(workspace):
        keep_out(workspace, flat(bind_project(workspace).groups))
    return lines


def extract_system(
    workspace: Workspace, source: Source, system: str, names: Sequence[str], progress: Progress
) -> list[StepLine]:
    """Stage the named objects of one open source; what the source has now is merged into its saved schema."""
    described, new = look_at(workspace, source, system, names)
    need_room(workspace, Step.EXTRACT, source_bytes(workspace, system, new) if new else 0)
    lines = []
    for name in names:
        dataset = stage(
            workspace, source, system, described[name], session_factory=workspace.session, progress=progress
        )
        line = _line("extract", dataset)
        lines.append(replace(line, detail={**line.detail, "notes": notes(source, name)}))
    workspace.project.save_schema(system, merged_schemas(workspace.project, system, source))
    return lines


def look_at(
    workspace: Workspace, source: Source, system: str, names: Sequence[str]
) -> tuple[Mapping[str, ObjectSchema], list[ObjectSchema]]:
    """What an open source has, and what of the named objects is not staged as it is there now.

    Raises `ProjectError` for an object that it does not have.
    """
    described = index_schemas(call(source.describe, policy=PATIENT, clock=workspace.ledger.clock))
    for name in names:
        if name not in described:
            hint = did_you_mean(name, described, noun="objects")
            place = str(workspace.project.system(system).place)
            raise ProjectError.at(place, f"{system} has no object {name!r}", hint)
    named = [described[name] for name in names]
    return described, [item for item in named if not is_staged(workspace.store, source, system, item)]


def stage(
    workspace: Workspace,
    source: Source,
    system: str,
    schema: ObjectSchema,
    *,
    session_factory: Callable[[], Session],
    progress: Progress,
) -> Dataset:
    """Stage one object of an open source."""
    return extract_object(
        workspace.store, session_factory, source, system, schema,
        files=workspace.project.workspace / "files", progress=progress,
    )  # fmt: skip


def notes(source: Source, object_name: str) -> list[str]:
    """What a source found out about an object (about itself for '') in order to read it; nothing is guessed silently."""
    return list(source.notes(object_name)) if isinstance(source, NotedSource) else []


def _map(workspace: Workspace, objects: Sequence[str], progress: Progress) -> list[StepLine]:
    bound = bind_project(workspace)
    keep_out(workspace, flat(bound.groups))
    return map_in(workspace, bound, flat(selected(bound, objects)), progress)


def map_in(workspace: Workspace, bound: Bound, chosen: Sequence[MappedObject], progress: Progress = QUIET) -> list[StepLine]:  # fmt: skip
    """`map` in a workspace that is open for work."""
    wanted = {item.name for item in chosen}
    with measured(workspace, Step.MAP, chosen), closing(workspace.session_for(Work.MAP)) as session:
        lines = [
            _line("map", map_object(workspace.store, session, compile_mapping(item), progress=progress))
            for item in bound.mappings
            if item.name in wanted
        ]
    with closing(workspace.session()) as session:
        remember(workspace.store, session, chosen)
    _tell_quarantine(workspace, "map", chosen)
    return lines


def dedupe_in(workspace: Workspace, bound: Bound, groups: Groups) -> list[StepLine]:
    """`dedupe` in a workspace that is open for work."""
    lines = []
    hooks = {item.name: survival_hooks(item) for item in bound.mappings}
    with measured(workspace, Step.DEDUPE, flat(groups)), closing(workspace.session_for(Work.DEDUPE)) as session:  # fmt: skip
        for item in flat(groups):
            register_hooks(session, hooks[item.name])
            found = dedupe_object(
                workspace.store, session, item,
                progress=workspace.progress, judgements=judgements(workspace.ledger, item.name),
            )  # fmt: skip
            remember_merged(workspace.store, session, item)
            lines.append(_line("dedupe", found.clusters))
    return lines


def plan_in(workspace: Workspace, groups: Groups, retry: Retry | None = None) -> Plan:
    """`plan` in a workspace that is open for work."""
    with measured(workspace, Step.PLAN, flat(groups)), closing(workspace.session()) as session:
        return plan_for_target(workspace, session, groups, retry)


def send(workspace: Workspace, groups: Groups, chosen: Mapping[str, Dataset] | None = None) -> LoadReport:
    """Carry out the current plan, or what of it is about `chosen` records and their dependants."""
    refuse_restored(workspace)
    system = target_system(groups)
    with measured(workspace, Step.LOAD, flat(groups)), closing(workspace.project.open_target(system)) as target:  # fmt: skip
        give_files(target, workspace.project.workspace / "files")
        report = load_objects(
            workspace.store, workspace.session, workspace.ledger, target, groups,
            progress=workspace.progress, fence=workspace.fence, parallel=workspace.project.gates.parallel(system), chosen=chosen,
        )  # fmt: skip
    with closing(workspace.session()) as session:
        remember(workspace.store, session, flat(groups))
    _tell_quarantine(workspace, "load", flat(groups))
    for item in flat(groups):
        workspace.store.discard(Kind.CHOSEN, item.name)  # what was asked for has been sent, or everything has
    return report


def _tell_quarantine(workspace: Workspace, step: str, objects: Sequence[MappedObject]) -> None:
    for item in objects:
        held = workspace.store.current(Kind.HELD, item.name)
        if held is not None and held.rows:
            workspace.progress.tell(Event.QUARANTINE, step, item.name, {"complaints": held.rows})


def _line(step: str, dataset: Dataset) -> StepLine:
    return StepLine(step, dataset.name, dataset.rows, round(dataset.seconds, 3), dict(dataset.detail))
