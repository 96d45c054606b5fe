"""How much of a published limit a load uses, and how few of its calls are refused: `python -m tests.bench.bench_rate`.

A real HTTP server in a process of its own counts every request by its own clock in sliding windows, answers 429 to what
is too much, and is loaded by the loader under the gate, into a ledger on disk. Four cases: a short window and a long one
per path, the two at once with the server's own parallel limit, and a server that takes fewer calls at once than it says.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from migrator.commands.gates import Gates
from migrator.commands.limits import LimitSettings
from migrator.core.clock import SystemClock
from migrator.core.connector import OUTCOMES, Gate, Limits, OpenGate, Rate, TargetFacts
from migrator.core.errors import RetryableError
from migrator.core.progress import Quiet
from migrator.load.load import load
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, mapped_object, put, world

OBJ = mapped_object("contact")


@dataclass(frozen=True)
class Case:
    """What a server publishes and permits, and how many calls a load makes."""

    name: str
    rates: tuple[Rate, ...]
    calls: int
    latency: float
    says: int
    """The parallel limit it publishes."""
    takes: int
    """The one it keeps to."""


CASES = (
    Case("100 calls / 2 s", (Rate(100, 2.0),), 3100, 0.03, 8, 8),
    Case("100 calls / 20 s per path", (Rate(100, 20.0, "*"),), 420, 0.05, 4, 4),
    Case("100 / 2 s and 600 / 20 s", (Rate(100, 2.0), Rate(600, 20.0, "*")), 2000, 0.1, 8, 8),
    Case("12 at once published, 5 taken", (), 2500, 0.1, 12, 5),
)


class Server(ThreadingHTTPServer):
    """Counts requests in sliding windows, exactly, and those at work now."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, case: Case) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.case, self.lock = case, threading.Lock()
        self.windows: dict[tuple[int, str], deque[float]] = defaultdict(deque)
        self.accepted: list[float] = []
        self.refused: Counter[str] = Counter()
        self.records: dict[str, str] = {}
        self.now = 0

    def enter(self, path: str) -> float:
        """0 when the request may be worked on, else how long to stay away."""
        with self.lock:
            at = time.monotonic()
            counting = []
            for number, rate in enumerate(self.case.rates):
                window = self.windows[number, path if rate.scope == "*" else ""]
                while window and window[0] <= at - rate.seconds:
                    window.popleft()
                if len(window) >= rate.calls:
                    self.refused["rate"] += 1
                    return max(0.01, window[0] + rate.seconds - at)
                counting.append(window)
            if self.now >= self.case.takes:
                self.refused["parallel"] += 1
                return 0.05
            for window in counting:
                window.append(at)
            self.accepted.append(at)
            self.now += 1
            return 0.0


class Handler(BaseHTTPRequestHandler):
    """One path creates; everything else is free of charge."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        wait = self.server.enter(self.path)
        if wait:
            self.answer(429, {}, {"Retry-After": f"{wait:.3f}"})
            return
        time.sleep(self.server.case.latency)
        rows = json.loads(sent)
        with self.server.lock:
            known = [row["key"] in self.server.records for row in rows]
            self.server.records |= {row["key"]: row["name"] for row in rows}
            self.server.now -= 1
        self.answer(200, [["unchanged" if one else "created"] for one in known], {})

    def do_GET(self) -> None:
        with self.server.lock:
            told = {
                "accepted": self.server.accepted,
                "refused": dict(self.server.refused),
                "records": len(self.server.records),
            }
        self.answer(200, told, {})

    def answer(self, status: int, body: object, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def serve(case: Case, ready: Connection) -> None:
    """Serve until the process ends."""
    server = Server(case)
    ready.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def serving(case: Case) -> Iterator[int]:
    """The port of a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(case, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


class ApiTarget(MemoryTarget):
    """A connector of the smallest kind: one row a call, one connection a thread, its gate before each request."""

    def __init__(self, case: Case, port: int) -> None:
        super().__init__(facts=TargetFacts(batch_rows=1, assigns_ids=False, creates_objects=True))
        self.limits = Limits(case.rates, parallel=case.says)
        self.gate: Gate = OpenGate()
        self._port, self._threads = port, threading.local()
        self._connections: list[HTTPConnection] = []

    def pace(self, gate: Gate) -> None:
        self.gate = gate

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        path = f"/{quote(object_name)}"
        self.gate.admit(path)
        status, headers, told = self._ask("POST", path, rows.to_pylist())
        if status == 429:
            wait = float(headers["Retry-After"])
            self.gate.hold(wait, path)
            raise RetryableError("429", retry_after=wait, throttled=True)
        keys = rows.column(key).to_pylist()
        nothing = [None] * len(keys)
        return pa.table([keys, keys, [one[0] for one in told], nothing, nothing, nothing], schema=OUTCOMES)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _ask(self, verb: str, path: str, body: object) -> tuple[int, dict[str, str], list[list[str]]]:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._connections.append(self._threads.connection)
        connection: HTTPConnection = self._threads.connection
        connection.request(verb, path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), json.loads(answer.read())


def measure(case: Case) -> bool:
    """Load, print one line, and say whether the promise holds."""
    with (
        serving(case) as port,
        tempfile.TemporaryDirectory() as folder,
        world(Path(folder), SystemClock()) as here,
        closing(ApiTarget(case, port)) as target,
    ):
        put(here, OBJ, Rows({f"{number:06d}": {"name": "名"} for number in range(case.calls)}))
        here.plan(((OBJ,),), batch_rows=10_000)
        gates = Gates()
        gates.attach("api", "api", target, LimitSettings())
        here.ledger.start_run("load", "bench")
        began = time.monotonic()
        with here.ledger.lease() as fence:
            load(
                here.store, here.engine, here.ledger, target, ((OBJ,),),
                progress=Quiet(), fence=fence, parallel=gates.parallel("api"),
            )  # fmt: skip
        seconds = time.monotonic() - began
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/stats")
        told = json.loads(connection.getresponse().read())
        connection.close()
    return report(case, told["accepted"], sum(told["refused"].values()), told["records"], seconds)


def report(case: Case, accepted: list[float], refused: int, records: int, seconds: float) -> bool:
    """One line. Sustained: calls in all whole windows but the first, of those that they permit."""
    if case.rates:
        permitted = min(rate.calls / rate.seconds for rate in case.rates)
        first = max(rate.seconds for rate in case.rates)
    else:
        permitted, first = case.takes / case.latency, 2.0
    begin = accepted[0] + first
    lasting = (accepted[-1] - begin) // first * first
    used = sum(begin <= at < begin + lasting for at in accepted) / lasting / permitted
    share = refused / (len(accepted) + refused)
    holds = share <= 0.01 and records == case.calls and (used >= 0.95 or not case.rates)
    print(
        f"{case.name:32} {len(accepted):6,} calls in {seconds:6.1f} s   permitted {permitted:6.1f}/s"
        f"   used {used:6.1%}   refused {refused} = {share:.2%}   {'holds' if holds else 'DOES NOT HOLD'}",
        flush=True,
    )
    return holds


def main() -> int:
    """All cases; 1 when a promise does not hold."""
    wanted = sys.argv[1:]
    held = [measure(case) for case in CASES if not wanted or case.name in wanted]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
