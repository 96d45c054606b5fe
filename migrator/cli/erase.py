"""The command `migrator erase …`: a person forgotten, with a dry run, a proof, and a list of what is not done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from migrator.cli.context import Json, answer, common, opened_project, stderr, stdout
from migrator.cli.progress import watched
from migrator.cli.sync_conflicts import Who
from migrator.core.errors import ProjectError

if TYPE_CHECKING:
    from migrator.commands.erase_result import Erasure
    from migrator.staging.erasures import Request


class EraseGroup(TyperGroup):
    """`erase RECORD …` is short for `erase record RECORD …`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command called by the first word, which may be a record."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["record", *args])


erase_app = typer.Typer(
    cls=EraseGroup,
    help="Forget a person: on both sides, in the ledger, in what is staged and in its backups; and keep the person out.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done · 1 something is left, or has to be deleted by hand · 5 two people must say so",
)
Named = Annotated[
    list[str] | None,
    typer.Option(
        "--production", metavar="SYSTEM", help="Delete in this system though it is production; repeatable."
    ),
]
Second = Annotated[str, typer.Option("--second", help="The other person.")]
Why = Annotated[str, typer.Option("--why", help="For the request; forgotten with it.")]


@erase_app.command("record")
def erase_record(
    *,
    record: Annotated[
        str,
        typer.Argument(
            metavar="RECORD", help="MAPPING/SOURCE:KEY, or MAPPING:ID for a record of the new side."
        ),
    ],
    on: Annotated[
        list[str] | None,
        typer.Option("--on", metavar="SIDE", help="Only on this side: old or new. Default: both."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be forgotten; change nothing.")
    ] = False,
    production: Named = None,
    who: Who = "",
    second: Second = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Forget the person of a record, with all records that stand for the same person; needs two people."""
    from migrator.commands import erase as command
    from migrator.commands.erase_result import BOTH, Order
    from migrator.commands.review import someone
    from migrator.commands.sync_people import Approvers

    sides = tuple(dict.fromkeys(on or BOTH))
    for side in sides:
        if side not in BOTH:
            raise ProjectError.at("--on", f"{side!r} is no side", "old or new")
    order = Order(record, sides, tuple(production or ()))
    if dry_run:
        found = command.preview(opened_project(), order)
        answer(as_json, found.to_json, lambda: _show(found))
        return
    with watched(stderr, common.log) as progress:
        found = command.erase(opened_project(), order, Approvers(someone(who), second, why), progress)
    answer(as_json, found.to_json, lambda: _show(found))
    raise typer.Exit(0 if found.done else 1)


@erase_app.command("again")
def erase_again(production: Named = None, as_json: Json = False) -> None:
    """Do what is left of all requests, and forget again whom a restored ledger remembers."""
    from migrator.commands.erase import again

    with watched(stderr, common.log) as progress:
        found = again(opened_project(), tuple(production or ()), progress)
    answer(as_json, lambda: {"requests": [item.to_json() for item in found]}, lambda: _show_all(found))
    raise typer.Exit(0 if all(item.done for item in found) else 1)


@erase_app.command("by-hand")
def erase_by_hand(
    *,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Of the request.")],
    system: Annotated[str, typer.Option("--system", help="Where people deleted the records.")],
    who: Who = "",
    second: Second = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put on record that people deleted in a system that cannot be written to from here; then `erase again` ends it."""
    from migrator.commands.erase import done_by_hand
    from migrator.commands.review import someone
    from migrator.commands.sync_people import Approvers

    found = done_by_hand(opened_project(), number, system, Approvers(someone(who), second, why))
    answer(
        as_json,
        lambda: _request(found),
        lambda: stdout.print(f"request {number}: migrator erase again ends it"),
    )


@erase_app.command("list")
def erase_list(as_json: Json = False) -> None:
    """All requests: which are done, and what is left of the others."""
    from migrator.commands.erase import listed

    found = listed(opened_project())
    answer(as_json, lambda: {"requests": [_request(item) for item in found]}, lambda: _list(found))


def _request(item: Request) -> dict[str, Any]:
    return {
        "number": item.number, "asked_at": item.asked_at.isoformat(), "who": item.who, "second": item.second,
        "done_at": item.done_at.isoformat() if item.done_at else None,
        "open": [f"{place.system}: {place.stream}:{place.id}: {place.state}" for place in item.places if place.state != "deleted"],
    }  # fmt: skip


def _list(found: tuple[Request, ...]) -> None:
    if not found:
        stdout.print("nobody asked to be forgotten")
    for item in found:
        said = (
            f"done {item.done_at:%Y-%m-%d %H:%M} UTC"
            if item.done_at
            else "[red]not done[/]: migrator erase again"
        )
        stdout.print(
            f"{item.number}  asked {item.asked_at:%Y-%m-%d} by {escape(item.who or '-')}  {said}",
            highlight=False,
        )
        for text in _request(item)["open"]:
            stdout.print(f"   {escape(text)}", highlight=False)


def _show_all(found: tuple[Erasure, ...]) -> None:
    if not found:
        stdout.print("nothing is left to do")
    for item in found:
        _show(item)


def _show(found: Erasure) -> None:
    for place in found.places:
        who = place.get("record") or f"record {place['hash'][:12]}"
        stdout.print(
            f"{place['system']:<14} {escape(place['object']):<20} {escape(who):<44} {place['state']}",
            highlight=False,
        )
    for what, counts in (("ledger", found.forgotten), ("datasets", found.taken)):
        for name, number in counts.items():
            stdout.print(f"{what:<14} {escape(name):<50} {number:,} rows", highlight=False)
    for name, state in found.backups.items():
        stdout.print(f"{'backup':<14} {escape(name):<50} {escape(state)}", highlight=False)
    for name, number in found.linked.items():
        stdout.print(
            f"{number:,} records of {escape(name)} point here, and stay: look at them", highlight=False
        )
    if found.dry_run:
        stdout.print("nothing was changed", highlight=False)
        return
    if found.searched is not None:
        stdout.print(
            f"searched {found.searched.files:,} files for {found.searched.values:,} values: in {len(found.searched.found):,} files",
            highlight=False,
        )
        for name, number in found.searched.found.items():
            stdout.print(f"   {escape(name)}: {number:,} of them (of another record?)", highlight=False)
    if found.done:
        stdout.print(
            f"[green]request {found.number} is done[/]; proof: {escape(found.proof)}",
            highlight=False,
            soft_wrap=True,
        )
        return
    left = ", ".join(f"{name} {number}" for name, number in found.left.items())
    hand = ", ".join(dict.fromkeys(f"{place['system']} ({place['state']})" for place in found.by_hand))
    stdout.print(
        f"[red]request {found.number} is not done[/]: {escape(hand or left or 'backups')}", highlight=False
    )
    stdout.print(
        "delete there, then: migrator erase by-hand NUMBER --system …; or mend it, then: migrator erase again"
    )
