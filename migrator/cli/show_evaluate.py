"""How an evaluation is shown on a terminal: scores by band and threshold, what was missed, and the worst errors."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from migrator.commands.evaluate_page import WHY
from migrator.commands.evaluated import Measured
from migrator.dedupe.measure import Score, Scores
from migrator.dedupe.mistakes import Mistake

_SHOWN = 5
"""Errors of each kind on the terminal; the page has all that were asked for."""


def evaluated(found: Measured, console: Console) -> None:
    """Print what was measured."""
    evaluation = found.evaluation
    console.print(
        f"{found.records:,} records, truth known of {evaluation.records:,}; "
        f"{found.truth.entities:,} entities of two and more",
        highlight=False,
    )
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)
    if found.truth.unknown:
        console.print(f"[yellow]{found.truth.unknown:,} keys of the truth name no record here[/]")
    _bands(found, console)
    _thresholds(found, console)
    for missed in evaluation.missed:
        console.print(
            f"missed: {missed.groups:,} groups ({missed.pairs:,} pairs) {WHY[missed.why.value]}",
            highlight=False,
        )
    _worst("worst wrong joins", evaluation.joins, found, console)
    _worst("worst misses", evaluation.misses, found, console)
    console.print(f"page: {escape(str(found.page))}", highlight=False, soft_wrap=True)


def _bands(found: Measured, console: Console) -> None:
    table = Table("band", "measure", "precision", "recall", "F1", box=None, header_style="bold")
    evaluation = found.evaluation
    named: list[tuple[str, Scores | None]] = [
        ("automatic", evaluation.automatic),
        ("best guess", evaluation.likely),
    ]
    for name, scores in named:
        if scores is not None:
            for measure, score in (
                ("pairs", scores.pairs),
                ("exact clusters", scores.clusters),
                ("B-cubed", scores.b_cubed),
            ):
                table.add_row(name, measure, *_figures(score))
    console.print(table)
    review = evaluation.review
    console.print(
        f"review band: {review.pairs:,} pairs of {review.records:,} records ({100 * review.share:.2f} %), "
        f"{review.right:,} of the pairs are one; largest cluster: {evaluation.automatic.largest:,}",
        highlight=False,
    )


def _thresholds(found: Measured, console: Console) -> None:
    bands = found.evaluation.bands
    if bands is None:
        return
    table = Table("from", "precision", "recall", "F1", "exact clusters F1", "", box=None, header_style="bold")
    named = ((bands.review, "review"), (bands.likely, "best guess"), (bands.automatic, "automatic"))
    for rung in found.evaluation.rungs:
        clusters = _figures(rung.scores.clusters)[2]
        marks = ", ".join(name for at, name in named if at == rung.threshold)
        table.add_row(f"{rung.threshold:.6g}", *_figures(rung.scores.pairs), clusters, marks)
    console.print(table)


def _worst(title: str, mistakes: Sequence[Mistake], found: Measured, console: Console) -> None:
    if not mistakes:
        return
    console.print(f"[bold]{title}[/]")
    for item in mistakes[:_SHOWN]:
        weight = f" ({item.weight:+.1f} bits)" if item.weight is not None else ""
        rule = f", found by {item.rule}" if item.rule else ""
        console.print(
            escape(f"  {item.one} · {item.other}: {WHY[item.why.value]}{rule}{weight}, {item.pairs:,} pairs"),
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        one, other = found.values[item.one], found.values[item.other]
        for name in one:
            if one[name] is not None or other[name] is not None:
                sign = "=" if name in found.equal[item.one, item.other] else "≠"
                line = f"      {name}: {one[name] or '∅'} {sign} {other[name] or '∅'}"
                console.print(escape(line), highlight=False, style="dim")


def _figures(score: Score) -> tuple[str, str, str]:
    precision, recall, f1 = (
        "–" if value is None else f"{value:.4f}" for value in (score.precision, score.recall, score.f1)
    )
    return precision, recall, f1
