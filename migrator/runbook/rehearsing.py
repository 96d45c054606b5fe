"""A rehearsal: the same file on copies; how long each step took goes to the real project's journal, as data."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from migrator.commands.binding import read_mappings, source_systems
from migrator.commands.production import written_systems
from migrator.commands.project import FILE, Project, load_project
from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.runbook.established import counted
from migrator.runbook.parse import Runbook
from migrator.runbook.record import REHEARSAL, Footing, History, State, write
from migrator.runbook.shelf import mapping_digest
from migrator.runbook.world import RunReport
from migrator.staging.ledger import Ledger
from migrator.staging.phases import put_in_phase, standings

_NOT_COPIED = ("rehearsals", "backups", "events", "spill")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a step took in the rehearsals that count, in seconds."""

    times: int
    median: float
    worst: float


def timings(history: History, book: Runbook, footing: Footing) -> dict[str, Timing]:
    """Step → its times in rehearsals of this file, mapping and tool."""
    found: dict[str, list[float]] = {}
    for item in counted(history, book, footing):
        for step, seconds in item.steps.items():
            found.setdefault(step, []).append(seconds)
    return {step: Timing(len(times), median(times), max(times)) for step, times in found.items()}


def make_copy(project: Project, to: Path) -> Project:
    """A copy of the whole project with the databases in its folder; raises `SafetyStop` when a system is not in it."""
    elsewhere = [name for name in _written(project) if not _inside(project, name)]
    if elsewhere:
        raise SafetyStop(
            f"{', '.join(elsewhere)} cannot be copied: it is not a file in {project.folder}",
            hint="make a project on sandboxes or copies with the same mappings, and rehearse with --on DIR",
        )
    shutil.copytree(
        project.folder, to, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=False, symlinks=True
    )
    for path in _databases(project):
        _copy_database(path, to / path.relative_to(project.folder.resolve()))
    return load_project(to)


def _databases(project: Project) -> list[Path]:
    """The SQLite files of a project, which others may be writing to right now."""
    urls = [project.ledger_url, *(str(project.settings(name).get("url", "")) for name in _written(project))]
    paths = [Path(str(sa.make_url(url).database)).resolve() for url in urls if url.startswith("sqlite:///")]
    return [path for path in paths if path.is_file() and path.is_relative_to(project.folder.resolve())]


def _copy_database(source: Path, to: Path) -> None:
    """SQLite's own copy of one moment; files copied one after the other may not fit together."""
    for path in (to, *(to.with_name(f"{to.name}{end}") for end in ("-wal", "-shm"))):
        path.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(to)) as new:
        old.backup(new)


def open_copy(project: Project, folder: Path) -> Project:
    """A project made for rehearsals; raises `SafetyStop` when it maps otherwise, or writes to a real system."""
    copy = load_project(folder)
    if mapping_digest(copy) != mapping_digest(project):
        raise SafetyStop(
            f"{folder} has other mappings than this project: a rehearsal with them proves nothing",
            hint="copy mappings, values and hooks.py over, then rehearse",
        )
    real = [project.settings(name) for name in _written(project)]
    for name in _written(copy):
        if copy.settings(name) in real or copy.system(name).production:
            raise SafetyStop(
                f"{name} in {folder / FILE} is the real system", hint="name a sandbox or a copy there"
            )
    return copy


def begin_at(ledger: Ledger, book: Runbook) -> None:
    """Put the groups of a copy where the runbook begins: a rehearsal may be made before anybody is there."""
    if book.rule.starts_in is None:
        return
    with ledger.read() as connection:
        known = standings(connection)
    with ledger.begin() as connection:
        for group in book.rule.groups:
            before = known[group].phase if group in known else None
            if before is not book.rule.starts_in:
                put_in_phase(
                    connection, group, Phase(book.rule.starts_in), came_from=before, plan="", at=ledger.clock.now(),
                    told={**book.told_of(group), "runbook": book.name, "rehearsal": True},
                )  # fmt: skip


def note_rehearsal(
    ledger: Ledger, book: Runbook, footing: Footing, report: RunReport, ended: str = State.DONE.value
) -> None:  # fmt: skip
    """Put a rehearsal on record in the real ledger; one that did not reach the end does not count.

    One of a runbook that goes through P10 is a drill of the way back.
    """
    drill = any(placed.step.phase is Phase.P10 for placed in book.steps)
    body: Mapping[str, object] = {
        "book": book.name, "content": footing.content, "basis": footing.basis, "ended": ended,
        "steps": report.done, "drill": drill,
    }  # fmt: skip
    write(ledger, REHEARSAL, body)


def _written(project: Project) -> tuple[str, ...]:
    """Systems that a cutover may write to: the new one, and for the canary the old one where its connector can."""
    found = dict.fromkeys(written_systems(project))
    for name in source_systems(read_mappings(project)):
        if project.system(name).connector == "sql":
            found[name] = None
    return tuple(found)


def _inside(project: Project, name: str) -> bool:
    raw = project.system(name).settings.get("url")
    if not isinstance(raw, str) or not raw.startswith("sqlite:///"):
        return False
    path = Path(str(sa.make_url(raw).database))
    return not path.is_absolute() and (project.folder / path).resolve().is_relative_to(
        project.folder.resolve()
    )
