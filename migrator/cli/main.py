"""The command `migrator`: arguments in, one call, one print; every error ends with its exit code."""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from migrator import __version__
from migrator.cli import show, show_quarantine
from migrator.cli.audit import audit_app
from migrator.cli.context import (
    Engine,
    Json,
    Objects,
    Production,
    Unmask,
    answer,
    common,
    errors,
    named_production,
    opened_project,
    permission,
    stderr,
    stdout,
)
from migrator.cli.dedupe import dedupe_app
from migrator.cli.erase import erase_app
from migrator.cli.inventory import inventory_app
from migrator.cli.progress import LogFormat, log_lines, watched
from migrator.cli.runbook import runbook_app
from migrator.cli.sandbox import sandbox_app
from migrator.cli.staging import staging_app
from migrator.cli.sync import sync_app
from migrator.core.clock import SystemClock
from migrator.core.dialect import Dialect
from migrator.core.errors import DataError, FatalError, MigratorError, ProjectError
from migrator.core.quarantine import State

if TYPE_CHECKING:
    from migrator.commands.project import Project
    from migrator.commands.quarantine import Wanted


class SignOffGroup(TyperGroup):
    """`signoff RUN …` is short for `signoff sign RUN …`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command called by the first word, which may be a run."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["sign", *args])


app = typer.Typer(
    name="migrator",
    help="Leave an old CRM for a new one: every record read, mapped, deduplicated, loaded, proven, accounted for.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 all holds · 1 data does not hold · 2 your files or arguments are wrong · 3 it will fail "
    "again · 4 try later · 5 stopped for safety, a person must decide · 70 a bug",
)
map_app = typer.Typer(help="Map staged records to the target's fields.", invoke_without_command=True)
quarantine_app = typer.Typer(help="Look at refused records, and try them again.", no_args_is_help=True)
signoff_app = typer.Typer(
    cls=SignOffGroup, help="Sign a report, or check the signatures on it.", no_args_is_help=True
)
app.add_typer(map_app, name="map")
app.add_typer(dedupe_app, name="dedupe")
app.add_typer(signoff_app, name="signoff")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(inventory_app, name="inventory")
app.add_typer(audit_app, name="audit")
app.add_typer(sync_app, name="sync")
app.add_typer(runbook_app, name="runbook")
app.add_typer(erase_app, name="erase")
app.add_typer(staging_app, name="staging")


Language = Annotated[
    str,
    typer.Option("--lang", envvar="MIGRATOR_LANG", help="Language of the report: en, zh_CN, zh_TW or ms."),
]


@app.callback()
def options(
    project: Annotated[
        Path, typer.Option("--project", "-C", envvar="MIGRATOR_PROJECT", help="The project folder.")
    ] = Path(),
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="MIGRATOR_QUIET", help="No progress, no notes.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format",
            envvar="MIGRATOR_LOG_FORMAT",
            help="On standard error: text, or a line an event: json, or otlp (OpenTelemetry).",
        ),
    ] = LogFormat.TEXT,
    any_disk: Annotated[
        bool,
        typer.Option("--any-disk", help="Begin steps on a disk that is likely to be too small for them."),
    ] = False,
) -> None:
    """Options that stand before the command."""
    common.folder, common.log, common.any_disk = project, log_lines(log_format), any_disk
    stderr.quiet = quiet


@app.command()
def version() -> None:
    """Print the version."""
    stdout.print(__version__, highlight=False)


def _list_shipped(wanted: bool) -> None:
    if not wanted:
        return
    from migrator.commands.shipped import templates

    show.templates(templates(), stdout)
    raise typer.Exit


@app.command()
def init(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project folder.")],
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            help="[NAME=][CONNECTOR:]WHAT: an export (zip, folder, file) or a database URL; repeatable.",
        ),
    ],
    target: Annotated[
        str, typer.Option("--target", help="URL of the new database, such as sqlite:///new.db.")
    ] = "",
    mapping: Annotated[
        str,
        typer.Option("--mapping", help="Begin with shipped mappings, such as salesforce-to-fxiaoke."),
    ] = "",
    mappings: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--mappings", callback=_list_shipped, is_eager=True, help="List the shipped mappings."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="[SYSTEM.]SETTING=VALUE of a source, such as encoding=cp1252; a YAML value; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Recognise exports, profile every record, and write a project that runs as it is."""
    if mapping:
        _init_from_template(folder, mapping, source, target, settings or (), as_json=as_json)
        return
    from migrator.commands.init import init as call

    with watched(stderr, common.log) as progress:
        report = call(
            folder, source, target or "sqlite:///new.db", settings=settings or (), progress=progress
        )
    answer(as_json, report.to_json, lambda: show.init(report, stdout))


