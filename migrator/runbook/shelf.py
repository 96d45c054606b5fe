"""Where runbooks are found: in the project's `runbooks/`, by path, and those that come with the toolkit."""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.project import Project
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.runbook.parse import Runbook, read_runbook

FOLDER = "runbooks"
SCHEMA = "runbook.schema.json"


@dataclass(frozen=True, slots=True)
class Listed:
    """A runbook that can be named."""

    name: str
    title: str
    path: Path
    steps: int
    shipped: bool

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name, "title": self.title, "path": str(self.path), "steps": self.steps, "shipped": self.shipped,
        }  # fmt: skip


def shipped_folder() -> Path:
    """The folder of the shipped runbooks: beside the package in a checkout, under share/ where it is installed."""
    for root in (Path(__file__).parents[2], Path(sys.prefix) / "share" / "crm-migrator"):
        if (root / FOLDER / "cutover.yaml").is_file():
            return root / FOLDER
    raise FatalError("the shipped runbooks are not installed", hint="install crm-migrator anew")


def list_books(project: Path) -> list[Listed]:
    """All runbooks, by name; one in the project stands for the shipped one of its name."""
    found = {}
    for folder, shipped in ((shipped_folder(), True), (project / FOLDER, False)):
        for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            book = read_runbook(path)
            found[path.stem] = Listed(path.stem, book.rule.title, path, len(book.rule.steps), shipped)
    return [found[name] for name in sorted(found)]


def find_book(project: Path, name: str) -> Runbook:
    """The runbook of a name or path; raises `ProjectError` with the nearest name when there is none."""
    if name.endswith((".yaml", ".yml")):
        return read_runbook(Path(name))
    own, shipped = project / FOLDER / f"{name}.yaml", shipped_folder() / f"{name}.yaml"
    if own.is_file():
        return read_runbook(own)
    if shipped.is_file():
        return read_runbook(shipped)
    known = [item.name for item in list_books(project)]
    raise ProjectError.at(
        "RUNBOOK", f"there is no runbook {name!r}", did_you_mean(name, known, noun="runbooks")
    )


def copy_book(project: Path, name: str) -> Path:
    """Copy a shipped runbook into the project, to be filled in; raises `ProjectError` when one is there already."""
    find_book(project, name)
    to = project / FOLDER / f"{name}.yaml"
    if to.exists():
        raise ProjectError.at(str(to), "there is a runbook here already", "edit it, or move it away first")
    to.parent.mkdir(parents=True, exist_ok=True)
    for file in (f"{name}.yaml", SCHEMA):
        shutil.copyfile(shipped_folder() / file, to.parent / file)
    return to


def mapping_digest(project: Project) -> str:
    """A digest of everything that says how records are mapped: mappings, value maps, hooks; line ends do not count."""
    digest = hashlib.sha256()
    for folder in (project.mappings, "values", "hooks.py"):
        root = project.folder / folder
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".pyc":
                name = path.relative_to(project.folder).as_posix()
                content = path.read_bytes().replace(b"\r\n", b"\n")
                digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
    return digest.hexdigest()[:32]
