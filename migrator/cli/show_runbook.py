"""Runbooks in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from migrator.core.errors import Severity
from migrator.runbook.conduct import BookStatus, Checked
from migrator.runbook.drill import Drill
from migrator.runbook.durations import spoken
from migrator.runbook.shelf import Listed
from migrator.runbook.view import BookView
from migrator.runbook.world import RunReport

_COLOURS = {"done": "green", "failed": "red", "started": "yellow", "undone": "yellow", "next": "bold"}


def listed(found: Sequence[Listed], console: Console) -> None:
    """The runbooks that can be named."""
    table = Table("runbook", "what it is for", "steps", "where")
    for item in found:
        where = "comes with the toolkit" if item.shipped else str(item.path)
        table.add_row(escape(item.name), escape(item.title), str(item.steps), escape(where))
    console.print(table)


def checked(found: Checked, console: Console) -> None:
    """Problems, and what the next step waits for."""
    for item in found.problems:
        if item.severity is Severity.WARNING:
            console.print(f"[yellow]warning[/] {escape(str(item))}", highlight=False, soft_wrap=True)
    window = found.book.rule.window.seconds
    fits = f", worst case {spoken(found.worst)} of {spoken(window)}" if window and found.worst else ""
    console.print(f"{found.book.name}: {len(found.book.steps)} steps{fits}", highlight=False)
    if found.next_step and not found.waits_for:
        console.print(f"[green]ready[/]: {escape(found.next_step)} may begin", highlight=False)
    for text in found.waits_for:
        console.print(
            f"  [yellow]{escape(found.next_step)}[/] waits for {escape(text)}",
            highlight=False,
            soft_wrap=True,
        )


def status(found: BookStatus, console: Console) -> None:
    """Every step and how far it is."""
    if found.phases:
        console.print(
            ", ".join(f"{escape(group)} is in {phase}" for group, phase in found.phases.items()),
            highlight=False,
        )
    table = Table("step", "phase", "title", "owner", "state", "took", "by")
    for item in found.steps:
        colour = _COLOURS.get(item.state, "dim")
        table.add_row(
            escape(item.id), item.phase, escape(item.title), escape(item.owner), f"[{colour}]{item.state}[/]",
            spoken(item.seconds) if item.state == "done" else "", escape(item.by),
        )  # fmt: skip
    console.print(table)
    for item in found.steps:
        for text in item.waits_for:
            console.print(
                f"  [yellow]{escape(item.id)}[/] waits for {escape(text)}", highlight=False, soft_wrap=True
            )


def shown(found: BookView, console: Console) -> None:
    """The runbook for people."""
    rule = found.book.rule
    console.print(
        f"[bold]{escape(rule.title)}[/] ({escape(rule.runbook)}, version {escape(rule.version)})",
        highlight=False,
    )
    console.print(escape(rule.about), highlight=False, soft_wrap=True)
    if found.window:
        console.print(f"window {found.window}, worst case {found.worst}", highlight=False)
    table = Table("step", "phase", "title", "owner / backup", "planned", "rehearsed", "done when", "way back")
    for step in found.steps:
        title = f"{escape(step.title)}{' [red](point of no return)[/]' if step.final else ''}"
        table.add_row(
            escape(step.id), step.phase.value, title, f"{escape(step.owner)} / {escape(step.backup)}", step.planned,
            step.rehearsed or "–", escape(step.verification or step.command), escape(step.rollback or "none"),
        )  # fmt: skip
    console.print(table)


def ran(found: RunReport, console: Console) -> None:
    """What a run of a runbook did."""
    took = spoken(sum(found.done.values()))
    console.print(
        f"[green]done[/]: {len(found.done)} steps in {took}, {len(found.held)} were done before; plan {found.plan}",
        highlight=False,
    )
    for to, text in found.messages:
        console.print(f"  tell [bold]{escape(to)}[/]: {escape(text)}", highlight=False, soft_wrap=True)


def drilled(found: Drill, console: Console) -> None:
    """What a drill found: what users entered and where it is, how each part ended, every step against its plan."""
    parts = Table("part", "ended", "phase", "entered", "missing", "took", title=f"Drill on {found.systems}")
    for part in found.parts:
        parts.add_row(
            escape(part.name), escape(part.ended), part.phase.value, str(part.trace.entered),
            str(len(part.trace.missing)), spoken(part.seconds),
        )  # fmt: skip
    console.print(parts)
    steps = Table("step", "title", "planned", "median", "worst", "times")
    for step, times in found.steps.items():
        steps.add_row(
            escape(step), escape(found.titles[step]), spoken(found.planned[step]), f"{median(times):.1f}s",
            f"{max(times):.1f}s", str(len(times)),
        )  # fmt: skip
    console.print(steps)
    trace = found.trace
    console.print(
        f"users entered {trace.entered} values: {trace.standing} stand on both sides, {trace.typed_over} were typed over by"
        f" users who saw them, {trace.overruled} are in the conflict log, {trace.deleted} went with records that users"
        f" deleted; missing: {len(trace.missing)}. Locked out, users were refused {found.refused} times."
        f" The journal's {found.journal} rows hold.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