def _init_from_template(
    folder: Path, name: str, sources: Sequence[str], target: str, settings: Sequence[str], *, as_json: bool
) -> None:
    from migrator.commands.shipped import init_from_template as call

    report = call(folder, name, sources, target=target, settings=settings)
    answer(as_json, report.to_json, lambda: show.from_template(report, stdout))


@app.command()
def check(
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    as_json: Json = False,
) -> None:
    """Check the project's files against both schemas; tells every problem at once, with its place."""
    from migrator.commands.check import check as call

    report = call(opened_project(), strict=strict)
    answer(as_json, report.to_json, lambda: show.check(report, stdout))


@app.command()
def profile(objects: Objects = None, as_json: Json = False) -> None:
    """Show fill rates, lengths, types and (masked) top values of what is staged."""
    from migrator.commands.inspect import profile as call

    reports = call(opened_project(), objects or ())
    answer(
        as_json,
        lambda: {"objects": [item.to_json() for item in reports]},
        lambda: show.profile(reports, stdout),
    )


@app.command()
def extract(objects: Objects = None, as_json: Json = False) -> None:
    """Read the source objects that mappings use into staging (object: 'system/object')."""
    from migrator.commands import steps

    with watched(stderr, common.log) as progress:
        lines = steps.extract(opened_project(), objects or (), progress)
    answer(
        as_json, lambda: {"steps": [line.to_json() for line in lines]}, lambda: show.extracted(lines, stdout)
    )


@map_app.callback()
def map_records(
    context: typer.Context, objects: Objects = None, engine: Engine = None, as_json: Json = False
) -> None:
    """Map staged records to the target's fields: one query an object."""
    if context.invoked_subcommand is not None:
        return
    from migrator.commands import steps

    with watched(stderr, common.log) as progress:
        lines = steps.map_records(opened_project(engine), objects or (), progress)
    answer(as_json, lambda: {"steps": [line.to_json() for line in lines]}, lambda: show.mapped(lines, stdout))


@map_app.command("show-sql")
def show_sql(
    name: Annotated[str, typer.Argument(metavar="MAPPING")],
    dialect: Annotated[
        Dialect, typer.Option("--dialect", help="For another engine: spark.")
    ] = Dialect.DUCKDB,
) -> None:
    """Print the one query that a mapping is compiled to."""
    from migrator.commands import steps

    sys.stdout.write(steps.show_sql(opened_project(), name, dialect).rstrip() + "\n")


