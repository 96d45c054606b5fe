"""The main job at size: a million contacts and more from a Salesforce export into SQLite, each step as its own process.

`make bench` prints rows/s, CPU seconds and peak memory by step; the map step beside the same SELECT run bare in DuckDB
in the same run; and, unless `--once`, the whole again at twice the rows, with the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from migrator.testing.synthetic import generate_benchmark

STEPS = ("extract", "map", "dedupe", "plan", "load", "validate")
MAPPINGS = Path(__file__).parents[2] / "mappings" / "demo"


@dataclass(frozen=True)
class Cost:
    """What one step took."""

    step: str
    rows: int
    seconds: float
    cpu: float
    peak: int
    """Bytes of memory at most."""


def main() -> None:
    """Run it all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=200_000)
    parser.add_argument(
        "--folder", type=Path, help="where to work; default: a temporary folder, removed at the end"
    )
    parser.add_argument("--once", action="store_true", help="do not run it again at twice the rows")
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        first = _measure(folder / "once", arguments.contacts, arguments.accounts)
        _bare_select(folder / "once")
        if arguments.once:
            return
        shutil.rmtree(folder / "once")
        second = _measure(folder / "twice", 2 * arguments.contacts, 2 * arguments.accounts)
        print("\ntwice the rows cost")
        for one, two in zip(first, second, strict=True):
            print(f"{one.step:<10} {two.seconds / one.seconds:6.2f} x time {two.cpu / one.cpu:6.2f} x CPU")
        total = sum(item.seconds for item in second) / sum(item.seconds for item in first)
        print(f"{'in all':<10} {total:6.2f} x time  (at most 2.20 wanted)")


def _measure(folder: Path, contacts: int, accounts: int) -> list[Cost]:
    project = make_project(folder, contacts, accounts)
    print(f"\n{contacts:,} contacts + {accounts:,} accounts")
    print(f"{'step':<10} {'rows':>10} {'seconds':>9} {'rows/s':>10} {'CPU s':>8} {'peak MiB':>9}")
    costs = []
    for step in STEPS:
        cost = run_step(project, step, contacts + accounts)
        costs.append(cost)
        rate = cost.rows / cost.seconds
        print(
            f"{step:<10} {cost.rows:>10,} {cost.seconds:>9.1f} {rate:>10,.0f} {cost.cpu:>8.1f} {cost.peak >> 20:>9,}",
            flush=True,
        )
    seconds, cpu = sum(item.seconds for item in costs), sum(item.cpu for item in costs)
    peak = max(item.peak for item in costs)
    rows = contacts + accounts
    print(f"{'in all':<10} {rows:>10,} {seconds:>9.1f} {rows / seconds:>10,.0f} {cpu:>8.1f} {peak >> 20:>9,}")
    status = subprocess.run(_command(project, "status", "--json"), capture_output=True, text=True, check=True)
    print("closed:", json.loads(status.stdout)["closed"])
    return costs


def make_project(folder: Path, contacts: int, accounts: int) -> Path:
    """The demo's project cut to its Salesforce source, with its real transforms, look-ups and duplicate keys."""
    folder.mkdir(parents=True)
    generate_benchmark(folder / "exports", contacts=contacts, accounts=accounts)
    settings = yaml.safe_load((MAPPINGS / "migration.yaml").read_text("utf-8"))
    del settings["systems"]["dynamics"]
    (folder / "migration.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    shutil.copytree(MAPPINGS / "values", folder / "values")
    (folder / "mappings").mkdir()
    for name in ("account", "contact"):
        mapping = yaml.safe_load((MAPPINGS / "mappings" / f"{name}.yaml").read_text("utf-8"))
        del mapping["sources"]["dynamics"]
        mapping["dedupe"]["trust"] = ["salesforce"]
        mapping["fields"]["owner"] = {"type": "string(18)"}  # this export holds no users
        text = yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False)
        (folder / "mappings" / f"{name}.yaml").write_text(text, "utf-8")
    return folder


def _command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "migrator.cli", "-C", str(project), *arguments]


def run_step(project: Path, step: str, rows: int) -> Cost:
    """One step as a child of its own, so that its peak memory is its own."""
    started = time.perf_counter()
    child = subprocess.Popen(_command(project, step), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if child.returncode:
        sys.exit(f"{step} ended with {child.returncode}")
    return Cost(step, rows, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def _bare_select(project: Path) -> None:
    """The contact mapping's SELECT by DuckDB alone, beside the step that runs it, turn by turn."""
    import duckdb

    from migrator.commands.binding import bind_project
    from migrator.commands.project import load_project, open_workspace
    from migrator.core.progress import Quiet
    from migrator.mapping.compile import compile_mapping
    from migrator.mapping.run import map_object, register
    from migrator.staging.store import Kind

    ours, bare = [], []
    with open_workspace(load_project(project)) as work:
        bound = bind_project(work).mapping("contact")
        assert bound is not None
        compiled = compile_mapping(bound)
        staged = {name: work.store.need(Kind.STAGED, name, made_by="extract") for name in compiled.relations}
        for turn in range(3):
            work.store.discard(Kind.MAPPED, "contact")
            with closing(work.session()) as session, _timed(ours):
                map_object(work.store, session, compiled, progress=Quiet())
            with closing(work.session()) as session:
                register(session, compiled, staged)
                out = project / f"bare{turn}.parquet"
                connection: duckdb.DuckDBPyConnection = session._connection
                with _timed(bare):
                    connection.execute(
                        f"COPY ({compiled.sql}) TO '{work.project.workspace / out.name}' (FORMAT parquet, COMPRESSION zstd)"
                    ).fetchall()
    best = min(ours) / min(bare)
    print(
        f"\nmap step {min(ours):.1f} CPU s, the same SELECT bare {min(bare):.1f} CPU s: {best:.2f} x (at most 1.30 wanted)"
    )


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    into.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextmanager
def working_folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="migrator-bench-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
