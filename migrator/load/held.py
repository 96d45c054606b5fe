"""What the target holds now of the records that are to be updated, asked for page by page; nothing is written there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.core.mapped import MappedObject
from migrator.load.send import Sender
from migrator.staging import columns
from migrator.staging.action import Action
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset

UPDATES = f"u.{quote(columns.ACTION)} = {literal(Action.UPDATE.value)}"
"""SQL condition over a planned row `u`."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the target holds of the records to be updated, as text."""

    file: Path
    calls: int
    """Look-ups that it took."""

    def rows(self, session: Session, obj: MappedObject, planned: Dataset) -> str:
        """SQL for (__id, at, v0, v1, …); no row for a record that is not there."""
        fields = ", ".join(f"t.{quote(item.name)} AS v{place}" for place, item in enumerate(obj.fields))
        return (
            f"SELECT u.{quote(columns.ID)}, now() AS at, {fields} FROM {relation(session, planned)} AS u"
            f" JOIN read_parquet({literal(str(self.file))}, hive_partitioning = false) AS t"
            f" ON t.{quote(obj.key)} = CAST(u.{quote(obj.key)} AS VARCHAR) WHERE {UPDATES}"
        )


def read_held(
    session: Session, sender: Sender, obj: MappedObject, planned: Dataset, file: Path
) -> Held | None:
    """Ask the target for the records to be updated, page by page into `file`; None when there are none."""
    if not planned.detail["counts"].get(Action.UPDATE.value, 0):
        return None
    names, size, calls = [item.name for item in obj.fields], sender.target.facts.batch_rows, 0
    texts = pa.schema([(name, pa.string()) for name in names])
    keys = f"SELECT CAST(u.{quote(obj.key)} AS VARCHAR) AS key FROM {relation(session, planned)} AS u WHERE {UPDATES}"
    with closing(session.cursor()) as reading, pq.ParquetWriter(file, texts, compression="zstd") as writer:
        for page in reading.stream(keys, size):
            writer.write_table(
                sender.fetch(obj, page.column("key").to_pylist(), names).select(names).cast(texts)
            )
            calls += -(-page.num_rows // size)
    return Held(file, calls)
