"""What people see of `migrator plan`: what becomes of every record, which fields change, what it costs, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from migrator.commands.cost_model import Compared, Prediction
    from migrator.commands.plan_file import PlanFile
    from migrator.commands.planning import Forecast
    from migrator.load.changes import Record
    from migrator.load.forecast import ObjectForecast

_HELD = ("quarantined", "pending")
_WIDE = 60
_SOURCES = {
    "measured": "as measured before",
    "partly measured": "as measured, in part on other objects",
    "limits": "at the system's own limits",
}


def planned(found: Forecast, only: Sequence[str], console: Console) -> None:
    """The whole forecast, or that of the objects named."""
    objects = [item for item in found.objects if not only or item.planned.name in only]
    _records(objects, console)
    _fields(objects, console)
    _rules(objects, console)
    for item in objects:
        for record in found.shown.get(item.planned.name, ()):
            _record(item.planned.name, record, console)
    _cost(found, console)
    for note in found.notes:
        console.print(f"[yellow]![/] {escape(note)}", highlight=False, soft_wrap=True)
    if found.file is not None:
        _next(found, found.file, console)


def _records(objects: Sequence[ObjectForecast], console: Console) -> None:
    from migrator.load.forecast import CLASSES

    shown = [name for name in CLASSES if name in CLASSES[:3] or any(item.classes[name] for item in objects)]
    later = any(item.second_pass for item in objects)
    table = _table("object", "into", ">records", *(f">{name}" for name in shown), *([">second pass"] * later))
    for item in objects:
        cells = [_count(item.classes[name], warn=name in _HELD) for name in shown]
        last = [_count(item.second_pass)] * later
        into = escape(item.planned.target_object)
        table.add_row(escape(item.planned.name), into, f"{item.records:,}", *cells, *last)
    if len(objects) > 1:
        table.add_section()
        total = [f"{sum(item.classes[name] for item in objects):,}" for name in shown]
        last = [f"{sum(item.second_pass for item in objects):,}"] * later
        records = f"{sum(item.records for item in objects):,}"
        table.add_row("all", "", records, *total, *last, style="bold")
    console.print(table)


def _fields(objects: Sequence[ObjectForecast], console: Console) -> None:
    """Fields that updates change."""
    if not any(item.changes.records for item in objects):
        return
    table = _table("updates of", "change", ">records", ">filled", ">emptied")
    for item in objects:
        for change in item.changes.fields:
            cells = (f"{change.records:,}", _count(change.filled), _count(change.emptied, warn=True))
            table.add_row(escape(item.planned.name), escape(change.field), *cells)
        name = escape(item.planned.name)
        if item.changes.same:
            table.add_row(
                name, "[dim]no value: the mapping writes other fields now[/]", f"{item.changes.same:,}"
            )
        if item.changes.edited:
            table.add_row(
                name, "[yellow]edited in the target since, to be overwritten[/]", f"{item.changes.edited:,}"
            )
        if item.changes.gone:
            table.add_row(name, "[yellow]not in the target any more[/]", f"{item.changes.gone:,}")
        if item.changes.unknown:
            table.add_row(name, "[yellow]what was sent is not on record[/]", f"{item.changes.unknown:,}")
    console.print()
    console.print(table)


def _rules(objects: Sequence[ObjectForecast], console: Console) -> None:
    """Rules of the target that rows to be sent break."""
    if not any(item.refusals for item in objects):
        return
    table = _table("the target may refuse", "field", "rule", "it permits", ">records", "such as")
    for item in objects:
        for rule in item.refusals:
            table.add_row(
                escape(item.planned.name), escape(rule.field), rule.rule, escape(rule.limit),
                _count(rule.records, warn=True), escape(rule.example),
            )  # fmt: skip
    console.print()
    console.print(table)


def _record(name: str, found: Record, console: Console) -> None:
    reason = f" [dim]{escape(found.reason)}[/]" if found.reason else ""
    console.print()
    console.print(
        f"[bold]{escape(f'{name}/{found.record}')}[/] {found.action.value}{reason}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for value in found.values:
        table.add_row(f"  {escape(value.field)}", _text(value.old), "→", _text(value.new))
    if found.values:
        console.print(table)


def _cost(found: Forecast, console: Console) -> None:
    console.print()
    order = " → ".join(escape(", ".join(group)) for group in found.plan.order)
    batches = sum(item.planned.batches for item in found.objects)
    facts = [("order", f"{order}, {batches:,} batches")]
    freed = [f"{item.released:,} of {item.planned.name}" for item in found.objects if item.released]
    if freed:
        words = f"{', '.join(freed)} give up a unique value that another record takes over"
        facts.insert(0, ("first", escape(words)))
    later = [item for item in found.objects if item.second_pass]
    if later:
        fields = "; ".join(f"{', '.join(item.planned.deferred)} of {item.planned.name}" for item in later)
        facts.append(("then", escape(fields)))
    if found.calls:
        facts += [("calls", _calls(found)), ("takes", _duration(found))]
    if found.estimate is not None and found.estimate.prediction is not None:
        facts.append(("whole", _whole(found.estimate.prediction, found.estimate.steps)))
    for name, text in facts:
        console.print(f"[bold]{name:<5}[/]  {text}", highlight=False, soft_wrap=True)


def _calls(found: Forecast) -> str:
    looks = sum(item.calls.looks for item in found.objects)
    text = (
        f"about {found.calls:,} to {escape(found.system)}: {found.calls - looks:,} writes, {looks:,} look-ups"
    )
    if found.left is not None:
        over = found.calls > found.left
        budget = f"{found.left:,} left of the day's budget"
        text += f" · [red]{budget}: it goes on the next day[/]" if over else f" · {budget}"
    rates = (
        ", ".join(
            f"{rate.calls:,} in {rate.seconds:g} s" for rate in found.limits.rates if rate.scope in {"", "*"}
        )
        if found.limits
        else ""
    )
    return f"{text} · it permits {rates}" if rates else text


def _whole(made: Prediction, steps: Sequence[Compared]) -> str:
    """What the whole run was predicted to take, and how much of that is still to come."""
    from migrator.cli.show_estimate import lasting
    from migrator.commands.cost_model import to_come
    from migrator.staging.room import amount

    coming = ", ".join(
        f"{item.step.value} {lasting(item.predicted.seconds)}"
        for item in to_come(steps)
        if item.predicted is not None
    )
    text = f"about {lasting(made.seconds)} and {amount(made.bytes)} on disk for all steps, as estimated from {made.share:.1%} of the rows"
    return f"{text}; to come: {coming}" if coming else f"{text}; all are done: migrator estimate --last"


def _duration(found: Forecast) -> str:
    if found.duration.seconds is None:
        return "not yet measured: no load into it has run"
    word = "at least" if found.duration.basis == "limits" else "about"
    return (
        f"{word} {_time(found.duration.seconds)}, {_SOURCES.get(found.duration.basis, found.duration.basis)}"
    )


def _time(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{hours:.1f} hours"


def _next(found: Forecast, file: PlanFile, console: Console) -> None:
    saved, path = file.id, escape(str(file.path))
    console.print(
        f"[bold]saved[/]  {path}; nothing was written to {escape(found.system)}",
        highlight=False,
        soft_wrap=True,
    )
    if not found.calls:
        console.print("[green]nothing to do:[/] the target holds what is planned")
        return
    named = saved if file.path.parent.name == "plans" else path
    console.print(f"next: [bold]migrator load --plan {named}[/]", highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    return table


def _count(number: int, *, warn: bool = False) -> str:
    if not number:
        return "[dim]0[/]"
    return f"[yellow]{number:,}[/]" if warn else f"{number:,}"


def _text(text: str | None) -> str:
    """A value on one line, cut for the eye and seen to be cut."""
    if text is None:
        return "[dim]∅[/]"
    line = text.replace("\n", "⏎")
    return escape(line if len(line) <= _WIDE else f"{line[:_WIDE]}… ({len(text):,} characters)")
