"""The init command: exports recognised, every record profiled, and a project written that runs as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from migrator.commands.check import check
from migrator.commands.editor import write_json_schema
from migrator.commands.project import (
    FILE,
    Project,
    Workspace,
    anchor_sqlite,
    load_project,
    parse_project,
    work_on,
)
from migrator.commands.recognise import Recognised, recognise, with_settings
from migrator.commands.steps import extract_system, notes
from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.core.progress import Progress, Quiet
from migrator.core.schema import ObjectSchema
from migrator.extract.infer import infer, size
from migrator.extract.profile import ObjectProfile, profile
from migrator.extract.references import StagedObject, infer_references
from migrator.mapping.scaffold import mapping_names, write_mapping
from migrator.staging.store import Dataset, Kind

QUIET = Quiet()
TARGET = "new"
"""What the generated project calls the system it writes to."""


@dataclass(frozen=True, slots=True)
class InitSystem:
    """A source as recognised."""

    name: str
    connector: str
    reason: str


@dataclass(frozen=True, slots=True)
class InitObject:
    """A source object and the mapping written for it."""

    system: str
    object: str
    mapping: str
    records: int
    fields: int
    key: str


@dataclass(frozen=True, slots=True)
class _Staged:
    """A source after its records were staged and profiled."""

    schemas: tuple[ObjectSchema, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    no_keys: Mapping[str, str]
    """Objects whose key by name is none by its values → a sentence that says so."""


@dataclass(frozen=True, slots=True)
class InitReport:
    """What was recognised and written."""

    folder: Path
    systems: tuple[InitSystem, ...]
    objects: tuple[InitObject, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was found out in order to read: encodings, dialects, renamed columns; each begins with where."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "systems": [{"name": s.name, "connector": s.connector, "reason": s.reason} for s in self.systems],
            "objects": [
                {
                    "system": item.system, "object": item.object, "mapping": item.mapping,
                    "records": item.records, "fields": item.fields, "key": item.key,
                }
                for item in self.objects
            ],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }  # fmt: skip


def init(
    folder: Path,
    sources: Sequence[str],
    target: str,
    *,
    settings: Sequence[str] = (),
    progress: Progress = QUIET,
) -> InitReport:
    """Make a project in `folder` that moves everything the sources hold into the database at `target`.

    `settings` are texts '[SYSTEM.]NAME=VALUE' for how the sources are read; a VALUE is YAML. All records are staged
    and profiled, so that every type fits every value; `migrator run` goes on from there. `migration.yaml` is written
    last: a folder without it is not yet a project, and init may be called again. Raises `ProjectError` when the folder
    holds a project already, a source is not recognised, or how it is written is not clear.
    """
    if (folder / FILE).exists():
        raise ProjectError.at(
            str(folder / FILE), "there is a project here already", "choose another folder, or edit it"
        )
    recognised = with_settings([recognise(spec) for spec in sources], settings)
    _check_names(recognised)
    project = _project(folder, recognised, target)
    with closing(project.open_target(TARGET)):
        pass  # a URL that is no database is told before hours of reading
    with work_on(project, "init", progress) as workspace, _telling_how():
        staged = {item.name: _stage(workspace, item) for item in recognised}
        recognised = [_without_keys(item, staged[item.name]) for item in recognised]
        keyless = replace(workspace, project=_project(folder, recognised, target))
        for item in recognised:
            if staged[item.name].no_keys:
                again = _stage(keyless, item)
                told = (*staged[item.name].no_keys.values(), *again.warnings)
                staged[item.name] = replace(again, warnings=told)
        objects = _write_mappings(workspace, {name: item.schemas for name, item in staged.items()})
    (folder / FILE).write_text(_migration_yaml(folder, recognised, target), encoding="utf-8")
    report = check(load_project(folder))
    systems = tuple(InitSystem(item.name, item.connector.name, item.reason) for item in recognised)
    warnings = [warning for item in staged.values() for warning in item.warnings]
    notes = tuple(note for item in staged.values() for note in item.notes)
    return InitReport(
        folder, systems, tuple(objects), (*warnings, *(str(item) for item in report.warnings)), notes
    )


def _project(folder: Path, recognised: Sequence[Recognised], target: str) -> Project:
    return parse_project(Document(_migration_yaml(folder, recognised, target), str(folder / FILE)), folder)


@contextmanager
def _telling_how() -> Iterator[None]:
    """Hints speak of migration.yaml, which is not there yet: say how to give init the same."""
    try:
        yield
    except ProjectError as error:
        raise ProjectError(
            [
                replace(item, hint=f"{item.hint}; with init: {_HOW}") if FILE in item.hint else item
                for item in error.problems
            ]
        ) from error


_HOW = "--set encoding=cp1252, or for one file --set 'files={FILE.csv: {encoding: cp1252}}'"


def _without_keys(item: Recognised, staged: _Staged) -> Recognised:
    if not staged.no_keys:
        return item
    keys = {**item.settings.get(KEYS, {}), **dict.fromkeys(staged.no_keys, "")}
    return replace(item, settings={**item.settings, KEYS: keys})


def _check_names(recognised: Sequence[Recognised]) -> None:
    names = [item.name for item in recognised]
    twice = sorted({name for name in names if names.count(name) > 1 or name == TARGET})
    if twice:
        raise ProjectError.at(
            "--source",
            f"two systems would be called {twice[0]!r}",
            f"name them, for example: --source old2={twice[0]}…",
        )


def _stage(workspace: Workspace, item: Recognised) -> _Staged:
    """Stage all objects of a source and save its schema with the types that fit every value."""
    project, store = workspace.project, workspace.store
    with closing(project.open_source(item.name)) as source:
        described = list(source.describe())
        fit = size if source.facts.typed else infer
        lines = extract_system(
            workspace, source, item.name, [schema.name for schema in described], workspace.progress
        )
        told = [f"{item.name}: {note}" for note in notes(source, "")]
    told += [f"{line.name}: {note}" for line in lines for note in line.detail["notes"]]
    warnings = [f"{line.name}: {warning}" for line in lines for warning in line.detail["warnings"]]
    found: list[StagedObject] = []
    no_keys: dict[str, str] = {}
    with closing(workspace.session()) as session:
        for schema in described:
            dataset = store.need(Kind.STAGED, f"{item.name}/{schema.name}", made_by="extract")
            workspace.progress.start("profile", dataset.name, dataset.rows)
            measured = profile(session, dataset, schema)
            found.append(StagedObject(fit(schema, measured), measured, dataset))
            workspace.progress.done(
                "profile", dataset.name, f"{dataset.rows:,} rows, {len(schema.fields)} fields"
            )
            if (
                _may_set_keys(item, schema)
                and (shared := _share_without_key(schema, measured, dataset)) > MOST
            ):
                no_keys[schema.name] = (
                    f"{dataset.name}: {schema.key} is no key: {shared:.0%} of the rows have none of their own; "
                    "records are known by their row (`keys:` in migration.yaml)"
                )
        inferred, remarks = infer_references(session, found)
    project.save_schema(item.name, list(inferred))
    return _Staged(inferred, (*warnings, *remarks), tuple(told), no_keys)


KEYS = "keys"
"""The setting by which connectors that tell keys by their names only let a person say otherwise."""
MOST = 0.1
"""Up to this share of rows without a key of their own it is the rows that are at fault, and they are quarantined."""


def _may_set_keys(item: Recognised, schema: ObjectSchema) -> bool:
    return (
        bool(schema.key)
        and KEYS in item.connector.settings
        and schema.name not in item.settings.get(KEYS, {})
    )


def _share_without_key(schema: ObjectSchema, measured: ObjectProfile, dataset: Dataset) -> float:
    """Rows that have no key, or the key of a row before them that says something else, as a share of all."""
    column = measured.column(schema.key)
    without = (column.nulls + column.empties if column else 0) + int(dataset.detail["copies"])
    return without / max(dataset.rows, 1)


def _write_mappings(workspace: Workspace, staged: Mapping[str, tuple[ObjectSchema, ...]]) -> list[InitObject]:
    project, store = workspace.project, workspace.store
    folder = project.folder / project.mappings
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for system, schemas in staged.items():
        names = mapping_names(schemas)
        if len(staged) > 1:
            names = {name: f"{system}_{mapping}" for name, mapping in names.items()}
        keyless = {schema.name for schema in schemas if not schema.key}
        for schema in schemas:
            name = names[schema.name]
            text = write_mapping(schema, source=system, target=TARGET, names=names, keyless=keyless)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
            records = store.need(Kind.STAGED, f"{system}/{schema.name}", made_by="extract").rows
            written.append(InitObject(system, schema.name, name, records, len(schema.fields), schema.key))
    write_json_schema(project)
    return written


def _migration_yaml(folder: Path, recognised: Sequence[Recognised], target: str) -> str:
    lines = [f"project: {_scalar(folder.resolve().name)}", "systems:"]
    for item in recognised:
        settings = {key: _anchored(value) for key, value in item.settings.items()}
        lines.append(f"  {item.name}: {_flow({'connector': item.connector.name, **settings})}")
    lines.append(f"  {TARGET}: {_flow({'connector': 'sql', 'url': _anchored(target)})}")
    lines += ["engine: {memory_limit: 1GB}", "batch_rows: 10000"]
    return "\n".join(lines) + "\n"


def _anchored(value: Any) -> Any:
    """Paths and SQLite files given on the command line are relative to where it ran; the project keeps them absolute."""
    if not isinstance(value, str):
        return value
    if "://" in value:
        return anchor_sqlite(value, Path.cwd())
    return str(Path(value).resolve()) if Path(value).exists() else value


def _flow(settings: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in settings.items()) + "}"


def _scalar(value: Any) -> str:
    """JSON is YAML: quoting that any value survives."""
    return json.dumps(value, ensure_ascii=False)
