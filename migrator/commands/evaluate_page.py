"""The evaluation as one HTML file: nothing loaded from elsewhere, no script, every value escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from migrator import __version__
from migrator.commands import evaluate_charts as charts
from migrator.core.clock import Clock

if TYPE_CHECKING:
    from jinja2 import Template

    from migrator.commands.evaluated import Measured

WHY = {
    "joined": "two entities in one cluster",
    "review": "left for a person to decide",
    "low": "scored too low",
    "apart": "kept apart by a guard, a contradiction or a decision",
    "uncompared": "never compared: no blocking rule brought them together",
}
"""How a mistake came about, in words."""


def write_page(measured: Measured, clock: Clock) -> None:
    """Write the page of a measurement to its `page`."""
    from validation.report import house_style

    style = house_style() + _resource("evaluate_page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    found = measured.evaluation
    text = _template().render(
        m=measured,
        e=found,
        style=Markup(style),  # noqa: S704 (our own files, no data in them)
        style_hash=digest,
        made=clock.now(),
        version=__version__,
        why=WHY,
        ladder=charts.ladder(found.rungs, found.bands),
        spread=charts.spread(found.bars),
        width=charts.WIDTH,
        left=charts.LEFT,
        right=charts.RIGHT,
        height=charts.HEIGHT,
        model=json.dumps(measured.model, ensure_ascii=False, indent=1, default=str),
    )
    measured.page.parent.mkdir(parents=True, exist_ok=True)
    measured.page.write_text(text, encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": _share,
        "n": lambda value: f"{value:,.0f}",
        "odds": lambda value: f"{value:.6g}",
    }
    return environment.get_template("evaluate_page.html.j2")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
