"""What is true of the exports that were written: the answers a migration of them must find."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from migrator.testing.synthetic.spoil import BadCell

ENTITIES = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        pa.field("object", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
)
"""One row per record of a person or company: records with the same `entity` speak of the same one."""


@dataclass(slots=True)
class ObjectTruth:
    """One object of one system."""

    system: str
    object: str
    records: int = 0
    """Different records, deleted ones too."""
    rows: int = 0
    """Rows in the files: `records` and the copies that stand in two zips."""
    deleted: int = 0
    circular: list[str] = field(default_factory=list)
    """Keys of records that are each other's parent."""
    bad: list[BadCell] = field(default_factory=list)

    @property
    def folded(self) -> int:
        """Rows that repeat another row."""
        return self.rows - self.records

    def bad_keys(self, kind: str) -> set[str]:
        """Keys of records with a value that is bad in this way."""
        return {item.key for item in self.bad if item.kind == kind}


@dataclass(slots=True)
class Truth:
    """All of it; `truth.json` and `truth.parquet` beside the exports say the same."""

    folder: Path
    seed: int
    scale: int
    objects: dict[str, ObjectTruth] = field(default_factory=dict)
    """By 'salesforce/Account'."""
    links: dict[str, int] = field(default_factory=dict)
    """Many-to-many relationship → pairs."""
    duplicates: dict[str, int] = field(default_factory=dict)
    """'people' or 'companies' → records that repeat an earlier one, deleted ones too."""

    def of(self, system: str, name: str) -> ObjectTruth:
        """The truth of an object, begun when it is first asked for."""
        return self.objects.setdefault(f"{system}/{name}", ObjectTruth(system, name))

    @property
    def records(self) -> int:
        """Different records of all objects."""
        return sum(item.records for item in self.objects.values())

    def entities(self) -> pa.Table:
        """The rows of truth.parquet (`ENTITIES`)."""
        return pq.read_table(self.folder / "truth.parquet")

    def save(self) -> None:
        """Write truth.json; truth.parquet was written on the way."""
        raw: dict[str, Any] = {
            "seed": self.seed,
            "scale": self.scale,
            "records": self.records,
            "duplicates": self.duplicates,
            "links": self.links,
            "objects": {name: asdict(item) for name, item in self.objects.items()},
        }
        text = json.dumps(raw, ensure_ascii=False, indent=1)
        (self.folder / "truth.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Read what `save` wrote."""
        raw = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        objects = {name: _object(item) for name, item in raw["objects"].items()}
        return cls(folder, raw["seed"], raw["scale"], objects, raw["links"], raw["duplicates"])


def _object(raw: dict[str, Any]) -> ObjectTruth:
    return ObjectTruth(**{**raw, "bad": [BadCell(**item) for item in raw["bad"]]})


class EntityWriter:
    """Writes truth.parquet chunk by chunk and counts the copies."""

    def __init__(self, folder: Path) -> None:
        self._writer = pq.ParquetWriter(folder / "truth.parquet", ENTITIES)
        self.copies: dict[str, int] = {}

    def write(self, system: str, name: str, keys: pa.Array, entity: pa.Array, deleted: np.ndarray) -> None:
        """Add the records of a chunk."""
        columns = [pa.repeat(system, len(keys)), pa.repeat(name, len(keys)), keys, entity, pa.array(deleted)]
        self._writer.write_table(pa.table(columns, schema=ENTITIES))

    def count(self, kind: str, copies: int) -> None:
        """Add records that repeat an earlier one."""
        self.copies[kind] = self.copies.get(kind, 0) + copies

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
