"""The commands `migrator runbook …`: arguments in, one call, one print."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from migrator.cli.context import Json, Production, answer, common, errors, opened_project, stderr, stdout
from migrator.core.errors import DataError, ProjectError

if TYPE_CHECKING:
    from migrator.commands.project import Project
    from migrator.runbook.conduct import Given
    from migrator.runbook.facts import Value
    from migrator.runbook.parse import Placed
    from migrator.runbook.world import RunReport

runbook_app = typer.Typer(
    help="Runbooks that a machine checks, rehearses and carries out: list, check, show, rehearse, run, sign.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="RUNBOOK", help="A name that `runbook list` shows, or a file.")]
Operator = Annotated[
    str,
    typer.Option(
        "--operator",
        envvar="MIGRATOR_OPERATOR",
        help="Who carries it out. Default: the user of this machine.",
    ),
]
Answers = Annotated[
    Path | None,
    typer.Option(
        "--answers", help="A YAML file with the answers to manual steps: STEP: {by: NAME, FIELD: …}."
    ),
]
Person = Annotated[str, typer.Option("--name", help="Who says so.")]
InRole = Annotated[str, typer.Option("--role", help="In which role of the runbook.")]
Valid = Annotated[str, typer.Option("--valid", help="How long it stands, such as 12h.")]


class Form(Enum):
    """What a runbook is shown as."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    HTML = "html"


class Terminal:
    """Asks whoever sits at the terminal; nobody sits at a pipe."""

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """Show what is to be done, and ask every question of the form."""
        from migrator.runbook.answers import NobodyThere, ask_each

        if not sys.stdin.isatty():
            return NobodyThere().answers(placed)
        errors.print(f"[bold]{escape(placed.id)} {escape(placed.rule.title)}[/]", soft_wrap=True)
        errors.print(escape(placed.rule.instructions), soft_wrap=True)
        by = typer.prompt("who answers", err=True)
        values = ask_each(
            placed,
            lambda question: str(typer.prompt(question, err=True)),
            lambda text: errors.print(escape(text), style="yellow"),
        )
        if not values:
            typer.confirm("is it done?", abort=True, err=True)
        return str(by), values


def _given(operator: str, answers: Path | None, production: str = "") -> Given:
    from migrator.runbook.conduct import Given

    def tell(step: str, text: str) -> None:
        stderr.print(f"[bold]{escape(step)}[/] {escape(text)}", soft_wrap=True, highlight=False)

    return Given(_someone(operator), answers, Terminal(), production, tell)


def _someone(operator: str) -> str:
    return operator.strip() or os.environ.get("USER") or getpass.getuser()


def _project_or_none() -> Project | None:
    return opened_project() if (common.folder / "migration.yaml").exists() else None


@runbook_app.command("list")
def runbook_list(as_json: Json = False) -> None:
    """List the runbooks of the project, and those that come with the toolkit."""
    from migrator.cli import show_runbook
    from migrator.runbook.shelf import list_books

    found = list_books(common.folder)
    document = {"runbooks": [item.to_json() for item in found]}
    answer(as_json, lambda: document, lambda: show_runbook.listed(found, stdout))


@runbook_app.command("copy")
def runbook_copy(name: Name, as_json: Json = False) -> None:
    """Copy a shipped runbook into the project's runbooks/: name people there, fix the window, change steps."""
    from migrator.runbook.shelf import copy_book

    path = copy_book(opened_project().folder, name)
    answer(
        as_json, lambda: {"path": str(path)}, lambda: stdout.print(str(path), markup=False, highlight=False)
    )


@runbook_app.command("check")
def runbook_check(name: Name, operator: Operator = "", as_json: Json = False) -> None:
    """Check a runbook: 0 ready, 1 its next step waits for something, 2 it is wrong; every problem with its place."""
    from migrator.cli import show_runbook
    from migrator.runbook.conduct import check

    found = check(common.folder, _project_or_none(), name, _someone(operator))
    answer(as_json, found.to_json, lambda: show_runbook.checked(found, stdout))
    found.raise_unless_ready()


@runbook_app.command("show")
def runbook_show(
    name: Name,
    form: Annotated[Form, typer.Option("--format", help="terminal, markdown or html.")] = Form.TERMINAL,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
) -> None:
    """Show a runbook for people, drawn from its file: in the terminal, as Markdown, as one HTML page to print."""
    from migrator.cli import show_runbook
    from migrator.runbook.conduct import show
    from migrator.runbook.render import html, markdown

    found = show(common.folder, _project_or_none(), name)
    if form is Form.TERMINAL and out is None:
        show_runbook.shown(found, stdout)
        return
    text = html(found) if form is Form.HTML or (out and out.suffix == ".html") else markdown(found)
    if out is None:
        sys.stdout.write(text)
        return
    _write(out, text)
    stdout.print(str(out), markup=False, highlight=False)


@runbook_app.command("status")
def runbook_status(name: Name, as_json: Json = False) -> None:
    """Show how far a runbook is, in which phase each group stands, and what the next step waits for; acts on nothing."""
    from migrator.cli import show_runbook
    from migrator.runbook.conduct import status

    found = status(opened_project(), name, _someone(""))
    answer(as_json, found.to_json, lambda: show_runbook.status(found, stdout))


