"""The mappings that come with the toolkit: which there are, and a project made from one of them."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from migrator.commands.binding import merged_schemas
from migrator.commands.check import CheckReport, check
from migrator.commands.editor import write_json_schema
from migrator.commands.project import FILE, Project, System, anchor_sqlite, load_project, parse_project
from migrator.commands.recognise import Recognised, recognise, with_settings
from migrator.core.document import Document, did_you_mean
from migrator.core.errors import FatalError, Problem, ProjectError

README = "README.md"
_PAIR = "-to-"
"""Folders named OLD-to-NEW are templates for a project; others (the demo) are not."""


@dataclass(frozen=True, slots=True)
class Template:
    """Shipped mappings from one system to another."""

    name: str
    folder: Path
    about: str
    """The first line of its README."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"name": self.name, "folder": str(self.folder), "about": self.about}


@dataclass(frozen=True, slots=True)
class TemplateReport:
    """A project made from a template: what its sources hold that nothing reads, and what does not fit them yet."""

    folder: Path
    template: str
    systems: Mapping[str, str]
    """Source → why its connector reads it."""
    checked: CheckReport | None
    """None when something does not fit."""
    problems: tuple[Problem, ...]
    """What a person must settle: objects or fields that this source does not have, …"""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "template": self.template,
            "systems": dict(self.systems),
            "mappings": [name for name, _ in self.checked.objects] if self.checked else [],
            "warnings": [str(item) for item in self.checked.warnings] if self.checked else [],
            "problems": [
                {"place": str(item.location), "message": item.message, "hint": item.hint}
                for item in self.problems
            ],
        }


def shipped(name: str) -> Path:
    """A folder of shipped mappings; raises `FatalError` when they are not installed."""
    for root in _roots():
        if (root / name).is_dir():
            return root / name
    raise FatalError(
        f"the shipped mappings {name!r} are not installed", hint="run it from a checkout of crm-migrator"
    )


def templates() -> tuple[Template, ...]:
    """All shipped templates, by name."""
    found = {
        folder.name: folder
        for root in reversed(_roots())
        if root.is_dir()
        for folder in root.iterdir()
        if _PAIR in folder.name and (folder / FILE).is_file()
    }
    return tuple(Template(name, folder, _about(folder)) for name, folder in sorted(found.items()))


def init_from_template(
    folder: Path, name: str, sources: Sequence[str], *, target: str = "", settings: Sequence[str] = ()
) -> TemplateReport:
    """Make a project in `folder` from the template `name`, its sources filled in, and check it.

    `sources` are '[NAME=]WHAT', NAME being a source of the template; `target` is the URL of another database than the
    template's; `settings` as in `init`. The schemas of the sources are saved, so that the check needs no connection.
    What does not fit the source yet is told in the report, not raised: the project is there to be mended. Raises
    `ProjectError` when there is no such template, the folder is a project already, or a source is not recognised.
    """
    template = _template(name)
    if (folder / FILE).exists():
        raise ProjectError.at(
            str(folder / FILE), "there is a project here already", "choose another folder, or edit it"
        )
    text = (template.folder / FILE).read_text(encoding="utf-8")
    original = parse_project(Document(text, str(template.folder / FILE)), folder)
    recognised = with_settings(_recognised(original, sources), settings)
    for item in recognised:
        text = _put(text, item.name, {"connector": item.connector.name, **_anchored(item.settings)})
    if target:
        writes = next(item for item in original.systems if item not in _read_from(original))
        text = _put(text, writes, {"connector": "sql", "url": anchor_sqlite(target, Path.cwd())})
    text = text.replace(f"project: {template.name}", f"project: {json.dumps(folder.resolve().name)}", 1)
    _write(folder, template, text)
    project = load_project(folder)
    write_json_schema(project)
    for item in recognised:
        with closing(project.open_source(item.name)) as source:
            project.save_schema(item.name, merged_schemas(project, item.name, source))
    return _report(project, template, recognised)


def _roots() -> tuple[Path, ...]:
    """Beside the package in a checkout, under share/ where it is installed."""
    return (
        Path(__file__).parents[2] / "mappings",
        Path(sys.prefix) / "share" / "crm-migrator" / "mappings",
    )


def _about(folder: Path) -> str:
    readme = folder / README
    lines = readme.read_text(encoding="utf-8").splitlines() if readme.is_file() else []
    return next((line.lstrip("# ").strip() for line in lines if line.strip()), "")


def _template(name: str) -> Template:
    known = {item.name: item for item in templates()}
    if name not in known:
        hint = did_you_mean(name, known, noun="shipped mappings") or f"shipped are: {', '.join(known)}"
        raise ProjectError.at("--mapping", f"there are no shipped mappings {name!r}", hint)
    return known[name]


def _read_from(project: Project) -> tuple[str, ...]:
    """Systems of a template that are sources: all but the last."""
    return tuple(project.systems)[:-1]


def _recognised(project: Project, sources: Sequence[str]) -> list[Recognised]:
    """Each source of the template with the thing a person named for it."""
    names = _read_from(project)
    given: dict[str, str] = {}
    for spec in sources:
        match = re.match(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)", spec, re.DOTALL)
        name, what = (match[1], match[2]) if match and match[1] in names else (names[0], spec)
        if name in given:
            raise ProjectError.at("--source", f"{name!r} is given twice", f"name one of: {', '.join(names)}")
        given[name] = what
    if lacking := [name for name in names if name not in given]:
        raise ProjectError.at(
            "--source", f"these mappings read from {lacking[0]!r} too", f"add --source {lacking[0]}=PATH"
        )
    return [_opened(project.systems[name], what) for name, what in given.items()]


def _opened(system: System, what: str) -> Recognised:
    """The source as the template opens it, with what a person named in the place of what the template names."""
    found = recognise(f"{system.name}={system.connector}:{what}")
    return replace(found, settings={**system.settings, **found.settings})


def _anchored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Paths and SQLite files are relative to where the command ran; the project keeps them absolute."""
    found = dict(settings)
    if isinstance(found.get("path"), str):
        found["path"] = str(Path(found["path"]).expanduser().resolve())
    if isinstance(found.get("url"), str):
        found["url"] = anchor_sqlite(found["url"], Path.cwd())
    return found


def _put(text: str, system: str, settings: Mapping[str, Any]) -> str:
    """The template's text with other settings of one system; a template writes each system on a line of its own."""
    flow = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
    return re.sub(
        rf"^(  {re.escape(system)}: )\{{.*\}}$",
        lambda found: f"{found[1]}{{{flow}}}",
        text,
        count=1,
        flags=re.M,
    )


def _write(folder: Path, template: Template, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        template.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FILE, ".migrator")
    )
    # last: a folder without it is not yet a project, and may be made again
    (folder / FILE).write_text(text, encoding="utf-8")


def _report(project: Project, template: Template, recognised: Sequence[Recognised]) -> TemplateReport:
    systems = {item.name: item.reason for item in recognised}
    try:
        checked = check(project)
    except ProjectError as error:
        return TemplateReport(project.folder, template.name, systems, None, tuple(error.problems))
    return TemplateReport(project.folder, template.name, systems, checked, ())
