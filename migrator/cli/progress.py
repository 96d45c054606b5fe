"""Progress on standard error: bars when a person watches, lines of JSON when a machine does, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from migrator.core import progress as listener
from migrator.core.clock import SystemClock
from migrator.core.eventlines import EventLines
from migrator.core.otlp import otlp_line
from migrator.core.progress import Event


class LogFormat(Enum):
    """How what happens is told on standard error."""

    TEXT = "text"
    JSON = "json"
    OTLP = "otlp"
    """OpenTelemetry log records, a line of OTLP/JSON each."""


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Of the last half minute."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Bars:
    """Draws one bar per step and object; finished ones stay as a line with their note."""

    def __init__(self, drawn: Progress, console: Console) -> None:
        self._drawn = drawn
        self._console = console
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._left = ""

    def start(self, step: str, name: str, total: int | None) -> None:
        """Show a bar; without a total it only moves."""
        self._tasks[step, name] = self._drawn.add_task(f"{step:<10} {name}", total=total, told=self._left)

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

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """Beside the bar: what was refused so far, what is left of the budget, and why nothing moves."""
        match event:
            case Event.BATCH:
                refused = self._refused.get((step, name), 0) + int(counts.get("refused", 0))
                self._refused[step, name] = refused
            case Event.BUDGET:
                self._left = f"{int(counts['left']):,} calls left of {name}'s day"
            case Event.THROTTLED | Event.RETRIED:
                self._console.print(
                    f"[dim]· {step}: trying again in {counts['wait']:.0f} s[/]", highlight=False
                )
            case Event.ELSEWHERE:
                _tell_elsewhere(self._console, step, name)
            case Event.PLAIN:
                _tell_plain(self._console, name)
            case _:
                return
        for key, task in list(self._tasks.items()):  # another thread may begin or end one meanwhile
            refused = self._refused.get(key, 0)
            told = " · ".join(filter(None, [f"{refused:,} refused" if refused else "", self._left]))
            self._drawn.update(task, told=told)


class Notes(listener.Quiet):
    """Tells only what a person must know who reads no bars."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:  # noqa: ARG002
        """A line where work does not run on the engine that the project names, or not as was asked."""
        if event is Event.ELSEWHERE:
            _tell_elsewhere(self._console, step, name)
        if event is Event.PLAIN:
            _tell_plain(self._console, name)


def _tell_elsewhere(console: Console, step: str, reason: str) -> None:
    console.print(
        f"· {step} runs in part or whole on this machine: {escape(reason)}", highlight=False, soft_wrap=True
    )


def _tell_plain(console: Console, reason: str) -> None:
    console.print(
        f"· nothing overlaps, the steps go one after the other: {escape(reason)}",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def watched(console: Console, log: EventLines | None = None) -> Iterator[listener.Progress]:
    """A listener for steps: writes to `log` when there is one, else draws on `console` when that is a terminal."""
    if console.quiet:
        yield listener.Quiet()
        return
    if log is not None:
        yield log
        return
    if not console.is_terminal:
        yield Notes(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[told]}"),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        yield Bars(drawn, console)


def log_lines(form: LogFormat) -> EventLines | None:
    """Lines on standard error for a machine; None where a person reads."""

    def write(line: str) -> None:
        sys.stderr.write(otlp_line(line) if form is LogFormat.OTLP else line)
        sys.stderr.flush()

    return None if form is LogFormat.TEXT else EventLines(write, SystemClock())
