"""One call of the REST API: who asks, what for, in which version; and the guard every handler stands behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connectors.sandbox.moods import write_of
from connectors.sandbox.salesforce.errors import SalesforceError, worded
from connectors.sandbox.salesforce.org import Org, body_of
from connectors.sandbox.salesforce.tokens import Tokens
from connectors.sandbox.salesforce.writes import Writer
from connectors.sandbox.violations import Violation


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose token is good."""

    org: Org
    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    writer: Writer

    @property
    def version(self) -> str:
        """'v59.0'."""
        return self.path["version"]

    def json(self) -> dict[str, Any]:
        """The body, an object of JSON. Raises `SalesforceError`."""
        found = body_of(self.body)
        if not isinstance(found, dict):
            raise SalesforceError("JSON_PARSER_ERROR", "an object of JSON is needed")
        return found


Handler: TypeAlias = Callable[[Call], Response]


def guarded(org: Org, tokens: Tokens, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler behind the check of the token; it runs in a thread, and its errors become answers."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            call = call_of(org, request, body, tokens.check(request))
            return await run_in_threadpool(handler, call)
        except SalesforceError as error:
            return error.response()
        except Violation as error:
            return worded(error).response()

    return endpoint


def call_of(org: Org, request: Request, body: bytes, user: str) -> Call:
    """What handlers see of a request that a user makes."""
    write = write_of(request)
    rule = request.headers.get("sforce-duplicate-rule-header", "")
    write = replace(
        write,
        accept_duplicates="allowsave=true" in rule.casefold().replace(" ", ""),
        late=write.late or org.switches.index_lag_seconds,
    )
    return Call(
        org,
        request.method,
        request.path_params,
        request.query_params,
        request.headers,
        body,
        Writer(org, write, user, org.is_reader(user)),
    )


def created(record: str) -> dict[str, Any]:
    """The answer to one record made."""
    return {"id": record, "success": True, "errors": []}


def answer(found: Any, status: int = 200) -> Response:
    """JSON."""
    return JSONResponse(found, status)


def nothing() -> Response:
    """204."""
    return Response(status_code=204)
