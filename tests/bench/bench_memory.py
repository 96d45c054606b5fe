"""Memory of each step from a hundred thousand to millions of contacts: `python -m tests.bench.bench_memory`.

Each step runs as a process of its own, from a Salesforce export into SQLite. Prints the peak resident memory by step and size.
The engine uses what its limit allows before it spills to disk, so under the limit as shipped small jobs need less and nothing
can be said of growth: `--limit 200MB --threads 1 --limited extract plan load` gives these steps so little that the smallest job
comes near it too. Flat means that the largest job needs no more than `--most` times what the smallest does, and none more than
the limit and what the interpreter holds beside it. Ends with 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from migrator.staging.engine import EngineSettings
from tests.bench.main_job import Cost, make_project, run_step, working_folder

STEPS = ("extract", "map", "dedupe", "plan", "load")
SIZES = (100_000, 1_000_000, 5_000_000)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, nargs="+", default=SIZES, help="sizes, ascending")
    parser.add_argument(
        "--most", type=float, default=1.25, help="times the memory of the smallest size (default %(default)s)"
    )
    parser.add_argument(
        "--limit",
        default=EngineSettings().memory_limit,
        help="the engine's memory limit, in MB or GB; as shipped",
    )
    parser.add_argument("--threads", type=int, default=0, help="of the engine; each has buffers of its own")
    parser.add_argument("--limited", nargs="+", choices=STEPS, default=STEPS, help="the steps these are for")
    parser.add_argument("--beside", type=int, default=512, help="MiB beside the engine's limit")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    limit = _mebibytes(arguments.limit)
    print(f"engine.memory_limit: {arguments.limit} = {limit:,} MiB")
    peaks: dict[int, list[Cost]] = {}
    with working_folder(arguments.folder) as folder:
        for contacts in arguments.contacts:
            engine = {"memory_limit": arguments.limit, "threads": arguments.threads}
            peaks[contacts] = _measure(folder / f"{contacts}", contacts, engine, arguments.limited)
    print(f"\n{'peak MiB':<10}" + "".join(f"{contacts:>12,}" for contacts in peaks) + f"{'growth':>9}")
    growth = []
    highest = 0
    for place, step in enumerate(STEPS):
        if step not in arguments.limited:
            continue
        found = [costs[place].peak >> 20 for costs in peaks.values()]
        growth.append(found[-1] / found[0])
        highest = max(highest, *found)
        print(f"{step:<10}" + "".join(f"{peak:>12,}" for peak in found) + f"{growth[-1]:>8.2f}x")
    print(f"at most {highest:,} MiB, {max(growth):.2f} times the smallest job's (at most {arguments.most})")
    return 1 if highest > limit + arguments.beside or max(growth) > arguments.most else 0


def _mebibytes(amount: str) -> int:
    number, unit = amount[:-2], amount[-2:].upper()
    return int(number) * {"MB": 10**6, "GB": 10**9}[unit] >> 20


def _permit(project: Path, engine: Mapping[str, object]) -> None:
    settings = yaml.safe_load((project / "migration.yaml").read_text("utf-8"))
    settings["engine"] = dict(engine)
    (project / "migration.yaml").write_text(yaml.safe_dump(settings), "utf-8")


def _measure(folder: Path, contacts: int, engine: Mapping[str, object], limited: Sequence[str]) -> list[Cost]:
    began = time.perf_counter()
    project = make_project(folder, contacts, contacts // 5)
    print(f"\n{contacts:,} contacts: exports made in {time.perf_counter() - began:,.0f} s", flush=True)
    costs = []
    for step in STEPS:
        _permit(project, engine if step in limited else {})
        cost = run_step(project, step, contacts + contacts // 5)
        costs.append(cost)
        print(
            f"  {step:<10} {cost.peak >> 20:>7,} MiB {cost.seconds:>8,.0f} s {cost.cpu:>8,.0f} CPU s",
            flush=True,
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"  on disk {size / (1 << 30):.2f} GiB", flush=True)
    shutil.rmtree(folder)
    return costs


if __name__ == "__main__":
    sys.exit(main())
