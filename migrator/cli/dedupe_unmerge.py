"""The commands `migrator dedupe unmerge` and `migrator dedupe conflicts`: a merge taken back, and what merges gave up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from migrator.cli.context import (
    Json,
    Objects,
    Production,
    Unmask,
    answer,
    common,
    opened_project,
    permission,
    stderr,
    stdout,
)
from migrator.cli.progress import watched

if TYPE_CHECKING:
    from migrator.commands.conflicts import Conflicts
    from migrator.commands.unmerge import Unmerged


def unmerge(
    *,
    cluster: Annotated[
        str, typer.Argument(help="OBJECT/CLUSTER, or a record of it: account/salesforce:0015g00000AAAA.")
    ],
    why: Annotated[
        str, typer.Option("--why", help="Why they are not the same; kept with the decision.")
    ] = "",
    who: Annotated[
        str,
        typer.Option("--who", envvar="MIGRATOR_WHO", help="Who decides. Default: the user of this machine."),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; decide and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Make the members of a cluster records of their own again, also in the target; what people edited since is refused."""
    from migrator.commands import unmerge as commands

    project = opened_project()
    confirmed, named = permission(
        project, f"take {cluster} apart?", yes=yes, dry_run=dry_run, production=production, as_json=as_json
    )
    with watched(stderr, common.log) as progress:
        found = commands.unmerge(
            project, cluster, who=who, why=why,
            dry_run=dry_run, confirmed=confirmed, progress=progress, production=named,
        )  # fmt: skip
    answer(as_json, found.to_json, lambda: _show(found))
    commands.raise_unless_possible(found)


def conflicts(
    *,
    objects: Objects = None,
    fields: Annotated[
        list[str] | None, typer.Option("--field", help="Only this target field; repeatable.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Write all of them to this .csv file, unmasked.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Show so many of each object.")] = 20,
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """List values that lost when records were merged: which record had them, and what survived instead."""
    from migrator.commands import conflicts as commands

    found = commands.conflicts(
        opened_project(), objects or (), fields or (), to=to, limit=limit, unmask=unmask
    )
    answer(as_json, found.to_json, lambda: _show_conflicts(found))


def _show(found: Unmerged) -> None:
    merge = found.merge
    listed = _table("record", "was", "target key", "target id", title=f"{merge.obj.name}/{merge.cluster}")
    for item in merge.members:
        was = "survivor" if item.survives else "merged"
        listed.add_row(
            *(escape(text) for text in (item.record, was, item.target_key or "", item.target_id or ""))
        )
    stdout.print(listed)
    for name, count in found.children.items():
        verb = "would go" if found.dry_run or found.edited else "went"
        stdout.print(f"{count:,} {escape(name)} {verb} back to their own parents")
    if found.edited:
        told = _table("changed since", "key", "detail")
        for edited in found.edited:
            cells = (f"{edited.object}/{edited.record}", edited.key, edited.detail)
            told.add_row(*(escape(text) for text in cells))
        stdout.print(told)
    elif found.dry_run:
        stdout.print("[yellow]dry run:[/] nothing was decided or written")
    elif found.load is None:
        stdout.print("they are kept apart from now on; nothing of them was in the target")
    else:
        stdout.print(f"they are kept apart from now on; {found.load.written:,} rows and links written")


def _show_conflicts(found: Conflicts) -> None:
    for item in found.objects:
        listed = _table(
            "record", "field", "member", "its value", "survived", title=f"{item.name}: {item.values:,}"
        )
        for row in item.shown:
            cells = (
                row.survivor,
                row.field,
                row.member,
                row.value,
                row.kept if row.kept is not None else "∅",
            )
            listed.add_row(*(escape(text) for text in cells))
        stdout.print(listed)
        if item.values > len(item.shown):
            stdout.print(f"{len(item.shown):,} of {item.values:,} shown")
    if not found.objects:
        stdout.print("[green]no value was given up[/]")
    if found.file:
        stdout.print(f"all of them: {escape(found.file)}")


def _table(*names: str, title: str = "") -> Table:
    made = Table(
        title=escape(title) or None, title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    for name in names:
        made.add_column(name, overflow="fold")
    return made
