"""The mappings of a project, bound to the schemas of its systems and put in load order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import pyarrow as pa

from migrator.commands.project import FILE, Project, Workspace
from migrator.core.connector import Source
from migrator.core.document import did_you_mean
from migrator.core.errors import Problem, ProjectError, raise_errors
from migrator.core.mapped import MappedObject
from migrator.core.schema import ObjectSchema, index_schemas
from migrator.mapping.bind import bind
from migrator.mapping.bound import Bound, StagedTypes
from migrator.mapping.files import MappingFiles, load, read_files
from migrator.mapping.hidden_losses import Fills, unknown_fills
from migrator.mapping.parse import ObjectMapping
from migrator.staging.fill import Fill, fills
from migrator.staging.store import Kind


def read_mappings(project: Project) -> tuple[ObjectMapping, ...]:
    """Parse all mapping files; raises `ProjectError` with every problem, or when there are none."""
    folder = project.folder / project.mappings
    found = load(folder, project.folder)
    if not found:
        raise ProjectError.at(
            str(folder),
            "there is no mapping here",
            "write one YAML file per target object, or use: migrator init",
        )
    raise_errors(_all_unknown_systems(project, found))
    return found


def read_as_far(project: Project) -> MappingFiles:
    """Parse all mapping files, those with mistakes as far as they go; raises `ProjectError` when there are none."""
    found = read_files(project.folder / project.mappings, project.folder)
    unknown = _all_unknown_systems(project, found.mappings)
    return replace(found, problems=(*found.problems, *unknown), whole=found.whole and not unknown)


def _all_unknown_systems(project: Project, found: Iterable[ObjectMapping]) -> list[Problem]:
    return [problem for mapping in found for problem in _unknown_systems(project, mapping)]


def _unknown_systems(project: Project, mapping: ObjectMapping) -> Iterator[Problem]:
    used = [(mapping.rule.target.system, mapping.at("target", "system"))]
    for source in mapping.sources:
        place = mapping.document.locate_key(source.path)
        used.append((source.system, mapping.at(*source.path, "system") if source.rule.system else place))
        for name, join in source.rule.join.items():
            if join.system is not None:
                used.append((join.system, mapping.at(*source.path, "join", name, "system")))
    for name, place in used:
        if name not in project.systems:
            hint = did_you_mean(name, project.systems, noun="systems")
            yield Problem(place, f"there is no system {name!r} in {FILE}", hint)


def bind_project(
    workspace: Workspace,
    mappings: Sequence[ObjectMapping] | None = None,
    staged: StagedTypes | None = None,
    full: Fills = unknown_fills,
) -> Bound:
    """Bind the project's mappings to what is known of its systems: saved schemas, else the systems themselves.

    A target's schema is used only when it was saved: a target that the load is going to create is described by the
    mapping, before the load as after it. `staged` tells the types of staged data in place of what is staged; `full`
    tells how full staged columns are.
    """
    project = workspace.project
    found = read_mappings(project) if mappings is None else mappings
    sources = {name: known_schema(project, name) for name in source_systems(found)}
    types = staged or (lambda name: staged_types(workspace, name))
    return bind(found, sources, _targets(project, found), types, full, hooks=project.hooks)


def bind_sources(project: Project, opened: Mapping[str, Source]) -> Bound:
    """Bind the project's mappings to open sources as extract will find them, so that no hours of reading come before an error."""
    found = read_mappings(project)
    sources = {name: index_schemas(merged_schemas(project, name, source)) for name, source in opened.items()}
    return bind(found, sources, _targets(project, found), hooks=project.hooks)


def _targets(project: Project, found: Iterable[ObjectMapping]) -> dict[str, Mapping[str, ObjectSchema]]:
    return {name: project.saved_schema(name) or {} for name in {item.rule.target.system for item in found}}


def source_systems(mappings: Iterable[ObjectMapping]) -> tuple[str, ...]:
    """Systems that the mappings read from, joined objects included, in the order they first appear."""
    return tuple(source_objects(mappings))


def source_objects(mappings: Iterable[ObjectMapping]) -> dict[str, tuple[str, ...]]:
    """System → its objects that the mappings read from, joined ones included, each once."""
    found: dict[str, dict[str, None]] = {}
    for mapping in mappings:
        for source in mapping.sources:
            found.setdefault(source.system, {})[source.rule.object] = None
            for join in source.rule.join.values():
                found.setdefault(join.system or source.system, {})[join.object] = None
    return {system: tuple(objects) for system, objects in found.items()}


def known_schema(project: Project, system: str) -> Mapping[str, ObjectSchema]:
    """The saved schema of a source, else what the source itself says."""
    saved = project.saved_schema(system)
    if saved is not None:
        return saved
    with closing(project.open_source(system)) as source:
        return index_schemas(source.describe())


def merged_schemas(project: Project, system: str, source: Source) -> list[ObjectSchema]:
    """What a source has now, with the types its saved schema knows."""
    saved = project.saved_schema(system) or {}
    return [merge_schema(saved.get(item.name), item) for item in source.describe()]


def merge_schema(saved: ObjectSchema | None, described: ObjectSchema) -> ObjectSchema:
    """What the source has now, with the types that profiling or a person gave the fields that were known before."""
    if saved is None:
        return described
    fields = tuple(saved.field(item.name) or item for item in described.fields)
    return replace(described, key=described.key or saved.key, fields=fields)


def check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise `ProjectError` when one of the `names` a user gave is no mapping."""
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, noun="mappings")
            raise ProjectError.at("--object", f"there is no mapping {name!r}", hint)


def selected(bound: Bound, names: Sequence[str]) -> tuple[tuple[MappedObject, ...], ...]:
    """The groups in load order, cut to the objects named (all when none is); raises `ProjectError` for unknown names."""
    known = [item.name for item in bound.mappings]
    check_names(names, known)
    wanted = set(names) or set(known)
    groups = (tuple(item for item in group if item.name in wanted) for group in bound.groups)
    return tuple(group for group in groups if group)


def staged_fills(workspace: Workspace, name: str) -> Mapping[str, Fill] | None:
    """How full the columns of a STAGED dataset are; None while it is not staged."""
    staged = workspace.store.current(Kind.STAGED, name)
    return fills(staged.files) if staged is not None else None


def staged_types(workspace: Workspace, name: str) -> pa.Schema | None:
    """The Arrow schema of a STAGED dataset; None while it is not staged."""
    staged = workspace.store.current(Kind.STAGED, name)
    return staged.schema() if staged is not None else None
