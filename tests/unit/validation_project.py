"""A small hand-made migration for validation tests: staged, mapped, loaded, and a target one can break on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core.clock import FixedClock
from migrator.core.connector import TargetFacts
from migrator.core.mapped import Link, MappedObject, MappedSource
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging import columns as c
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.relation import need_mapped
from migrator.staging.store import Kind, Store

ISSUES = pa.list_(
    pa.struct([(name, pa.string()) for name in ("field", "rule", "value", "message", "severity")])
)

ACCOUNT = ObjectSchema(
    "customer",
    "legacy_id",
    (
        FieldSchema("legacy_id", FieldType.ID, required=True, unique=True, length=40),
        FieldSchema("name", FieldType.STRING, required=True, length=80, pii="company"),
        FieldSchema("status", FieldType.PICKLIST, values=("active", "lost", "新客户")),
        FieldSchema("Order", FieldType.STRING, length=40),
        FieldSchema("revenue", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("currency", FieldType.PICKLIST, values=("CNY", "EUR")),
        FieldSchema("since", FieldType.DATE),
        FieldSchema("created at", FieldType.DATETIME),
    ),
)
CONTACT = ObjectSchema(
    "person",
    "legacy_id",
    (
        FieldSchema("legacy_id", FieldType.ID, required=True, unique=True),
        FieldSchema("name", FieldType.STRING, required=True, length=80, pii="name"),
        FieldSchema("email", FieldType.STRING, pii="email"),
        FieldSchema("company", FieldType.REFERENCE, references=("customer",)),
    ),
)

ACCOUNTS = MappedObject(
    "account", "new", "customer", "legacy_id", ACCOUNT, (MappedSource("crm", "crm", "Account", "Id"),), fingerprint="f1"
)  # fmt: skip
CONTACTS = MappedObject(
    "contact", "new", "person", "legacy_id", CONTACT, (MappedSource("crm", "crm", "Contact", "Id"),),
    links=(Link("company", ("account",)),), fingerprint="f2",
)  # fmt: skip


@dataclass
class FrozenTarget:
    """A target that answers exactly the rows it holds, typed or not: what validation reads and what tests break."""

    objects: dict[str, list[dict[str, Any]]]
    schemas: dict[str, pa.Schema]
    facts: TargetFacts = field(
        default_factory=lambda: TargetFacts(200, assigns_ids=True, creates_objects=False)
    )

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Pages of the rows."""
        rows, schema = self.objects[object_name], self.schemas[object_name]
        for start in range(0, len(rows), page_rows) or (0,):
            page = pa.Table.from_pylist(rows[start : start + page_rows], schema=schema)
            yield page.select(list(columns or schema.names))


def arrow_schema(schema: ObjectSchema) -> pa.Schema:
    """Arrow types of a mapped object's fields."""
    kinds = {
        FieldType.INTEGER: pa.int64(), FieldType.DATE: pa.date32(), FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
        FieldType.BOOLEAN: pa.bool_(),
    }  # fmt: skip
    return pa.schema(
        [
            (
                item.name,
                pa.decimal128(item.precision, item.scale)
                if item.type is FieldType.DECIMAL and item.precision
                else kinds.get(item.type, pa.string()),
            )
            for item in schema.fields
        ]
    )


def account_row(number: int) -> dict[str, Any]:
    """One clean account."""
    return {
        "legacy_id": f"A{number:05d}",
        "name": f"Société «{number}»\n有限公司 " + "x" * (number % 30),
        "status": ("active", "lost", "新客户", None)[number % 4],
        "Order": ("", None, f"PO-{number} Mixed Case")[number % 3],
        "revenue": None if number % 7 == 0 else Decimal(number * 101 + 37) / 100,
        "currency": ("CNY", "EUR")[number % 2],
        "since": None if number % 5 == 0 else date(2019, 1, 1) + timedelta(days=number % 1500),
        "created at": datetime(2020, 3, 4, 13, 5, 6, 123000, tzinfo=UTC) + timedelta(minutes=number * 31),
    }


def contact_row(number: int, accounts: int) -> dict[str, Any]:
    """One clean contact, linked to an account by reference of the mapping."""
    return {
        "legacy_id": f"C{number:05d}",
        "name": f"王 Person {number}",
        "email": f"person{number}@example.com",
        "company": None if number % 10 == 0 else f"account/crm:A{number % accounts:05d}",
    }


@dataclass
class Project:
    """A loaded migration: the store of its steps and the target as it stands after a clean load."""

    folder: Path
    store: Store
    target: FrozenTarget
    objects: tuple[MappedObject, ...] = (ACCOUNTS, CONTACTS)

    def session(self) -> DuckSession:
        """A fresh engine session."""
        return open_engine(EngineSettings(memory_limit="512MB", threads=2), self.folder)

    def record(self, object_name: str, key: str) -> dict[str, Any]:
        """The target's record under an external key, to be changed in place."""
        return next(row for row in self.target.objects[object_name] if row["legacy_id"] == key)


