"""The commands `migrator audit …`: arguments in, one call, one print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from migrator.cli.context import Json, answer, opened_project, stdout

if TYPE_CHECKING:
    from migrator.commands.audit import JournalAudit

audit_app = typer.Typer(
    help="Check that the journal (conflicts, deletes, gates, phases, approvals) is as it was written.",
    no_args_is_help=True,
)


@audit_app.command("verify")
def audit_verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option("--head", help="A file that `audit head --out` wrote, kept elsewhere; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every row of the journal: altered, dropped, put elsewhere; cut off or rewritten, with an exported head."""
    from migrator.commands.audit import audit_verify as call

    found = call(opened_project(), heads or ())
    answer(as_json, found.to_json, lambda: _show(found))
    found.raise_unless_it_holds()


@audit_app.command("head")
def audit_head(
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Add it as a line to this file; keep that on another machine."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export the end of the journal: only a head that is kept elsewhere tells of a journal that was rewritten whole."""
    from migrator.commands.audit import audit_head as call

    head = call(opened_project(), to)
    answer(as_json, head.to_json, lambda: stdout.print(f"{head.number:,} rows, {head.hash}", highlight=False))


def _show(found: JournalAudit) -> None:
    audit = found.audit
    for flaw in audit.flaws:
        stdout.print(f"[red]row {flaw.number:,}[/]: {escape(flaw.what)}", highlight=False)
    said = "[green]as written[/]" if audit.holds else "[red]changed[/]"
    stdout.print(f"{said}: {audit.rows:,} rows, head {audit.head.hash}", highlight=False)
    links = "[green]as it tells[/]" if found.crosswalk.same else "[red]not as it tells[/]"
    stdout.print(f"links of the sync: {links}, {found.crosswalk.shown:,} changes", highlight=False)
    if not found.heads:
        stdout.print(
            "[dim]that the last rows were not cut off or all of it rewritten, only an exported head can prove:"
            " --head FILE[/]",
            highlight=False,
        )
