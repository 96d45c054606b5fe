"""The check command: every problem of the project's files at once, without moving a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.binding import (
    bind_project,
    known_schema,
    read_as_far,
    source_objects,
    source_systems,
    staged_fills,
    staged_types,
)
from migrator.commands.editor import write_json_schema
from migrator.commands.project import FILE, Project, Workspace, open_workspace
from migrator.core.clock import SystemClock
from migrator.core.errors import Location, Problem, ProjectError, Severity, raise_errors
from migrator.mapping.bound import Bound
from migrator.mapping.compile import compile_mapping
from migrator.mapping.files import MappingFiles
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.run import refused_expressions
from migrator.mapping.staged_columns import texts_of
from migrator.mapping.warnings import Accepted, stale
from migrator.staging.engines import check_engine
from migrator.staging.shared import check_staging


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What holds, and what may be lost."""

    objects: tuple[tuple[str, str], ...]
    """Mapping and target object, in load order."""
    warnings: tuple[Problem, ...]
    accepted: tuple[Accepted, ...] = ()
    """Warnings that a mapping accepts, with its reason; those that are not given now are among them, not `met`."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "objects": [{"mapping": name, "target": target} for name, target in self.objects],
            "warnings": [
                {
                    "code": item.code,
                    "place": str(item.location),
                    "message": item.message,
                    "hint": item.hint,
                }
                for item in self.warnings
            ],
            "accepted": [
                {
                    "code": item.warning,
                    "mapping": item.mapping,
                    "field": item.field,
                    "reason": item.reason,
                    "place": str(item.place),
                    "met": item.met,
                }
                for item in self.accepted
            ],
        }


def check(project: Project, *, strict: bool = False) -> CheckReport:
    """Parse, bind, order and compile everything; raises `ProjectError` with every error.

    `strict`: with every warning too, but for those that a mapping accepts.
    """
    check_engine(project.engine, Location(str(project.folder / FILE)))
    shared = check_staging(project.resolved_staging(), project.staging_place, SystemClock())
    found = read_as_far(project)
    mappings = found.mappings
    with open_workspace(project) as workspace:
        write_json_schema(project)
        if found.problems:
            raise ProjectError(_with_the_rest(workspace, found))
        bound = bind_project(workspace, mappings, full=lambda name: staged_fills(workspace, name))
        _check_expressions(workspace, mappings, bound)
    left = {name: _left_behind(project, name, used) for name, used in source_objects(mappings).items()}
    accepted = tuple(_met(item, left) for item in bound.accepted)
    agreed = {item.field for item in accepted if item.warning == _LEFT}
    warnings = [*shared, *bound.warnings, *_unmapped(project, left, agreed)]
    raise_errors([*(map(_as_error, warnings) if strict else ()), *stale(accepted)])
    objects = tuple((item.name, item.mapped.target_object) for item in bound.mappings)
    return CheckReport(objects, tuple(warnings), accepted)


def _with_the_rest(workspace: Workspace, found: MappingFiles) -> list[Problem]:
    """The problems of files that cannot be read as they are, and what is wrong with the rest of them."""
    problems = list(found.problems)
    if found.whole:
        try:
            bind_project(workspace, found.mappings)
        except ProjectError as error:
            problems += [item for item in error.problems if item.location not in found.doubtful]
    return sorted(problems, key=lambda item: item.location)


def _check_expressions(workspace: Workspace, mappings: Iterable[ObjectMapping], bound: Bound) -> None:
    """Let the engine bind every expression over empty columns; raises `ProjectError` with all it refuses."""
    problems: list[Problem] = []
    systems = {name: known_schema(workspace.project, name) for name in source_systems(mappings)}
    with closing(workspace.session()) as session:
        for item in bound.mappings:
            compiled = compile_mapping(item)
            for name in compiled.relations if compiled.probes else ():
                system, _, object_name = name.partition("/")
                shape = staged_types(workspace, name) or texts_of(systems[system][object_name])
                session.table(name, shape.empty_table())
            problems += refused_expressions(session, compiled)
    raise_errors(problems)


def _as_error(warning: Problem) -> Problem:
    """The warning as `--strict` tells it, with its code, by which a mapping can accept it."""
    return replace(warning, message=f"{warning.message} ({warning.code})", severity=Severity.ERROR)


_LEFT = "dropped.object"


def _left_behind(project: Project, system: str, used: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in known_schema(project, system) if name not in used)


def _met(item: Accepted, left: Mapping[str, Collection[str]]) -> Accepted:
    """Objects that no mapping reads are accepted as SYSTEM/OBJECT, in whatever mapping says so."""
    system, _, name = item.field.partition("/")
    return replace(item, met=True) if item.warning == _LEFT and name in left.get(system, ()) else item


def _unmapped(
    project: Project, left: Mapping[str, Collection[str]], agreed: Collection[str]
) -> Iterable[Problem]:
    for system, objects in left.items():
        missing = [name for name in objects if f"{system}/{name}" not in agreed]
        if missing:
            yield Problem(
                Location(str(project.folder / project.mappings)),
                f"no mapping reads these objects of {system}: {', '.join(missing)}",
                "map them, or leave them behind knowingly",
                Severity.WARNING,
                _LEFT,
            )
