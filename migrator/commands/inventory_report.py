"""The register as one HTML page for the project: inert, nothing loaded from elsewhere, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from migrator import __version__
from migrator.commands.inventory_integrations import integration_json, integrations_of
from migrator.commands.inventory_pictures import WIDTH, burn_down, share
from migrator.commands.inventory_register import Register, load_register
from migrator.commands.project import Project
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.inventory.capability import CAPABILITIES
from migrator.inventory.evidence import Use
from migrator.inventory.reasons import Reason
from migrator.inventory.register import Row, Tally, is_done, operations, tallies
from migrator.inventory.rules import Decision

if TYPE_CHECKING:
    from jinja2 import Template

    from validation.messages import Catalogue

LANGUAGES = ("en", "zh_CN", "zh_TW", "ms")
TEXTS = "migrator.commands.inventory_catalogue"
MOST = 400
"""Lines of a table on the page; the workbook has all."""


@dataclass(frozen=True, slots=True)
class Written:
    """A report."""

    path: Path
    rows: int
    decided: int
    done: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "rows": self.rows, "decided": self.decided, "done": self.done}


def write_report(
    project: Project,
    *,
    language: str = "en",
    switch: str = "",
    to: Path | None = None,
    systems: Sequence[str] = (),
) -> Written:
    """Draw the register; raises `ProjectError` for a language that is not there and a day that is none."""
    if language not in LANGUAGES:
        hint = did_you_mean(language, LANGUAGES, noun="languages")
        raise ProjectError.at("--lang", f"there is no report in {language!r}", hint)
    day = _day(switch)
    register = load_register(project, systems)
    suffix = "" if language == "en" else f".{language}"
    path = to or project.folder / "reports" / f"functions{suffix}.html"
    text = render(register, project.name, language, day)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FatalError(
            f"cannot write {path}: {error.strerror}", hint="is the disk full, or the folder read-only?"
        ) from error
    decided = sum(1 for row in register.rows if row.decision is not Decision.UNDECIDED)
    return Written(path, len(register.rows), decided, sum(1 for row in register.rows if is_done(row)))


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ProjectError.at("--switch", f"{text!r} is no date", "as 2026-11-30") from error


def render(register: Register, project: str, language: str, switch: date | None = None) -> str:
    """The page of a register."""
    from validation.messages import catalogue
    from validation.report import house_style

    style = house_style() + _resource("inventory_report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rows = register.rows
    found = integrations_of(register)
    undecided = [row for row in rows if row.decision is Decision.UNDECIDED]
    return _template(language).render(
        t=catalogue(language, TEXTS), project=project, version=__version__, today=register.today, switch=switch,
        style=Markup(style), style_hash=digest,  # noqa: S704 (our own files, no data in them)
        rows=rows, scans=register.scans, notes=register.notes, gone=register.gone, most=MOST,
        decisions=_said(rows), totals=_totals(rows), share=share, width=WIDTH,
        capabilities=_by(rows, lambda row: row.capability, CAPABILITIES), units=_by(rows, lambda row: row.business_unit, ()),
        kinds=_by(rows, lambda row: row.item.component.kind.value, ()),
        waves=_by([row for row in rows if row.answers.get("wave")], lambda row: row.answers["wave"], ()),
        burn=burn_down(rows, register.today, switch), decided=[row for row in rows if row.decision is not Decision.UNDECIDED],
        undecided=sorted(undecided, key=_urgency), retire=[row for row in undecided if row.proposal.decision is Decision.RETIRE],
        integrations=[integration_json(one, found.answers.get(one.item.id, {})) for one in found.found],
        operations=list(operations(rows)), losses=[row for row in rows if row.losses or row.protection_gap],
        findings=[row for row in rows if row.item.component.findings], uses=_uses(rows), done=sum(1 for row in rows if is_done(row)),
    )  # fmt: skip


def _said(rows: Sequence[Row]) -> list[str]:
    """The four decisions and what is undecided, and of the others those that somebody took."""
    always = (Decision.KEEP, Decision.OPTIMISE, Decision.RETIRE, Decision.BUILD, Decision.UNDECIDED)
    taken = {row.decision for row in rows}
    return [item.value for item in Decision if item in always or item in taken]


def _totals(rows: Sequence[Row]) -> Mapping[str, int]:
    (total,) = tallies(("", row) for row in rows) or (Tally("", 0, {}, 0),)
    return total.decisions


def _by(rows: Sequence[Row], key: Any, order: Sequence[str]) -> tuple[Tally, ...]:
    """Rows by group: in the order given, else the largest first."""
    found = tallies((key(row), row) for row in rows)
    if order:
        return tuple(
            sorted(found, key=lambda one: order.index(one.name) if one.name in order else len(order))
        )
    return tuple(sorted(found, key=lambda one: (-one.total, one.name)))


_WEIGHT = {
    Decision.OPTIMISE: 0, Decision.BUILD: 1, Decision.UNDECIDED: 2, Decision.RETIRE: 3, Decision.KEEP: 4,
}  # fmt: skip


def _urgency(row: Row) -> tuple[int, int, str]:
    """What runs today comes first, then what must be built anew."""
    running = 0 if row.item.component.fires or row.item.component.calls else 1
    return running, _WEIGHT.get(row.proposal.decision, 5), row.item.id


def _uses(rows: Sequence[Row]) -> Mapping[str, int]:
    return {use.value: sum(1 for row in rows if row.evidence.use is use) for use in Use}


def _why(text: Catalogue, reason: Reason) -> str:
    """A reason in the language of the page; names and what parsers said stay as they are."""
    told: dict[str, object] = {
        key: _why(text, value) if isinstance(value, Reason) else value for key, value in reason.values
    }
    if text.has(f"kind.{told.get('kind')}"):
        told["kind"] = text(f"kind.{told['kind']}")
    return text(f"why.{reason.name}", **told)


@cache
def _template(language: str) -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    from validation.messages import catalogue
    from validation.words import plain

    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    text = catalogue(language, TEXTS)
    environment.filters |= {"v": plain, "n": text.number, "day": lambda value: text.day(str(value))}
    environment.filters["why"] = partial(_why, text)
    return environment.get_template("inventory_report.html.j2")


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
