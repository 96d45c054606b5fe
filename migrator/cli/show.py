"""What people see of each command's answer: tables and a next step, on a console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from migrator.commands.check import CheckReport
    from migrator.commands.demo import DemoReport
    from migrator.commands.init import InitReport
    from migrator.commands.inspect import Life
    from migrator.commands.overlap import Overlapped
    from migrator.commands.quarantine import Quarantined
    from migrator.commands.report import Drawn, SignOff
    from migrator.commands.rollback import WrittenRun
    from migrator.commands.run import Run
    from migrator.commands.shipped import Template, TemplateReport
    from migrator.commands.steps import StepLine
    from migrator.commands.trial import TrialReport
    from migrator.commands.validate import Rehearsed, Validated
    from migrator.commands.workbook import Exported, Imported
    from migrator.extract.profile import ObjectProfile
    from migrator.load.load import LoadReport
    from migrator.load.rollback import Rollback
    from migrator.staging.accounting import Accounting

_WIDE = 60
_HELD = ("quarantined", "pending")
_MOST_NOTES = 40


def accounting(found: Accounting, console: Console) -> None:
    """The equation of every object, and why records are held or left out."""
    from migrator.staging.accounting import CLASSES

    table = _table("object", *(f">{name}" for name in ("extracted", *CLASSES)), "closed")
    for item in found.objects:
        cells = [_number(item.counts.get(name, 0), warn=name in _HELD) for name in CLASSES]
        table.add_row(escape(item.name), _number(item.extracted), *cells, _tick(item.closed))
    console.print(table)
    reasons = [
        (item.name, kind, rule, count)
        for item in found.objects
        for kind in ("quarantined", "pending", "excluded")
        for rule, count in item.reasons.get(kind, {}).items()
    ]
    if reasons:
        why = _table("object", "what", "why", ">records")
        for name, kind, rule, count in sorted(reasons, key=lambda row: (row[0], row[1], -row[3])):
            why.add_row(escape(name), kind, escape(rule), _number(count))
        console.print(why)
    waived = {item.name: item.waived for item in found.objects if item.waived.quarantined}
    for name, some in waived.items():
        console.print(
            f"waived: {escape(name)} {some.quarantined:,} of the quarantined, and {some.waiting:,} that wait for such"
        )
    stale = {item.name: item.stale for item in found.objects if item.stale}
    if stale:
        listed = ", ".join(f"{escape(name)} {count:,}" for name, count in stale.items())
        console.print(f"[yellow]in the target, but not in this run's records any more:[/] {listed}")
    if found.closed:
        console.print("[green]closed:[/] every record is in exactly one class")
    else:
        console.print("[yellow]open:[/] not every record has been dealt with; [bold]migrator run[/] goes on")


def init(report: InitReport, console: Console) -> None:
    """What was recognised and written."""
    for system in report.systems:
        console.print(
            f"[green]✓[/] {escape(system.name)}: {escape(system.connector)}, {escape(system.reason)}"
        )
    table = _table("system", "object", "mapping", ">records", ">fields", "key")
    for item in report.objects:
        table.add_row(
            escape(item.system), escape(item.object), escape(item.mapping),
            _number(item.records), _number(item.fields), escape(item.key or "row number"),
        )  # fmt: skip
    console.print(table)
    _noted(report.notes, console)
    for warning in report.warnings:
        console.print(f"[yellow]![/] {escape(warning)}")
    console.print(
        f"wrote {escape(str(report.folder))}; next: [bold]migrator -C {escape(str(report.folder))} run[/]"
    )


def templates(found: Sequence[Template], console: Console) -> None:
    """The shipped mappings."""
    table = _table("mapping", "about")
    for item in found:
        table.add_row(escape(item.name), escape(item.about))
    console.print(table)


def from_template(report: TemplateReport, console: Console) -> None:
    """What was filled in, and what does not fit yet."""
    for name, reason in report.systems.items():
        console.print(f"[green]✓[/] {escape(name)}: {escape(reason)}")
    for problem in report.problems:
        console.print(f"[red]to settle[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    if report.checked is not None:
        check(report.checked, console)
    where = escape(str(report.folder))
    done = "run" if report.checked is not None else "check"
    console.print(f"wrote {where}; read {where}/README.md; next: [bold]migrator -C {where} {done}[/]")


def check(report: CheckReport, console: Console) -> None:
    """Warnings, and the load order."""
    for warning in report.warnings:
        code = escape(f" [{warning.code}]")
        console.print(f"[yellow]warning{code}[/] {escape(str(warning))}", highlight=False, soft_wrap=True)
    for item in report.accepted:
        resting = "" if item.met else " (no such warning now)"
        told = f"{item.place}: {item.warning} of {item.field}: {item.reason}{resting}"
        console.print(f"[dim]accepted[/] {escape(told)}", highlight=False, soft_wrap=True)
    order = " → ".join(escape(name) for name, _ in report.objects)
    console.print(
        f"[green]{len(report.objects)} mappings hold[/], loaded in this order: {order}", soft_wrap=True
    )


def extracted(lines: Sequence[StepLine], console: Console) -> None:
    """What is staged of every source object."""
    table = _table("object", ">records", ">read", ">folded", ">doubled keys", ">rejected", ">seconds")
    for line in lines:
        detail = line.detail
        cells = (_number(detail.get(name, 0)) for name in ("read", "folded", "copies", "rejects"))
        table.add_row(escape(line.name), _number(line.rows), *cells, f"{line.seconds:.2f}")
    console.print(table)
    _noted([f"{line.name}: {note}" for line in lines for note in line.detail.get("notes", ())], console)
    for line in lines:
        for warning in line.detail.get("warnings", ()):
            console.print(f"[yellow]![/] {escape(line.name)}: {escape(str(warning))}")


def _noted(notes: Sequence[str], console: Console) -> None:
    """What was found out in order to read, so that nothing detected stays unseen."""
    for note in notes[:_MOST_NOTES]:
        console.print(f"[dim]·[/] {escape(note)}", highlight=False)
    if len(notes) > _MOST_NOTES:
        console.print(f"[dim]·[/] {len(notes) - _MOST_NOTES:,} more notes on how files were read: --json")


def mapped(lines: Sequence[StepLine], console: Console) -> None:
    """What the mappings made, and what is wrong with some rows."""
    table = _table("mapping", ">records", ">excluded", ">quarantined", ">seconds", "issues")
    for line in lines:
        issues = ", ".join(f"{rule} {count:,}" for rule, count in line.detail.get("issues", {}).items())
        excluded = sum(line.detail.get("excluded", {}).values())
        table.add_row(
            escape(line.name), _number(line.rows), _number(excluded), _number(line.detail.get("bad", 0)),
            f"{line.seconds:.2f}", escape(issues),
        )  # fmt: skip
    console.print(table)
    for line in lines:
        for hook, cost in line.detail.get("hooks", {}).items():
            told = f"{line.name}: {hook}: {cost['rows']:,} records in {cost['batches']:,} batches, {cost['seconds']:.2f} s"
            console.print(f"[dim]·[/] {escape(told)}", highlight=False)


def trial(report: TrialReport, console: Console) -> None:
    """How the tests of mappings ended; of those that fail, each difference with its place."""
    if not report.verdicts:
        console.print("no mapping has tests; docs/mapping.md shows how to write some")
        return
    for item in report.failed:
        console.print(f"[red]✗[/] {escape(item.mapping)}: {escape(item.test)}", soft_wrap=True)
        for found in item.differences:
            line = f"  {found.location}: {found.message}"
            console.print(escape(line), highlight=False, soft_wrap=True)
    held = len(report.verdicts) - len(report.failed)
    console.print(
        f"[green]{held} tests hold[/]" + (f", {len(report.failed)} do not" if report.failed else "")
    )


def exported(report: Exported, console: Console) -> None:
    """Where the workbook is."""
    words = f"{report.fields:,} fields of {len(report.mappings)} mappings"
    console.print(f"[green]✓[/] {words} in {escape(str(report.path))}", soft_wrap=True)
    console.print(
        f"edit it, then: [bold]migrator map from-xlsx {escape(str(report.path))}[/]", soft_wrap=True
    )


def imported(report: Imported, console: Console) -> None:
    """What a workbook changes, as a diff."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for _, diff in report.diffs:
        for line in diff.splitlines():
            console.print(escape(line), style=colours.get(line[:1], ""), highlight=False, soft_wrap=True)
    if report.left:
        console.print(f"without a sheet, left as they are: {escape(', '.join(report.left))}", soft_wrap=True)
    files = f"{len(report.diffs)} mapping files"
    if not report.diffs:
        console.print("nothing to change: the workbook says what the mappings say")
    else:
        console.print(f"[green]{files} changed[/]" if report.written else f"{files} would change")