def make_project(folder: Path, accounts: int = 60, contacts: int = 100) -> Project:
    """Map, dedupe (nothing found) and load cleanly, all by hand."""
    clock = FixedClock(datetime(2026, 11, 20, 8, tzinfo=UTC))
    store = Store(folder / "staging", open_ledger(f"sqlite:///{folder / 'ledger.db'}", clock))
    target = FrozenTarget({}, {"customer": arrow_schema(ACCOUNT), "person": arrow_schema(CONTACT)})
    rows = [account_row(number) for number in range(accounts)]
    put_mapped(store, ACCOUNTS, rows)
    put_planned(store, ACCOUNTS, rows)
    put_loaded(store, ACCOUNTS, [row["legacy_id"] for row in rows])
    target.objects["customer"] = [dict(row) for row in rows]
    people = [contact_row(number, accounts) for number in range(contacts)]
    put_mapped(store, CONTACTS, people)
    put_planned(store, CONTACTS, people)
    put_loaded(store, CONTACTS, [row["legacy_id"] for row in people])
    target.objects["person"] = [
        {**row, "company": row["company"] and target_id(ACCOUNTS, row["company"].partition(":")[2])}
        for row in people
    ]
    return Project(folder, store, target)


def target_id(mapped: MappedObject, key: str) -> str:
    """The id the target gave a record."""
    return f"T-{mapped.name}-{key}"


def put_mapped(
    store: Store, mapped: MappedObject, rows: Sequence[Mapping[str, Any]], kind: Kind = Kind.MAPPED
) -> None:
    """A MAPPED (or GOLDEN) dataset of these rows; '__bad', '__excluded' and '__issues' may be given."""
    fields = arrow_schema(mapped.schema)
    schema = pa.schema(
        [(c.ID, pa.string()), (c.SOURCE, pa.string()), (c.KEY, pa.string()), (c.EXCLUDED, pa.string()),
         (c.ISSUES, ISSUES), (c.BAD, pa.bool_()), *fields]
    )  # fmt: skip
    full = [
        {
            c.ID: f"crm:{row['legacy_id']}",
            c.SOURCE: "crm",
            c.KEY: row["legacy_id"],
            c.ISSUES: [],
            c.BAD: False,
            **row,
        }
        for row in rows
    ]
    building = store.build(kind, mapped.name, "1")
    building.add_table(pa.Table.from_pylist(full, schema=schema))
    building.complete()


def put_planned(store: Store, mapped: MappedObject, rows: Sequence[Mapping[str, Any]]) -> None:
    """A PLAN made of what is mapped now, every row as it was sent."""
    fields = arrow_schema(mapped.schema)
    schema = pa.schema(
        [(c.ID, pa.string()), (c.FINGERPRINT, pa.string()), (c.ACTION, pa.string()), (c.REASON, pa.string()),
         (c.ISSUES, ISSUES), *fields]
    )  # fmt: skip
    own = {c.FINGERPRINT: "1", c.ACTION: "create", c.ISSUES: []}
    building = store.build(Kind.PLAN, mapped.name, "1")
    full = [{c.ID: f"crm:{row['legacy_id']}", **own, **row} for row in rows]
    building.add_table(pa.Table.from_pylist(full, schema=schema))
    building.complete({"inputs": need_mapped(store, mapped).ids})


def put_loaded(store: Store, mapped: MappedObject, keys: Sequence[str]) -> None:
    """A CROSSWALK that says these keys were created."""
    rows = [
        {c.ID: f"crm:{key}", "target_key": key, "target_id": target_id(mapped, key), c.FINGERPRINT: "1", "outcome": "created"}
        for key in keys
    ]  # fmt: skip
    building = store.build(Kind.CROSSWALK, mapped.name, "1")
    building.add_table(pa.Table.from_pylist(rows, schema=c.CROSSWALK))
    building.complete()


def put_clusters(store: Store, mapped: MappedObject, members: Mapping[str, str]) -> None:
    """A CLUSTERS dataset: key of member → key of survivor, survivors included."""
    rows = [
        {c.ID: f"crm:{key}", "survivor": f"crm:{best}", "cluster": best, "rule": "email", "evidence": "a@b.c"}
        for key, best in members.items()
    ]
    building = store.build(Kind.CLUSTERS, mapped.name, "1")
    building.add_table(pa.Table.from_pylist(rows, schema=c.CLUSTERS))
    building.complete()


QUIET = Quiet()
