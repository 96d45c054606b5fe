"""The documents of a runbook, drawn from the one file: Markdown, and one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from migrator import __version__
from migrator.runbook.view import BookView, StepView, people

if TYPE_CHECKING:
    from jinja2 import Template

_MARKED = re.compile(r"([\\`*_{}\[\]<>#|!~&])")
WIDTH = 1000.0
"""Of the timeline, in units of its picture."""


def markdown(found: BookView) -> str:
    """The runbook as Markdown: for a wiki, a ticket, a printer. What people wrote cannot make markup."""
    rule = found.book.rule
    lines = [
        f"# {_plain(rule.title)}",
        "",
        _plain(rule.about),
        "",
        f"Runbook `{rule.runbook}`, version {_plain(rule.version)}",
    ]
    lines += [f"Plan `{found.plan}`"] if found.plan else []
    lines += [f"Window: {found.window}; worst case {found.worst or 'not known'}"] if found.window else []
    lines += [f"A way back is wanted: {rule.fall_back}"] if rule.fall_back else []
    lines += ["", "## People", "", "| role | owner | backup | what for |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in people(rule.roles)]
    for phase, steps in found.phases:
        group = f" ({_plain(steps[0].group)})" if steps[0].group else ""
        lines += ["", f"## {phase.value} {phase.title}{group}"]
        for step in steps:
            lines += ["", *_markdown_step(step)]
    if found.undo:
        lines += ["", "## Taking back"]
        for step in found.undo:
            lines += ["", *_markdown_step(step)]
    return "\n".join(lines) + "\n"


def _markdown_step(step: StepView) -> list[str]:
    rows: Mapping[str, str] = {
        "Who": f"{step.owner}, backup {step.backup}",
        "Time": ", ".join(filter(None, [f"planned {step.planned}", step.rehearsed and f"rehearsed {step.rehearsed}", step.limit and f"limit {step.limit}"])),
        "Only if": "; ".join([*step.conditions, *(f"{item.code} {item.name}" for item in step.gate)]),
        "Approved by": step.approvals,
        "Do": step.command,
        "How": step.instructions,
        "Answer": " ".join(step.questions),
        "Done when": step.verification,
        "Evidence": step.evidence,
        "Break off if": "; ".join(step.triggers),
        "Way back": step.rollback,
        "Say": f"{step.message[0]}: {step.message[1]}" if step.message else "",
        "State": ", ".join(filter(None, [step.state, step.took, step.at, step.by, step.hash])),
    }  # fmt: skip
    final = " **Point of no return.**" if step.final else ""
    return [f"### {_plain(step.id)} {_plain(step.title)}{final}", ""] + [
        f"- {name}: {_plain(text)}" for name, text in rows.items() if text
    ]


def _plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _MARKED.sub(r"\\\1", " ".join(text.split()))


def html(found: BookView) -> str:
    """The runbook as one page: by phase, as a timeline, by role; with a project behind it also how far it is."""
    from validation.report import house_style

    style = house_style() + _resource("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(
        v=found,
        rule=found.book.rule,
        people=people(found.book.rule.roles),
        bars=_bars(found),
        width=WIDTH,
        style=Markup(style),  # noqa: S704 (our own files, no data in them)
        style_hash=digest,
        version=__version__,
    )


def _bars(found: BookView) -> list[tuple[StepView, float, float]]:
    """Each step, where its bar begins and how wide it is; the square root keeps minutes visible beside days."""
    widths = [max(step.seconds, 1.0) ** 0.5 for step in found.steps]
    whole, at, bars = sum(widths) or 1.0, 0.0, []
    for step, width in zip(found.steps, widths, strict=True):
        bars.append((step, round(at / whole * WIDTH, 2), round(width / whole * WIDTH, 2)))
        at += width
    return bars


@cache
def _template() -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    return environment.get_template("page.html.j2")


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
