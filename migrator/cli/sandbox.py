"""The commands `migrator sandbox …`: arguments in, one call, one print, then it answers until it is stopped."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

sandbox_app = typer.Typer(
    help="Serve a CRM's API on this machine, to rehearse against.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@sandbox_app.command("list")
def sandbox_list(as_json: Json = False) -> None:
    """List the systems that can be served."""
    from migrator.commands.sandbox import listed

    found = listed()
    if as_json:
        _print([{"name": name, "summary": summary} for name, summary in found])
        return
    for name, summary in found:
        _out().print(f"[bold]{escape(name)}[/]  {escape(summary)}")


@sandbox_app.command("start")
def sandbox_start(
    *,
    name: Annotated[str, typer.Argument(metavar="SYSTEM", help="One of `migrator sandbox list`.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="One CSV or JSON Lines file an object, or an export."),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", metavar="FILE", help="What goes wrong, and when (YAML).")
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option("--limits", metavar="FILE", help="Limits other than the system's usual ones (YAML)."),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="With a certificate of its own, in .migrator/sandbox.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve a system on 127.0.0.1 until Ctrl-C; its records are gone then."""
    from migrator.commands.sandbox import SandboxOptions, start

    folder = Path(".migrator/sandbox").absolute() if tls else None
    serving = start(
        name, SandboxOptions(port=port, data=data, faults=faults, limits=limits, certificates=folder)
    )
    if as_json:
        _print(serving.to_json())
    else:
        out = _out()
        out.print(f"[bold]{escape(serving.name)}[/] answers at [bold]{escape(serving.url)}[/]")
        for what, value in serving.credentials.items():
            out.print(f"  {escape(what)}: {escape(value)}")
        if serving.certificate:
            out.print(f"  certificate: {escape(str(serving.certificate))}")
        out.print(f"\nIn migration.yaml:\n\n{escape(serving.served.snippet)}\nCtrl-C ends it.")
    sys.stdout.flush()  # it now answers for hours, and a file or pipe would show nothing
    with contextlib.suppress(KeyboardInterrupt):
        serving.served.wait()
    serving.served.stop()


def _out() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=True)


def _print(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
