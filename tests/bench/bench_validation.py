"""Validation against the bare ways: reconcile beside a bare full outer join, the suite beside one direct call on one frame.

Run: python -m tests.bench.bench_validation [ROWS]. Each measurement runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from migrator.core.clock import FixedClock
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store

FIELDS = (
    FieldSchema("k", FieldType.ID, required=True, unique=True, length=20),
    *(FieldSchema(f"text{n}", FieldType.STRING, length=80, required=n < 4) for n in range(10)),
    *(FieldSchema(f"pick{n}", FieldType.PICKLIST, values=("a", "b", "c")) for n in range(4)),
    *(FieldSchema(f"amount{n}", FieldType.DECIMAL, precision=18, scale=2) for n in range(4)),
    *(FieldSchema(f"day{n}", FieldType.DATE) for n in range(3)),
    *(FieldSchema(f"at{n}", FieldType.DATETIME) for n in range(2)),
    FieldSchema("flag", FieldType.BOOLEAN),
)
MAPPED = MappedObject(
    "thing",
    "new",
    "thing",
    "k",
    ObjectSchema("thing", "k", FIELDS),
    (MappedSource("crm", "crm", "thing", "k"),),
)


def generate(session: DuckSession, store: Store, rows: int) -> None:
    """Source and target of `rows` records with 25 fields, equal but for a thousandth of one amount."""
    values = ["'K' || i AS k"]
    values += [
        f"CASE WHEN (i + {n}) % 11 = 0 AND {n} > 3 THEN NULL ELSE 'text ' || (i * {n + 7}) END AS text{n}"
        for n in range(10)
    ]
    values += [f"['a', 'b', 'c'][CAST((i // {n + 1}) % 3 AS INTEGER) + 1] AS pick{n}" for n in range(4)]
    values += [f"CAST((i * {n + 3}) % 999983 / 100 AS DECIMAL(18, 2)) AS amount{n}" for n in range(4)]
    values += [f"DATE '2015-01-01' + CAST((i * {n + 1}) % 3000 AS INTEGER) AS day{n}" for n in range(3)]
    values += [
        f"TIMESTAMPTZ '2015-01-01 00:00:00+00' + INTERVAL (i * {n + 1}) SECOND AS at{n}" for n in range(2)
    ]
    values.append("i % 2 = 0 AS flag")
    session.execute(f"CREATE TABLE made AS SELECT {', '.join(values)} FROM range({rows}) r(i)")
    issues = "[]::STRUCT(field VARCHAR, rule VARCHAR, value VARCHAR, message VARCHAR, severity VARCHAR)[]"
    put(session, store, Kind.MAPPED, f"SELECT 'crm:' || k AS __id, 'crm' AS __source, k AS __key, NULL::VARCHAR AS __excluded,"
        f" {issues} AS __issues, FALSE AS __bad, * FROM made")  # fmt: skip
    put(session, store, Kind.CROSSWALK, "SELECT 'crm:' || k AS __id, k AS target_key, k AS target_id, '1' AS __fp, 'created' AS"
        " outcome, NULL::VARCHAR AS code, NULL::VARCHAR AS field, NULL::VARCHAR AS message, 0::INTEGER AS __batch,"
        " '' AS run, now() AS at FROM made")  # fmt: skip
    changed = "* REPLACE (CASE WHEN hash(k) % 1000 = 0 THEN amount0 + 0.01 ELSE amount0 END AS amount0)"
    put(session, store, Kind.READBACK, f"SELECT {changed} FROM made")
    session.execute("DROP TABLE made")


def put(session: DuckSession, store: Store, kind: Kind, sql: str) -> None:
    building = store.build(kind, "thing", "1")
    building.add(lambda path: session.write(sql, path))
    building.complete({"inputs": {}})


def reconcile(session: DuckSession, store: Store) -> str:
    from validation.reconcile import reconcile as compare
    from validation.relations import open_sides

    found = compare(session, store, open_sides(session, store, MAPPED, {"thing": MAPPED}))
    return f"{sum(item.different for item in found.fields):,} cells differ"


def bare_join(session: DuckSession, store: Store) -> str:
    for kind in (Kind.MAPPED, Kind.READBACK):
        dataset = store.need(kind, "thing", made_by="")
        session.view(kind.value, dataset.files, dataset.schema())
    differ = " OR ".join(f"m.{item.name} IS DISTINCT FROM r.{item.name}" for item in FIELDS)
    found = session.fetch(
        f"SELECT count(*) AS n FROM mapped m FULL OUTER JOIN readback r ON m.k = r.k WHERE {differ}"
    )
    return f"{found.column('n')[0].as_py():,} rows differ"


def _rules() -> tuple[object, ...]:
    from validation.expectations import derive_suite

    return derive_suite(MAPPED).expectations[:20]


def suite(session: DuckSession, store: Store) -> str:
    from validation.expectations import Suite
    from validation.rules import run_suite, start_failing

    dataset = store.need(Kind.READBACK, "thing", made_by="")
    session.view("readback", dataset.files, dataset.schema())
    start_failing(session)
    rules = _rules()
    done = run_suite(session, "readback", "k", Suite("thing", rules), now=datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    return f"{len(done)} rules, {sum(item.failed for item in done)} failed"


def direct_suite(session: DuckSession, store: Store) -> str:
    from validation import gx
    from validation.rules import _frame

    dataset = store.need(Kind.READBACK, "thing", made_by="")
    session.view("readback", dataset.files, dataset.schema())
    frame = _frame(session.fetch(f"SELECT k AS {gx.KEY}, * FROM readback"))
    return f"{len(gx.judge(frame, _rules()))} rules"  # type: ignore[arg-type]


WAYS = {"bare_join": bare_join, "reconcile": reconcile, "direct_suite": direct_suite, "suite": suite}


def measure(way: str, folder: Path) -> None:
    store = Store(folder / "staging", open_ledger(f"sqlite:///{folder / 'ledger.db'}", FixedClock()))
    session = open_engine(EngineSettings(memory_limit="1GB", threads=2), folder)
    if "suite" in way:
        from validation import gx

        gx.known_types()  # the import is counted apart: it is paid once
    started, cpu = time.perf_counter(), time.process_time()
    note = WAYS[way](session, store)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{way:14} {time.perf_counter() - started:8.2f} s {time.process_time() - cpu:8.2f} cpu s {peak:8.0f} MB  {note}",
        flush=True,
    )
    session.close()


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] in WAYS:
        measure(sys.argv[1], Path(sys.argv[2]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder / "staging", open_ledger(f"sqlite:///{folder / 'ledger.db'}", FixedClock()))
        session = open_engine(EngineSettings(memory_limit="1GB", threads=2), folder)
        generate(session, store, rows)
        session.close()
        print(f"{rows:,} records, {len(FIELDS)} fields")
        told = {way: _apart(way, name) for way in WAYS}
    for way, bare, most in (("reconcile", "bare_join", 3.0), ("suite", "direct_suite", 2.0)):
        wall, cpu = (told[way][place] / told[bare][place] for place in (0, 1))
        print(f"{way} / {bare}: {wall:.2f} x wall, {cpu:.2f} x cpu (at most {most:.0f} x)")


def _apart(way: str, folder: str) -> tuple[float, float]:
    """Measure in a process of its own: wall and CPU seconds."""
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, way, folder]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(line, end="", flush=True)
    words = line.split()
    return float(words[1]), float(words[3])


if __name__ == "__main__":
    main()
