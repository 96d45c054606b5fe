"""The layer around a sandbox's protocol: limits first, then faults, and a count of every call."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, Protocol, TypeAlias, cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Match, Mount, Route

from connectors.sandbox.faults import Do, Fault, Schedule
from connectors.sandbox.limits import Kept, Meter, Refusal
from connectors.sandbox.records import PLAIN, Write

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Manners(Protocol):
    """How one system behaves around its protocol."""

    def refused(self, refusal: Refusal) -> Response:
        """Its answer to a call too many."""
        ...

    def failed(self, status: int) -> Response:
        """Its answer when it is down (503) or broken (500)."""
        ...

    def limited(self, path: str) -> str | None:
        """The scope of rates a call counts in; None: calls of this kind count against no limit."""
        ...

    def headers(self, meter: Meter) -> dict[str, str]:
        """Headers every answer carries."""
        ...

    def expire_tokens(self) -> None:
        """All tokens given out so far end."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it arrived, and its status; 0 when there was no answer."""

    method: str
    path: str
    query: str
    status: int
    fault: str = ""


_SECONDS = 30.0
"""How long a call hangs when the schedule does not say."""


@dataclass(slots=True)
class Moods:
    """An ASGI application around a protocol's own."""

    app: Asgi
    routes: list[BaseRoute]
    manners: Manners
    meter: Meter
    schedule: Schedule = field(default_factory=Schedule)
    log: deque[Call] = field(default_factory=lambda: deque(maxlen=20_000))
    """The last calls, for tests and for people."""
    _first: dict[Fault, list[Message]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        route = f"{method} {self._template(scope)}"
        limited = self.manners.limited(path)
        # The limits may be changed while a call is on its way: it ends by those that it came under.
        meter = self.meter
        refusal = meter.enter(route, limited or "", counted=limited is not None)
        date = format_datetime(meter.clock.now(), usegmt=True)
        watched = _Watched(send, {"Date": date, **self.manners.headers(meter)})
        if refusal is not None:
            await self.manners.refused(refusal)(scope, receive, watched.send)
            self._note(scope, watched.status, "limit")
            return
        fault = self.schedule.strike(method, path)
        try:
            if fault is None:
                await self.app(scope, receive, watched.send)
            else:
                meter.struck(route)
                await self._spoilt(fault, scope, receive, send, watched)
        finally:
            meter.leave(route)
            self._note(scope, watched.status, fault.do.value if fault else "")

    def _note(self, scope: Scope, status: int, fault: str) -> None:
        query = scope["query_string"].decode("latin-1")
        self.log.append(Call(scope["method"], scope["path"], query, status, fault))

    def _template(self, scope: Scope) -> str:
        for route in self.routes:
            if route.matches(scope)[0] is not Match.NONE and isinstance(route, Route | Mount):
                return route.path.rstrip("/") or "/"
        return "(unknown)"

    async def _spoilt(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send, watched: _Watched
    ) -> None:
        instead = self._instead(fault)
        if instead is not None:
            await _drained(receive)
            await instead(scope, receive, watched.send)
            return
        match fault.do:
            case Do.RESET | Do.TIMEOUT_BEFORE:
                await _drained(receive)
                await _dropped(
                    receive, send, fault.seconds or _SECONDS if fault.do is Do.TIMEOUT_BEFORE else 0.0
                )
            case Do.RESET_AFTER | Do.TIMEOUT_AFTER:
                await self.app(scope, receive, _swallow)
                await _dropped(
                    receive, send, fault.seconds or _SECONDS if fault.do is Do.TIMEOUT_AFTER else 0.0
                )
            case Do.TRUNCATE | Do.BAD_JSON | Do.REPLAY:
                await self._altered(fault, scope, receive, send, watched)
            case _:
                await self._hindered(fault, scope)
                await self.app(scope, receive, watched.send)

    async def _hindered(self, fault: Fault, scope: Scope) -> None:
        """What makes a call go another way inside the protocol's own application."""
        seconds = _SECONDS if fault.seconds is None else fault.seconds
        match fault.do:
            case Do.SLOW:
                await asyncio.sleep(seconds)
            case Do.LOCK:
                _state(scope)["write"] = Write(locked=True)
            case Do.LATE:
                _state(scope)["write"] = Write(late=seconds)
            case _:
                self.manners.expire_tokens()

    def _instead(self, fault: Fault) -> Response | None:  # noqa: PLR0911 (one a fault)
        """The answer that a fault gives without the application."""
        match fault.do:
            case Do.THROTTLE:
                return self.manners.refused(Refusal(Kept.RATE, fault.seconds or 1.0, 0, 0.0))
            case Do.UNAVAILABLE:
                answer = self.manners.failed(503)
                if fault.seconds is not None:
                    answer.headers["Retry-After"] = f"{fault.seconds:g}"
                return answer
            case Do.FAIL:
                return self.manners.failed(500)
            case Do.HTML:
                return HTMLResponse("<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>")
            case Do.REDIRECT:
                return RedirectResponse(fault.to, status_code=302)
            case Do.ANSWER:
                return Response(fault.body, fault.status, media_type="application/json")
            case Do.OVERSIZE:
                return StreamingResponse(_endless(fault.bytes), media_type="application/json")
            case _:
                return None

    async def _altered(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send, watched: _Watched
    ) -> None:
        """Let the application answer, and send something else than it said."""
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        await self.app(scope, receive, keep)
        start = next(item for item in said if item["type"] == "http.response.start")
        body = b"".join(item.get("body", b"") for item in said if item["type"] == "http.response.body")
        answer = [start, {"type": "http.response.body", "body": body}]
        if fault.do is Do.REPLAY:
            answer = self._first.setdefault(fault, answer)
        elif fault.do is Do.BAD_JSON:
            answer[1]["body"] = body[: len(body) // 2] + b"\x00" * (len(body) - len(body) // 2)
        else:
            answer[1] = {**answer[1], "body": body[: len(body) // 2], "more_body": True}
        for message in answer:
            await watched.send(message)
        if fault.do is Do.TRUNCATE:
            await asyncio.sleep(0.05)  # the half must leave before the connection goes
            await _dropped(receive, send, 0.0)


@dataclass(slots=True)
class _Watched:
    """Remembers the status that was sent, and adds headers."""

    onwards: Send
    extra: dict[str, str]
    status: int = 0

    async def send(self, message: Message) -> None:
        """Pass one message of an answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = [(name.lower().encode(), value.encode()) for name, value in self.extra.items()]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await self.onwards(message)


def write_of(request: Request) -> Write:
    """How the schedule wants the writes of this call to be done."""
    return cast("Write", _state(request.scope).get("write", PLAIN))


def _state(scope: Scope) -> dict[str, Any]:
    return cast("dict[str, Any]", scope.setdefault("moods", {}))


async def _swallow(message: Message) -> None:
    """An answer nobody hears."""


async def _drained(receive: Receive) -> None:
    """Take the request's body off the line: clients that still write would see a broken pipe, not the fault."""
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()


async def _dropped(receive: Receive, send: Send, seconds: float) -> None:
    """Answer nothing for a while, then drop the connection; uvicorn's sender knows its transport."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_gone(receive), timeout=seconds)
    cast("Any", send).__self__.transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _endless(size: int) -> Any:
    yield b'["'
    for _ in range(size // 65_536):
        yield b"x" * 65_536
    yield b'"]'
