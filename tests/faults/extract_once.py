"""Extracts one object of an in-memory source into the folder given; the process that kill tests kill."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from migrator.core.connector import Reject, SourceFacts
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract import gather
from migrator.extract.extract import extract_object
from migrator.staging.depot import Depot
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.shared import StagingSettings, depot_at
from migrator.staging.store import Store
from migrator.testing.memory import MemoryObject, MemorySource

PART_ROWS = 3
SCHEMA = ObjectSchema(
    "Order",
    "Id",
    (
        FieldSchema("Id", FieldType.ID),
        FieldSchema("v", FieldType.STRING),
        FieldSchema("Stamp", FieldType.STRING),
        FieldSchema("Body", FieldType.FILE),
    ),
)


def legacy() -> MemorySource:
    """Overlapping copies over several parts, a reject, and two members."""
    rows = pa.table(
        {
            "Id": ["a", "b", "a", None, "c", "a", "d", "b", "e", "f"],
            "v": ["old", "1", "old", "9", "1", "new", "1", "1", "1", "1"],
            "Stamp": [f"2024-01-{day:02d}" for day in (1, 2, 1, 4, 5, 6, 7, 2, 9, 10)],
            "Body": ["x", None, "x", "y", "x", "gone", None, None, "y", "x"],
        }
    )
    rejects = (Reject("f.csv:3", "file.ragged", "3 columns instead of 2", "a,b,c"),)
    return MemorySource(
        [MemoryObject(SCHEMA, rows, rejects)],
        facts=SourceFacts(copies_overlap=True, recency_fields=("Stamp",)),
        files={"x": b"one", "y": b"two"},
    )


def depot(folder: Path, ledger: Ledger) -> Depot:
    """Staging is shared where there is a folder for it."""
    place = f"file://{folder / 'shared'}" if (folder / "shared").exists() else ""
    return depot_at(StagingSettings(place), folder / "staging", ledger.clock)


def main(folder: Path) -> None:
    """One extract as the command line would do it: under the lease, leftovers swept first."""
    with closing(open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger, ledger.lease():
        store = Store(folder / "staging", ledger, depot(folder, ledger))
        ledger.start_run("extract", "test")
        store.sweep()
        extract_object(
            store, lambda: open_engine(EngineSettings(threads=1), folder), legacy(), "old", SCHEMA,
            files=folder / "files", progress=Quiet(), page_rows=2,
        )  # fmt: skip
        ledger.finish_run("done")


if __name__ == "__main__":
    gather.PART_ROWS = PART_ROWS
    main(Path(sys.argv[1]))
