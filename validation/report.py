"""The report as one HTML file: rendered from report.json alone, nothing loaded from elsewhere, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from validation import pictures
from validation.absent import STATES
from validation.consequences import follow_from_lost
from validation.messages import LANGUAGES, catalogue
from validation.signoff import Signature
from validation.trend import OPEN
from validation.verdict import percent
from validation.words import cell_reason, plain, remedy, rule_text, say, spoken, why

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["LANGUAGES", "UNSIGNED", "Signed", "render"]

MOST = 12
"""Findings named in the verdict's list; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The signatures on a report, and what was changed since."""

    lines: tuple[Signature, ...] = ()
    problems: tuple[str, ...] = ()


UNSIGNED = Signed()


def render(content: Mapping[str, Any], language: str = "en", signed: Signed = UNSIGNED) -> str:
    """The page of a report's content (`validation.facts.to_json`) in a language of `LANGUAGES`."""
    text = catalogue(language)
    checks: Sequence[Mapping[str, Any]] = content["checks"]
    by_id = {check["id"]: check for check in checks}
    style = house_style() + _filter_style(len(content["objects"]))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    totals = _sum_accounting(content["objects"])
    chapters = _chapters(content["objects"])
    follows = follow_from_lost(checks, content["objects"])
    blocking = [by_id[name] for name in content["blocking"]]
    return _template(language).render(
        r=content,
        t=text,
        style=Markup(style),  # noqa: S704 (our own file, no data in it)
        style_hash=digest,
        totals=totals,
        flow=pictures.flow(totals),
        bar=pictures.bar,
        width=pictures.WIDTH,
        classes=pictures.CLASSES,
        percent=percent,
        say=lambda check: say(check, text),
        cell=lambda reason: cell_reason(reason, text),
        rule=lambda check: rule_text(check, text),
        why=lambda reason: why(reason, text),
        remedy=lambda reason, item: remedy(reason, text, item.get("file") or item["name"]),
        spoken=lambda reason: spoken(reason, text),
        gone=_gone(content["objects"]),
        blocking=[check for check in blocking if check["id"] not in follows],
        following=[check for check in blocking if check["id"] in follows],
        chapters=chapters,
        anchors={named["record"]: row["id"] for rows in chapters.values() for row in rows
                 for named in row["reason"]["named"]},
        labels=content.get("labels", {}),
        roots=content.get("roots", []),
        lost={item["name"]: item["records"]["missing"] for item in content["objects"]},
        exceptions=[by_id[name] for name in content["exceptions"]],
        most=MOST,
        different=sum(check["failed"] for check in checks if check["section"] in ("records", "fields", "links")
                      and check["rule"] != "records.extra"),
        years=_years,
        in_section=lambda section, name: [c for c in checks if c["section"] == section and c["object"] == name],
        worst=_worst,
        signed=signed,
        index={item["name"]: number for number, item in enumerate(content["objects"])},
        waived={item["check"]: item for item in content["waivers"]},
        lines=pictures.lines(content["trend"]["runs"]),
        findings={check["object"] for check in checks if check["status"] in OPEN},
    )  # fmt: skip


def house_style() -> str:
    """The style sheet that all our pages begin with."""
    return _resource("report.css")


def _filter_style(objects: int) -> str:
    """Rules that leave only the object whose button is chosen: the filter works without a script."""
    rule = "body:has(#only-{n}:checked) [data-o]:not([data-o='{n}']){{display:none}}"
    return "@media screen{" + "".join(rule.format(n=number) for number in range(objects)) + "}"


def _sum_accounting(objects: Sequence[Mapping[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for item in objects:
        total.update({name: n for name, n in item["accounting"].items() if name != "closed"})
    return total


def _gone(objects: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Records that are not there, by what became of them."""
    total: Counter[str] = Counter()
    for item in objects:
        for reason in item["reasons"]:
            total[reason["state"]] += reason["count"]
    return total


def _chapters(objects: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """State → the reasons of all objects for it, each with the id of its row; the worst state first."""
    found: dict[str, list[dict[str, Any]]] = {state: [] for state in STATES}
    for item in objects:
        for reason in item["reasons"]:
            rows = found[reason["state"]]
            rows.append({"id": f"{reason['state']}-{len(rows)}", "object": item, "reason": reason})
    return {state: rows for state, rows in found.items() if rows}


def _years(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Months added up to years."""
    years: dict[str, list[int]] = {}
    for item in values:
        pair = years.setdefault((item["value"] or "")[:4], [0, 0])
        pair[0] += item["expected"]
        pair[1] += item["actual"]
    return [(year, *pair) for year, pair in years.items() if year]  # type: ignore[misc]  # a pair has two


def _worst(checks: Sequence[Mapping[str, Any]]) -> str:
    """The heaviest state among checks."""
    order = ("fail", "could_not_check", "warn", "waived", "pass", "nothing_to_check")
    states = {check["status"] for check in checks}
    return next((state for state in order if state in states), "nothing_to_check")


@cache
def _template(language: str) -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    text = catalogue(language)
    environment.filters |= {
        "v": plain, "n": text.number, "amount": text.amount, "moment": text.moment, "day": text.day,
    }  # fmt: skip
    return environment.get_template("report.html.j2")


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
