"""The command `map suggest`: mappings proposed between the objects of two systems, with their evidence, written on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.commands.binding import bind_project, known_schema, read_mappings
from migrator.commands.editor import write_json_schema
from migrator.commands.project import FILE, Project, Workspace, open_workspace
from migrator.commands.proposal import Proposal, Suggested
from migrator.core.connector import connectors
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import ObjectSchema, index_schemas
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scaffold import mapping_names
from migrator.mapping.suggest import THRESHOLD, suggest
from migrator.mapping.suggest_facts import ColumnFacts, look_at
from migrator.mapping.suggest_objects import ObjectPair, pair_objects
from migrator.mapping.suggest_words import load_lexicon
from migrator.mapping.suggest_yaml import write_suggestion
from migrator.staging.store import Kind


@dataclass(frozen=True, slots=True)
class _Side:
    """A system, its objects, and the one that was named ('' for none)."""

    system: str
    object: str
    schemas: Mapping[str, ObjectSchema]


def suggest_mappings(
    project: Project, *, source: str = "", target: str = "", threshold: float = THRESHOLD, write: bool = False
) -> Suggested:
    """Propose mappings from `source` to `target`, each 'SYSTEM/OBJECT', 'SYSTEM' or '' for what the project says.

    Saved schemas are enough; a system without one is asked. Staged data, where there is some, is looked at as well.
    `write` adds mapping files and changes none: raises `ProjectError` where one of that name is there and the pair was
    named. Raises `ProjectError` for systems and objects that are not there.
    """
    existing = _existing(project)
    targets = _side(project, target or _only_target(project, existing, source), "--target", reading=False)
    sources = [
        _side(project, name, "--source", reading=True)
        for name in ([source] if source else _source_systems(project, targets.system))
    ]
    with open_workspace(project) as workspace:
        found = [item for side in sources for item in _pairs(side, targets)]
        proposals = _proposals(workspace, found, existing, threshold)
    unpaired = _unpaired(sources, proposals)
    if not write:
        return Suggested(proposals, unpaired)
    written = _write(project, proposals, named=bool(sources[0].object and targets.object))
    if project.saved_schema(targets.system) is None:
        project.save_schema(targets.system, list(targets.schemas.values()))
    write_json_schema(project)
    return Suggested(written, unpaired, _problems(project))


def _existing(project: Project) -> tuple[ObjectMapping, ...]:
    folder = project.folder / project.mappings
    there = any(path.suffix in (".yaml", ".yml") for path in folder.glob("*"))
    return read_mappings(project) if there else ()


def _only_target(project: Project, existing: Sequence[ObjectMapping], source: str) -> str:
    """The one system that records go to, from the mappings there are, else from what connectors can do."""
    used = {item.rule.target.system for item in existing}
    reading = source.partition("/")[0]
    able = connectors()
    found = used or {
        name
        for name, system in project.systems.items()
        if able[system.connector].open_target is not None and name != reading
    }
    if len(found) != 1:
        names = ", ".join(sorted(found or project.systems))
        raise ProjectError.at(
            "--target", f"which system do the records go to: {names}?", "for example --target crm/account"
        )
    return found.pop()


def _source_systems(project: Project, target: str) -> list[str]:
    """Systems with a saved schema, so that no connection is needed; without any, all that can be read."""
    others = [name for name in project.systems if name != target]
    saved = [name for name in others if project.schema_file(name).exists()]
    able = connectors()
    return saved or [name for name in others if able[project.systems[name].connector].open_source is not None]


def _side(project: Project, written: str, option: str, *, reading: bool) -> _Side:
    system, _, name = written.partition("/")
    if system not in project.systems:
        hint = did_you_mean(system, project.systems, noun="systems")
        raise ProjectError.at(option, f"there is no system {system!r} in {FILE}", hint)
    schemas = known_schema(project, system) if reading else _target_schema(project, system)
    if not schemas:
        raise ProjectError.at(
            option,
            f"{system} has no objects yet, and there is no saved schema of it",
            f"describe its objects in {project.schema_file(system).relative_to(project.folder)}",
        )
    if name and name not in schemas:
        raise ProjectError.at(
            option, f"{system} has no object {name!r}", did_you_mean(name, schemas, noun="objects")
        )
    return _Side(system, name, schemas)


def _target_schema(project: Project, system: str) -> Mapping[str, ObjectSchema]:
    saved = project.saved_schema(system)
    if saved is not None:
        return saved
    with closing(project.open_target(system)) as opened:
        return index_schemas(opened.describe())


def _pairs(source: _Side, target: _Side) -> Iterator[tuple[_Side, _Side, ObjectPair]]:
    mine = {name: item for name, item in source.schemas.items() if source.object in ("", name)}
    theirs = {name: item for name, item in target.schemas.items() if target.object in ("", name)}
    if source.object and target.object:
        pairs: Sequence[ObjectPair] = [ObjectPair(source.object, target.object, 1.0, ("named by you",))]
    else:
        pairs = pair_objects(load_lexicon(), mine, theirs)
    for pair in pairs:
        yield source, target, pair


def _proposals(
    workspace: Workspace,
    pairs: Sequence[tuple[_Side, _Side, ObjectPair]],
    existing: Sequence[ObjectMapping],
    threshold: float,
) -> tuple[Proposal, ...]:
    names = _names(pairs)
    links = _links(
        existing,
        [(source.system, pair.source, name) for (source, _, pair), name in zip(pairs, names, strict=True)],
    )
    found = []
    with closing(workspace.session()) as session:

        def facts(system: str, schema: ObjectSchema) -> Mapping[str, ColumnFacts]:
            staged = workspace.store.current(Kind.STAGED, f"{system}/{schema.name}")
            return look_at(session, staged, schema) if staged is not None else {}

        for (source, target, pair), name in zip(pairs, names, strict=True):
            mine, theirs = source.schemas[pair.source], target.schemas[pair.target]
            suggestion = suggest(
                load_lexicon(), mine, theirs,
                seen=facts(source.system, mine), there=facts(target.system, theirs), threshold=threshold,
            )  # fmt: skip
            systems = (source.system, target.system)
            mapped = _mapped_by(existing, systems, pair)
            found.append(Proposal(systems, pair, suggestion, name, links.get(source.system, {}), mapped))
    return tuple(found)


def _names(pairs: Sequence[tuple[_Side, _Side, ObjectPair]]) -> list[str]:
    """The names of the mappings: that of the target object, with the source system where several go there."""
    targets = [pair.target for _, _, pair in pairs]
    words = mapping_names({pair.target: target.schemas[pair.target] for _, target, pair in pairs}.values())
    return [
        words[pair.target] if targets.count(pair.target) == 1 else f"{source.system}_{words[pair.target]}"
        for source, _, pair in pairs
    ]


def _links(
    existing: Sequence[ObjectMapping], proposed: Sequence[tuple[str, str, str]]
) -> dict[str, dict[str, str]]:
    """System → object → the mapping its records belong to; mappings that are there come first."""
    found: dict[str, dict[str, str]] = {}
    for mapping in existing:
        for source in mapping.sources:
            found.setdefault(source.system, {}).setdefault(source.rule.object, mapping.name)
    for system, name, mapping_name in proposed:
        found.setdefault(system, {}).setdefault(name, mapping_name)
    return found


def _mapped_by(
    existing: Sequence[ObjectMapping], systems: tuple[str, str], pair: ObjectPair
) -> tuple[str, ...]:
    return tuple(
        item.name
        for item in existing
        if (item.rule.target.system, item.rule.target.object) == (systems[1], pair.target)
        and any((one.system, one.rule.object) == (systems[0], pair.source) for one in item.sources)
    )


def _unpaired(sources: Sequence[_Side], proposals: Sequence[Proposal]) -> tuple[str, ...]:
    paired = {(item.systems[0], item.pair.source) for item in proposals}
    wanted = [(side.system, name) for side in sources for name in side.schemas if side.object in ("", name)]
    return tuple(f"{system}/{name}" for system, name in wanted if (system, name) not in paired)


def _write(project: Project, proposals: Sequence[Proposal], *, named: bool) -> tuple[Proposal, ...]:
    """Write the mappings that are not there yet; one that was asked for by name and cannot be written is an error."""
    folder = project.folder / project.mappings
    taken = {item.name for item in _existing(project)}
    done = []
    for item in proposals:
        path = folder / f"{item.name}.yaml"
        there = ", ".join(item.mapped_by) or (item.name if item.name in taken or path.exists() else "")
        if there and named:
            hint = "edit it, or move it away"
            raise ProjectError.at(str(path), f"there is a mapping {there} already; nothing was written", hint)
        if there:
            done.append(replace(item, not_written=f"there is a mapping {there} already"))
            continue
        _create(
            path, write_suggestion(item.suggestion, name=item.name, systems=item.systems, links=item.links)
        )
        done.append(replace(item, written=path))
    return tuple(done)


def _create(path: Path, text: str) -> None:
    """Write a file that is not there; never over one that came meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}") from error


def _problems(project: Project) -> tuple[str, ...]:
    """What is still wrong with the project as it is now."""
    try:
        with open_workspace(project) as workspace:
            bind_project(workspace)
    except ProjectError as error:
        return tuple(str(problem) for problem in error.problems)
    return ()
