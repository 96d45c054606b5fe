"""The routes of the Salesforce sandbox, and its manners: limits, headers, outages and tokens as Salesforce has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from connectors.sandbox.limits import Kept, Meter, Refusal
from connectors.sandbox.salesforce import composite, rest
from connectors.sandbox.salesforce.bulk import Bulk
from connectors.sandbox.salesforce.calls import Handler, guarded
from connectors.sandbox.salesforce.errors import SalesforceError, not_found
from connectors.sandbox.salesforce.org import Org, Switches
from connectors.sandbox.salesforce.querying import Queries
from connectors.sandbox.salesforce.seeding import fill_org
from connectors.sandbox.salesforce.tokens import CREDENTIALS, Tokens
from connectors.sandbox.serve import SandboxApp
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Limits
from migrator.core.sandbox import SandboxOptions

LIMITS = Limits(daily=100_000, parallel=25)
"""Calls in 24 hours of a small organisation, and calls at once: Salesforce counts only those of 20 seconds and more."""
_BASE = "/services/data/{version}"


@dataclass(slots=True)
class SalesforceManners:
    """How Salesforce refuses, and what every answer carries."""

    tokens: Tokens
    queries: Queries

    def refused(self, refusal: Refusal) -> Response:
        """403 with REQUEST_LIMIT_EXCEEDED; there is no Retry-After."""
        if refusal.kept is Kept.RATE:
            return JSONResponse(
                [{"message": "Too many requests", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], 429
            )
        word = (
            "TotalRequests" if refusal.kept is Kept.DAILY else "ConcurrentRequests (Concurrent API Requests)"
        )
        return SalesforceError("REQUEST_LIMIT_EXCEEDED", f"{word} Limit exceeded.", status=403).response()

    def failed(self, status: int) -> Response:
        """503 and 500."""
        code = "SERVER_UNAVAILABLE" if status == 503 else "UNKNOWN_EXCEPTION"
        return SalesforceError(
            code, "An unexpected error occurred. Try again later.", status=status
        ).response()

    def limited(self, path: str) -> str | None:
        """Logging in does not count."""
        return "" if path.startswith("/services/data/v") else None

    def headers(self, meter: Meter) -> dict[str, str]:
        """What was used of the day's calls."""
        most = meter.limits.daily
        return {"Sforce-Limit-Info": f"api-usage={meter.used}/{most}"} if most else {}

    def expire_tokens(self) -> None:
        """All sessions end."""
        self.tokens.expire()


def make_app(options: SandboxOptions, clock: Clock | None = None) -> SandboxApp:
    """A Salesforce organisation, filled from `options.data`; its switches from `options.switches`."""
    org = Org(clock or SystemClock(), Switches(**options.switches))  # type: ignore[arg-type]
    if options.data:
        fill_org(org, options.data)
    return app_of(org)


def app_of(org: Org, limits: Limits = LIMITS) -> SandboxApp:
    """The application of an organisation that is there already."""
    tokens, queries = Tokens(org), Queries(org)
    answers, known = rest.Answers(queries), list[tuple[Route, Handler]]()
    for path, methods, handler in _table(answers, Bulk(org), partial(_find, known)):
        for ending in ("", "/"):
            endpoint = guarded(org, tokens, handler)
            known.append((Route(f"{_BASE}{path}{ending}", endpoint, methods=methods.split()), handler))
    open_to_all = [
        Route("/services/data", lambda _: JSONResponse(_VERSIONS)),
        Route("/services/oauth2/token", tokens.token, methods=["POST"]),
        Route("/services/Soap/u/{version}", tokens.soap, methods=["POST"]),
    ]
    app = Starlette(
        routes=[*open_to_all, *(route for route, _ in known)],
        exception_handlers={404: _unknown, 405: _not_so},
    )
    return SandboxApp(
        app, org.store, SalesforceManners(tokens, queries), limits, CREDENTIALS, snippet,
        clock=org.clock, metered=answers.counted_by,
    )  # fmt: skip


def snippet(url: str, certificate: str) -> str:
    """The lines of migration.yaml that name it as a source; secrets by environment."""
    trust = f"\n    ca_file: {certificate}" if certificate else ""
    return (
        f"systems:\n  salesforce:\n    connector: salesforce\n    instance_url: {url}\n"
        f"    client_id: {CREDENTIALS['client_id']}\n"
        f"    client_secret: ${{env:SANDBOX_SECRET}}   # export SANDBOX_SECRET={CREDENTIALS['client_secret']}{trust}\n"
    )


def _find(
    known: list[tuple[Route, Handler]], method: str, path: str
) -> tuple[Handler, dict[str, str]] | None:
    """The handler of a subrequest."""
    for route, handler in known:
        match, scope = route.matches({"type": "http", "method": method, "path": path, "root_path": ""})
        if match is Match.FULL:
            return handler, scope["path_params"]
    return None


async def _unknown(_: Request, __: Exception) -> Response:
    return not_found().response()


async def _not_so(request: Request, _: Exception) -> Response:
    return SalesforceError(
        "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.", status=405
    ).response()


_VERSIONS = [
    {"label": f"v{number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
    for number in range(52, 68)
]


def _table(answers: rest.Answers, bulk: Bulk, find: composite.Route) -> list[tuple[str, str, Handler]]:
    record = "/sobjects/{name}"
    return [
        ("/", "GET", rest.versions),
        ("/limits", "GET", answers.limits),
        ("/limits/recordCount", "GET", rest.counts),
        ("/sobjects", "GET", rest.sobjects),
        (record, "GET POST", rest.sobject),
        (f"{record}/describe", "GET", rest.describe),
        (f"{record}/updated", "GET", rest.updated),
        (f"{record}/deleted", "GET", rest.deleted),
        (record + "/{id}", "GET PATCH DELETE", rest.record),
        (record + "/{field}/{value:path}", "GET PATCH DELETE", rest.by_key),
        ("/query", "GET", answers.query),
        ("/queryAll", "GET", answers.query_all),
        ("/query/{locator}", "GET", answers.more),
        ("/queryAll/{locator}", "GET", answers.more),
        ("/composite", "POST", partial(composite.composite, route=find)),
        ("/composite/batch", "POST", partial(composite.batch, route=find)),
        ("/composite/tree/{name}", "POST", composite.tree),
        ("/composite/sobjects", "POST PATCH DELETE", composite.collection),
        ("/composite/sobjects/{name}", "POST", composite.collection_of),
        ("/composite/sobjects/{name}/{field}", "PATCH", composite.collection_upsert),
        ("/jobs/query", "POST", bulk.query),
        ("/jobs/query/{id}/results", "GET", bulk.results),
        ("/jobs/ingest", "POST", bulk.ingest),
        ("/jobs/ingest/{id}/batches", "PUT", bulk.upload),
        ("/jobs/{kind}", "GET", bulk.listed),
        ("/jobs/{kind}/{id}", "GET PATCH DELETE", bulk.job),
        ("/jobs/ingest/{id}/{kind}", "GET", bulk.outcome),
    ]
