"""Progress on the terminal: bars when a person watches, nothing when nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from migrator.core import progress as listener


class Bars:
    """Draws one bar per step and object; finished ones stay as a line with their note."""

    def __init__(self, drawn: Progress, console: Console) -> None:
        self._drawn = drawn
        self._console = console
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def start(self, step: str, name: str, total: int | None) -> None:
        """Show a bar; without a total it only moves."""
        self._tasks[step, name] = self._drawn.add_task(f"{step:<10} {name}", total=total)

    def advance(self, step: str, name: str, rows: int) -> None:
        """Move the bar on."""
        task = self._tasks.get((step, name))
        if task is not None:
            self._drawn.advance(task, rows)

    def done(self, step: str, name: str, note: str = "") -> None:
        """Replace the bar by one line."""
        task = self._tasks.pop((step, name), None)
        if task is not None:
            self._drawn.remove_task(task)
        self._console.print(f"[green]✓[/] {step:<10} {name}  [dim]{note}[/]", highlight=False)


@contextmanager
def watched(console: Console) -> Iterator[listener.Progress]:
    """A listener for steps that draws on `console` (standard error) when it is a terminal, else stays quiet."""
    if not console.is_terminal or console.quiet:
        yield listener.Quiet()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        yield Bars(drawn, console)
