"""The commands `migrator inventory …`: arguments in, one call, one print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from migrator.cli.context import Json, answer, common, opened_project, stderr, stdout
from migrator.cli.progress import watched

inventory_app = typer.Typer(
    help="What the old system does besides holding data, and what becomes of each function.",
    no_args_is_help=True,
)
register_app = typer.Typer(
    help="The register of functions: evidence, proposals by rule, decisions of people.", no_args_is_help=True
)
inventory_app.add_typer(register_app, name="register")

Systems = Annotated[
    list[str] | None,
    typer.Option("--system", help="Only of this system; repeatable. Default: all that were scanned."),
]
By = Annotated[str, typer.Option("--by", envvar="MIGRATOR_WHO", help="Who says so; kept with the decision.")]


@inventory_app.command("scan")
def inventory_scan(
    *,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH|SYSTEM", help="A folder or zip of metadata, or a system of the project to describe."
        ),
    ],
    system: Annotated[
        str,
        typer.Option(
            "--system", help="Which system this is the metadata of, so that its records are measured."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Read what a system does from its metadata, measure what is used, and compare with the scan before."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory import scan_functions

    project = opened_project()
    with watched(stderr, common.log) as progress:
        found = scan_functions(project, what, system=system, progress=progress)
    answer(as_json, found.to_json, lambda: show_inventory.scanned(found, stdout))


@register_app.command("list")
def register_list(
    *,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind, such as 'field'; repeatable.")
    ] = None,
    decision: Annotated[
        list[str] | None, typer.Option("--decision", help="Only decided so; 'undecided' too.")
    ] = None,
    proposed: Annotated[
        list[str] | None, typer.Option("--proposed", help="Only proposed so by a rule.")
    ] = None,
    capability: Annotated[
        list[str] | None, typer.Option("--capability", help="Only this step of lead-to-cash.")
    ] = None,
    use: Annotated[
        list[str] | None, typer.Option("--use", help="'used', 'not seen' or 'could not analyse'.")
    ] = None,
    owner: Annotated[str, typer.Option("--owner", help="Only what this person owns.")] = "",
    wave: Annotated[str, typer.Option("--wave", help="Only of this wave.")] = "",
    of_object: Annotated[
        str, typer.Option("--object", "-o", help="Only this object and what belongs to it.")
    ] = "",
    system: Systems = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Most lines in the table; --json has all.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """List components with their evidence, what a rule proposes and what people decided."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory_register import Wanted, list_rows, row_json

    wanted = Wanted(
        tuple(kind or ()), tuple(decision or ()), tuple(proposed or ()), tuple(capability or ()), owner, wave, of_object,
        tuple(use or ()), tuple(system or ()),
    )  # fmt: skip
    register, rows = list_rows(opened_project(), wanted)
    document = {
        "rows": [row_json(row) for row in rows] if as_json else [],
        "gone": list(register.gone),
        "notes": list(register.notes),
    }
    answer(as_json, lambda: document, lambda: show_inventory.listed(register, rows, limit, stdout))


