"""What people see of the sync: first whether it is green, why not, and what to do; then the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from migrator.cli.show import _number, _table

if TYPE_CHECKING:
    from migrator.commands.sync import Rehearsal, SyncRun
    from migrator.commands.sync_check import FieldWay, SyncCheck
    from migrator.commands.sync_conflicts import Found
    from migrator.commands.sync_phase import GroupPhase
    from migrator.commands.sync_state import SyncState
    from migrator.commands.sync_status import SyncStatus
    from migrator.commands.sync_stuck import Stuck
    from migrator.commands.sync_verdict import Standing

_LOOKS = {"green": "bold green", "yellow": "bold yellow", "red": "bold red"}
_MEANS = {
    "green": "both systems are in step",
    "yellow": "incomplete but safe",
    "red": "a person is needed",
}
_SHOWN = 40


def verdict(standing: Standing, console: Console) -> None:
    """The colour, then every reason with its next step, worst first."""
    colour = standing.status.value
    console.print(f"[{_LOOKS[colour]}]{colour.upper()}[/]  {_MEANS[colour]}", highlight=False)
    for item in standing.causes:
        look = _LOOKS[item.status.value].removeprefix("bold ")
        console.print(f"[{look}]●[/] {escape(item.what)}", highlight=False, soft_wrap=True)
        console.print(f"  [dim]next:[/] {escape(item.next_step)}", highlight=False, soft_wrap=True)


def status(found: SyncStatus, console: Console) -> None:
    """Everything that `sync status` says."""
    from migrator.commands.sync_verdict import ago, span

    state = found.state
    verdict(found.standing, console)
    console.print()
    if state.working:
        console.print("a command is at work on this project now")
    if state.last is not None and state.last.finished_at is not None:
        took = span(state.last.finished_at - state.last.started_at)
        when = ago(state.now - state.last.finished_at)
        console.print(f"last run    {when}, took {took}", highlight=False)
    _phases(found.phases, console)
    _streams(state, console)
    _waits(state, console)
    _people(state, console)


def _phases(phases: Iterable[GroupPhase], console: Console) -> None:
    """Where the groups of a cutover stand, and what that means for what flows."""
    for item in phases:
        of = f" ({', '.join(item.objects)})" if item.objects else ""
        told = f"{item.group}{of} is in {item.phase.value}, {item.phase.title}: {item.means}"
        console.print(f"phase       {escape(told)}", highlight=False, soft_wrap=True)


def _streams(state: SyncState, console: Console) -> None:
    from migrator.commands.sync_verdict import ago

    if not state.streams:
        return
    table = _table("stream", ">linked", "changes read", "compared whole")
    for item in state.streams:
        read = ago(state.now - item.pulled_at) if item.pulled_at else "never"
        whole = ago(state.now - item.scanned_at) if item.scanned_at else "never"
        table.add_row(escape(item.name), _number(state.linked.get(item.name, 0)), read, whole)
    console.print(table)


def _waits(state: SyncState, console: Console) -> None:
    from migrator.commands.sync_verdict import span

    if state.waiting:
        table = _table("waiting", ">records", ">failing", ">in quarantine", "oldest")
        for item in state.waiting:
            table.add_row(
                escape(item.mapping), _number(item.records), _number(item.failing), _number(item.quarantined),
                span(state.now - item.oldest),
            )  # fmt: skip
        console.print(table)
    facts = [
        ("errors", ", ".join(f"{code} × {number:,}" for code, number in state.errors)),
        ("links that wait", f"{state.deferred:,}" if state.deferred else ""),
        ("writes unsure", f"{state.unsettled:,}" if state.unsettled else ""),
        ("calls left today", ", ".join(f"{name} {number:,}" for name, number in state.left.items())),
        (
            "overwritten",
            f"{state.logged_lately:,} values in the last day, all on record" if state.logged_lately else "",
        ),
    ]
    for name, text in facts:
        if text:
            console.print(f"{name:<17} {escape(text)}", highlight=False, soft_wrap=True)


def _people(state: SyncState, console: Console) -> None:
    from migrator.commands.sync_state import AGE_NAMES
    from migrator.commands.sync_verdict import span

    if state.open:
        table = _table("conflicts", "field", *(f">{name}" for name in AGE_NAMES))
        for item in state.open:
            table.add_row(escape(item.mapping), escape(_whole(item.field)), *map(_number, item.ages))
        console.print(table)
    if state.decided:
        console.print(f"{state.decided:,} decided: the next run carries them out")
    if state.held:
        table = _table("held", "as", ">number", "oldest")
        for held in state.held:
            table.add_row(
                escape(held.mapping), escape(held.kind), _number(held.number), span(state.now - held.oldest)
            )
        console.print(table)


def _whole(field: str) -> str:
    """A field as people read it; what is asked of a record as a whole has none."""
    return "(record)" if not field or field.startswith("#") else field


def run(done: SyncRun, console: Console) -> None:
    """What one run did, and the verdict."""
    names = sorted({name for mapping, found in done.report.figures.items() if mapping for name in found})
    if names:
        table = _table("mapping", *(f">{name.replace('_', ' ')}" for name in names))
        for mapping, figures in sorted(done.report.figures.items()):
            if mapping:
                table.add_row(escape(mapping), *(_number(figures.get(name, 0)) for name in names))
        console.print(table)
    calls = ", ".join(f"{side} {number:,}" for side, number in sorted(done.report.calls.items()))
    console.print(f"{done.report.writes:,} rows written; calls: {calls or 'none'}", highlight=False)
    for name in done.report.added:
        console.print(f"a new field, mapped by nobody: {escape(name)}", highlight=False, soft_wrap=True)
    if done.forgotten:
        console.print(f"values of {done.forgotten:,} old conflicts were forgotten, as sync: keep says")
    verdict(done.standing, console)


def line(done: SyncRun, console: Console) -> None:
    """One line for a log."""
    standing = done.standing
    words = f"{standing.at:%Y-%m-%d %H:%M:%S} {standing.status.value}: {done.report.writes:,} written"
    why = "" if standing.exit_code == 0 else f"; {standing.why}; next: {standing.next_step}"
    console.print(escape(words + why), highlight=False, soft_wrap=True)


def rehearsal(found: Rehearsal, console: Console, *, unmask: bool) -> None:
    """What a run would write."""
    if not found.writes:
        console.print("[green]a run would write nothing[/]")
    else:
        table = _table("system", "object", "would", "record", "fields")
        for item in found.writes[:_SHOWN]:
            told = (
                ", ".join(f"{name}={value}" for name, value in item.values.items())
                if unmask
                else ", ".join(item.values)
            )
            table.add_row(*map(escape, (item.system, item.object, item.kind, item.id, told)))
        console.print(table)
        if len(found.writes) > _SHOWN:
            console.print(f"… and {len(found.writes) - _SHOWN:,} more: --json lists all")
    console.print("[yellow]dry run:[/] nothing was written anywhere")


def conflicts(found: Found, console: Console) -> None:
    """A list without values."""
    if not found.conflicts:
        console.print("[green]there are none[/]")
        return
    table = _table(">number", "mapping", "field", "reason", "state", "age", "owner", "old", "new")
    for item in (one.listed(found.now) for one in found.conflicts):
        cells = (
            str(item["number"]), item["mapping"], item["field"] or "(record)", item["reason"], item["state"],
            item["age"], item["owner"], _some(item["old"]), _some(item["new"]),
        )  # fmt: skip
        table.add_row(*map(escape, cells))
    console.print(table)
    if found.total > len(found.conflicts):
        console.print(f"{found.total - len(found.conflicts):,} more: --limit")
    console.print("decide: migrator sync conflicts resolve NUMBER --take old|new, or export FILE.xlsx")


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:2]) + (f" and {len(ids) - 2} more" if len(ids) > 2 else "")


def conflict(item: Mapping[str, Any], console: Console) -> None:
    """One conflict, side by side."""
    console.print(
        f"conflict {item['number']}: {escape(item['mapping'])}.{escape(item['field'] or '(record)')}, "
        f"{escape(item['reason'])}, {item['state']}, {item['age']} old",
        highlight=False,
    )
    table = _table("side", "record", "field", "now", "before")
    for record in item["records"]:
        for name, now in _cells(record):
            before = record["base"].get(name, "")
            cells = (record["side"], record["record"], name, now, before)
            table.add_row(*(escape("∅" if cell is None else str(cell)) for cell in cells))
    console.print(table)
    if item["who"]:
        console.print(f"{escape(item['who'])} decided: {item['winner']}. {escape(item['note'])}")


def _cells(record: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return record["now"].items() or [("(record)", record["presence"])]


def check(found: SyncCheck, console: Console) -> None:
    """Every field of every synced object."""
    for name, ways in found.objects.items():
        console.print(f"[bold]{escape(name)}[/]", highlight=False)
        table = _table("field", "goes", "conflict", "comes back", ">values", ">lost", "why not")
        for way in ways:
            table.add_row(*map(escape, _way(way)))
        console.print(table)
    for name in found.unstaged:
        console.print(
            f"[yellow]nothing of {escape(name)} is staged: its values were not tried[/] (migrator extract)"
        )
    for item in found.broken:
        shown = ", ".join(item.examples)
        console.print(
            f"[red]{escape(str(item.place))}: {escape(item.field)}: {item.lost or item.kept:,} of {item.tried:,} values "
            f"do not come back as promised[/]: {escape(shown)}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


_WORDS = {"exact": "as it was", "complement": "as it was, unless changed", "none": "no"}


def _way(way: FieldWay) -> tuple[str, ...]:
    pair, found = way.pair, way.finding
    tried = (f"{found.tried:,}", f"{found.lost:,}") if found is not None else ("", "")
    return (pair.new, pair.direction.value, pair.policy.rule.value, _WORDS[pair.law.value], *tried, pair.why)


def stuck(found: Stuck, console: Console, *, unmask: bool) -> None:
    """Records that fail or are held."""
    if not found.records:
        console.print("[green]nothing fails and nothing is held[/]")
        return
    table = _table(
        "what", "mapping", "field", "reason", "age", ">tries", "records", *(["words"] if unmask else [])
    )
    for item in (one.to_json(found.now, unmask=unmask) for one in found.records):
        cells = (
            item["what"], item["mapping"], _whole(item["field"]), item["reason"], item["age"], str(item["tries"]),
            _some(item["records"]), *([item["message"]] if unmask else []),
        )  # fmt: skip
        table.add_row(*map(escape, cells))
    console.print(table)
    steps = dict.fromkeys((item.reason, item.next_step) for item in found.records)
    for reason, step in steps:
        console.print(f"[bold]{escape(reason)}[/]: {escape(step)}", highlight=False, soft_wrap=True)
    if found.total > len(found.records):
        console.print(f"{found.total - len(found.records):,} more: --limit")
