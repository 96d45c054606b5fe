"""How much of a run an overlapping load saves where both systems are slow: `python -m tests.bench.bench_overlap`.

A Salesforce export of contacts, a third as many accounts and activities, into SQLite; before each page and each call as
much time passes as a system of `--read` and `--write` rows a second takes. The same run twice, plain and overlapped, each a
process of its own from an empty project. Prints wall time, CPU and peak memory of both, and the parts as the tool tells them.
Ends with 1 when the two did not end with the same target.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.main import run_app
from tests.bench import scale_project
from tests.overlap_kit import SlowSource, SlowTarget, wrap
from tests.small_migration import target_rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=60_000)
    parser.add_argument("--read", type=float, default=2_000, help="rows a second of the source")
    parser.add_argument("--write", type=float, default=2_000, help="rows a second of the target")
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--one", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return _one(arguments.read, arguments.write, arguments.one)
    rows = scale_project.rows_in_all(arguments.contacts)
    print(f"{rows:,} rows, read at {arguments.read:,.0f} rows/s and written at {arguments.write:,.0f} rows/s")
    print(f"{'run':<12} {'seconds':>8} {'CPU s':>7} {'peak MiB':>9}")
    targets = []
    with tempfile.TemporaryDirectory() as place:
        for name, more in (("plain", ()), ("overlapped", ("--overlap",))):
            folder = Path(place) / name
            url = f"sqlite:///{folder / 'new.db'}"
            scale_project.make(folder, arguments.contacts, url, arguments.memory, "keys")
            seconds, used, said = _run(arguments, folder, more)
            cpu = used.ru_utime + used.ru_stime
            print(f"{name:<12} {seconds:>8.1f} {cpu:>7.1f} {used.ru_maxrss >> 10:>9,}", flush=True)
            if more:
                print(json.dumps(said["overlap"], indent=1))
            targets.append(target_rows(folder / "new.db"))
    same = targets[0] == targets[1]
    print("the two targets are the same" if same else "THE TWO TARGETS DIFFER")
    return 0 if same else 1


def _run(
    arguments: argparse.Namespace, folder: Path, more: tuple[str, ...]
) -> tuple[float, Any, dict[str, Any]]:
    own = ["--read", str(arguments.read), "--write", str(arguments.write)]
    command = [sys.executable, "-m", "tests.bench.bench_overlap", *own, "--one", str(folder), *more]
    answer = folder / "answer.json"
    began = time.perf_counter()
    with answer.open("w") as out:
        child = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} ended with {child.returncode}")
    return time.perf_counter() - began, used, json.loads(answer.read_text())


def _one(read: float, write: float, words: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        wrap(
            patch,
            lambda source: SlowSource(source, lambda _, rows: rows / read),
            lambda target: SlowTarget(target, lambda _, rows: rows / write),
        )
        return run_app(["-C", words[0], "run", "--skip-validate", "--json", *words[1:]])


if __name__ == "__main__":
    sys.exit(main())
