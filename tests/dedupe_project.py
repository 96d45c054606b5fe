"""A mapping called 'contact' that a test fills with rows, dedupes and looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.core.clock import FixedClock
from migrator.core.mapped import DedupeRules, MappedObject, MappedSource, MatchKey, Normaliser
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.dedupe.run import Deduped, dedupe
from migrator.staging.engine import EngineSettings, Session, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Dataset, Kind, Store

ISSUES = pa.list_(
    pa.struct([(name, pa.string()) for name in ("field", "rule", "value", "message", "severity")])
)
OURS = [
    ("__id", pa.string()), ("__source", pa.string()), ("__key", pa.string()), ("__excluded", pa.string()),
    ("__issues", ISSUES), ("__bad", pa.bool_()),
]  # fmt: skip
TYPES = {
    FieldType.STRING: pa.string(),
    FieldType.ID: pa.string(),
    FieldType.REFERENCE: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.DECIMAL: pa.decimal128(18, 2),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
    FieldType.TIME: pa.time64("us"),
}
CONTACT = (
    FieldSchema("legacy_id", FieldType.ID),
    FieldSchema("name", FieldType.STRING, pii="name"),
    FieldSchema("email", FieldType.STRING, pii="email"),
    FieldSchema("phone", FieldType.STRING, pii="phone"),
    FieldSchema("company", FieldType.STRING),
    FieldSchema("changed", FieldType.DATETIME),
    FieldSchema("revenue", FieldType.DECIMAL, precision=18, scale=2),
    FieldSchema("born", FieldType.DATE),
    FieldSchema("Order", FieldType.INTEGER),
    FieldSchema("active", FieldType.BOOLEAN),
)
BY_EMAIL = MatchKey("email", (("email", Normaliser.EMAIL),))
BY_PHONE = MatchKey("phone", (("phone", Normaliser.PHONE),))
BY_NAME_PHONE = MatchKey("name and phone", (("name", Normaliser.NAME), ("phone", Normaliser.PHONE)))
BY_NAME_COMPANY = MatchKey("name and company", (("name", Normaliser.NAME), ("company", Normaliser.COMPANY)))


def key(name: str, /, **fields: Normaliser) -> MatchKey:
    """A rule over fields given as FIELD=NORMALISER."""
    return MatchKey(name, tuple(fields.items()))


def on(day: int) -> datetime:
    """An instant, later for later days."""
    return datetime(2026, 1, day, tzinfo=UTC)


def contacts(rules: DedupeRules | None, fields: Sequence[FieldSchema] = CONTACT) -> MappedObject:
    """The mapping with these rules."""
    return MappedObject(
        "contact", "new", "person", fields[0].name, ObjectSchema("person", fields[0].name, tuple(fields)),
        (MappedSource("crm", "crm", "Contact", "Id"), MappedSource("erp", "erp", "Person", "Id")), dedupe=rules,
    )  # fmt: skip


@dataclass
class Project:
    """A store and a session; `rows` enter as MAPPED, everything else is looked at."""

    store: Store
    session: Session

    def mapped(self, mapped: MappedObject, rows: Sequence[Mapping[str, Any]], *, parts: int = 1) -> Dataset:
        """Write MAPPED; a row is its fields and 'id' ('SOURCE:KEY'), with '__bad' or '__excluded' where wanted."""
        schema = pa.schema([*OURS, *((item.name, TYPES[item.type]) for item in mapped.fields)])
        table = pa.Table.from_pylist([_row(mapped, row) for row in rows], schema=schema)
        building = self.store.build(Kind.MAPPED, mapped.name, repr((mapped, rows, parts)))
        size = max(1, -(-len(rows) // parts))
        for start in range(0, max(len(rows), 1), size):
            building.add_table(table.slice(start, size))
        return building.complete({})

    def run(self, mapped: MappedObject, rows: Sequence[Mapping[str, Any]], *, parts: int = 1) -> Deduped:
        """MAPPED, then dedupe."""
        self.mapped(mapped, rows, parts=parts)
        return dedupe(self.store, self.session, mapped, progress=Quiet())

    def rows(self, made: Dataset) -> list[dict[str, Any]]:
        """All rows of a dataset."""
        return pa.concat_tables([pq.read_table(part.path) for part in made.parts]).to_pylist()

    def groups(self, made: Deduped) -> set[frozenset[str]]:
        """The clusters as sets of ids."""
        found: dict[str, set[str]] = {}
        for row in self.rows(made.clusters):
            found.setdefault(row["cluster"], set()).add(row["__id"])
        return {frozenset(members) for members in found.values()}


def _row(mapped: MappedObject, row: Mapping[str, Any]) -> dict[str, Any]:
    source, _, own = str(row["id"]).partition(":")
    named = {"__id": row["id"], "__source": source, "__key": own, "__bad": False, "__issues": []}
    return {**named, mapped.key: own, **row}


@contextmanager
def open_project(folder: Path, *, threads: int = 2, memory: str = "200MB") -> Iterator[Project]:
    """A fresh project in an empty folder."""
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", FixedClock())
    session = open_engine(EngineSettings(memory_limit=memory, threads=threads), folder, few_files=True)
    try:
        yield Project(Store(folder / "staging", ledger), session)
    finally:
        session.close()
        ledger.engine.dispose()


AMOUNT, DAY = Decimal("12.50"), date(1980, 1, 31)
