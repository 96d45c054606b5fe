"""The commands `migrator sync …`: arguments in, one call, one print; the exit code is 0 only when it is green."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from migrator.cli.context import Json, Unmask, answer, common, errors, opened_project, stderr, stdout
from migrator.cli.progress import watched
from migrator.cli.sync_conflicts import Who, conflicts_app
from migrator.core.errors import MigratorError, ProjectError

if TYPE_CHECKING:
    from migrator.commands.sync import SyncRun

sync_app = typer.Typer(
    help="Keep the old and the new system in step while both are used, until the switch.",
    no_args_is_help=True,
    epilog="Exit codes: 0 green · 1 records that keep failing · 2 your files or arguments · 3 it will fail again · "
    "4 incomplete, the next run goes on · 5 a person must decide (conflicts, holds, brakes, pause)",
)
sync_app.add_typer(conflicts_app, name="conflicts")

Named = Annotated[
    list[str] | None,
    typer.Option(
        "--production", metavar="SYSTEM", help="Write to this system though it is production; repeatable."
    ),
]
_TIME = re.compile(r"(\d{1,5})\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _every(text: str) -> timedelta:
    found = _TIME.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise ProjectError.at("--every", f"{text!r} is no length of time", "for example 30s, 5m, 1h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@sync_app.command("once")
def sync_once(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written; change nothing.")
    ] = False,
    production: Named = None,
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """One run: read what changed on both sides, decide, write, and say whether all is well."""
    if dry_run:
        _rehearse(unmask=unmask, as_json=as_json)
        return
    _run(production or (), full=False, as_json=as_json)


@sync_app.command("reconcile")
def sync_reconcile(production: Named = None, as_json: Json = False) -> None:
    """One run that compares every record and every mapped field, not only what the systems say has changed."""
    _run(production or (), full=True, as_json=as_json)


def _rehearse(*, unmask: bool, as_json: bool) -> None:
    from migrator.cli import show_sync
    from migrator.commands.sync import rehearse

    found = rehearse(opened_project())
    answer(
        as_json,
        lambda: found.to_json(unmask=unmask),
        lambda: show_sync.rehearsal(found, stdout, unmask=unmask),
    )


def _run(production: list[str] | tuple[str, ...], *, full: bool, as_json: bool) -> None:
    from migrator.cli import show_sync
    from migrator.commands.sync import once

    with watched(stderr, common.log) as progress:
        done = once(opened_project(), production=production, full=full, progress=progress)
    for trouble in done.telling.trouble:
        errors.print(f"[yellow]{escape(trouble)}[/]", soft_wrap=True)
    answer(as_json, done.to_json, lambda: show_sync.run(done, stdout))
    raise typer.Exit(done.standing.exit_code)


@sync_app.command("watch")
def sync_watch(
    *,
    every: Annotated[
        str,
        typer.Option(
            "--every", metavar="TIME", help="From start to start: 30s, 5m, 1h. Default: as the project says."
        ),
    ] = "",
    production: Named = None,
    as_json: Json = False,
) -> None:
    """Run every so often until SIGTERM or Ctrl-C, which ends it between two runs with 0; a second one ends it at once."""
    from migrator.cli import show_sync
    from migrator.commands.sync import once
    from migrator.commands.sync_watch import until_stopped, watch

    project = opened_project()
    pause = _every(every) if every else project.sync.every

    def run() -> SyncRun:
        with watched(stderr, common.log) as progress:
            return once(opened_project(), production=production or (), progress=progress)

    def told(done: SyncRun | MigratorError) -> None:
        if isinstance(done, MigratorError):
            errors.print(f"[red]{escape(str(done))}[/]", soft_wrap=True)
            return
        answer(as_json, done.to_json, lambda: show_sync.line(done, stdout))

    with until_stopped() as stop:
        done = watch(run, pause, stop, told)
    stderr.print(f"ended after {done.runs:,} runs", highlight=False)


@sync_app.command("status")
def sync_status(as_json: Json = False) -> None:
    """Green or not, why, and the next step; then lag, backlog, conflicts by age, holds, errors and budget."""
    from migrator.cli import show_sync
    from migrator.commands.sync_status import sync_status as call

    found = call(opened_project())
    answer(as_json, found.to_json, lambda: show_sync.status(found, stdout))
    raise typer.Exit(found.standing.exit_code)


@sync_app.command("stuck")
def sync_stuck(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")] = 200,
    unmask: Annotated[
        bool, typer.Option("--unmask", help="Also the systems' own words, which may hold values.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List records that fail or are held: which they are, why, since when."""
    from migrator.cli import show_sync
    from migrator.commands.sync_stuck import stuck_records

    found = stuck_records(opened_project(), limit=limit)
    answer(
        as_json,
        lambda: {
            "total": found.total,
            "records": [item.to_json(found.now, unmask=unmask) for item in found.records],
        },
        lambda: show_sync.stuck(found, stdout, unmask=unmask),
    )


