"""What people see of `migrator estimate`: each step as predicted and as it happened, in time and on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from migrator.commands.cost_model import Compared
    from migrator.commands.estimate import Estimate

_BASES = {"limits": "at the target's limits", "measured": "as earlier loads went"}


def estimated(found: Estimate, console: Console) -> None:
    """A line a step, and the whole."""
    from migrator.staging.room import amount

    happened = any(item.took for item in found.steps)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in ("step", ">rows", ">time", ">disk", *((">took", ">ratio", ">wrote", ">ratio") if happened else ()), ""):  # fmt: skip
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for item in found.steps:
        table.add_row(
            item.step.value, *_predicted(item), *(_happened(item) if happened else ()), _basis(item)
        )
    made = found.prediction
    if made is not None:
        table.add_section()
        table.add_row("all", f"{made.rows:,}", lasting(made.seconds), amount(made.bytes), style="bold")
    console.print(table)
    if made is None:
        console.print("nothing was estimated yet: [bold]migrator estimate[/]")
        return
    console.print(
        f"estimated {made.made_at[:16].replace('T', ' ')} UTC from {made.share:.1%} of the rows, all steps one after the other",
        highlight=False,
    )


def _predicted(item: Compared) -> tuple[str, str, str]:
    from migrator.staging.room import amount

    made = item.predicted
    return (f"{made.rows:,}", lasting(made.seconds), amount(made.bytes)) if made else ("", "", "")


def _happened(item: Compared) -> tuple[str, str, str, str]:
    from migrator.staging.room import amount

    if item.took is None:
        return ("", "", "", "")
    ratios = [f"{ratio:.2f}" if ratio is not None else "" for ratio in (item.ratio, item.disk_ratio)]
    return (lasting(item.took.seconds), ratios[0], amount(item.took.bytes), ratios[1])


def _basis(item: Compared) -> str:
    return _BASES.get(item.predicted.basis, "") if item.predicted else ""


def lasting(seconds: float) -> str:
    """A time as a person reads it."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
