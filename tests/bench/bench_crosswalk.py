"""What a batch costs as the crosswalk grows: `python -m tests.bench.bench_crosswalk [--rows 100000 1000000 5000000]`.

A target that only says 'created' takes ROWS records, then a tenth of them changed, then nothing new. CPU seconds a batch
(of the sending itself, and of the whole load with its way into the crosswalk) and peak memory, a process of its own for
each size. Ends with 1 when a batch costs more than 1.3 times as much in the largest as in the middle size, in the last
quarter of a load as in its first, or when memory grows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from migrator.core.clock import SystemClock
from migrator.core.progress import Event, Quiet
from migrator.load.load import load
from migrator.load.plan import plan
from migrator.staging import columns
from migrator.staging.accounting import account
from migrator.staging.engine import EngineSettings, open_engine, quote
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store
from tests.bench.load_cost import BATCH, Sink
from tests.load_world import mapped_object

CONTACT = mapped_object("contact", "key f1 f2 f3 f4 f5")
GROUPS = ((CONTACT,),)
SETTINGS = EngineSettings(memory_limit="500MB", threads=2)
GROWTH, MEMORY = 1.3, 1.2


class Stopwatch(Quiet):
    """CPU seconds between the answers of two batches."""

    def __init__(self) -> None:
        self.batches: list[float] = []
        self._last = 0.0

    def start(self, step: str, name: str, total: int | None) -> None:  # noqa: ARG002 (the contract)
        self._last = time.process_time()

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:  # noqa: ARG002 (the contract)
        if event is Event.BATCH:
            now = time.process_time()
            self.batches.append(now - self._last)
            self._last = now


def put(store: Store, rows: int, version: int) -> None:
    """Records as mapping makes them; every tenth has another value in each version."""
    session = open_engine(SETTINGS, store.root.parent)
    changed = f"CASE WHEN i % 10 = 0 THEN {version} ELSE 0 END"
    values = ["'k' || i AS key"]
    values += [
        f"left(md5(CAST(i * {n} + {changed} AS VARCHAR)), {6 + n}) AS {quote(f'f{n}')}" for n in range(1, 6)
    ]
    mapped = (
        "SELECT 's:' || i AS __id, 's' AS __source, CAST(i AS VARCHAR) AS __key, CAST(NULL AS VARCHAR) AS __excluded,"
        f" CAST([] AS {columns.ISSUES_TYPE}) AS __issues, false AS __bad, {', '.join(values)} FROM range({rows}) AS r(i)"
    )
    for kind, name, query in (
        (Kind.MAPPED, CONTACT.name, mapped),
        (Kind.STAGED, CONTACT.sources[0].staged, f"SELECT i AS __row FROM range({rows}) AS r(i)"),
    ):
        building = store.build(kind, name, str(version))
        building.add(lambda path, query=query: session.write(query, path))
        building.complete()
    session.close()


def measure(rows: int) -> dict[str, Any]:
    """CPU milliseconds a batch and peak memory of each load."""
    found: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory(prefix="migrator-bench-") as folder:
        root = Path(folder)
        ledger = open_ledger(f"sqlite:///{root / 'ledger.db'}", SystemClock())
        store, sink = Store(root / "staging", ledger), Sink()
        with ledger.lease() as fence:
            for number, name in enumerate(("create", "update", "nothing")):
                put(store, rows, min(number, 1))
                session = open_engine(SETTINGS, root)
                plan(store, session, GROUPS, batch_rows=BATCH)
                session.close()
                watch, cpu, wall = Stopwatch(), time.process_time(), time.perf_counter()
                ledger.start_run("load", "bench")
                load(
                    store,
                    lambda: open_engine(SETTINGS, root),
                    ledger,
                    sink,
                    GROUPS,
                    progress=watch,
                    fence=fence,
                )
                found[name] = _told(watch.batches, time.process_time() - cpu, time.perf_counter() - wall)
        session = open_engine(SETTINGS, root)
        (closed,) = account(store, session, [CONTACT]).objects
        session.close()
        ledger.close()
    assert closed.counts["loaded"] == rows
    assert sink.rows == rows + len(range(0, rows, 10))
    return found


def _told(batches: Sequence[float], cpu: float, wall: float) -> dict[str, Any]:
    quarter = max(1, len(batches) // 4)
    told: dict[str, Any] = {"batches": len(batches), "cpu_s": round(cpu, 1), "wall_s": round(wall, 1)}
    if batches:
        told |= {
            "send_ms": round(statistics.median(batches) * 1000, 1),
            "whole_ms": round(cpu / len(batches) * 1000, 1),
            "last_to_first": round(
                statistics.median(batches[-quarter:]) / statistics.median(batches[:quarter]), 2
            ),
        }
    return told | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def main() -> None:
    """Measure every size in a process of its own, print a line each, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    found = []
    for rows in sorted(arguments.rows):
        command = [sys.executable, "-m", "tests.bench.bench_crosswalk", "--one", str(rows)]
        found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(json.dumps(found[-1]), flush=True)
    sys.exit(1 if _failed(found) else 0)


def _failed(found: Sequence[Mapping[str, Any]]) -> list[str]:
    small, large = found[0 if len(found) < 3 else 1], found[-1]
    ratios = {
        f"{name} {what}": large[name][what] / small[name][what]
        for name in ("create", "update")
        for what in ("send_ms", "whole_ms")
    }
    ratios |= {f"{name} last to first": large[name]["last_to_first"] for name in ("create", "update")}
    failed = [f"{name}: {ratio:.2f}" for name, ratio in ratios.items() if ratio > GROWTH]
    memory = large["nothing"]["peak_mb"] / small["nothing"]["peak_mb"]
    print({name: round(ratio, 2) for name, ratio in ratios.items()}, "memory", round(memory, 2))
    return failed + ([f"memory: {memory:.2f}"] if memory > MEMORY else [])


if __name__ == "__main__":
    main()
