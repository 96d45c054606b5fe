"""The check command: every problem of the project's files at once, without moving a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.binding import bind_project, known_schema, read_mappings, source_objects
from migrator.commands.project import Project, open_workspace
from migrator.core.errors import Location, Problem, Severity, raise_errors
from migrator.mapping.compile import compile_mapping


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What holds, and what may be lost."""

    objects: tuple[tuple[str, str], ...]
    """Mapping and target object, in load order."""
    warnings: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "objects": [{"mapping": name, "target": target} for name, target in self.objects],
            "warnings": [
                {"place": str(item.location), "message": item.message, "hint": item.hint}
                for item in self.warnings
            ],
        }


def check(project: Project, *, strict: bool = False) -> CheckReport:
    """Parse, bind, order and compile everything; raises `ProjectError` with every error (`strict`: every warning too)."""
    mappings = read_mappings(project)
    with open_workspace(project) as workspace:
        bound = bind_project(workspace, mappings)
        for item in bound.mappings:
            compile_mapping(item)
    warnings = [*bound.warnings, *_unmapped(project, source_objects(mappings))]
    if strict:
        warnings = list(raise_errors(replace(item, severity=Severity.ERROR) for item in warnings))
    objects = tuple((item.name, item.mapped.target_object) for item in bound.mappings)
    return CheckReport(objects, tuple(warnings))


def _unmapped(project: Project, used: dict[str, tuple[str, ...]]) -> Iterable[Problem]:
    for system, objects in used.items():
        missing = [name for name in known_schema(project, system) if name not in objects]
        if missing:
            yield Problem(
                Location(str(project.folder / project.mappings)),
                f"no mapping reads these objects of {system}: {', '.join(missing)}",
                "map them, or leave them behind knowingly",
                Severity.WARNING,
            )
