"""Time, calls and memory of one run of the sync with many links and few changes: `python tests/bench/bench_sync.py LINKS CHANGES`.

Two sides in memory that keep their rows as columns, the ledger an SQLite file; both sides answer at once, so that what is
measured is the engine. Memory is what the run adds to the process before it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core.clock import FixedClock
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.core.twoway import (
    CHANGED,
    ID,
    VERSION,
    Answer,
    CompareAndSet,
    Create,
    Delete,
    Evidence,
    FeedPage,
    Outcome,
    Record,
    ScanPage,
    SideFacts,
    Update,
)
from migrator.staging.ledger import open_ledger
from migrator.sync.carry import StoredCrosswalk
from migrator.sync.run import Run, prepare, run_once
from migrator.sync.store import SyncStore
from tests.seeded_sync import LINKS, seed
from tests.sync_world import NEW_FIELDS, OLD_FIELDS, TableTranslator, paired


class WideSide:
    """Rows by formula, edits in a dictionary: a million records cost no memory of their own."""

    def __init__(self, prefix: str, fields: Sequence[str], rows: int) -> None:
        self.facts = SideFacts(
            cas=CompareAndSet.EXACT,
            conditional_deletes=True,
            post_image=True,
            page_rows=50_000,
            batch_rows=200,
        )
        self.fields, self.rows, self.prefix = tuple(fields), rows, prefix
        self.edits: dict[str, tuple[int, dict[str, Any]]] = {}
        self.calls = 0

    def row(self, name: str) -> tuple[int, dict[str, Any]]:
        """Version and values of one record."""
        number = int(name[1:])
        version, changed = self.edits.get(name, (1, {}))
        values: dict[str, Any] = dict.fromkeys(self.fields)
        values[self.fields[0]], values[self.fields[2]] = f"name {number}", f"city {number % 997}"
        return version, values | changed

    def edit(self, number: int, **values: Any) -> None:
        """What a user does."""
        name = f"{self.prefix}{number:08d}"
        version, before = self.edits.get(name, (1, {}))
        self.edits[name] = (version + 1, before | values)

    def describe(self) -> Sequence[ObjectSchema]:
        """One object."""
        self.calls += 1
        of = "Account" if self.prefix == "O" else "customer"
        fields = tuple(FieldSchema(one, FieldType.STRING) for one in ("Key", *self.fields))
        return [ObjectSchema(of, "Id", fields)]

    def server_time(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    def changes(self, _of: str, since: str | None, _overlap: float) -> Iterator[FeedPage]:
        """All edits so far."""
        self.calls += 1
        if since is None:
            yield FeedPage(watermark="0")
            return
        ids = list(self.edits)
        table = pa.table({ID: ids, VERSION: [str(self.edits[one][0]) for one in ids]}, schema=CHANGED)
        yield FeedPage(table, (), "1")

    def scan(self, _of: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """Everything, in pages."""
        for start in range(0, self.rows, 50_000):
            self.calls += 1
            numbers = range(start, min(start + 50_000, self.rows))
            ids = [f"{self.prefix}{number:08d}" for number in numbers]
            cells: dict[str, Any] = {ID: ids, VERSION: ["1"] * len(ids)}
            for one in fields:
                cells[one] = pa.nulls(len(ids), pa.string())
            cells[self.fields[0]] = [f"name {number}" for number in numbers]
            cells[self.fields[2]] = [f"city {number % 997}" for number in numbers]
            yield ScanPage(pa.table(cells), last=start + 50_000 >= self.rows)

    def fetch(self, _of: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """By id."""
        self.calls += 1
        found = []
        for name in ids:
            version, values = self.row(name)
            found.append(Record(name, str(version), {one: values.get(one) for one in fields}))
        return found

    def evidence(self, _of: str, _ids: Sequence[str]) -> Sequence[Evidence]:
        """None."""
        return ()

    def find(self, _of: str, _field: str, _keys: Sequence[str], _fields: Sequence[str]) -> Sequence[Record]:
        """None."""
        return ()

    def create(self, _of: str, _field: str, _rows: Sequence[Create]) -> Sequence[Answer]:
        """Not in this bench."""
        raise NotImplementedError

    def update(self, _of: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """By id and version."""
        self.calls += 1
        answers = []
        for row in rows:
            self.edit(int(row.id[1:]), **row.values)
            version, values = self.row(row.id)
            answers.append(Answer(Outcome.UPDATED, row.id, str(version), values))
        return answers

    def delete(self, _of: str, _rows: Sequence[Delete]) -> Sequence[Answer]:
        """Not in this bench."""
        raise NotImplementedError

    def marker(self) -> str:
        """None."""
        return ""

    def set_marker(self, _text: str) -> None:
        """None."""

    def close(self) -> None:
        """Nothing to release."""


def resident() -> int:
    """Megabytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


class Peak:
    """The highest figure of `resident` while it watches."""

    def __init__(self) -> None:
        self.highest = resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.highest = max(self.highest, resident())


def links(rows: int) -> Iterator[pa.Table]:
    """One to one, in the order of the new ids."""
    for start in range(0, rows, 50_000):
        numbers = range(start, min(start + 50_000, rows))
        yield pa.table(
            [
                [f"a:O{number:08d}" for number in numbers],
                [f"N{number:08d}" for number in numbers],
                [True] * len(numbers),
            ],
            schema=LINKS,
        )


def measure(rows: int, changed: int, folder: Path) -> None:
    """Seed, change, run, compare."""
    clock = FixedClock()
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", clock)
    old, new = WideSide("O", OLD_FIELDS, rows), WideSide("N", NEW_FIELDS, rows)
    store = SyncStore(ledger)
    run = Run(store, TableTranslator(StoredCrosswalk(store), paired()), {"old": old, "new": new})
    with ledger.lease():
        ledger.start_run("seed", "bench")
        store.open()
        started = time.perf_counter()
        work = prepare(run)
        for scene in work.scenes:
            seed(work, scene, links(rows))
        print(f"seed {rows:,} links: {time.perf_counter() - started:.1f} s, resident {resident()} MB")
        for number in range(changed // 2):
            old.edit(number * (rows // max(changed, 1)), Name=f"edited {number}")
            new.edit(number * (rows // max(changed, 1)) + 1, city=f"edited {number}")
        for title, full in (("run with changes", False), ("idle run", False), ("full comparison", True)):
            clock.at += timedelta(hours=1)
            ledger.start_run("sync once", "bench")
            before, calls, started = resident(), old.calls + new.calls, time.perf_counter()
            with Peak() as peak:
                report = run_once(run, full=full)
            seconds, used = time.perf_counter() - started, old.calls + new.calls - calls
            print(
                f"{title}: {seconds:.1f} s, {report.status.value}, writes {report.writes:,}, calls {used:,}"
                f" ({used / max(changed, 1):.3f} a change), peak {peak.highest} MB (before {before} MB)"
            )
    ledger.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measure(int(sys.argv[1]), int(sys.argv[2]), Path(place))
