"""What people see of pairs and of decisions about them: one pair side by side, its waterfall, and lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from migrator.core.mapped import Same
from migrator.dedupe.contrast import Contrast, Difference, Span, Step

if TYPE_CHECKING:
    from migrator.commands.match_decisions import Entered
    from migrator.commands.review import Review, Waiting
    from migrator.commands.review_workbook import ExportedPairs
    from migrator.core.mapped import Judgement
    from migrator.dedupe.queue import Pair
    from migrator.staging.match_decisions import MatchDecision
    from validation.messages import Catalogue

BAR = 40
"""Characters that the way of a weight is drawn on."""
WORDS = {Same.SAME: "same", Same.NOT_SAME: "not the same", Same.UNSURE: "unsure", None: "open"}
MOST_TEXT = 400
"""Characters of a value that are shown."""
_OBEYED = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_SIGNS = {Difference.SAME: "=", Difference.ALIKE: "≈"}


def texts(language: str) -> Catalogue:
    """What is said of pairs, in a language; raises `ProjectError` for one that there is not."""
    from migrator.commands.report import check_language
    from migrator.commands.review_page.app import TEXTS
    from validation.messages import catalogue

    return catalogue(check_language(language), TEXTS)


def pair(review: Review, number: int, console: Console, text: Catalogue) -> None:
    """One pair: both records side by side, what speaks for and against, and what was said of it."""
    found = review.pairs[number]
    place = text("position", n=number + 1, total=len(review.pairs))
    console.rule(f"{escape(found.mapping)}  {escape(place)}", align="left")
    console.print(_headline(found, text))
    console.print(_records(found, text))
    if found.steps:
        console.print(_waterfall(found.steps, text))
    said = review.said(number)
    if said is not None:
        why = f": {said.why}" if said.why else ""
        at = text.moment(said.at.isoformat()) if said.at else ""
        told = text("said", who=said.who, at=at, verdict=_word(said.verdict, text))
        console.print(Text(_visible(f"{told}{why}"), style="cyan"))
    contradicted(review.conflict(number), console, text)


def _word(verdict: Same | None, text: Catalogue) -> str:
    return text(verdict.value if verdict else "open")


def _headline(found: Pair, text: Catalogue) -> Text:
    rules = ", ".join(text("model") if rule == "model" else rule for rule in found.rules)
    weight = "" if found.weight is None else text("bits", bits=f"{found.weight:+.1f}")
    likely = (
        "" if found.probability is None else f" ({text('probability', percent=f'{found.probability:.1%}')})"
    )
    return Text.assemble((weight, "bold"), likely, f"  {text('found_by')}: ", rules)


def _records(found: Pair, text: Catalogue) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("", found.one, "", found.other):
        table.add_column(Text(_visible(title)), overflow="fold", ratio=None if not title else 1)
    for item in found.fields:
        sign = _SIGNS.get(item.difference, "≠")
        name = Text(item.field, style="bold yellow" if item.difference.differs else "dim")
        left, right = item.spans
        table.add_row(
            name,
            _cut(item, left, text),
            Text(sign, style="yellow" if sign == "≠" else "dim"),
            _cut(item, right, text),
        )
    return table


def _cut(item: Contrast, spans: Iterable[Span], text: Catalogue) -> Text:
    plain = "" if item.difference.differs else "dim"
    shown = Text.assemble(
        *((_visible(span.text), "bold black on yellow" if span.differs else plain) for span in spans)
    )
    if len(shown) > MOST_TEXT:
        return Text.assemble(shown[:MOST_TEXT], (f" … ({text('cut', n=len(shown))})", "dim"))
    return shown if shown else Text("∅", style="dim")


def _safe(text: str) -> str:
    return escape(_visible(text))


def _visible(text: str) -> str:
    """Without what a terminal would obey: escape sequences, and signs that turn the direction of what follows."""
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


def _waterfall(steps: Sequence[Step], text: Catalogue) -> Table:
    ends = [0.0, *(step.after for step in steps)]
    low, width = min(ends), max(max(ends) - min(ends), 1e-9)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(3):
        table.add_column()
    table.add_column(no_wrap=True)
    for step in steps:
        table.add_row(
            Text(step.field or text("level.context" if step.level == "context" else "prior")),
            Text(text(f"level.{step.level}") if text.has(f"level.{step.level}") else step.level), Text(f"{step.bits:+.1f}", justify="right"),
            _bar(step, low, width),
        )  # fmt: skip
    table.add_row(
        Text(text("total"), style="bold"),
        "",
        Text(f"{steps[-1].after:+.1f}", style="bold", justify="right"),
        "",
    )
    return table


def _bar(step: Step, low: float, width: float) -> Text:
    start = round((min(step.before, step.after) - low) / width * BAR)
    long = max(round(abs(step.bits) / width * BAR), 1)
    return Text.assemble(" " * start, ("█" * long, "green" if step.bits >= 0 else "red"))


def conflict(words: Sequence[Judgement], console: Console) -> None:
    """That a decision contradicts others, and which."""
    if words:
        console.print(
            "[bold red]this contradicts what was decided before:[/] [bold]migrator dedupe[/] stops until one is taken back"
        )
    for word in words:
        console.print(f"  {escape(word.one)} · {escape(word.other)}: {WORDS[word.verdict]}", highlight=False)


def contradicted(words: Sequence[Judgement], console: Console, text: Catalogue) -> None:
    """As `conflict`, in the reviewer's language."""
    if words:
        console.print(Text(text("conflict"), style="bold red"))
    for word in words:
        console.print(
            f"  {escape(word.one)} · {escape(word.other)}: {_word(word.verdict, text)}", highlight=False
        )


