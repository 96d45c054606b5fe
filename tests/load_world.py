"""Hand-made worlds for tests of plan and load: MAPPED, CLUSTERS and GOLDEN written as mapping and dedupe would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core.clock import Clock, FixedClock
from migrator.core.connector import Target
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import DedupeRules, Link, MappedObject, MappedSource
from migrator.core.progress import Quiet
from migrator.core.retry import PATIENT, RetryPolicy
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.load.load import LoadReport, load
from migrator.load.plan import Groups, Plan, Retry, plan
from migrator.staging import columns
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.store import Dataset, Kind, Store
from migrator.testing.memory import arrow_type

ISSUE = pa.struct([pa.field(name, pa.string()) for name in ("field", "rule", "value", "message", "severity")])


@dataclass
class World:
    """A workspace with a store, a ledger and an engine."""

    root: Path
    ledger: Ledger
    store: Store
    session: DuckSession

    def plan(
        self, groups: Groups, *, batch_rows: int = 3, families: bool = True, retry: Retry | None = None
    ) -> Plan:
        """Plan in small batches."""
        return plan(self.store, self.session, groups, batch_rows=batch_rows, families=families, retry=retry)

    def load(self, target: Target, groups: Groups, *, policy: RetryPolicy = PATIENT) -> LoadReport:
        """Load under the lease."""
        self.ledger.start_run("load", "test")
        with self.ledger.lease() as fence:
            return load(
                self.store, self.engine, self.ledger, target, groups, progress=Quiet(), fence=fence, policy=policy
            )  # fmt: skip

    def run(self, target: Target, groups: Groups, *, retry: Retry | None = None) -> LoadReport:
        """Plan and load."""
        self.plan(groups, retry=retry)
        return self.load(target, groups)

    def engine(self) -> DuckSession:
        """A session of its own."""
        return open_engine(EngineSettings(memory_limit="500MB", threads=1), self.root)

    def query(self, kind: Kind, name: str, what: str = "*") -> list[dict[str, Any]]:
        """Rows of a current dataset in order of `__id`."""
        found = self.store.current(kind, name)
        assert found is not None, f"there is no {kind.value} of {name}"
        self.session.view("asked", found.files, found.schema())
        return self.session.fetch(f"SELECT {what} FROM asked ORDER BY __id").to_pylist()

    def actions(self, name: str) -> dict[str, str]:
        """Record → planned action."""
        return {row["__id"]: row["__action"] for row in self.query(Kind.PLAN, name)}

    def reasons(self, name: str) -> dict[str, str]:
        """Record → reason, where there is one."""
        return {row["__id"]: row["__reason"] for row in self.query(Kind.PLAN, name) if row["__reason"]}


@contextmanager
def world(root: Path, clock: Clock | None = None) -> Iterator[World]:
    """A world in a folder; opening it again finds what was there."""
    ledger = open_ledger(f"sqlite:///{root / 'ledger.db'}", clock or FixedClock())
    session = open_engine(EngineSettings(memory_limit="500MB", threads=1), root)
    try:
        yield World(root, ledger, Store(root / "staging", ledger), session)
    finally:
        session.close()
        ledger.engine.dispose()


def mapped_object(
    name: str, fields: str = "key name", *, links: Sequence[Link] = (), dedupe: bool = False, target: str = ""
) -> MappedObject:
    """An object whose fields are text unless written 'name:type'; links are references; `key` is the external key."""
    made = [FieldSchema("key", FieldType.STRING, required=True, unique=True)]
    for word in fields.split():
        field_name, _, kind = word.partition(":")
        if field_name != "key":
            made.append(FieldSchema(field_name, FieldType(kind or "string")))
    made += [FieldSchema(link.field, FieldType.REFERENCE, references=link.mappings) for link in links]
    return MappedObject(
        name=name,
        target_system="new",
        target_object=target or f"T {name}",
        key="key",
        schema=ObjectSchema(target or f"T {name}", "key", tuple(made)),
        sources=(MappedSource("s", "old", name.title(), "Id"),),
        links=tuple(links),
        dedupe=DedupeRules(()) if dedupe else None,
        fingerprint="1",
    )


@dataclass
class Rows:
    """Rows of one mapped object, in the words of the tests: id → values; errors, exclusions and merges by id."""

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bad: Mapping[str, str] = field(default_factory=dict)
    """Record → rule."""
    excluded: Mapping[str, str] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)
    """Member → survivor."""


def put(world: World, obj: MappedObject, rows: Rows) -> Dataset:
    """Write STAGED, MAPPED, CLUSTERS and GOLDEN of an object."""
    store, tag = world.store, fingerprint(repr((rows, obj.fingerprint)))
    staged = store.build(Kind.STAGED, obj.sources[0].staged, tag)
    staged.add_table(
        pa.table(
            {
                "Id": pa.array(list(rows.values), pa.string()),
                columns.ROW: pa.array(range(len(rows.values)), pa.int64()),
                columns.PLACE: pa.array([f"old.csv:{n + 2}" for n in range(len(rows.values))], pa.string()),
                columns.COPY: pa.array([0] * len(rows.values), pa.int32()),
            }
        )
    )
    staged.complete()
    mapped = store.build(Kind.MAPPED, obj.name, tag)
    mapped.add_table(mapped_table(obj, rows, list(rows.values)))
    done = mapped.complete()
    survivors = sorted(set(rows.merged.values()))
    members = {**rows.merged, **{one: one for one in survivors}}
    clusters = store.build(Kind.CLUSTERS, obj.name, tag)
    clusters.add_table(
        pa.table(
            {
                columns.ID: [f"s:{one}" for one in members],
                "survivor": [f"s:{one}" for one in members.values()],
                "cluster": [f"c{one}" for one in members.values()],
                "rule": ["email" for _ in members],
                "evidence": ["x@y.z" for _ in members],
            },
            schema=columns.CLUSTERS,
        )
    )
    clusters.complete()
    golden = store.build(Kind.GOLDEN, obj.name, tag)
    golden.add_table(mapped_table(obj, rows, survivors))
    golden.complete()
    return done


def mapped_table(obj: MappedObject, rows: Rows, ids: Sequence[str]) -> pa.Table:
    """Rows in the shape of MAPPED; the external key defaults to 'k' and the id."""
    issues = [
        [{"field": "name", "rule": rows.bad[one], "value": "?", "message": "no good", "severity": "error"}]
        if one in rows.bad
        else []
        for one in ids
    ]
    made: dict[str, pa.Array] = {
        columns.ID: pa.array([f"s:{one}" for one in ids], pa.string()),
        columns.SOURCE: pa.array(["s"] * len(ids), pa.string()),
        columns.KEY: pa.array(list(ids), pa.string()),
        columns.EXCLUDED: pa.array([rows.excluded.get(one) for one in ids], pa.string()),
        columns.ISSUES: pa.array(issues, pa.list_(ISSUE)),
        columns.BAD: pa.array([one in rows.bad for one in ids], pa.bool_()),
    }
    for item in obj.fields:
        default = {"key": "k"}.get(item.name)
        values = [rows.values[one].get(item.name, f"k{one}" if default else None) for one in ids]
        made[item.name] = pa.array(values, arrow_type(item))
    return pa.table(made)
