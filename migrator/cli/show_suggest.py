"""Suggested mappings on the terminal: each line with its confidence and its evidence, and all that is left open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from migrator.commands.proposal import Proposal, Suggested
    from migrator.mapping.suggest import Line, Suggestion

_SURE = 0.85


def suggested(report: Suggested, console: Console) -> None:
    """All proposals, what found no counterpart, and what to do next."""
    for item in report.proposals:
        _proposal(item, console)
    if report.unpaired:
        console.print(
            f"[yellow]no counterpart found:[/] {escape(', '.join(report.unpaired))}", soft_wrap=True
        )
    written = [item.written for item in report.proposals if item.written]
    for path in written:
        console.print(f"[green]wrote[/] {escape(str(path))}", soft_wrap=True, highlight=False)
    for item in report.proposals:
        if item.not_written:
            console.print(
                f"[yellow]not written[/] {escape(item.name)}: {escape(item.not_written)}", soft_wrap=True
            )
    for problem in report.problems:
        console.print(f"[yellow]to do[/] {escape(problem)}", soft_wrap=True, highlight=False)
    if not report.proposals:
        console.print(
            "no two objects seem to be the same; name them: --source SYSTEM/OBJECT --target SYSTEM/OBJECT"
        )
    elif not written:
        console.print(
            "suggestions only, nothing was written; next: [bold]--write[/] adds them as mapping files"
        )
    else:
        console.print("read every line before it moves a record; next: [bold]migrator check[/]")


def _proposal(item: Proposal, console: Console) -> None:
    found = item.suggestion
    pair = f"{item.systems[0]}/{found.source.name} → {item.systems[1]}/{found.target.name}"
    why = "; ".join(item.pair.evidence)
    table = Table(
        title=escape(f"{pair}  {item.pair.confidence:.0%} ({why})"),
        title_justify="left", header_style="bold", box=None, pad_edge=False,
    )  # fmt: skip
    for column in ("field", "column", "sure", "evidence", "next best"):
        table.add_column(column, overflow="fold")
    key = found.key.name if found.key else "none"
    table.add_row(escape(key), "record id", "", "carries the external key", "")
    for line in found.lines:
        if line.chosen:
            _row(table, line, item.questions.get(line.target.name, ""))
    console.print(table)
    if item.mapped_by:
        console.print(f"  mapped already by {escape(', '.join(item.mapped_by))}", soft_wrap=True)
    _open(item, console)
    console.print()


def _row(table: Table, line: Line, question: str) -> None:
    if line.chosen is None:
        return
    sure = line.chosen.confidence
    colour = "green" if sure >= _SURE and not question else "yellow"
    evidence = "; ".join(line.chosen.evidence)
    words = escape(evidence) + (f"\n[yellow]? {escape(question)}[/]" if question else "")
    after = ", ".join(f"{item.column.name} {item.confidence:.2f}" for item in line.others[:2])
    mark = "*" if line.target.required else ""
    table.add_row(
        escape(line.target.name + mark),
        escape(line.chosen.column.name),
        f"[{colour}]{sure:.2f}[/]",
        words,
        escape(after),
    )


def _filled(found: Suggestion, column: str) -> str:
    """A column with its fill rate, where rows were there to look at."""
    facts = found.facts.get(column)
    return (
        f"{column} ({facts.filled / facts.rows:.0%} filled)" if facts is not None and facts.rows else column
    )


def _open(item: Proposal, console: Console) -> None:
    found = item.suggestion
    if found.uncovered:
        console.print(
            f"  [red]required, nothing sure enough:[/] {escape(', '.join(found.uncovered))}", soft_wrap=True
        )
    near = [
        f"{line.target.name} ({line.others[0].column.name} {line.others[0].confidence:.2f})"
        for line in found.lines
        if not line.chosen and line.others
    ]
    for title, names in (
        (f"not proposed (sure below {found.threshold:g}, or the column fits elsewhere)", near),
        (
            "fields that nothing fits",
            [line.target.name for line in found.lines if not (line.ranked or line.parts)],
        ),
        (
            "could be put together",
            [f"{line.target.name} ({' + '.join(line.parts)})" for line in found.lines if line.parts],
        ),
        ("columns that go nowhere yet", [_filled(found, column.name) for column in found.unused]),
        ("fields that cannot be written, left out", [column.name for column in found.left_out]),
    ):
        if names:
            console.print(f"  {title}: {escape(', '.join(names))}", soft_wrap=True, highlight=False)
