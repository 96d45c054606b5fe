"""Contacts from a Salesforce sandbox into a Fxiaoke sandbox, over HTTP: time and memory without its limit, share of the rate with it.

`python -m tests.bench.bench_live --rows 200000` moves so many with no limit, then, with the vendor's limit of 100 calls
in 20 seconds a path, as many as take a bit more than `--seconds`, and says how much of the permitted rate was used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.sandbox.fxiaoke import manners
from connectors.sandbox.fxiaoke.app import make_app as make_fxiaoke
from connectors.sandbox.limits import NO_LIMITS
from connectors.sandbox.salesforce.app import make_app as make_salesforce
from connectors.sandbox.serve import Box, running
from migrator.core.connector import Limits
from migrator.core.sandbox import SandboxOptions

STEPS = ("extract", "map", "dedupe", "plan", "load")
CREATE = "data/create"
_MAPPING = """
mapping: contact
target: {system: crm, object: ContactObj, key: legacy_id__c}
source: {system: salesforce, object: Contact}
fields:
  legacy_id__c: {record_id: true}
  name: {expr: "concat_ws(' ', FirstName, LastName)", clean: [trim, collapse], required: true}
  email: {from: Email, clean: [trim, lower]}
  mobile: {from: Phone, clean: trim}
  job_title: {from: Title}
  create_time: {from: CreatedDate, zone: UTC}
"""


@dataclass(frozen=True)
class Cost:
    """What one step took."""

    seconds: float
    cpu: float
    peak: int
    """Bytes of memory at most."""


def main() -> None:
    """Run both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--seconds", type=float, default=80.0, help="least length of the run with the limit; 0: none"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="migrator-live-") as folder:
        if arguments.rows:
            free(Path(folder) / "free", arguments.rows)
        if arguments.seconds:
            share = limited(Path(folder) / "limited", arguments.seconds)
            print(f"share of the permitted rate: {share:.1%} (at least 95 % wanted)")


def free(folder: Path, rows: int) -> None:
    """Every step without a limit, each as a process of its own; then what the tenant holds is counted."""
    with _world(folder, rows, NO_LIMITS, calls=1_000_000) as (project, crm):
        print(
            f"{rows:,} contacts, no limit\n{'step':<10} {'seconds':>9} {'rows/s':>9} {'CPU s':>8} {'peak MiB':>9}"
        )
        for step in STEPS:
            cost = _run(project, step)
            print(
                f"{step:<10} {cost.seconds:>9.1f} {rows / cost.seconds:>9,.0f} {cost.cpu:>8.1f} {cost.peak >> 20:>9,}",
                flush=True,
            )
        made = crm.store.count("ContactObj")
        print(
            f"in the tenant: {made:,}; creates: {crm.calls(CREATE):,}; queries: {crm.calls('data/query'):,}"
        )
        if made != rows:
            sys.exit("not every contact is there once")


def limited(folder: Path, seconds: float) -> float:
    """The share of the permitted creates, from the first to the last, of a load that is as long as `seconds` at least."""
    limits = manners.LIMITS
    rate = limits.rates[0]
    rows = (int(seconds / rate.seconds) + 1) * rate.calls + 1
    with _world(folder, rows, limits, calls=rate.calls) as (project, crm):
        for step in STEPS[:-1]:
            _run(project, step)
        watch = _Watch(crm)
        watch.start()
        _run(project, "load")
        watch.ended.set()
        watch.join()
        took = watch.last - watch.first
        best = (rows - 1) // rate.calls * rate.seconds
        print(
            f"{rows:,} contacts, {rate.calls} calls in {rate.seconds:g} s a path: {took:.1f} s from first to last create,"
            f" {best:g} s at best; refused by the limit: {crm.refused(CREATE)}"
        )
        if crm.store.count("ContactObj") != rows:
            sys.exit("not every contact is there once")
        return best / took


class _Watch(threading.Thread):
    """Notes when the first and the last create arrived, to a fiftieth of a second."""

    def __init__(self, crm: Box) -> None:
        super().__init__(daemon=True)
        self.crm, self.ended = crm, threading.Event()
        self.first = self.last = 0.0

    def run(self) -> None:
        seen = self.crm.calls(CREATE)
        while not self.ended.wait(0.02):
            now = self.crm.calls(CREATE)
            if now != seen:
                self.last = time.monotonic()
                self.first = self.first or self.last
            seen = now


@contextmanager
def _world(folder: Path, rows: int, limits: Limits, *, calls: int) -> Iterator[tuple[Path, Box]]:
    """A project between two sandboxes; both serve from this process, the steps run in their own."""
    _contacts(folder / "data", rows)
    fxiaoke = make_fxiaoke(SandboxOptions())
    fxiaoke.limits = limits
    with running(make_salesforce(SandboxOptions(data=folder / "data"))) as old, running(fxiaoke) as crm:
        shutil.rmtree(folder / "data")
        project = folder / "project"
        (project / "mappings").mkdir(parents=True)
        (project / "mappings" / "contact.yaml").write_text(_MAPPING, "utf-8")
        (project / "migration.yaml").write_text(_settings(old, crm, calls), "utf-8")
        yield project, crm


def _settings(old: Box, crm: Box, calls: int) -> str:
    """JSON is YAML."""
    wide = {"calls": calls, "daily": 1_000_000_000} if calls > 100 else {}
    systems = {
        "salesforce": {
            "connector": "salesforce", "instance_url": old.url, "client_id": old.credentials["client_id"],
            "client_secret": old.credentials["client_secret"], "objects": ["Contact"],
        },
        "crm": {"connector": "fxiaoke", "host": crm.url, **crm.credentials, "objects": ["ContactObj"], "visible_after": 2, **wide},
    }  # fmt: skip
    return json.dumps(
        {"project": "bench", "systems": systems, "engine": {"memory_limit": "1GB"}, "batch_rows": 100}
    )


def _contacts(folder: Path, rows: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "Contact.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(rows):
            record = {
                "LastName": f"王 {number}", "FirstName": "伟", "Email": f"c{number}@example.com",
                "Phone": f"+86 138 {number:08d}", "Title": "经理", "CreatedDate": "2020-01-02T03:04:05Z",
                "LastModifiedDate": "2021-01-02T03:04:05Z",
            }  # fmt: skip
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _run(project: Path, step: str) -> Cost:
    started = time.perf_counter()
    command = [sys.executable, "-m", "migrator.cli", "-C", str(project), step]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{step} ended with {child.returncode}")
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