def deduped(lines: Sequence[StepLine], console: Console) -> None:
    """Clusters by mapping, and what was too common to be a key."""
    table = _table("mapping", ">clusters", ">merged", ">seconds", "by rule")
    for line in lines:
        detail = line.detail
        rules = ", ".join(f"{rule} {_brief(tally)}" for rule, tally in detail.get("by_rule", {}).items())
        table.add_row(
            escape(line.name), _number(detail.get("clusters", 0)), _number(detail.get("merged", 0)),
            f"{line.seconds:.2f}", escape(rules),
        )  # fmt: skip
    console.print(table)
    for line in lines:
        _renamed(line.name, line.detail.get("renamed", {}), console)
        doubtful = line.detail.get("bands", {}).get("review", 0)
        if doubtful:
            name = escape(line.name)
            console.print(
                f"{name}: {_number(doubtful)} pairs are in doubt: [bold]migrator dedupe review {name}[/]"
            )


def _renamed(name: str, renamed: Mapping[str, Any], console: Console) -> None:
    """What became of the clusters of the run before, when they are not what they were."""
    for what, found, arrow in (("split", "splits", "is now"), ("merged", "merges", "was")):
        count = renamed.get(what, 0)
        if count:
            first = renamed[found][0]
            names = ", ".join(first["names"][:3]) + (", …" if len(first["names"]) > 3 else "")
            told = (
                "clusters of the last run were split"
                if what == "split"
                else "clusters were merged of several"
            )
            text = f"{name}: {_number(count)} {told}; {first['name']} {arrow} {names}"
            console.print(escape(text), soft_wrap=True)


