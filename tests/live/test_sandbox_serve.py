"""A sandbox over real sockets: every fault as a client meets it, limits under parallel calls, TLS, and the counters."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox.faults import Do, Fault, Schedule
from connectors.sandbox.limits import NO_LIMITS, Meter, Refusal
from connectors.sandbox.moods import write_of
from connectors.sandbox.records import Store
from connectors.sandbox.serve import Box, SandboxApp, running
from connectors.sandbox.shape import Names
from connectors.sandbox.violations import Violation
from migrator.core.connector import Limits
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

pytestmark = pytest.mark.live


@dataclass(slots=True)
class Plain:
    """The manners of a system of three routes."""

    expired: int = 0

    def refused(self, refusal: Refusal) -> Response:
        return JSONResponse(
            {"code": refusal.kept.name}, 429, headers={"Retry-After": f"{refusal.retry_after:.0f}"}
        )

    def failed(self, status: int) -> Response:
        return JSONResponse({"code": "DOWN"}, status)

    def limited(self, path: str) -> str | None:
        return None if path == "/free" else path

    def headers(self, meter: Meter) -> dict[str, str]:
        return {"X-Used": str(meter.used)}

    def expire_tokens(self) -> None:
        self.expired += 1


def app_of(schedule: Schedule | None = None, limits: Limits = NO_LIMITS) -> SandboxApp:
    store = Store(names=Names(), new_id=lambda name, number: f"{name}{number}")
    store.define(
        ObjectSchema("Note", "Id", (FieldSchema("Id", FieldType.ID), FieldSchema("text", FieldType.TEXT)))
    )

    async def write(request: Request) -> Response:
        try:
            made = store.insert("Note", await request.json(), write=write_of(request))
        except Violation as error:
            return JSONResponse({"code": error.kind.name}, 400)
        return JSONResponse({"id": made}, 201)

    def count(request: Request) -> Response:
        time.sleep(float(request.query_params.get("wait", 0)))
        return JSONResponse({"count": store.count("Note")})

    app = Starlette(
        routes=[
            Route("/notes", write, methods=["POST"]),
            Route("/notes", count),
            Route("/free", count),
        ]
    )
    return SandboxApp(app, store, Plain(), limits, {}, lambda url, _: url, schedule or Schedule())


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as made:
        yield made


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold: the server ends a call after its client has the answer."""
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.01)
    return False


def struck(*faults: Fault) -> SandboxApp:
    return app_of(Schedule(faults))


def post(client: httpx.Client, box: Box) -> httpx.Response:
    return client.post(f"{box.url}/notes", json={"text": "x"})


@pytest.mark.parametrize(
    ("do", "lost", "done"),
    [
        (Do.TIMEOUT_BEFORE, httpx.ReadTimeout, 0),
        (Do.TIMEOUT_AFTER, httpx.ReadTimeout, 1),
        (Do.RESET, httpx.TransportError, 0),
        (Do.RESET_AFTER, httpx.TransportError, 1),
        (Do.TRUNCATE, httpx.TransportError, 1),
    ],
)
def test_answers_that_never_come(do: Do, lost: type[Exception], done: int) -> None:
    with running(struck(Fault(do, first=1))) as box, httpx.Client(timeout=0.3) as client:
        with pytest.raises(lost):
            post(client, box)
        assert box.store.count("Note") == done
        assert post(client, box).status_code == 201
        assert box.moods.meter.counts["POST /notes"].failed == 1
        assert soon(lambda: do.value in [call.fault for call in box.moods.log])


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        (Fault(Do.THROTTLE, seconds=7), 429, 0),
        (Fault(Do.UNAVAILABLE), 503, 0),
        (Fault(Do.FAIL), 500, 0),
        (Fault(Do.HTML), 200, 0),
        (Fault(Do.REDIRECT), 302, 0),
        (Fault(Do.ANSWER, status=207, body='{"id": 7}'), 207, 0),
        (Fault(Do.LOCK), 400, 0),
        (Fault(Do.EXPIRE_TOKEN), 201, 1),
        (Fault(Do.SLOW, seconds=0.1), 201, 1),
        (Fault(Do.LATE, seconds=60), 201, 0),
        (Fault(Do.BAD_JSON), 201, 1),
    ],
)
def test_answers_that_are_not_what_was_asked_for(
    client: httpx.Client, fault: Fault, status: int, done: int
) -> None:
    with running(struck(fault)) as box:
        answer = post(client, box)
        assert (answer.status_code, box.store.count("Note")) == (status, done)
        if fault.do is Do.THROTTLE:
            assert answer.headers["Retry-After"] == "7"
        if fault.do is Do.HTML:
            assert answer.headers["Content-Type"].startswith("text/html")
        if fault.do is Do.BAD_JSON:
            with pytest.raises(json.JSONDecodeError):
                answer.json()


def test_an_answer_of_any_size_and_one_that_repeats(client: httpx.Client) -> None:
    faults = (Fault(Do.OVERSIZE, path="/free", bytes=4_000_000), Fault(Do.REPLAY, "GET", "/notes"))
    with running(struck(*faults)) as box:
        assert len(client.get(f"{box.url}/free").content) > 3_900_000
        assert client.get(f"{box.url}/notes").json() == {"count": 0}
        post(client, box)
        assert client.get(f"{box.url}/notes").json() == {"count": 0}


def test_calls_at_once_are_counted_and_limited(client: httpx.Client) -> None:
    with running(app_of(limits=Limits(parallel=2))) as box:

        def call(_: int) -> int:
            return client.get(f"{box.url}/notes?wait=0.3").status_code

        with ThreadPoolExecutor(4) as pool:
            found = sorted(pool.map(call, range(4)))
        assert found == [200, 200, 429, 429]
        meter = box.moods.meter
        assert (meter.peak, box.calls("/notes"), box.refused("/notes")) == (2, 4, 2)
        assert soon(lambda: meter.flying == 0)
        assert client.get(f"{box.url}/free").headers["X-Used"] == "2"


def test_tls_with_a_certificate_of_its_own() -> None:
    with running(app_of(), tls=True) as box:
        trust = ssl.create_default_context(cafile=box.certificate)
        with httpx.Client(verify=trust) as client:
            assert post(client, box).status_code == 201
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{box.url}/notes")


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        port = line.getsockname()[1]
        with pytest.raises(FatalError, match=f"127.0.0.1:{port}"), running(app_of(), port=port):
            pass
