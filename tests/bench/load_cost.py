"""What plan and load cost a row beside the target's own time: `python tests/bench/load_cost.py ROWS` prints one JSON line.

Contacts of 20 fields with a link to one of ROWS / 5 accounts, 2 % merged, 1 % bad; the target only says 'created'.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from migrator.core.clock import SystemClock
from migrator.core.connector import OUTCOMES, TargetFacts
from migrator.core.mapped import Link, MappedObject
from migrator.core.progress import Quiet
from migrator.core.schema import ObjectSchema
from migrator.load.load import load
from migrator.load.plan import plan
from migrator.staging import columns
from migrator.staging.accounting import account
from migrator.staging.engine import EngineSettings, open_engine, quote
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store
from tests.load_world import mapped_object

ACCOUNT = mapped_object("account", "key " + " ".join(f"f{n}" for n in range(8)))
CONTACT = mapped_object("contact", "key " + " ".join(f"f{n}" for n in range(18)), links=[Link("account", ("account",))], dedupe=True)  # fmt: skip
GROUPS = ((ACCOUNT,), (CONTACT,))
BATCH = 5_000


class Sink:
    """A target that takes everything at once and keeps nothing; it knows how long it was busy."""

    facts = TargetFacts(batch_rows=BATCH, assigns_ids=False, creates_objects=True)
    rows = 0

    def describe(self) -> Sequence[ObjectSchema]:
        return []

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Everything fits."""

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:  # noqa: ARG002 (the contract)
        self.rows += rows.num_rows
        nothing = pa.nulls(rows.num_rows, pa.string())
        created = pa.array(["created"] * rows.num_rows)
        return pa.table([rows.column(key), nothing, created, nothing, nothing, nothing], schema=OUTCOMES)

    update = upsert

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        raise NotImplementedError

    def read(
        self,
        object_name: str,  # noqa: ARG002 (the contract)
        *,
        columns: Sequence[str] | None = None,  # noqa: ARG002
        page_rows: int = 50_000,  # noqa: ARG002
    ) -> Iterator[pa.Table]:
        yield pa.table({"key": ["something"]})

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:  # noqa: ARG002 (the contract)
        return pa.table({name: pa.array([], pa.string()) for name in columns})

    def close(self) -> None:
        """Nothing to release."""


def put(store: Store, obj: MappedObject, rows: int, parents: int) -> None:
    """MAPPED, CLUSTERS and GOLDEN of `rows` rows, made inside the engine."""
    session = open_engine(EngineSettings(memory_limit="1GB"), store.root.parent)
    values = []
    for place, item in enumerate(obj.fields):
        match item.name:
            case "key":
                value = "'k' || i"
            case "account":
                value = f"CASE WHEN i % 10 > 0 THEN 'account/s:' || (i * 31) % {parents} END"
            case _:
                value = f"left(md5(CAST(i * {place + 1} AS VARCHAR)), 4 + {place})"
        values.append(f"{value} AS {quote(item.name)}")
    bad = "i % 100 = 99" if obj.dedupe else "false"
    sql = (
        f"SELECT 's:' || i AS __id, 's' AS __source, CAST(i AS VARCHAR) AS __key, CAST(NULL AS VARCHAR) AS __excluded,"
        f" CAST(CASE WHEN {bad} THEN [{{'field': 'f1', 'rule': 'cast.x', 'value': 'x', 'message': 'm', 'severity': 'error'}}]"
        f" ELSE [] END AS {columns.ISSUES_TYPE}) AS __issues, {bad} AS __bad, {', '.join(values)} FROM range({rows}) AS r(i)"
    )
    clusters = (
        "SELECT 's:' || m AS __id, 's:' || i AS survivor, 'c' || i AS cluster, 'email' AS rule, 'x' AS evidence"
        f" FROM (SELECT i, unnest([i, i + 1]) AS m FROM range(0, {rows}, 50) AS r(i))"
    )
    golden = f"SELECT * FROM ({sql}) WHERE CAST(__key AS BIGINT) % 50 = 0"
    queries = {Kind.MAPPED: sql, Kind.STAGED: "SELECT 1 AS a"}
    if obj.dedupe:
        queries |= {Kind.CLUSTERS: clusters, Kind.GOLDEN: golden}
    for kind, query in queries.items():
        building = store.build(kind, obj.name, "1")
        building.add(lambda path, query=query: session.write(query, path))
        building.complete()
    session.close()


def measure(rows: int) -> dict[str, object]:
    """Seconds of each step and the peak memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ledger = open_ledger(f"sqlite:///{root / 'ledger.db'}", SystemClock())
        store = Store(root / "staging", ledger)
        put(store, ACCOUNT, max(rows // 5, 1), 0)
        put(store, CONTACT, rows, max(rows // 5, 1))
        start_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        settings = EngineSettings(memory_limit="500MB", threads=2)
        seconds: dict[str, float] = {}
        total = rows + rows // 5

        def timed(name: str, work: Callable[[], object]) -> object:
            started, cpu = time.perf_counter(), time.process_time()
            done = work()
            seconds[name] = round(time.perf_counter() - started, 2)
            seconds[f"{name} cpu us/row"] = round((time.process_time() - cpu) / total * 1e6, 2)
            seconds[f"{name} peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(name, seconds[name], seconds[f"{name} peak_mb"], file=sys.stderr)
            return done

        def planned() -> None:
            session = open_engine(settings, root)
            plan(store, session, GROUPS, batch_rows=BATCH)
            session.close()

        sink = Sink()
        with ledger.lease() as fence:

            def loaded() -> None:
                load(
                    store, lambda: open_engine(settings, root), ledger, sink, GROUPS, progress=Quiet(), fence=fence
                )  # fmt: skip

            timed("plan", planned)
            timed("load", loaded)
            timed("plan again", planned)
            timed("load again", loaded)
        session = open_engine(settings, root)
        accounts = timed("account", lambda: account(store, session, [ACCOUNT, CONTACT]))
        session.close()
        ledger.engine.dispose()
    assert {item.counts["pending"] for item in accounts.objects} == {0}  # type: ignore[attr-defined]  # timed() answers anything
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"rows": total, "sent": sink.rows, **seconds, "peak_mb": peak, "peak_before_mb": start_peak}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
