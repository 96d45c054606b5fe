"""How the live demo is told: what took part, what the run did, what is held back, and where to look further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from migrator.cli import show

if TYPE_CHECKING:
    from rich.console import Console

    from migrator.commands.demo_live import LiveReport


def demo_live(report: LiveReport, console: Console) -> None:
    """What the live demo did; its sandboxes are stopped by now, its reports stay."""
    show.run(report.run, console)
    console.print()
    show.quarantine(report.quarantined, console)
    console.print(f"over HTTP, with the vendors' limits, in {report.seconds:.0f} seconds:")
    for name, url in report.systems.items():
        console.print(f"  {escape(name)} {escape(url)} (stopped)", highlight=False)
    console.print("look further:")
    for command in ("status", "quarantine list", "map show-sql contact"):
        console.print(
            f"  migrator -C {escape(str(report.folder))} {command}",
            style="bold",
            highlight=False,
            soft_wrap=True,
        )
    console.print("a sandbox of your own: [bold]migrator sandbox start fxiaoke[/]")