@sync_app.command("gone")
def sync_gone(
    *,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="As `sync stuck` names it: STREAM:ID.")],
    who: Who = "",
    second: Annotated[str, typer.Option("--second", help="The other person.")] = "",
    why: Annotated[str, typer.Option("--why", help="For the journal.")] = "",
    as_json: Json = False,
) -> None:
    """Two people know that a missing record was deleted: from then on it counts as proved, with all that guards a delete."""
    from migrator.commands.review import someone
    from migrator.commands.sync_gone import gone
    from migrator.commands.sync_people import Approvers

    told = gone(opened_project(), record, Approvers(someone(who), second, why))
    answer(as_json, told.to_json, lambda: stdout.print(escape(told.what), soft_wrap=True))


@sync_app.command("check")
def sync_check(as_json: Json = False) -> None:
    """Which fields come back, which do not and why; and whether staged values survive the way there and back."""
    from migrator.cli import show_sync
    from migrator.commands.sync_check import sync_check as call

    found = call(opened_project())
    answer(as_json, found.to_json, lambda: show_sync.check(found, stdout))
    raise typer.Exit(1 if found.broken else 0)


@sync_app.command("pause")
def sync_pause(
    why: Annotated[str, typer.Option("--why", help="For whoever finds it paused.")] = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """From now on no run begins, until resume."""
    from migrator.commands.sync_people import pause

    told = pause(opened_project(), who=who, why=why)
    answer(as_json, told.to_json, lambda: stdout.print(escape(told.what)))


@sync_app.command("resume")
def sync_resume(
    *,
    brake: Annotated[
        str,
        typer.Option(
            "--brake", metavar="MAPPING/KIND", help="Let this brake pass for a day; needs two people."
        ),
    ] = "",
    allow: Annotated[
        int | None, typer.Option("--allow", min=0, help="Up to so many. Default: what was measured.")
    ] = None,
    drift: Annotated[
        str,
        typer.Option(
            "--drift", metavar="SYSTEM", help="Approve the schema that it has now; needs two people."
        ),
    ] = "",
    restored: Annotated[
        bool,
        typer.Option("--restored", help="Go on with a ledger that was lost or restored; needs two people."),
    ] = False,
    who: Who = "",
    second: Annotated[str, typer.Option("--second", help="The other person.")] = "",
    why: Annotated[str, typer.Option("--why", help="For the journal.")] = "",
    as_json: Json = False,
) -> None:
    """Runs may begin again; or let what stopped them pass."""
    from migrator.commands import sync_people as people
    from migrator.commands.review import someone

    project = opened_project()
    if sum((bool(brake), bool(drift), restored)) > 1:
        raise ProjectError.at("resume", "one decision at a time", "give one of: --brake, --drift, --restored")
    by = people.Approvers(someone(who), second, why)
    if brake:
        told = people.approve_brake(project, brake, by, allow)
    elif drift:
        told = people.approve_drift(project, drift, by)
    elif restored:
        told = people.approve_restored(project, by)
    else:
        told = people.resume(project, who=who)
    answer(as_json, told.to_json, lambda: stdout.print(escape(told.what)))