@runbook_app.command("run")
def runbook_run(
    name: Name,
    operator: Operator = "",
    answers: Answers = None,
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Carry a runbook out, step after step; what is done and holds is not done again."""
    from migrator.runbook.conduct import run

    found = run(opened_project(), name, _given(operator, answers, production))
    _answer_run(found, as_json=as_json)


@runbook_app.command("resume")
def runbook_resume(
    name: Name,
    operator: Operator = "",
    answers: Answers = None,
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Go on after a stop, a kill or a change of shift: from the first step whose verification does not hold."""
    from migrator.runbook.conduct import run, status

    project = opened_project()
    if all(step.state in {"open", "next"} for step in status(project, name).steps):
        raise ProjectError.at(
            "RUNBOOK",
            f"{name} was not begun with this file, mapping and tool",
            f"migrator runbook run {name}",
        )
    found = run(project, name, _given(operator, answers, production))
    _answer_run(found, as_json=as_json)


@runbook_app.command("cancel")
def runbook_cancel(
    name: Name,
    why: Annotated[str, typer.Option("--reason", help="Why; it stays on record.")],
    operator: Operator = "",
    answers: Answers = None,
) -> None:
    """Break a cutover off before the switch: what was done since the freeze is taken back, the last first."""
    from migrator.runbook.conduct import cancel

    cancel(opened_project(), name, _given(operator, answers), why)
    stdout.print("taken back: users may work in the old system again")


@runbook_app.command("rehearse")
def runbook_rehearse(
    name: Name,
    on: Annotated[
        Path | None,
        typer.Option(
            "--on",
            help="A project on sandboxes or copies, with the same mappings. Default: a copy of this one.",
        ),
    ] = None,
    operator: Operator = "",
    answers: Answers = None,
    as_json: Json = False,
) -> None:
    """Carry a runbook out on copies, and put the time of every step on record."""
    from migrator.runbook.conduct import rehearse

    found = rehearse(opened_project(), name, _given(operator, answers), on)
    _answer_run(found, as_json=as_json)


@runbook_app.command("drill")
def runbook_drill(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Where its two systems are made; default: thrown away afterwards."
        ),
    ] = None,
    files: Annotated[
        bool,
        typer.Option("--files", help="On two SQLite files, in seconds, in place of sandboxes over HTTP."),
    ] = False,
    schedule: Annotated[
        int | None,
        typer.Option(
            "--schedule", help="On two SQLite files, with verbs failing at random, drawn from this number."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Drill the cutover on two sandboxes with users: a failure before the switch, one after, the way back, to the end."""
    from tempfile import TemporaryDirectory

    from migrator.cli import show_runbook
    from migrator.runbook.drill import drill_files, drill_sandboxes, random_schedule

    with TemporaryDirectory(prefix="migrator-drill-") as scratch:
        place = folder or Path(scratch) / "drill"
        told = _given("", None).tell
        if schedule is not None:
            found = random_schedule(place, schedule, told)
        else:
            found = (drill_files if files else drill_sandboxes)(place, told)
    answer(as_json, found.to_json, lambda: show_runbook.drilled(found, stdout))
    found.raise_unless_nothing_is_lost()


@runbook_app.command("canary")
def runbook_canary(
    side: Annotated[str, typer.Option("--side", help="old, or the name of a system.")] = "old",
    object_name: Annotated[
        str, typer.Option("--object", help="Into which object. Default: the one that asks for least.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Write, read and delete one marked record on the old side with the sync's own identity."""
    from migrator.core.clock import SystemClock
    from migrator.runbook.canary import canary
    from migrator.runbook.doing import Place

    found = canary(
        Place(opened_project(), SystemClock()),
        ["--side", side, *(["--object", object_name] if object_name else [])],
    )
    document = dict(found.document)
    answer(as_json, lambda: document, lambda: stdout.print(f"{document['result']}: {document}", markup=False))
    if document["result"] != "pass":
        raise DataError("the reverse path does not work", hint="may this identity create and delete there?")


@runbook_app.command("sign")
def runbook_sign(
    *,
    name: Name,
    step: Annotated[str, typer.Option("--step", help="The step that is approved.")],
    person: Person,
    role: InRole,
    valid: Valid = "",
    as_json: Json = False,
) -> None:
    """Approve a step: bound to the runbook, the mappings and the tool as they are, and never by the operator."""
    from migrator.runbook.consent import sign

    said = sign(opened_project(), name, step=step, person=person, role=role, valid=valid)
    answer(
        as_json,
        lambda: said,
        lambda: stdout.print(f"{person} approves {step} for {said['valid_for']}", markup=False),
    )


@runbook_app.command("force")
def runbook_force(
    *,
    name: Name,
    condition: Annotated[str, typer.Option("--condition", help="Its number, such as G24.")],
    person: Person,
    role: InRole,
    reason: Annotated[str, typer.Option("--reason", help="Why it may be passed over.")],
    group: Annotated[str, typer.Option("--group", help="Only for this group.")] = "",
    valid: Valid = "",
    as_json: Json = False,
) -> None:
    """One of two names that let a gate pass though one condition does not hold; on record for good."""
    from migrator.runbook.consent import force

    said = force(
        opened_project(),
        name,
        condition=condition,
        group=group,
        person=person,
        role=role,
        reason=reason,
        valid=valid,
    )
    answer(as_json, lambda: said, lambda: stdout.print(f"{person} would pass over {condition}", markup=False))


@runbook_app.command("report")
def runbook_report(
    name: Name,
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: reports/runbook-NAME.html in the project.")
    ] = None,
) -> None:
    """Write what was done when and by whom, with the hash of each piece of evidence, as one HTML page."""
    from migrator.runbook.conduct import show
    from migrator.runbook.render import html

    project = opened_project()
    found = show(project.folder, project, name)
    path = out or project.folder / "reports" / f"runbook-{found.book.name}.html"
    _write(path, html(found))
    stdout.print(str(path), markup=False, highlight=False)


def _answer_run(found: RunReport, *, as_json: bool) -> None:
    from migrator.cli import show_runbook

    answer(as_json, found.to_json, lambda: show_runbook.ran(found, stdout))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProjectError.at(
            str(path), f"cannot write it: {error.strerror}", "give another --out"
        ) from error