def load(report: LoadReport, console: Console) -> None:
    """What a load did."""
    if report.indexes:
        console.print(f"indexes built after the last row: {_number(report.indexes)}")
    if not report.written:
        console.print("[green]nothing to write:[/] the target holds what is planned")
        return
    table = _table("object", ">created", ">updated", ">unchanged", ">refused", ">second pass", ">waiting")
    for item in report.objects:
        cells = (
            _number(item.outcomes.get(name, 0)) for name in ("created", "updated", "unchanged", "refused")
        )
        table.add_row(escape(item.name), *cells, _number(item.links.get("updated", 0)), _number(item.waiting))
    console.print(table)


def validation(report: Validated, console: Console) -> None:
    """The verdict, and where to read why."""
    colour = "green" if report.holds else "red"
    console.print(
        f"[{colour}]{report.verdict.replace('_', ' ')}[/]  report: {escape(str(report.html))}", soft_wrap=True
    )
    for reason in report.reasons[:10]:
        console.print(f"  [red]✗[/] {escape(reason)}")
    for warning in report.warnings:
        console.print(f"  [yellow]![/] {escape(warning)}", soft_wrap=True)


def rehearsed(report: Rehearsed, console: Console) -> None:
    """What the rules say before the load."""
    colour = "green" if report.holds else "red"
    console.print(f"[{colour}]{report.verdict.replace('_', ' ')}[/]  {report.rules} rules on what was mapped")
    for mark, names in (("[red]✗[/]", report.reasons), ("[yellow]![/]", report.exceptions)):
        for name in names[:20]:
            console.print(f"  {mark} {escape(name)}", soft_wrap=True)
    console.print(f"failing records: {escape(str(report.failing))}", soft_wrap=True)


