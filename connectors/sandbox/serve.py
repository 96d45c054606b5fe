"""Serves a sandbox under uvicorn on loopback, in a thread of its own, with TLS when wanted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette

from connectors.sandbox.certificate import self_made
from connectors.sandbox.faults import Schedule, read_schedule
from connectors.sandbox.limits import Meter, read_limits
from connectors.sandbox.moods import Manners, Moods
from connectors.sandbox.records import Store
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Limits
from migrator.core.errors import FatalError
from migrator.core.sandbox import Sandbox, SandboxOptions, Served


@dataclass(slots=True)
class SandboxApp:
    """A system's protocol over its records, ready to be served."""

    app: Starlette
    store: Store
    manners: Manners
    limits: Limits
    credentials: Mapping[str, str]
    """What to log in with; made up, worth nothing."""
    snippet: Callable[[str, str], str]
    """The lines of migration.yaml for a URL and a certificate's path ('' without TLS)."""
    schedule: Schedule = field(default_factory=Schedule)
    clock: Clock = field(default_factory=SystemClock)
    metered: Callable[[Meter], None] = lambda _: None
    """Told what counts the calls, for systems that answer how many are left."""

    def moods(self) -> Moods:
        """The application with its limits and faults around it."""
        meter = Meter(self.limits, self.clock)
        self.metered(meter)
        return Moods(self.app, self.app.routes, self.manners, meter, self.schedule)


@dataclass(slots=True)
class Box:
    """A sandbox that is being served; tests read its counters and its records."""

    url: str
    certificate: Path | None
    app: SandboxApp
    moods: Moods
    _server: uvicorn.Server
    _thread: threading.Thread

    @property
    def store(self) -> Store:
        """Its records."""
        return self.app.store

    @property
    def credentials(self) -> Mapping[str, str]:
        """What to log in with."""
        return self.app.credentials

    @property
    def snippet(self) -> str:
        """The lines of migration.yaml that name it."""
        return self.app.snippet(self.url, str(self.certificate or ""))

    def calls(self, part: str = "") -> int:
        """Calls of all routes whose name ('GET /services/data/{version}/query') holds `part`."""
        return sum(count.calls for route, count in self.moods.meter.counts.items() if part in route)

    def refused(self, part: str = "") -> int:
        """Calls refused by a limit."""
        return sum(count.refused for route, count in self.moods.meter.counts.items() if part in route)

    def wait(self) -> None:
        """Until it is stopped."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """No more calls; those under way are cut."""
        self._server.should_exit = True
        self._thread.join(5)
        self._server.force_exit = True
        self._thread.join(5)
        self.app.store.close()


class _Server(uvicorn.Server):
    """Ends with its connections: over TLS an idle client would keep them half closed for half a minute."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut every connection, then end as uvicorn does."""
        for connection in list(self.server_state.connections):
            cast("Any", connection).transport.abort()
        await asyncio.sleep(0.01)
        await super().shutdown(sockets)


def start(app: SandboxApp, *, port: int = 0, certificates: Path | None = None) -> Box:
    """Serve an application on 127.0.0.1; with a folder for `certificates`, over TLS.

    Port 0 takes a free one. Raises `FatalError` when the port is taken.
    """
    moods = app.moods()
    made = self_made(certificates) if certificates else None
    config = uvicorn.Config(
        moods, log_level="critical", access_log=False, proxy_headers=False, server_header=False, date_header=False,
        http="h11", ws="none", lifespan="off", timeout_keep_alive=60, timeout_graceful_shutdown=1,
        ssl_certfile=made.certificate if made else None, ssl_keyfile=made.key if made else None,
    )  # fmt: skip
    line = _listening(port)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]}, daemon=True, name="sandbox")
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    url = f"{'https' if made else 'http'}://127.0.0.1:{line.getsockname()[1]}"
    return Box(url, made.certificate if made else None, app, moods, server, thread)


@contextlib.contextmanager
def running(app: SandboxApp, *, tls: bool = False, port: int = 0) -> Iterator[Box]:
    """Serve for the length of a test: with `running(app, tls=True) as box` its `url`, `certificate` and `store`."""
    with tempfile.TemporaryDirectory() as folder:
        box = start(app, port=port, certificates=Path(folder) if tls else None)
        try:
            yield box
        finally:
            box.stop()


def _listening(port: int) -> socket.socket:
    # its protocol is named: without, asyncio leaves Nagle on, and every answer waits 40 ms for an acknowledgement
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind(("127.0.0.1", port))
    except OSError as error:
        line.close()
        raise FatalError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror}", hint="take another --port"
        ) from error
    return line


def sandbox(
    name: str,
    summary: str,
    make_app: Callable[[SandboxOptions], SandboxApp],
    *,
    limits: Limits,
    switches: Mapping[str, type],
) -> Sandbox:
    """What the entry point of a sandbox names.

    `make_app` gets `options.switches` as they were read from --limits, each of the type named here; faults and
    limits themselves are set on what it returns.
    """

    def begin(options: SandboxOptions) -> Served:
        kept, chosen = limits, dict[str, object]()
        if options.limits:
            kept, chosen = read_limits(options.limits, limits, switches)
        schedule = read_schedule(options.faults) if options.faults else Schedule()
        made = make_app(options.with_switches(chosen))
        made.limits, made.schedule = kept, schedule
        return start(made, port=options.port, certificates=options.certificates)

    return Sandbox(name, summary, begin)
