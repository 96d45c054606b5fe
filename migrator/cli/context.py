"""What all commands share: the options before the command, the consoles, common arguments, and how an answer is given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from migrator.core.dialect import Dialect
from migrator.core.eventlines import EventLines

if TYPE_CHECKING:
    from migrator.commands.project import Project


@dataclass
class CommonOptions:
    """What the options before the command say."""

    folder: Path = Path()
    log: EventLines | None = None
    """Where what happens goes as JSON."""
    any_disk: bool = False
    """Whether steps begin on a disk that is likely to be too small."""


common = CommonOptions()
# a pipe has no width of its own: 80 columns would fold every table
stdout = Console(width=None if sys.stdout.isatty() else 160)
stderr = Console(stderr=True)
"""Progress and notes, which --quiet silences."""
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Objects = Annotated[
    list[str] | None, typer.Option("--object", "-o", help="Only this one; repeatable. Default: all.")
]
Production = Annotated[
    str,
    typer.Option(
        "--production",
        metavar="SYSTEM",
        help="Write to this system though it is production; must be its name.",
    ),
]
Unmask = Annotated[bool, typer.Option("--unmask", help="Show personal values as they are.")]


Engine = Annotated[
    Dialect | None,
    typer.Option("--engine", help="Do the heavy work on this one. Default: `engine` of migration.yaml."),
]


def opened_project(engine: Dialect | None = None) -> Project:
    """The project that the command works on; on another engine than its own when one is named."""
    # with the engine and the ledger behind it: a second that --help need not wait for
    from migrator.commands.project import load_project
    from migrator.staging.room import RoomCheck

    project = load_project(common.folder).on(engine)
    return replace(project, room=RoomCheck.BEGIN) if common.any_disk else project


def named_production(project: Project, production: str, *, as_json: bool) -> str:
    """The production system that a person names: on the command line, or typed when a terminal is there to ask."""
    if production or as_json or not sys.stdin.isatty():
        return production
    from migrator.commands.production import why_production, written_systems

    for system in written_systems(project):
        why = why_production(project, system)
        if why:
            errors.print(f"[bold yellow]{system} is production[/] ({escape(why)})", soft_wrap=True)
            return str(
                typer.prompt(f"type {system} to write to it", default="", show_default=False, err=True)
            )
    return ""


def permission(
    project: Project, question: str, *, yes: bool, dry_run: bool, production: str, as_json: bool
) -> tuple[bool, str]:
    """Whether a person agrees to what the question says, and the production system they name where that is needed."""
    confirmed = yes or dry_run or (sys.stdin.isatty() and typer.confirm(question))
    if dry_run or not confirmed:
        return confirmed, production
    return confirmed, named_production(project, production, as_json=as_json)


def answer(as_json: bool, document: Callable[[], Any], table: Callable[[], None]) -> None:
    """Data on standard output: one JSON document for machines, or tables for people."""
    if as_json:
        sys.stdout.write(json.dumps(document(), ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        table()
