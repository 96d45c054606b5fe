"""The Dataverse sandbox as an application: sign-in, the Web API, and how it behaves when there is too much of something."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox.dataverse.faults import error_body
from connectors.sandbox.dataverse.model import DUPLICATES, KEYS, LEGACY, PARTY, TABLES
from connectors.sandbox.dataverse.multipart import Ask
from connectors.sandbox.dataverse.protocol import Service
from connectors.sandbox.dataverse.seed import fill_from_export, is_export
from connectors.sandbox.limits import Kept, Meter, Refusal
from connectors.sandbox.moods import write_of
from connectors.sandbox.reading import Read
from connectors.sandbox.records import Store
from connectors.sandbox.seed import fill, read_schemas
from connectors.sandbox.serve import SandboxApp, sandbox
from connectors.sandbox.shape import Names
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Limits, Rate
from migrator.core.sandbox import SandboxOptions

LIMITS = Limits(rates=(Rate(6_000, 300.0),), parallel=52)
SWITCHES: Mapping[str, type] = {
    "expire_change_tracking_days": int,
    "dop_hint": int,
    "bulk_messages": bool,
    "organization_type": str,
    "token_seconds": int,
}
_NAMES = Names(created="createdon", modified=("modifiedon",), version="versionnumber")
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
_API = "/api/data/{version}/"


@dataclass(slots=True)
class Tokens:
    """Who may ask: tokens given out by the sign-in, and one that is printed at the start."""

    clock: Clock
    client_id: str
    secret: str
    seconds: float
    given: dict[str, float] = field(default_factory=dict)

    def give(self) -> str:
        """A new token."""
        token = f"sandbox-{secrets.token_urlsafe(24)}"
        self.given[token] = self.clock.monotonic() + self.seconds
        return token

    def accepts(self, header: str) -> bool:
        """Whether a header proves who asks."""
        return self.given.get(header.removeprefix("Bearer "), 0.0) > self.clock.monotonic()


@dataclass(slots=True)
class DataverseManners:
    """How Dataverse behaves around its protocol."""

    tokens: Tokens
    hint: int

    def refused(self, refusal: Refusal) -> Response:
        """One of the three service-protection limits."""
        code, said = {
            Kept.RATE: ("0x80072322", f"Number of requests exceeded the limit of {refusal.limit} over time window of {refusal.seconds:.0f} seconds."),
            Kept.PARALLEL: ("0x80072326", f"Number of concurrent requests exceeded the limit of {refusal.limit}."),
            Kept.DAILY: ("0x80072321", "Combined execution time of incoming requests exceeded its limit."),
        }[refusal.kept]  # fmt: skip
        headers = {"Retry-After": f"{max(refusal.retry_after, 0.001):.3f}"}
        return Response(error_body(code, said), 429, headers, media_type="application/json")

    def failed(self, status: int) -> Response:
        """Down or broken."""
        return Response(
            error_body("0x80040216", "An unexpected error occurred."), status, media_type="application/json"
        )

    def limited(self, path: str) -> str | None:
        """The Web API counts; the sign-in does not."""
        return "" if path.startswith("/api/") else None

    def headers(self, meter: Meter) -> dict[str, str]:
        """What it recommends."""
        left = max(0, meter.limits.rates[0].calls - meter.used) if meter.limits.rates else 0
        return {"x-ms-dop-hint": str(self.hint), "x-ms-ratelimit-burst-remaining-xrm-requests": str(left)}

    def expire_tokens(self) -> None:
        """All tokens given out so far end."""
        self.tokens.given.clear()


def make_store(clock: Clock | None = None) -> Store:
    """The tables, with a user, a team and a currency in them."""
    store = Store(names=_NAMES, new_id=_new_id, clock=clock, tick=timedelta(seconds=1))
    for schema in TABLES:
        keys = [(name,) for name in KEYS.get(schema.name, ())]
        keys += [(LEGACY,)] if schema.field(LEGACY) else []
        store.define(schema, keys=keys, duplicates=DUPLICATES.get(schema.name, ()))
    store.define(PARTY)
    store.insert("systemuser", {"fullname": "Migration", "internalemailaddress": "migration@example.com"})
    store.insert("team", {"name": "Everybody"})
    store.insert("transactioncurrency", {"currencyname": "Euro", "isocurrencycode": "EUR"})
    return store


def make_app(options: SandboxOptions, *, clock: Clock | None = None) -> SandboxApp:
    """The sandbox, ready to be served."""
    switches: Mapping[str, Any] = options.switches
    store = make_store(clock)
    if options.data is not None and is_export(options.data):
        fill_from_export(store, options.data)
    elif options.data is not None:
        for schema in read_schemas(options.data):
            store.extend(schema)
        fill(store, options.data, key=lambda name: f"{name}id")
    user = str(store.select(Read("systemuser", ()))[0][0])
    service = Service(
        store,
        user,
        bulk=switches.get("bulk_messages", True),
        days=switches.get("expire_change_tracking_days", 7),
        kind=switches.get("organization_type", "CustomerTest"),
    )
    tokens = Tokens(
        clock or SystemClock(),
        "sandbox-client",
        secrets.token_urlsafe(16),
        switches.get("token_seconds", 3_600),
    )
    credentials = {
        "token": tokens.give(), "tenant": "sandbox", "client_id": tokens.client_id, "client_secret": tokens.secret
    }  # fmt: skip
    app = SandboxApp(
        Starlette(routes=_Web(service, tokens).routes()),
        store,
        DataverseManners(tokens, switches.get("dop_hint", 8)),
        LIMITS,
        credentials,
        lambda url, ca: _snippet(url, ca, credentials["token"]),
    )
    app.clock = clock or app.clock
    return app


@dataclass(frozen=True, slots=True)
class _Web:
    """The three things that are answered over HTTP: the API, tokens, and where tokens are given."""

    service: Service
    tokens: Tokens

    async def api(self, request: Request) -> Response:
        """One request to the Web API."""
        if not self.tokens.accepts(request.headers.get("authorization", "")):
            return Response(b"", 401, {"WWW-Authenticate": "Bearer"})
        ask = Ask(
            request.method,
            request.scope["raw_path"].decode("latin-1").split("/", 4)[4],
            request.url.query,
            dict(request.headers),
            await request.body(),
            root=f"{request.url.scheme}://{request.url.netloc}/api/data/{request.path_params['version']}/",
            fault=write_of(request),
        )
        reply = await run_in_threadpool(self.service.answer, ask)
        return Response(reply.body, reply.status, reply.headers)

    async def token(self, request: Request) -> Response:
        """A token for who knows the secret."""
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("client_id") != self.tokens.client_id or form.get("client_secret") != self.tokens.secret:
            said = {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided.",
            }
            return JSONResponse(said, 401)
        told = {
            "token_type": "Bearer",
            "expires_in": int(self.tokens.seconds),
            "access_token": self.tokens.give(),
        }
        return JSONResponse(told)

    async def configuration(self, request: Request) -> Response:
        """Where tokens are given."""
        root = f"{request.url.scheme}://{request.url.netloc}/{request.path_params['tenant']}"
        ends = {"token": "token", "authorization": "authorize"}
        told = {f"{name}_endpoint": f"{root}/oauth2/v2.0/{end}" for name, end in ends.items()}
        return JSONResponse({"issuer": root, **told})

    def routes(self) -> list[Route]:
        """One for each kind of request that is counted by itself."""
        bulk = [f"{{table}}/Microsoft.Dynamics.CRM.{name}Multiple" for name in ("Create", "Update", "Upsert")]
        paths = ["$batch", "EntityDefinitions{rest:path}", *bulk, "{rest:path}"]
        return [
            *(Route(f"{_API}{path}", self.api, methods=_METHODS) for path in paths),
            Route("/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", self.configuration),
        ]


def _new_id(object_name: str, number: int) -> str:
    """GUIDs that tell themselves apart by table, and are the same in every run."""
    kind = sum(ord(sign) * (place + 1) for place, sign in enumerate(object_name)) % 0xFFFF
    return f"{number:08x}-{kind:04x}-4000-8000-{kind:012x}"


def _snippet(url: str, ca_file: str, token: str) -> str:
    lines = ["connector: dataverse", f"url: {url}", f"token: {token}"]
    return "\n".join([*lines, *([f"ca_file: {ca_file}"] if ca_file else [])])


SANDBOX = sandbox(
    "dataverse",
    "Dynamics 365 / Dataverse: the Web API, with metadata, batches, alternate keys and change tracking",
    make_app,
    limits=LIMITS,
    switches=SWITCHES,
)