def drawn(found: Drawn, console: Console) -> None:
    """Where each document was written."""
    for path in found.files.values():
        console.print(escape(str(path)), soft_wrap=True, highlight=False)


def signoff(found: SignOff, console: Console) -> None:
    """Each signature, and whether all still hold."""
    console.print(f"report: {escape(str(found.folder))}", soft_wrap=True, highlight=False)
    for item in found.signatures:
        line = f"  {item['at'][:16]}  {item['decision']}  {item['name']} ({item['role']})  {item['comment']}"
        console.print(escape(line.rstrip()), soft_wrap=True, highlight=False)
    for problem in found.problems:
        console.print(f"  [red]✗[/] {escape(problem)}", soft_wrap=True)
    if not found.problems:
        console.print("[green]holds[/]" if found.signatures else "not signed yet")


def run(report: Run, console: Console) -> None:
    """What a run wrote, the equation, the verdict."""
    load(report.steps.load, console)
    if report.overlapped is not None:
        overlapped(report.overlapped, console)
    accounting(report.steps.accounting, console)
    if report.validation is not None:
        validation(report.validation, console)


def overlapped(found: Overlapped, console: Console) -> None:
    """How long extract and load took, and both together."""
    if found.plain:
        console.print(f"nothing overlapped: {escape(found.plain)}", soft_wrap=True)
        return
    console.print(
        f"extract {found.extract_seconds:,.1f} s, map to load {found.load_seconds:,.1f} s in {len(found.stages)} stages,"
        f" together {found.seconds:,.1f} s: both were at work for {found.at_once_seconds:,.1f} s",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def demo(report: DemoReport, console: Console) -> None:
    """What the demo made, what happened, and what to look at next."""
    run(report.run, console)
    console.print()
    quarantine(report.quarantined, console)
    place = escape(str(report.folder))
    console.print(f"the new CRM: [bold]{escape(str(report.target))}[/]", soft_wrap=True)
    console.print("look further:", soft_wrap=True)
    for command in report.next_commands:
        console.print(
            f"  migrator -C {place} {escape(command)}", style="bold", highlight=False, soft_wrap=True
        )


def quarantine(found: Quarantined, console: Console) -> None:
    """Refused records, or what was noted about others, with their reasons."""
    if not found.rows:
        console.print(
            "[green]nothing was noted[/]" if found.warnings else "[green]nothing is in quarantine[/]"
        )
        return
    table = _table("record", "rule", "field", "value", "what to do")
    for row in found.rows:
        where = f"{row.object}/{row.record}" if row.record else row.place or row.object
        todo = f"waived by {row.waived}" if row.waived else row.hint
        cells = (where, row.rule, row.field, _brief_text(row.value), todo)
        table.add_row(*(escape(text or "") for text in cells))
    console.print(table)
    if found.total > len(found.rows):
        console.print(f"{len(found.rows):,} shown of {found.total:,} in all; --limit N shows more")
    if found.waived:
        console.print(f"{found.waived:,} records are waived: [bold]migrator quarantine decisions[/]")


def entries(found: Quarantined, console: Console) -> None:
    """Everything held against one record, in full."""
    if not found.rows:
        console.print("[green]nothing is held against this record[/]")
    for row in found.rows:
        console.print(f"[bold]{escape(row.rule)}[/] at {escape(row.step)}", soft_wrap=True)
        for name, text in (
            ("field", row.field), ("value", row.value), ("says", row.message), ("stands at", row.place), ("do", row.hint),
            ("first seen", f"{row.first_seen:%Y-%m-%d %H:%M} UTC" if row.first_seen else None), ("tries", str(row.tries)),
            ("waived by", row.waived),
        ):  # fmt: skip
            if text:
                console.print(f"  {name}: {escape(text)}", highlight=False, soft_wrap=True)


def written_runs(runs: Sequence[WrittenRun], console: Console) -> None:
    """Runs that wrote to the target, the latest first."""
    if not runs:
        console.print("no run has written to the target yet")
        return
    table = _table("run", "command", "started", ">records", "objects")
    for item in runs:
        started = f"{item.started_at:%Y-%m-%d %H:%M:%S}" if item.started_at else ""
        objects = ", ".join(f"{name} {n:,}" for name, n in item.written.items())
        total = _number(sum(item.written.values()))
        table.add_row(escape(item.run), escape(item.command), started, total, escape(objects))
    console.print(table)
    console.print("look first: [bold]migrator rollback RUN --dry-run[/]")


def rollback(found: Rollback, console: Console) -> None:
    """What a rollback did, and what it left."""
    if not found.objects:
        console.print("[green]nothing of this run is left to take back[/]")
        return
    words = list(dict.fromkeys(word for item in found.objects for word in item.counts))
    table = _table("object", *(f">{word}" for word in words))
    for item in found.objects:
        table.add_row(escape(item.name), *(_number(item.counts.get(word, 0)) for word in words))
    console.print(table)
    if found.dry_run:
        console.print("[yellow]dry run:[/] nothing was written")
    if not found.kept:
        return
    listed = _table("left alone", "key", "why", "detail")
    for kept in found.kept:
        cells = (f"{kept.object}/{kept.record}", kept.key, kept.verdict.value, kept.detail)
        listed.add_row(*(escape(text) for text in cells))
    console.print(listed)
    if found.not_taken_back > len(found.kept):
        console.print(f"{len(found.kept):,} of {found.not_taken_back:,} shown")


def profile(reports: Sequence[ObjectProfile], console: Console) -> None:
    """Fill rates, lengths and types of staged columns."""
    for report in reports:
        table = _table(
            "field",
            "staged as",
            ">filled",
            ">distinct",
            ">shortest",
            ">longest",
            "looks like",
            title=report.name,
        )
        for column in report.columns:
            table.add_row(
                escape(column.name), escape(column.type), f"{column.filled:.1%}", f"~{column.distinct:,}",
                str(column.shortest or ""), str(column.longest or ""), ", ".join(sorted(column.forms)),
            )  # fmt: skip
        console.print(table)


def life(found: Life, console: Console) -> None:
    """The life of one record, stage by stage."""
    for title, facts in found.stages():
        table = _table("", "", title=title)
        table.show_header = False
        for name, value in facts:
            table.add_row(escape(name), escape(value))
        console.print(table)


def _brief_text(text: str | None) -> str:
    """A long value cut for the eye, and seen to be cut; `--json` has it whole."""
    if text is None or len(text) <= _WIDE:
        return text or ""
    return f"{text[:_WIDE]}… ({len(text):,} characters)"


def _brief(tally: Any) -> str:
    return f"{tally.get('members', tally)}" if isinstance(tally, dict) else f"{tally:,}"


def _table(*columns: str, title: str = "") -> Table:
    table = Table(
        title=escape(title) or None, title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    return table


def _number(count: int, *, warn: bool = False) -> str:
    text = f"{count:,}"
    return f"[yellow]{text}[/]" if warn and count else text


def _tick(holds: bool) -> str:
    return "[green]✓[/]" if holds else "[red]✗[/]"