@register_app.command("show")
def register_show(
    *,
    component: Annotated[
        str, typer.Argument(metavar="COMPONENT", help="Its id, or its name when that is enough.")
    ],
    as_json: Json = False,
) -> None:
    """Show everything that is known of one component, with the history of its decision."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory_register import load_register, row_json

    row = load_register(opened_project()).row(component)
    answer(as_json, lambda: row_json(row, whole=True), lambda: show_inventory.shown(row, stdout))


@register_app.command("decide")
def register_decide(
    *,
    components: Annotated[list[str], typer.Argument(metavar="COMPONENT…", help="Ids or names.")],
    decision: Annotated[
        str,
        typer.Option(
            "--decision", help="keep, optimise, retire, build, merge, defer or 'archive data only'."
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; a decision needs one.")] = "",
    owner: Annotated[str, typer.Option("--owner", help="Who sees to it.")] = "",
    effort: Annotated[
        str, typer.Option("--effort", help="S, M, L, '<30 min', '30-60 min', '1-2 h', '>2 h' or '6 h'.")
    ] = "",
    wave: Annotated[str, typer.Option("--wave", help="With which wave it moves.")] = "",
    acceptance: Annotated[str, typer.Option("--acceptance", help="The test that accepts it.")] = "",
    proof: Annotated[str, typer.Option("--proof", help="What proves after the switch that it works.")] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=TEXT for any other answer; an empty text takes one back."),
    ] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Put on record what a person decides about components; the history keeps every word."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory_register import decide
    from migrator.core.errors import ProjectError

    named = {
        "decision": decision, "reason": reason, "owner": owner, "effort": effort, "wave": wave, "acceptance": acceptance,
        "proof": proof,
    }  # fmt: skip
    said = {name: text for name, text in named.items() if text}
    for pair in set_ or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise ProjectError.at("--set", f"{pair!r} sets nothing", "NAME=TEXT, such as partner=SAP")
        said[name.strip()] = text.strip()
    if not said:
        raise ProjectError.at(
            "inventory register decide", "nothing is said", "give --decision and --reason, or --set"
        )
    done = decide(opened_project(), components, said, who=by)
    answer(as_json, done.to_json, lambda: show_inventory.entered(done, stdout))


@register_app.command("export")
def register_export(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx")],
    system: Systems = None,
    as_json: Json = False,
) -> None:
    """Write the register as a workbook, to fill in answers there; every cell is inert."""
    from migrator.commands.inventory_workbook import export_register

    done = export_register(opened_project(), path, system or ())
    told = f"{done.rows:,} components and {done.integrations:,} integrations in {path}"
    answer(as_json, done.to_json, lambda: stdout.print(told, markup=False, highlight=False))


@register_app.command("import")
def register_import(
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE.xlsx")],
    by: By = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be put on record.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put on record what was changed in an exported workbook: all of it, or nothing and every problem at its cell."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory_workbook import import_register

    done = import_register(opened_project(), path, who=by, dry_run=dry_run)
    answer(as_json, done.to_json, lambda: show_inventory.entered(done, stdout))


@inventory_app.command("integrations")
def inventory_integrations(
    *,
    steps: Annotated[
        Path | None,
        typer.Option("--steps", help="Write the re-pointing steps for a runbook to this .yaml file."),
    ] = None,
    system: Systems = None,
    as_json: Json = False,
) -> None:
    """List everything through which another system takes part, and the step that points it to the new one."""
    from migrator.cli import show_inventory
    from migrator.commands.inventory_integrations import load_integrations
    from migrator.commands.inventory_steps import write_steps

    found = load_integrations(opened_project(), system or ())
    if steps is not None:
        write_steps(steps, found.steps)
    answer(as_json, found.to_json, lambda: show_inventory.integrations(found, stdout))


@inventory_app.command("operations")
def inventory_operations(*, system: Systems = None, as_json: Json = False) -> None:
    """Compare how users do things today with how they will do them: the table for their handbook."""
    from dataclasses import asdict

    from migrator.cli import show_inventory
    from migrator.commands.inventory_integrations import load_operations

    found = load_operations(opened_project(), system or ())
    document = {"operations": [asdict(one) for one in found]}
    answer(as_json, lambda: document, lambda: show_inventory.operations(found, stdout))


@inventory_app.command("report")
def inventory_report(
    *,
    language: Annotated[
        str,
        typer.Option(
            "--lang", envvar="MIGRATOR_LANG", help="Language of the report: en, zh_CN, zh_TW or ms."
        ),
    ] = "en",
    switch: Annotated[
        str, typer.Option("--switch", help="Day of the switch, as 2026-11-30: the burn-down leads there.")
    ] = "",
    to: Annotated[
        Path | None, typer.Option("--out", help="The file; default: reports/functions.html.")
    ] = None,
    system: Systems = None,
    as_json: Json = False,
) -> None:
    """Draw the register as one inert HTML page: by step of lead-to-cash, by business unit, what is left until the switch."""
    from migrator.commands.inventory_report import write_report

    done = write_report(opened_project(), language=language, switch=switch, to=to, systems=system or ())
    told = f"{done.rows:,} components, {done.decided:,} decided: {done.path}"
    answer(as_json, done.to_json, lambda: stdout.print(told, markup=False, highlight=False, soft_wrap=True))
