"""The commands `migrator dedupe decisions …`: arguments in, one call, one print."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from migrator.cli.context import Json, Objects, answer, opened_project, stdout
from migrator.cli.dedupe_review import Who
from migrator.core.mapped import Same

if TYPE_CHECKING:
    from migrator.commands.match_decisions import About

decisions_app = typer.Typer(
    help="What people decided about pairs of records: list, add, take back, move as files.",
    no_args_is_help=True,
)

Record = Annotated[str, typer.Option("--record", help="Only about this record (SOURCE:KEY).")]
By = Annotated[str, typer.Option("--by", help="Only what this person said.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only what was said since then (UTC).")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept with the decision.")]


def _about(
    objects: list[str] | None, record: str, by: str, since: datetime | None, *, standing: bool = False
) -> About:
    from migrator.commands.match_decisions import About

    return About(objects or (), record, by, since.replace(tzinfo=UTC) if since else None, standing)


Standing = Annotated[
    bool, typer.Option("--standing", help="Only the last word on each pair, and none that was taken back.")
]


@decisions_app.command("list")
def decisions_list(
    *,
    objects: Objects = None,
    record: Record = "",
    by: By = "",
    since: Since = None,
    standing: Standing = False,
    as_json: Json = False,
) -> None:
    """List who decided what about which pairs, when and why, the oldest first."""
    from migrator.cli import show_review
    from migrator.commands.match_decisions import list_decisions

    found = list_decisions(opened_project(), _about(objects, record, by, since, standing=standing))
    document = {"decisions": [item.to_json() for item in found]}
    answer(as_json, lambda: document, lambda: show_review.decisions(found, stdout))


@decisions_app.command("add")
def decisions_add(
    *,
    name: Annotated[str, typer.Argument(metavar="OBJECT")],
    one: Annotated[str, typer.Argument(metavar="RECORD", help="SOURCE:KEY, as the lists show it.")],
    other: Annotated[str, typer.Argument(metavar="RECORD")],
    verdict: Annotated[Same, typer.Argument(metavar="same|not_same|unsure")],
    who: Who = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Decide one pair, whether it was found or not."""
    from migrator.cli import show_review
    from migrator.commands.match_decisions import add_decision
    from migrator.commands.review import someone

    done = add_decision(opened_project(), name, (one, other), verdict, who=someone(who), why=why)
    answer(as_json, done.to_json, lambda: show_review.entered(done, stdout))


@decisions_app.command("withdraw")
def decisions_withdraw(
    *,
    objects: Objects = None,
    record: Record = "",
    by: By = "",
    since: Since = None,
    who: Who = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Take standing decisions back: as if nobody had decided; that they were taken stays on record."""
    from migrator.cli import show_review
    from migrator.commands.match_decisions import withdraw
    from migrator.commands.review import someone

    done = withdraw(opened_project(), _about(objects, record, by, since), who=someone(who), why=why)
    answer(as_json, done.to_json, lambda: show_review.entered(done, stdout))


@decisions_app.command("export")
def decisions_export(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl or .csv file.")],
    objects: Objects = None,
    record: Record = "",
    by: By = "",
    since: Since = None,
    standing: Standing = False,
    as_json: Json = False,
) -> None:
    """Write decisions to a file, to bring them into another project's ledger."""
    from migrator.commands.match_decisions import export_decisions

    rows = export_decisions(opened_project(), path, _about(objects, record, by, since, standing=standing))
    document = {"path": str(path), "rows": rows}
    answer(as_json, lambda: document, lambda: stdout.print(f"{rows:,} decisions in {path}", markup=False))


@decisions_app.command("import")
def decisions_import(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl or .csv file that export wrote.")],
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave out decisions about records that are not here.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring in decisions from a file, each with its own name and date; of two on a pair the later one stands."""
    from migrator.cli import show_review
    from migrator.commands.match_decisions import import_decisions

    done = import_decisions(opened_project(), path, known_only=known_only)
    answer(as_json, done.to_json, lambda: show_review.entered(done, stdout))
