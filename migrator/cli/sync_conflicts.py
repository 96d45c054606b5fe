"""The commands `migrator sync conflicts …`: look at what both sides changed, and decide what stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from migrator.cli.context import Json, Objects, Unmask, answer, opened_project, stdout
from migrator.core.errors import ProjectError

conflicts_app = typer.Typer(
    help="Look at what both sides changed, and decide what stands.", no_args_is_help=True
)

Who = Annotated[
    str, typer.Option("--who", envvar="MIGRATOR_WHO", help="Who decides. Default: the user of this machine.")
]


@conflicts_app.command("list")
def conflicts_list(
    *,
    objects: Objects = None,
    field: Annotated[str, typer.Option("--field", help="Only of this field.")] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Only for this reason, such as delete-vs-edit.")
    ] = "",
    state: Annotated[str, typer.Option("--state", help="open, resolved, logged, closed, or all.")] = "open",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")] = 200,
    as_json: Json = False,
) -> None:
    """List conflicts, the oldest first: records and fields, never values."""
    from migrator.cli import show_sync
    from migrator.commands.sync_conflicts import STATES, Asked, list_conflicts

    if state not in (*STATES, "all"):
        raise ProjectError.at("--state", f"{state!r} is no state", f"one of: {', '.join((*STATES, 'all'))}")
    asked = Asked(objects or (), field, "" if state == "all" else state, limit, reason)
    found = list_conflicts(opened_project(), asked)
    answer(as_json, found.to_json, lambda: show_sync.conflicts(found, stdout))


@conflicts_app.command("show")
def conflicts_show(
    number: Annotated[int, typer.Argument(metavar="NUMBER")], unmask: Unmask = False, as_json: Json = False
) -> None:
    """Show one conflict with the values of both sides; personal ones are masked unless --unmask, which is put on record."""
    from migrator.cli import show_sync
    from migrator.commands.sync_conflicts import show_conflict

    now, found = show_conflict(opened_project(), number, unmask=unmask)
    answer(
        as_json,
        lambda: found.shown(now, unmask=unmask),
        lambda: show_sync.conflict(found.shown(now, unmask=unmask), stdout),
    )


@conflicts_app.command("resolve")
def conflicts_resolve(
    *,
    number: Annotated[int, typer.Argument(metavar="NUMBER")],
    take: Annotated[str, typer.Option("--take", help="old or new: the side whose value stands.")],
    why: Annotated[str, typer.Option("--why", help="For whoever asks later.")] = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Decide a conflict; the next run carries it out, unless one of the two was edited since."""
    from migrator.commands.sync_conflicts import resolve_conflict

    found = resolve_conflict(opened_project(), number, take, who=who, note=why)
    answer(
        as_json,
        lambda: {"number": found.number, "state": found.state, "winner": found.winner, "who": found.who},
        lambda: stdout.print(f"conflict {number}: the {take} side stands; the next run carries it out"),
    )


@conflicts_app.command("export")
def conflicts_export(
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx")], objects: Objects = None, as_json: Json = False
) -> None:
    """Write open conflicts into a workbook, to be decided in the column decision; it holds values as they are."""
    from migrator.commands.sync_workbook import export_conflicts

    done = export_conflicts(opened_project(), path, objects or ())
    answer(
        as_json,
        done.to_json,
        lambda: stdout.print(f"{done.conflicts:,} conflicts in {escape(str(path))}", soft_wrap=True),
    )


@conflicts_app.command("import")
def conflicts_import(
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx")], who: Who = "", as_json: Json = False
) -> None:
    """Put the decisions of an exported workbook on record, all of them or none."""
    from migrator.commands.sync_workbook import import_conflicts

    done = import_conflicts(opened_project(), path, who=who)
    answer(as_json, done.to_json, lambda: stdout.print(f"{done.decided:,} decided, {done.blank:,} left open"))
