"""What matching costs at size: `python -m tests.bench.bench_dedupe_scale --rows 1000000`; CPU seconds by stage, peak memory, growth.

Contacts of the generator (30 % duplicates), `model: auto`, each size in a process of its own. CPU seconds are of all threads;
the growth exponent is of the smaller to the larger size: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.commands.evaluate_data import RECORDS, DataFiles, read_records
from migrator.core.mapped import DedupeRules, MappedObject, MappedSource, MatchModel, Reach
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.dedupe import match as matching
from migrator.dedupe import scoring
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.evaluate import join_from
from migrator.dedupe.measure import judge, score
from migrator.dedupe.run import dedupe
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.store import Kind
from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.duplicate_people import contacts
from migrator.testing.synthetic.duplicates import DUPLICATES, SEED
from migrator.testing.synthetic.population import Population, Rates, chunks
from tests.dedupe_project import ISSUES, OURS, open_project

FIELDS = (
    "first_name", "last_name", "company", "job_title", "email", "phone", "mobile", "street", "city", "country", "birth_date",
)  # fmt: skip
STAGES = (
    (scoring, "find_meanings", "meanings"),
    (scoring, "make_features", "features"),
    (scoring, "make_comparisons", "comparisons"),
    (scoring, "learn_model", "learning"),
    (scoring, "block", "blocking"),
    (scoring, "weigh_values", "weights of values"),
    (scoring, "score_tried", "scoring"),
    (scoring, "estimate_prior", "prior"),
    (scoring, "follow_decisions", "bands"),
    (scoring, "add_model_edges", "edges"),
    (matching, "add_delta", "delta against all"),
    (matching, "find_touched", "clusters it touches"),
    (matching, "make_clusters", "clustering"),
)
"""Functions and what they do; told apart by putting a clock around them."""
A_MILLION = 75.0
"""CPU seconds that a million records may cost."""
MOST_GROWTH = 1.1
DELTA = 5.0
"""CPU seconds that a delta of ten thousand records into a million may cost."""


def main() -> None:
    """Measure two sizes and print what they cost, stage by stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", default="2GB", help="the engine's limit (default %(default)s)")
    parser.add_argument("--once", action="store_true", help="not a quarter of the rows too, for the growth")
    parser.add_argument(
        "--delta", type=int, default=0, help="after the rows, so many more: what matching just these costs"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.delta:
        _delta(arguments.rows, arguments.delta, arguments.memory)
        return
    if arguments.child:
        sys.stdout.write(json.dumps(_measure(arguments.child, arguments.memory)) + "\n")
        return
    with TemporaryDirectory() as folder:
        sizes = [arguments.rows] if arguments.once else [arguments.rows // 4, arguments.rows]
        costs = [_in_a_process(Path(folder), rows, arguments.memory) for rows in sizes]
    for rows, cost in zip(sizes, costs, strict=True):
        _print(rows, cost)
    if len(costs) > 1:
        growth = log(costs[1]["matching"] / costs[0]["matching"]) / log(sizes[1] / sizes[0])
        print(f"growth exponent {growth:.2f} (at most {MOST_GROWTH} wanted)")


def _print(rows: int, cost: dict[str, Any]) -> None:
    print(f"\n{rows:,} contacts")
    for name, seconds in cost["stages"].items():
        print(f"  {name:<24} {seconds:8.1f} CPU s")
    wanted = A_MILLION * rows / 1_000_000
    print(
        f"  {'matching in all':<24} {cost['matching']:8.1f} CPU s  (at most {wanted:.0f} wanted), {cost['wall']:.0f} s of time"
    )
    print(f"  {'peak memory':<24} {cost['peak'] / 2**20:8,.0f} MiB")
    for name, found in cost["scores"].items():
        print(
            f"  {name:<24} precision {found['precision']:.4f}, recall {found['recall']:.4f}, F1 {found['f1']:.4f}"
        )


def _in_a_process(folder: Path, rows: int, memory: str) -> dict[str, Any]:
    file = folder / f"contacts{rows}.parquet"
    # in a process too: what its memory grew to must not be the child's
    made = [sys.executable, "-m", "migrator.testing.synthetic.duplicates", str(file), "--rows", str(rows)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    command = [
        sys.executable,
        "-m",
        "tests.bench.bench_dedupe_scale",
        "--child",
        str(file),
        "--memory",
        memory,
    ]
    print(f"{rows:,} contacts …", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"matching {rows:,} contacts ended with {done.returncode}")
    file.unlink()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _delta(rows: int, more: int, memory: str) -> None:
    """The dedupe step over `rows` contacts, then over those and `more`; the second time only what changed is matched."""
    chance = Chance(SEED).of("duplicates contacts")
    population = Population(chance, Rates(duplicates=DUPLICATES), rows + more, 0)
    with TemporaryDirectory() as folder, open_project(Path(folder), memory=memory) as project:
        for count in (rows, rows + more):
            building = project.store.build(Kind.MAPPED, "contact", f"{count}")
            for numbers in chunks(count):
                building.add_table(_as_mapped(contacts(chance, population, numbers)))
            building.complete({})
            print(f"{count:,} contacts …", file=sys.stderr, flush=True)
            with _clocks() as stages:
                started = time.process_time()
                made = dedupe(project.store, project.session, _contact(), progress=Quiet())
                spent = time.process_time() - started
            print(f"\n{count:,} contacts: {made.merged:,} merged")
            for name, seconds in stages.items():
                print(f"  {name:<24} {seconds:8.1f} CPU s")
            print(f"  {'the whole step':<24} {spent:8.1f} CPU s")
    matched = sum(
        stages.get(name, 0.0) for name in ("delta against all", "clusters it touches", "clustering")
    )
    print(
        f"\n{more:,} into {rows:,}: {matched:.1f} CPU s of matching (10,000 into 1,000,000: at most {DELTA:.0f} wanted)"
    )


def _contact() -> MappedObject:
    fields = [FieldSchema("legacy_id", FieldType.ID)]
    fields += [FieldSchema(name, FieldType.STRING) for name in FIELDS]
    return MappedObject(
        "contact", "new", "person", "legacy_id", ObjectSchema("person", "legacy_id", tuple(fields)),
        (MappedSource("crm", "crm", "Contact", "Id"),), dedupe=DedupeRules(keys=(), model=MatchModel()),
    )  # fmt: skip


def _as_mapped(table: pa.Table) -> pa.Table:
    keys = table["record_id"]
    ids = pc.binary_join_element_wise("crm", keys, ":")
    rows = len(table)
    ours = [
        ids, pa.array(["crm"] * rows), keys, pa.nulls(rows, pa.string()),
        pa.array([[]] * rows, ISSUES), pa.array([False] * rows),
    ]  # fmt: skip
    columns = dict(zip((name for name, _ in OURS), ours, strict=True))
    return pa.table({**columns, "legacy_id": keys, **{name: table[name] for name in FIELDS}})


def _measure(file: Path, memory: str) -> dict[str, Any]:
    rules = DedupeRules(keys=(), model=MatchModel())
    with (
        TemporaryDirectory(dir=file.parent) as folder,
        closing(open_engine(EngineSettings(memory), Path(folder))) as session,
    ):
        with _clocks() as stages:
            records = read_records(session, DataFiles((str(file),), "record_id", (), "entity_id"))
            started, wall = time.process_time(), time.perf_counter()
            found = matching.match(session, RECORDS, records.fields, rules, Path(folder))
            spent, lasted = time.process_time() - started, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE evaluate_truth AS SELECT __id, entity_id AS entity FROM {RECORDS}"
        )
        judge(session, RECORDS, MEMBERS)
        scores = {"automatic band": score(session, Reach.ALL).pairs.to_json()}
        if found.bands is not None:
            join_from(session, found, found.bands.likely, rules)
            judge(session, RECORDS, MEMBERS)
            scores["best guess"] = score(session, Reach.ALL).pairs.to_json()
    return {"stages": stages, "matching": spent, "wall": lasted, "peak": peak, "scores": scores}


@contextmanager
def _clocks() -> Iterator[dict[str, float]]:
    """CPU seconds by stage, while this is open."""
    spent: dict[str, float] = {}

    def timed(call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def around(*given: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return call(*given, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - started
                print(f"  {name:<24} {spent[name]:8.1f} CPU s", file=sys.stderr, flush=True)

        return around

    before = [(module, name, getattr(module, name)) for module, name, _ in STAGES]
    for module, name, stage in STAGES:
        setattr(module, name, timed(getattr(module, name), stage))
    try:
        yield spent
    finally:
        for module, name, call in before:
            setattr(module, name, call)


if __name__ == "__main__":
    main()
