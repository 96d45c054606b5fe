"""The demo: two synthetic legacy exports with known truth, moved into one new CRM by the shipped mappings."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.editor import write_json_schema
from migrator.commands.project import FILE, Project, load_project
from migrator.commands.quarantine import Quarantined, Wanted, quarantine
from migrator.commands.run import Run, run
from migrator.commands.shipped import shipped
from migrator.core.errors import ProjectError
from migrator.core.progress import Progress, Quiet
from migrator.testing.synthetic import generate

QUIET = Quiet()
A_RULE = 1
"""Quarantined records the demo lists of each rule of an object."""
MANY = 5_000
"""Quarantined records looked through for them."""
MAPPINGS = "demo"
"""The folder of the shipped mappings that the demo runs: Salesforce and Dynamics exports into one CRM."""
MARK = "exports/truth.json"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Where the demo lies, what its run did, and commands worth trying on it."""

    folder: Path
    target: Path
    run: Run
    quarantined: Quarantined
    next_commands: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "target": str(self.target),
            **self.run.to_json(),
            "quarantine": self.quarantined.to_json(),
            "next": list(self.next_commands),
        }


def demo(folder: Path, *, scale: int, seed: int, progress: Progress = QUIET) -> DemoReport:
    """Make the exports and the project in `folder` (once), and run it; a second call has nothing left to do."""
    project = _make(folder, scale, seed)
    done = run(project, progress=progress)
    shown = quarantine_sample(project)
    return DemoReport(folder, folder / "new_crm.db", done, shown, _next(shown))


def quarantine_sample(project: Project) -> Quarantined:
    """The first of every kind of trouble, not the first of one kind."""
    found = quarantine(project, Wanted(), limit=MANY)
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for row in found.rows:
        seen[row.object, row.rule] += 1
        if seen[row.object, row.rule] <= A_RULE:
            chosen.append(row)
    return Quarantined(tuple(chosen), found.total)


def _make(folder: Path, scale: int, seed: int) -> Project:
    if (folder / FILE).exists():
        if not (folder / MARK).exists():
            raise ProjectError.at(
                str(folder / FILE), "this is a project, but no demo", "choose another folder"
            )
        return load_project(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generate(folder / "exports", scale=scale, seed=seed)
    shutil.copytree(shipped(MAPPINGS), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FILE))
    # last: a folder without it is not yet a demo, and is made again
    shutil.copy2(shipped(MAPPINGS) / FILE, folder / FILE)
    project = load_project(folder)
    write_json_schema(project)
    return project


def _next(shown: Quarantined) -> tuple[str, ...]:
    commands = ["status", "quarantine list --limit 100", "map show-sql contact"]
    record = next((f"{row.object}/{row.record}" for row in shown.rows if row.record), None)
    if record:
        commands.append(f"explain '{record}'")
    return tuple(commands)