def progress(review: Review, console: Console, text: Catalogue) -> None:
    """How far it is."""
    counts = review.counts()
    done = text("progress", done=len(review.pairs) - counts[None], total=len(review.pairs))
    told = ", ".join(f"{_word(verdict, text)}: {n}" for verdict, n in counts.items())
    console.print(f"{done} ({told})", style="dim", highlight=False, markup=False)


def ended(review: Review, console: Console, text: Catalogue) -> None:
    """What was decided, and what to do next."""
    progress(review, console, text)
    counts = review.counts()
    if counts[Same.SAME] + counts[Same.NOT_SAME]:
        console.print(text("done.next"), markup=False)


def waiting(found: Waiting, console: Console) -> None:
    """The pairs that wait, in short: no values, so nothing personal but keys."""
    if not found.pairs:
        console.print("[green]no pair waits for a decision[/]")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("object", "record", "record", "weight", "differs in", "found by"):
        table.add_column(title, justify="right" if title == "weight" else "left", overflow="fold")
    for item in found.pairs:
        differing = ", ".join(field.field for field in item.fields if field.difference.differs)
        weight = "" if item.weight is None else f"{item.weight:+.1f}"
        table.add_row(
            *map(_safe, (item.mapping, item.one, item.other, weight, differing, ", ".join(item.rules)))
        )
    console.print(table)
    console.print(
        f"{sum(found.waiting.values()):,} pairs wait; decide them in a terminal, with --web on a page, or with "
        "[bold]migrator dedupe review export FILE.xlsx[/]"
    )


def gone(found: Waiting, console: Console) -> None:
    """That pairs are out of date."""
    for name, count in found.gone.items():
        console.print(
            f"[yellow]{count:,} pairs of {escape(name)} are of records that were mapped away since;[/] "
            "[bold]migrator dedupe[/] looks again"
        )


def exported(done: ExportedPairs, console: Console) -> None:
    """Where the pairs are, and that they are personal."""
    console.print(
        f"{done.pairs:,} of {done.waiting:,} waiting pairs in {escape(str(done.path))}, with personal values as they are; "
        f"back with: [bold]migrator dedupe review import {escape(str(done.path))}[/]"
    )


def entered(done: Entered, console: Console) -> None:
    """What was put on record, and what does not fit together."""
    counts = {
        name: sum(item.said == name for item in done.entered)
        for name in dict.fromkeys(item.said for item in done.entered)
    }
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    console.print(f"[green]on record: {len(done.entered):,}[/]{' (' + told + ')' if told else ''}")
    if done.known:
        console.print(f"{done.known:,} were there already")
    if done.left_out:
        console.print(f"[yellow]{done.left_out:,} about records that are not there were left out[/]")
    for item, words in done.contradicted:
        console.print(f"{escape(item.one)} · {escape(item.other)}: {WORDS[item.verdict]}", highlight=False)
        conflict(words, console)
    if done.entered:
        console.print("next: [bold]migrator dedupe[/]")


def decisions(found: Sequence[MatchDecision], console: Console) -> None:
    """Who decided what about which pairs, when and why."""
    if not found:
        console.print("nothing was decided yet")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("when (UTC)", "who", "object", "record", "record", "decided", "where", "why"):
        table.add_column(title, overflow="fold")
    for item in found:
        cells = (
            f"{item.at:%Y-%m-%d %H:%M}", item.who, item.mapping, item.one, item.other,
            item.said.replace("_", " "), item.way.value, item.why,
        )  # fmt: skip
        table.add_row(*map(_safe, cells))
    console.print(table)
