"""The commands `migrator dedupe review …`, and the review in the terminal, key by key."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from migrator.cli.context import Json, Objects, Unmask, answer, errors, opened_project, stdout
from migrator.core.mapped import Same
from migrator.core.review import Asked, Band, Order

if TYPE_CHECKING:
    from migrator.commands.review import Review, Reviewer
    from validation.messages import Catalogue


class ReviewGroup(TyperGroup):
    """`review OBJECT …` is short for `review --object OBJECT …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The first word is a command, an option, or an object."""
        named = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        return super().parse_args(ctx, ["--object", *args] if named else args)


review_app = typer.Typer(
    cls=ReviewGroup,
    help="Decide pairs by hand: in the terminal, on a page (--web), or in a workbook (export, import).",
    invoke_without_command=True,
)

Ordered = Annotated[
    Order, typer.Option("--order", help="Nearest to even odds first, likeliest first, or by chance.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=20_000, help="At most so many pairs.")]
Seed = Annotated[int, typer.Option("--seed", help="Of --order random: same seed, same pairs.")]
Banded = Annotated[
    Band,
    typer.Option("--band", help="Pairs in doubt, those merged without asking (to check them), or all."),
]
Unsure = Annotated[bool, typer.Option("--unsure", help="Also pairs that were left open as unsure.")]
Who = Annotated[
    str, typer.Option("--who", envvar="MIGRATOR_WHO", help="Who decides. Default: the user of this machine.")
]
Language = Annotated[
    str,
    typer.Option("--lang", envvar="MIGRATOR_LANG", help="Language of the review: en, zh_CN, zh_TW or ms."),
]


@review_app.callback()
def review(
    context: typer.Context,
    *,
    objects: Objects = None,
    order: Ordered = Order.UNCERTAIN,
    limit: Limit = 200,
    seed: Seed = 7,
    band: Banded = Band.REVIEW,
    unsure: Unsure = False,
    who: Who = "",
    web: Annotated[
        bool, typer.Option("--web", help="On a page in the browser, on this machine only.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the page; 0: any free one.")] = 0,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    lang: Language = "en",
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """Decide which pairs are one: same (s), not the same (n), unsure (u). Without a terminal, the pairs are listed.

    Whoever reviews sees personal values as they are; lists and --json mask them.
    """
    if context.invoked_subcommand is not None:
        return
    wanted = _Wanted(tuple(objects or ()), Asked(order, limit, seed, band, unsure), who)
    if web:
        _on_a_page(wanted, lang, port, browse=browse)
    elif as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        _list(wanted, unmask=unmask, as_json=as_json)
    else:
        _in_the_terminal(wanted, lang)


@dataclass(frozen=True, slots=True)
class _Wanted:
    objects: tuple[str, ...]
    asked: Asked
    who: str


def _list(wanted: _Wanted, *, unmask: bool, as_json: bool) -> None:
    from migrator.cli import show_review
    from migrator.commands.review import waiting_pairs

    found = waiting_pairs(opened_project(), wanted.objects, wanted.asked)
    answer(as_json, lambda: found.to_json(unmask=unmask), lambda: show_review.waiting(found, stdout))
    show_review.gone(found, errors)


def _reviewer(who: str, way: str) -> Reviewer:
    from migrator.commands.review import Reviewer, someone
    from migrator.staging.match_decisions import Way

    return Reviewer(someone(who), Way(way))


def _in_the_terminal(wanted: _Wanted, language: str) -> None:
    from migrator.cli import show_review
    from migrator.commands.review import reviewing

    text = show_review.texts(language)
    with reviewing(
        opened_project(), wanted.objects, wanted.asked, _reviewer(wanted.who, "terminal")
    ) as sitting:
        why = lambda: str(typer.prompt(text("reason"), default="", show_default=False))  # noqa: E731
        ask(sitting, stdout, _pressed, why, text)


def _pressed() -> str:
    """The next key; the end of what is typed (Ctrl-D) quits."""
    try:
        return typer.getchar()
    except EOFError:
        return "q"


def ask(
    review: Review, console: Console, key: Callable[[], str], reason: Callable[[], str], text: Catalogue
) -> None:
    """Show pair after pair until none is open or the reviewer quits; `key` waits for one key, `reason` for a line."""
    from migrator.cli import show_review

    show_review.gone(review.found, console)
    if not review.pairs:
        show_review.waiting(review.found, console)
        return
    number, why = review.next_open(-1), ""
    while number is not None:
        show_review.pair(review, number, console, text)
        show_review.progress(review, console, text)
        console.print(_keys(text), highlight=False)
        pressed = key().lower()
        if pressed == "q":
            break
        if pressed == "w":
            why = reason()
            continue
        number = _move(review, number, pressed, why, console=console, text=text)
        why = "" if pressed in _VERDICTS else why
    show_review.ended(review, console, text)


def _keys(text: Catalogue) -> str:
    """The keys are the same in every language, so that hands need not learn them anew."""
    keys = {key: f"[bold]{key}[/]" for key in "snuwbq"}
    return text("keys", **keys, space=f"[bold]{text('key.space')}[/]")


_VERDICTS = {"s": Same.SAME, "n": Same.NOT_SAME, "u": Same.UNSURE}


def _move(
    review: Review, number: int, pressed: str, why: str, *, console: Console, text: Catalogue
) -> int | None:
    """What a key does; returns the pair to show next."""
    from migrator.cli import show_review

    if pressed in _VERDICTS:
        show_review.contradicted(review.decide(number, _VERDICTS[pressed], why), console, text)
        return review.next_open(number)
    if pressed in {"b", "\x7f", "\b"}:
        back = review.undo()
        return number if back is None else back
    if pressed in {" ", "\x1b[c"}:
        return review.next_open(number)
    return number


def _on_a_page(wanted: _Wanted, language: str, port: int, *, browse: bool) -> None:
    import webbrowser

    from migrator.cli import show_review
    from migrator.commands.report import check_language
    from migrator.commands.review import reviewing
    from migrator.commands.review_page.serve import served

    project, language = opened_project(), check_language(language)
    with (
        reviewing(project, wanted.objects, wanted.asked, _reviewer(wanted.who, "page")) as sitting,
        served(sitting, project.name, language=language, port=port) as page,
    ):
        show_review.gone(sitting.found, errors)
        stdout.print(f"{len(sitting.pairs):,} pairs at {page.url}", highlight=False, soft_wrap=True)
        stdout.print(
            "whoever has this address on this machine may decide; Ctrl-C, or End on the page, ends it"
        )
        sys.stdout.flush()  # it now answers for hours, and a file or pipe would show nothing
        if browse and sys.stdout.isatty():
            webbrowser.open(page.url)
        with contextlib.suppress(KeyboardInterrupt):
            page.wait()
        show_review.ended(sitting, stdout, show_review.texts(language))


@review_app.command("export")
def review_export(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="The workbook to write.")],
    objects: Objects = None,
    order: Ordered = Order.UNCERTAIN,
    limit: Limit = 1000,
    seed: Seed = 7,
    band: Banded = Band.REVIEW,
    unsure: Unsure = False,
    as_json: Json = False,
) -> None:
    """Write pairs into a workbook, one row a pair, to decide them there; personal values stand in it as they are."""
    from migrator.cli import show_review
    from migrator.commands.review_workbook import export_pairs

    done = export_pairs(opened_project(), path, objects or (), Asked(order, limit, seed, band, unsure))
    answer(as_json, done.to_json, lambda: show_review.exported(done, stdout))


@review_app.command("import")
def review_import(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="A workbook of pairs, filled in.")],
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Put the decisions of a workbook on record: the rows that were filled in or changed, all of them or none."""
    from migrator.cli import show_review
    from migrator.commands.review import someone
    from migrator.commands.review_workbook import import_pairs

    done = import_pairs(opened_project(), path, who=someone(who))
    answer(as_json, done.to_json, lambda: show_review.entered(done, stdout))
