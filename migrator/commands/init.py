"""The init command: exports recognised, every record profiled, and a project written that runs as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.check import check
from migrator.commands.project import (
    FILE,
    Project,
    Workspace,
    anchor_sqlite,
    load_project,
    parse_project,
    work_on,
)
from migrator.commands.recognise import Recognised, recognise
from migrator.commands.steps import extract_system
from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.core.progress import Progress, Quiet
from migrator.core.schema import ObjectSchema
from migrator.extract.infer import infer, size
from migrator.extract.profile import profile
from migrator.extract.references import StagedObject, infer_references
from migrator.mapping.model import json_schema
from migrator.mapping.scaffold import mapping_names, write_mapping
from migrator.staging.store import Kind

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
class InitReport:
    """What was recognised and written."""

    folder: Path
    systems: tuple[InitSystem, ...]
    objects: tuple[InitObject, ...]
    warnings: tuple[str, ...]

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
        }  # fmt: skip


def init(folder: Path, sources: Sequence[str], target: str, *, progress: Progress = QUIET) -> InitReport:
    """Make a project in `folder` that moves everything the sources hold into the database at `target`.

    All records are staged and profiled, so that every type fits every value; `migrator run` goes on from there.
    `migration.yaml` is written last: a folder without it is not yet a project, and init may be called again.
    Raises `ProjectError` when the folder holds a project already or a source is not recognised.
    """
    if (folder / FILE).exists():
        raise ProjectError.at(
            str(folder / FILE), "there is a project here already", "choose another folder, or edit it"
        )
    recognised = [recognise(spec) for spec in sources]
    _check_names(recognised)
    text = _migration_yaml(folder, recognised, target)
    project = parse_project(Document(text, str(folder / FILE)), folder)
    with closing(project.open_target(TARGET)):
        pass  # a URL that is no database is told before hours of reading
    with work_on(project, "init") as workspace:
        staged = {item.name: _stage(workspace, item, progress) for item in recognised}
        objects = _write_mappings(workspace, {name: schemas for name, (schemas, _) in staged.items()})
    (folder / FILE).write_text(text, encoding="utf-8")
    report = check(load_project(folder))
    systems = tuple(InitSystem(item.name, item.connector.name, item.reason) for item in recognised)
    remarks = [remark for _, listed in staged.values() for remark in listed]
    return InitReport(folder, systems, tuple(objects), (*remarks, *(str(item) for item in report.warnings)))


def _check_names(recognised: Sequence[Recognised]) -> None:
    names = [item.name for item in recognised]
    twice = sorted({name for name in names if names.count(name) > 1 or name == TARGET})
    if twice:
        raise ProjectError.at(
            "--source",
            f"two systems would be called {twice[0]!r}",
            f"name them, for example: --source old2={twice[0]}…",
        )


def _stage(
    workspace: Workspace, item: Recognised, progress: Progress
) -> tuple[tuple[ObjectSchema, ...], tuple[str, ...]]:
    """Stage all objects of a source and save its schema with the types that fit every value; remarks for people beside it."""
    project, store = workspace.project, workspace.store
    with closing(project.open_source(item.name)) as source:
        described = list(source.describe())
        fit = size if source.facts.typed else infer
        extract_system(workspace, source, item.name, [schema.name for schema in described], progress)
    found = []
    with closing(workspace.session()) as session:
        for schema in described:
            dataset = store.need(Kind.STAGED, f"{item.name}/{schema.name}", made_by="extract")
            progress.start("profile", dataset.name, dataset.rows)
            measured = profile(session, dataset, schema)
            found.append(StagedObject(fit(schema, measured), measured, dataset))
            progress.done("profile", dataset.name, f"{dataset.rows:,} rows, {len(schema.fields)} fields")
        inferred, remarks = infer_references(session, found)
    project.save_schema(item.name, list(inferred))
    return inferred, remarks


def _write_mappings(workspace: Workspace, staged: dict[str, tuple[ObjectSchema, ...]]) -> list[InitObject]:
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


def write_json_schema(project: Project) -> None:
    """Put the mapping language's JSON Schema where the mappings' modelines point, for editors."""
    project.workspace.mkdir(parents=True, exist_ok=True)
    path = project.workspace / "mapping.schema.json"
    path.write_text(json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


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


def _flow(settings: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in settings.items()) + "}"


def _scalar(value: Any) -> str:
    """JSON is YAML: quoting that any value survives."""
    return json.dumps(value, ensure_ascii=False)
