"""What people see of decisions on quarantined records, and of their way back into a load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from migrator.cli.show import _number, _table, load

if TYPE_CHECKING:
    from migrator.commands.retry import Retried
    from migrator.commands.waive import Decided
    from migrator.staging.waivers import Decision


def decided(done: Decided, console: Console) -> None:
    """What was decided, and what is left to decide."""
    what = done.decision
    console.print(
        f"[green]{what.rows:,} complaints are {what.verdict}[/] by {escape(what.who)}: {escape(what.reason)}"
    )
    console.print(f"{done.left:,} quarantined records are left to decide about")


def decisions(found: Sequence[Decision], console: Console) -> None:
    """Who decided what about quarantined records, when and why."""
    if not found:
        console.print("nothing was decided yet")
        return
    table = _table("when (UTC)", "who", "decided", ">complaints", "about", "why")
    for item in found:
        about = ", ".join(f"{name} {_said(value)}" for name, value in item.filters.items())
        cells = (f"{item.at:%Y-%m-%d %H:%M}", item.who, item.verdict, _number(item.rows), about, item.reason)
        table.add_row(*map(escape, cells))
    console.print(table)


def _said(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def retried(report: Retried, console: Console) -> None:
    """What was, or would be, sent again, what came of it, and what is still held."""
    if not report.objects:
        console.print("[green]nothing in quarantine was asked for[/]")
        return
    table = _table(
        "object", ">sent again" if report.load else ">to be sent", ">waiting for them", ">still held"
    )
    for item in report.objects:
        cells = (item.chosen, item.dependants, item.held)
        table.add_row(escape(item.name), *(_number(count) for count in cells))
    console.print(table)
    if report.load is None:
        console.print("[yellow]dry run:[/] nothing was sent")
    else:
        load(report.load, console)
    if report.left:
        console.print(f"{report.left:,} other rows are planned and were not sent: [bold]migrator load[/]")