@map_app.command("test")
def map_test(
    mappings: Annotated[
        list[str] | None, typer.Argument(metavar="[MAPPING]…", help="Only these. Default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the tests that stand in the mappings: rows in, rows out."""
    from migrator.commands.trial import run_tests as call

    report = call(opened_project(), mappings or ())
    answer(as_json, report.to_json, lambda: show.trial(report, stdout))
    report.raise_unless_they_hold()


@map_app.command("suggest")
def map_suggest(
    *,
    source: Annotated[
        str, typer.Option("--source", metavar="SYSTEM[/OBJECT]", help="Where records come from.")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="SYSTEM[/OBJECT]", help="Where records go to.")
    ] = "",
    least: Annotated[
        float, typer.Option("--min", min=0.3, max=1.0, help="Confidence from which a line is proposed.")
    ] = 0.6,
    write: Annotated[
        bool, typer.Option("--write", help="Write the proposals as new mapping files; none is overwritten.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Propose mappings from names, labels, types, links and values: each line with its confidence and why."""
    from migrator.cli.show_suggest import suggested
    from migrator.commands.suggest import suggest_mappings as call

    report = call(opened_project(), source=source, target=target, threshold=least, write=write)
    answer(as_json, report.to_json, lambda: suggested(report, stdout))


@map_app.command("to-xlsx")
def map_to_xlsx(
    out: Annotated[Path, typer.Option("--out", help="The workbook to write.")] = Path("mapping.xlsx"),
    as_json: Json = False,
) -> None:
    """Write all mappings into one workbook: a sheet for each, to read, discuss and edit."""
    from migrator.commands.workbook import to_xlsx as call

    report = call(opened_project(), out)
    answer(as_json, report.to_json, lambda: show.exported(report, stdout))


@map_app.command("from-xlsx")
def map_from_xlsx(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workbook that to-xlsx wrote, edited.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the changes of a workbook into the YAML, and show them; what did not change stays as it is written."""
    from migrator.commands.workbook import from_xlsx as call

    report = call(opened_project(), file, dry_run=dry_run)
    answer(as_json, report.to_json, lambda: show.imported(report, stdout))


@app.command()
def plan(
    *,
    objects: Annotated[
        list[str] | None,
        typer.Option("--object", "-o", help="Show only this one; repeatable. All are planned."),
    ] = None,
    show_records: Annotated[
        int, typer.Option("--show", min=0, help="Show so many updates of each object, old → new.")
    ] = 0,
    record: Annotated[
        str, typer.Option("--record", metavar="OBJECT/ID", help="Show what is planned for this record.")
    ] = "",
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values as they are.")] = False,
    compare_target: Annotated[
        bool,
        typer.Option(
            "--compare-target", help="Ask the target for old values: what people edited there is seen."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to save the plan. Default: plans/PLAN-….json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a load would create, update field by field, leave alone and hold, and what it costs; writes nothing to the target."""
    from migrator.cli.show_plan import planned
    from migrator.commands.planning import Look
    from migrator.commands.planning import plan as call

    found = call(opened_project(), Look(objects or (), show_records, record, unmask, compare_target), out)
    answer(as_json, found.to_json, lambda: planned(found, objects or (), stdout))


@app.command()
def estimate(
    *,
    share: Annotated[
        float, typer.Option("--share", min=0.0001, max=1.0, help="Of all rows, in the sample.")
    ] = 0.01,
    least: Annotated[
        int, typer.Option("--least", min=1, help="Rows in the sample, as far as there are so many.")
    ] = 100_000,
    last: Annotated[
        bool, typer.Option("--last", help="Run nothing: show the last estimate beside what happened.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict time and disk of the whole run, step by step, from a sample that is run aside; nothing is written to the target."""
    from migrator.cli.show_estimate import estimated
    from migrator.commands import estimate as commands

    project = opened_project()
    if last:
        found = commands.last_estimate(project)
    else:
        with watched(stderr, common.log) as progress:
            found = commands.estimate(project, share=share, least=least, progress=progress)
    answer(as_json, found.to_json, lambda: estimated(found, stdout))


@app.command()
def load(
    *,
    plan_file: Annotated[
        str, typer.Option("--plan", metavar="PLAN", help="Carry out exactly this plan: a file, or PLAN-….")
    ] = "",
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Plan what changed and write it to the target in batches; safe to kill, safe to repeat."""
    from migrator.commands import steps

    project = opened_project()
    named = named_production(project, production, as_json=as_json)
    with watched(stderr, common.log) as progress:
        report = (
            steps.load_planned(project, plan_file, progress, named)
            if plan_file
            else steps.load(project, progress, production=named)
        )
    answer(as_json, report.to_json, lambda: show.load(report, stdout))


@app.command()
def rollback(
    *,
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run to take back; without it, the runs are listed.")
    ] = "",
    objects: Objects = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Delete what a run created and restore what it changed; what people edited since is left alone and listed."""
    from migrator.commands import rollback as commands

    project = opened_project()
    if not run:
        runs = commands.written_runs(project)
        document = {"runs": [item.to_json() for item in runs]}
        answer(as_json, lambda: document, lambda: show.written_runs(runs, stdout))
        return
    confirmed, named = permission(
        project, f"take back run {run}?", yes=yes, dry_run=dry_run, production=production, as_json=as_json
    )
    with watched(stderr, common.log) as progress:
        found = commands.rollback(
            project, run, objects or (),
            dry_run=dry_run, confirmed=confirmed, progress=progress, production=named,
        )  # fmt: skip
    answer(as_json, found.to_json, lambda: show.rollback(found, stdout))
    commands.raise_unless_whole(found)


@app.command()
def validate(
    *,
    lang: Language = "en",
    show_pii: Annotated[
        bool, typer.Option("--show-pii", help="Show personal values and free text as they are.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", help="Draws the acceptance sample: same seed, same records.")
    ] = 7,
    objects: Objects = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Compare about so many records of each object only.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", help="Compare what was loaded since then only (UTC).")
    ] = None,
    before: Annotated[
        bool, typer.Option("--before", help="Only run the rules on what was mapped; no target is opened.")
    ] = False,
    target: Annotated[
        bool, typer.Option("--target", help="Only look at the target, not at what was mapped.")
    ] = False,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Run the expectations on what was mapped and on the target, compare every row, and write the report."""
    if before:
        _validate_before(opened_project(engine), objects or (), show_pii=show_pii, as_json=as_json)
        return
    from migrator.commands.validate import validate as call

    with watched(stderr, common.log) as progress:
        report = call(
            opened_project(engine), progress=progress, language=lang, show_pii=show_pii, seed=seed, objects=objects or (),
            sample=sample, since=since.replace(tzinfo=UTC) if since else None, target_only=target,
        )  # fmt: skip
    answer(as_json, report.to_json, lambda: show.validation(report, stdout))
    if not report.holds:
        raise DataError("the migration does not hold yet", hint=f"read {report.html}")


def _validate_before(project: Project, objects: Sequence[str], *, show_pii: bool, as_json: bool) -> None:
    from migrator.commands.validate import validate_before as call

    with watched(stderr, common.log) as progress:
        found = call(project, objects, show_pii=show_pii, progress=progress)
    answer(as_json, found.to_json, lambda: show.rehearsed(found, stdout))
    if not found.holds:
        raise DataError("what was mapped breaks rules", hint=f"read {found.failing}")


@app.command()
def report(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A folder in reports/; default: the newest.")
    ] = "",
    lang: Language = "en",
    formats: Annotated[
        str, typer.Option("--format", help="Some of html, xlsx, junit, with commas between. Default: all.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Draw the documents of a validation again, in another language or with the signatures on it."""
    from migrator.commands.report import report as call

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    drawn = call(opened_project(), run, language=lang, formats=wanted)
    answer(as_json, drawn.to_json, lambda: show.drawn(drawn, stdout))


@signoff_app.command("sign")
def signoff_sign(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A folder in reports/.")],
    *,
    role: Annotated[str, typer.Option("--role", help="For example: data owner.")],
    name: Annotated[str, typer.Option("--name", help="Who signs.")],
    decision: Annotated[str, typer.Option("--decision", help="accept, accept-with-exceptions or reject.")],
    comment: Annotated[str, typer.Option("--comment", help="What is to be known of it.")] = "",
    as_json: Json = False,
) -> None:
    """Sign a report: `migrator signoff RUN --role … --name … --decision …` does the same."""
    from migrator.commands.report import sign as call

    found = call(opened_project(), run, role=role, name=name, decision=decision, comment=comment)
    answer(as_json, found.to_json, lambda: show.signoff(found, stdout))


@signoff_app.command("verify")
def signoff_verify(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A folder in reports/; default: the newest.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that a report and the signatures on it are as they were signed."""
    from migrator.commands.report import verify as call

    found = call(opened_project(), run)
    answer(as_json, found.to_json, lambda: show.signoff(found, stdout))
    found.raise_unless_it_holds()


@app.command()
def run(
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Quarantined or waiting records end with exit code 1 too.")
    ] = False,
    skip_validate: Annotated[bool, typer.Option("--skip-validate", help="End after the load.")] = False,
    overlap: Annotated[
        bool,
        typer.Option(
            "--overlap",
            help="Load what is complete in itself while the rest is being read, where mappings permit it.",
        ),
    ] = False,
    production: Production = "",
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Do everything: extract, map, dedupe, plan, load and validate; what is already done is not done again."""
    from migrator.commands.run import run as call

    project = opened_project(engine)
    named = named_production(project, production, as_json=as_json)
    with watched(stderr, common.log) as progress:
        report = call(
            project,
            progress=progress,
            with_validation=not skip_validate,
            production=named,
            overlapping=overlap,
        )
    answer(as_json, report.to_json, lambda: show.run(report, stdout))
    report.raise_unless_it_holds(strict=strict)


@app.command()
def status(as_json: Json = False) -> None:
    """Show per object what became of every record, and whether the equation closes."""
    from migrator.commands.inspect import status as call

    found = call(opened_project())
    answer(as_json, found.to_json, lambda: show.accounting(found, stdout))


@app.command()
def explain(
    reference: Annotated[
        str, typer.Argument(metavar="OBJECT/ID", help="For example contact/salesforce:0035g00000XyZAAA.")
    ],
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values as they are.")] = False,
    as_json: Json = False,
) -> None:
    """Tell the life of one record: source row, each field's way, cluster, survivor, batch, target id."""
    from migrator.commands.inspect import explain as call

    found = call(opened_project(), reference, unmask=unmask)
    answer(as_json, found.to_json, lambda: show.life(found, stdout))


Rules = Annotated[list[str] | None, typer.Option("--rule", help="Only this rule; repeatable.")]
Fields = Annotated[
    list[str] | None, typer.Option("--field", help="Only about this target field; repeatable.")
]
Records = Annotated[list[str] | None, typer.Option("--record", help="Only this OBJECT/ID; repeatable.")]
Systems = Annotated[
    list[str] | None, typer.Option("--system", help="Only records read from this system; repeatable.")
]
Since = Annotated[
    datetime | None, typer.Option("--since", help="Only what was first found since then (UTC).")
]
InRun = Annotated[str, typer.Option("--run", help="Only what this run found first, or tried last.")]
Noted = Annotated[
    bool, typer.Option("--warnings", help="What was noted about records that move all the same, instead.")
]
Decided = Annotated[State | None, typer.Option("--state", help="Only what is open, or what is waived.")]


def _wanted(
    *,
    objects: list[str] | None,
    rule: list[str] | None,
    field: list[str] | None,
    record: list[str] | None,
    system: list[str] | None,
    since: datetime | None,
    run: str,
    **shown: Any,
) -> Wanted:
    from migrator.commands.quarantine import Wanted

    return Wanted(
        objects or (), rule or (), field or (), record or (), system or (),
        since.replace(tzinfo=UTC) if since else None, run, **shown,
    )  # fmt: skip


@quarantine_app.command("list")
def quarantine_list(
    *,
    objects: Objects = None,
    rule: Rules = None,
    field: Fields = None,
    record: Records = None,
    system: Systems = None,
    since: Since = None,
    run: InRun = "",
    state: Decided = None,
    warnings: Noted = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many records.")] = 50,
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """List refused records: which rule, which field, which value, since when, how often tried, and what to do."""
    from migrator.commands.quarantine import quarantine as call

    wanted = _wanted(
        objects=objects, rule=rule, field=field, record=record, system=system, since=since, run=run, state=state,
        warnings=warnings, unmask=unmask,
    )  # fmt: skip
    found = call(opened_project(), wanted, limit=limit)
    answer(as_json, found.to_json, lambda: show.quarantine(found, stdout))


@quarantine_app.command("show")
def quarantine_show(
    reference: Annotated[
        str, typer.Argument(metavar="OBJECT/ID", help="For example contact/salesforce:0035g00000XyZAAA.")
    ],
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """Show everything that is held against one record, and what was noted about it."""
    from migrator.commands.quarantine import entries_of

    found = entries_of(opened_project(), reference, unmask=unmask)
    answer(as_json, found.to_json, lambda: show.entries(found, stdout))


@quarantine_app.command("export")
def quarantine_export(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .xlsx or .csv file.")],
    objects: Objects = None,
    rule: Rules = None,
    field: Fields = None,
    record: Records = None,
    system: Systems = None,
    since: Since = None,
    run: InRun = "",
    state: Decided = None,
    warnings: Noted = False,
    unmask: Unmask = False,
    as_json: Json = False,
) -> None:
    """Write all refused records to a file, for those who mend them in the old system."""
    from migrator.commands.quarantine import export

    wanted = _wanted(
        objects=objects, rule=rule, field=field, record=record, system=system, since=since, run=run, state=state,
        warnings=warnings, unmask=unmask,
    )  # fmt: skip
    done = export(opened_project(), path, wanted)
    answer(as_json, done.to_json, lambda: stdout.print(f"{done.rows:,} rows in {escape(str(done.path))}"))


@quarantine_app.command("waive")
def quarantine_waive(
    *,
    who: Annotated[str, typer.Option("--by", help="Who decides it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why these records may stay behind.")],
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take such a decision back.")] = False,
    objects: Objects = None,
    rule: Rules = None,
    field: Fields = None,
    record: Records = None,
    system: Systems = None,
    since: Since = None,
    run: InRun = "",
    as_json: Json = False,
) -> None:
    """Decide that quarantined records may stay behind: they are counted as before, and no run is red for them."""
    from migrator.commands.waive import waive as call
    from migrator.staging.waivers import Verdict

    wanted = _wanted(
        objects=objects, rule=rule, field=field, record=record, system=system, since=since, run=run
    )
    verdict = Verdict.WITHDRAWN if withdraw else Verdict.WAIVED
    done = call(opened_project(), wanted, who=who, reason=reason, verdict=verdict)
    answer(as_json, done.to_json, lambda: show_quarantine.decided(done, stdout))


@quarantine_app.command("decisions")
def quarantine_decisions(as_json: Json = False) -> None:
    """List who decided what about quarantined records, when and why."""
    from migrator.commands.waive import list_decisions

    found = list_decisions(opened_project())
    document = {"decisions": [item.to_json() for item in found]}
    answer(as_json, lambda: document, lambda: show_quarantine.decisions(found, stdout))


@quarantine_app.command("retry")
def quarantine_retry(
    *,
    objects: Objects = None,
    rule: Rules = None,
    field: Fields = None,
    record: Records = None,
    system: Systems = None,
    since: Since = None,
    run: InRun = "",
    state: Decided = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Map and plan again, and say what would be sent.")
    ] = False,
    production: Production = "",
    as_json: Json = False,
) -> None:
    """Map again and send again what was refused (mapping, values or target were mended): just that, and what waits for it."""
    from migrator.commands.retry import retry as call

    project = opened_project()
    named = "" if dry_run else named_production(project, production, as_json=as_json)
    wanted = _wanted(
        objects=objects,
        rule=rule,
        field=field,
        record=record,
        system=system,
        since=since,
        run=run,
        state=state,
    )
    with watched(stderr, common.log) as progress:
        report = call(project, wanted, progress=progress, production=named, dry_run=dry_run)
    answer(as_json, report.to_json, lambda: show_quarantine.retried(report, stdout))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the demo project is made.")] = Path(
        "demo"
    ),
    scale: Annotated[
        int | None,
        typer.Option("--scale", min=100, help="About how many legacy records; default 20000, live 200."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same records.")] = 7,
    live: Annotated[
        bool, typer.Option("--live", help="Between sandboxes of live systems, over HTTP, with their limits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make two synthetic legacy systems and move them into one new CRM, end to end."""
    if live:
        _demo_live(folder, scale or 200, seed, as_json=as_json)
        return
    from migrator.commands.demo import demo as call

    with watched(stderr, common.log) as progress:
        report = call(folder, scale=scale or 20_000, seed=seed, progress=progress)
    answer(as_json, report.to_json, lambda: show.demo(report, stdout))
    report.run.raise_unless_it_holds(strict=False)


def _demo_live(folder: Path, scale: int, seed: int, *, as_json: bool) -> None:
    from migrator.cli import show_live
    from migrator.commands.demo_live import demo_live as call

    with watched(stderr, common.log) as progress:
        report = call(folder, scale=scale, seed=seed, progress=progress)
    answer(as_json, report.to_json, lambda: show_live.demo_live(report, stdout))
    report.run.raise_unless_it_holds(strict=False)


_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR
}  # fmt: skip
"""What disks answer when they are full, read-only, broken, or not ours: no bug."""


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the only place that catches everything."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app(args=list(arguments) if arguments is not None else None)
    except SystemExit as ended:
        return _ended(ended)
    except MigratorError as error:
        _tell(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into a crash file
        return _unexpected(error)
    return 0


def run_main() -> None:
    """The console script."""
    sys.exit(run_app())


def _ended(ended: SystemExit) -> int:
    """The exit code of what Typer ended: it makes codes of its own of Ctrl-C and of a pipe that nobody reads."""
    if isinstance(ended.__context__, BrokenPipeError):
        return 0  # its reader (head, less) has seen enough
    code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    if code in {130, 143}:
        errors.print("stopped; run the same command again to go on", style="yellow")
    return code


def _tell(error: MigratorError) -> None:
    beside = getattr(error, "__notes__", ())  # what else went wrong at the same time
    if common.log is not None:
        said = "\n".join([str(error), *beside])
        kind = {"error": type(error).__name__, "exit_code": error.exit_code, "message": said}
        common.log.say("error", "error", "", "", {"counts": {}, **kind})
        return
    if isinstance(error, ProjectError):
        for problem in error.problems:
            errors.print(
                f"[red]{problem.severity.value}[/] {escape(str(problem))}", highlight=False, soft_wrap=True
            )
    else:
        errors.print(f"[red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    for text in beside:
        errors.print(escape(text), highlight=False, soft_wrap=True)


def _unexpected(error: Exception) -> int:
    """What the disk refused is told as that, wherever it struck; all else is a bug."""
    if not isinstance(error, OSError) or error.errno not in _DISK:
        return _crash(error)
    where = f"{error.filename}: " if error.filename else ""
    what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    _tell(FatalError(f"{where}{what}", hint="free space or grant access, then run it again"))
    return FatalError.exit_code


def _places(error: BaseException) -> Iterator[str]:
    """Where each error of a chain was raised, the first cause first."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _places(before)
        yield "\nwhich led to\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"


def _crash(error: Exception) -> int:
    """A bug: the traceback (code places and kinds of errors, no words: they may hold data) goes to a file."""
    text = "".join(_places(error))
    folder = common.folder / ".migrator"
    path = (folder if folder.is_dir() else Path()) / f"crash-{SystemClock().now():%Y%m%dT%H%M%S}.txt"
    try:
        path.write_text(f"migrator {__version__}\n{text}", encoding="utf-8")
        errors.print(f"[red]bug[/] {escape(repr(error))}\n    please report it with {path}", soft_wrap=True)
    except OSError:
        errors.print(f"[red]bug[/] {escape(text)}", soft_wrap=True)
    return 70
