"""The review page as a web application: every decision is a form that is posted, so the page works without its script too.

Who may use it: whoever knows the random token in its address. Beside it, only this machine's own name is answered to,
and forms of other sites are refused, so that a site that is open in the same browser can neither read nor decide.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from migrator.commands.review import Review
from migrator.core.mapped import MappedObject, Same
from migrator.dedupe.contrast import Step
from validation.messages import catalogue

if TYPE_CHECKING:
    from jinja2 import Template

HOST = "127.0.0.1"
TEXTS = "migrator.commands.review_page.catalogue"
MOST_BYTES = 65_536
"""Of a form."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of the waterfall, as it is drawn on a line from 0 to 100."""

    step: Step
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class ReviewSite:
    """A sitting on a page; `end` is called when its reader ends it."""

    review: Review
    project: str
    token: str
    language: str
    end: Callable[[], None]

    def app(self) -> Starlette:
        """The application, below /TOKEN/ only."""
        routes = [
            Route("/", self._begin),
            Route("/done", self._done),
            Route("/pair/{number:int}", self._show),
            Route("/pair/{number:int}", self._decide, methods=["POST"]),
            Route("/undo", self._undo, methods=["POST"]),
            Route("/end", self._end, methods=["POST"]),
        ]
        return Starlette(
            routes=[Mount(f"/{self.token}", routes=routes)],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST], www_redirect=False)],
        )

    async def _begin(self, _request: Request) -> Response:
        return self._to(self.review.next_open(-1))

    async def _done(self, _request: Request) -> Response:
        left = self.review.next_open(-1)
        return self._page() if left is None else self._to(left)

    async def _show(self, request: Request) -> Response:
        number = request.path_params["number"]
        return self._page(number) if number < len(self.review.pairs) else _refused(404)

    async def _decide(self, request: Request) -> Response:
        number, form = request.path_params["number"], await _form(request)
        if form is None:
            return _refused(403)
        verdict = next((item for item in Same if item.value == form.get("verdict")), None)
        if verdict is None or number >= len(self.review.pairs):
            return _refused(400)
        contradicted = self.review.decide(number, verdict, form.get("why", "").strip())
        return self._to(number if contradicted else self.review.next_open(number))

    async def _undo(self, request: Request) -> Response:
        if await _form(request) is None:
            return _refused(403)
        return self._to(self.review.undo())

    async def _end(self, request: Request) -> Response:
        if await _form(request) is None:
            return _refused(403)
        answer = self._page(ended=True)
        self.end()
        return answer

    def _to(self, number: int | None) -> Response:
        place = "done" if number is None else f"pair/{number}"
        return RedirectResponse(f"/{self.token}/{place}", status_code=303)

    def _page(self, number: int | None = None, *, ended: bool = False) -> Response:
        review, text = self.review, catalogue(self.language, TEXTS)
        counts = review.counts()
        pair = None if number is None else review.pairs[number]
        after = None if number is None else review.next_open(number)
        steps = pair.steps if pair else ()
        low, scale = _scale(steps)
        mapped = review.found.objects[pair.mapping] if pair else None
        style, script = _resource("page.css"), _resource("page.js")
        shown = _template().render(
            t=text,
            project=self.project,
            pair=pair,
            number=number,
            total=len(review.pairs),
            done=len(review.pairs) - counts[None],
            counts=[(item.value if item else "open", n) for item, n in counts.items()],
            waiting=sum(review.found.waiting.values()) - len(review.pairs) + counts[None],
            said=None if number is None else review.said(number),
            conflict=() if number is None else review.conflict(number),
            bars=[
                Bar(step, (min(step.before, step.after) - low) * scale, max(abs(step.bits) * scale, 0.5))
                for step in steps
            ],
            zero=-low * scale,
            label=lambda name: _label(mapped, name, self.language),
            bits=lambda value: f"{value:+.1f}".replace("-", "−"),
            percent=lambda value: f"{value:.1%}",
            moment=lambda at: text.moment(at.isoformat()),
            following=f"../pair/{after}" if after is not None else "../done",
            can_undo=review.can_undo,
            ended=ended,
            style=Markup(style),  # noqa: S704 (our own file, no data in it)
            script=Markup(script),  # noqa: S704 (our own file, no data in it)
        )
        return HTMLResponse(shown, headers=_headers(style, script))


def _label(mapped: MappedObject | None, name: str, language: str) -> str:
    """What people call a field, where that says more than its name."""
    label = mapped.label(name, language) if mapped else ""
    return "" if label.casefold() == name.casefold() else label


def _scale(steps: tuple[Step, ...]) -> tuple[float, float]:
    """The lowest weight on the way, and the width of a bit, so that the whole way fits between 0 and 100."""
    ends = [0.0, *(step.after for step in steps)]
    return min(ends), 100 / max(max(ends) - min(ends), 1e-9)


def _headers(style: str, script: str) -> Mapping[str, str]:
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form of this very site; None for another site's, or one that is none of ours."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers.get('host')}":
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    try:
        found = parse_qs(body.decode(errors="replace"), max_num_fields=10)
    except ValueError:
        return None
    return {name: values[0] for name, values in found.items()}


def _refused(code: int) -> Response:
    return PlainTextResponse("refused", status_code=code)


@cache
def _template() -> Template:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2")


@cache
def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
