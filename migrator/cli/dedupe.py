"""The commands `migrator dedupe …`: arguments in, one call, one print; the bare call runs the step."""

from __future__ import annotations

import typer

from migrator.cli import show
from migrator.cli.context import Engine, Json, Objects, answer, common, opened_project, stderr, stdout
from migrator.cli.dedupe_decisions import decisions_app
from migrator.cli.dedupe_evaluate import dedupe_evaluate
from migrator.cli.dedupe_review import review_app
from migrator.cli.dedupe_unmerge import conflicts, unmerge
from migrator.cli.progress import watched

dedupe_app = typer.Typer(
    help="Find duplicates among mapped records, and what survives.", invoke_without_command=True
)
dedupe_app.add_typer(review_app, name="review")
dedupe_app.add_typer(decisions_app, name="decisions")
dedupe_app.command("evaluate")(dedupe_evaluate)
dedupe_app.command("unmerge")(unmerge)
dedupe_app.command("conflicts")(conflicts)


@dedupe_app.callback()
def dedupe(
    context: typer.Context, objects: Objects = None, engine: Engine = None, as_json: Json = False
) -> None:
    """Find duplicates among mapped records, and what survives."""
    if context.invoked_subcommand is not None:
        return
    from migrator.commands import steps

    with watched(stderr, common.log) as progress:
        lines = steps.dedupe(opened_project(engine), objects or (), progress)
    answer(
        as_json, lambda: {"steps": [line.to_json() for line in lines]}, lambda: show.deduped(lines, stdout)
    )
