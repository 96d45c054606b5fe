"""The commands `map to-xlsx` and `map from-xlsx`: mappings as a workbook for people, and their changes back into YAML."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.binding import bind_project, read_mappings
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.core.document import Document
from migrator.core.errors import FatalError, Problem, ProjectError
from migrator.core.mask import mask
from migrator.core.schema import FieldType, ObjectSchema
from migrator.extract.profile import ColumnProfile, profile
from migrator.mapping.parse import ObjectMapping, parse_mapping
from migrator.mapping.workbook_book import Facts, sheets_of
from migrator.mapping.workbook_merge import Merged, merge, pointed
from migrator.mapping.workbook_sheets import read_sheets, write_sheets
from migrator.mapping.workbook_yaml import YamlText
from migrator.staging.store import Kind

EXAMPLES = 5
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Exported:
    """A workbook that was written."""

    path: Path
    mappings: tuple[str, ...]
    fields: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "mappings": list(self.mappings), "fields": self.fields}


@dataclass(frozen=True, slots=True)
class Imported:
    """What a workbook changes."""

    diffs: tuple[tuple[str, str], ...]
    """File and its unified diff, for each file that changes."""
    written: bool
    left: tuple[str, ...]
    """Mappings that the workbook has no sheet for; they stay as they are."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        changed = [{"file": file, "diff": diff} for file, diff in self.diffs]
        return {"changed": changed, "written": self.written, "without_a_sheet": list(self.left)}


def to_xlsx(project: Project, out: Path) -> Exported:
    """Write all mappings into one workbook, with fill rates and masked examples of what is staged."""
    if out.suffix.lower() != ".xlsx":
        raise ProjectError.at(str(out), "a workbook's name ends in .xlsx")
    mappings = read_mappings(project)
    texts = {item.name: YamlText(_written(project, item), item.document.file) for item in mappings}
    with open_workspace(project) as workspace:
        known = _facts(workspace, mappings)
    write_sheets(sheets_of(mappings, texts, known), out)
    names = tuple(item.name for item in mappings)
    return Exported(out, names, sum(len(set(_own_fields(item))) for item in mappings))


def _own_fields(mapping: ObjectMapping) -> list[str]:
    return [*mapping.rule.fields, *(name for item in mapping.sources for name in item.rule.fields)]


def from_xlsx(project: Project, file: Path, *, dry_run: bool = False) -> Imported:
    """Bring the changes of a workbook into the YAML; `dry_run` only tells them.

    Nothing is written unless all of it parses and binds. Raises `ProjectError` with every problem at its cell.
    """
    mappings = read_mappings(project)
    before = {item.name: _written(project, item) for item in mappings}
    texts = {item.name: YamlText(before[item.name], item.document.file) for item in mappings}
    merged = merge(file.name, read_sheets(file), mappings, texts)
    _check(project, mappings, merged)
    changed = [
        item for item in mappings if item.name in merged and merged[item.name].text != before[item.name]
    ]
    diffs = tuple(
        (item.document.file, _diff(item.document.file, before[item.name], merged[item.name].text))
        for item in changed
    )
    if not dry_run:
        for item in changed:
            _write(project, item, merged[item.name].text)
    left = tuple(item.name for item in mappings if item.name not in merged)
    return Imported(diffs, not dry_run and bool(diffs), left)


def _check(project: Project, mappings: Sequence[ObjectMapping], merged: Mapping[str, Merged]) -> None:
    """Parse and bind the project as it becomes; problems are told at the cells they come from."""
    files = {item.document.file: merged[item.name] for item in mappings if item.name in merged}
    found: list[ObjectMapping] = []
    problems: list[Problem] = []
    for item in mappings:
        try:
            found.append(_reparsed(item, merged, project))
        except ProjectError as error:
            problems.extend(error.problems)
    if not problems:
        try:
            with open_workspace(project) as workspace:
                bind_project(workspace, found)
        except ProjectError as error:
            problems.extend(error.problems)
    if problems:
        raise ProjectError(pointed(problems, files))


def _reparsed(item: ObjectMapping, merged: Mapping[str, Merged], project: Project) -> ObjectMapping:
    if item.name not in merged:
        return item
    return parse_mapping(Document(merged[item.name].text, item.document.file), project.folder)


def _path(project: Project, mapping: ObjectMapping) -> Path:
    """The file of a mapping; one that lies outside the project is never written."""
    path = (project.folder / mapping.document.file).resolve()
    if not path.is_relative_to(project.folder.resolve()):
        raise ProjectError.at(
            mapping.document.file, "this file lies outside the project folder", "move it into the project"
        )
    return path


def _written(project: Project, mapping: ObjectMapping) -> str:
    """The text of a mapping file with the line ends it has; a byte order mark is put back when it is written."""
    return _path(project, mapping).read_bytes().decode("utf-8-sig")


def _write(project: Project, mapping: ObjectMapping, text: str) -> None:
    path = _path(project, mapping)
    marked = path.read_bytes().startswith(_BOM.encode())
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_bytes(((_BOM if marked else "") + text).encode())
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}") from error


def _diff(file: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{file}", f"b/{file}", lineterm=""
    )
    return "\n".join(lines)


def _facts(workspace: Workspace, mappings: Sequence[ObjectMapping]) -> dict[tuple[str, str, str], Facts]:
    """What the profile says of the columns of every staged object that a mapping reads."""
    found: dict[tuple[str, str, str], Facts] = {}
    objects = dict.fromkeys(
        (source.system, source.rule.object) for item in mappings for source in item.sources
    )
    personal = _personal(mappings)
    with closing(workspace.session()) as session:
        for system, name in objects:
            staged = workspace.store.current(Kind.STAGED, f"{system}/{name}")
            schema = (workspace.project.saved_schema(system) or {}).get(name)
            if staged is None or schema is None:
                continue
            for column in profile(session, staged, schema).columns:
                hidden = (system, name, column.name) in personal
                found[system, name, column.name] = Facts(column.filled, _examples(schema, column, hidden))
    return found


def _personal(mappings: Sequence[ObjectMapping]) -> frozenset[tuple[str, str, str]]:
    """Source columns whose values go into fields that a mapping calls personal."""
    return frozenset(
        (source.system, source.rule.object, rule.from_)
        for item in mappings
        for source in item.sources
        for name in item.field_names
        if (rule := item.field(source, name).rule).from_ and rule.pii
    )


_LISTED = (FieldType.PICKLIST, FieldType.MULTI_PICKLIST, FieldType.BOOLEAN)
"""Types whose values are words of the system, not of a person."""


def _examples(schema: ObjectSchema, column: ColumnProfile, hidden: bool) -> tuple[str, ...]:
    described = schema.field(column.name)
    listed = described is not None and described.type in _LISTED and not described.pii
    open_values = listed and not hidden
    return tuple(value if open_values else mask(value) for value, _ in column.top[:EXAMPLES])
