"""Datasets as relations of the engine: one place that knows how a mapping's datasets are named in a session and joined."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject, MappedSource
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Dataset, Kind, Store


def relation(session: Session, dataset: Dataset | None, empty: pa.Schema | None = None) -> str:
    """The quoted name under which a dataset can be queried; with no dataset, an empty relation of schema `empty`."""
    if dataset is None:
        if empty is None:
            raise ValueError("a relation of no dataset needs a schema")
        # The name carries the schema: two empty relations of different columns may live in one session.
        name = f"nothing:{fingerprint(empty.names, [str(item) for item in empty.types])}"
        session.table(name, empty.empty_table())
        return quote(name)
    # The name carries the id: DuckDB will not replace a view by a table when a dataset becomes empty.
    name = f"{dataset.kind.value}:{dataset.name}:{dataset.id}"
    session.view(name, dataset.files, dataset.schema())
    return quote(name)


def reference(mapping: str, record: str) -> str:
    """SQL for the reference 'MAPPING/SOURCE:KEY' of the record whose `__id` is the SQL expression `record`."""
    return f"({literal(mapping + '/')} || {record})"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What mapping and dedupe made of one object, as datasets."""

    mapped: Dataset
    clusters: Dataset | None
    golden: Dataset | None

    @property
    def ids(self) -> dict[str, str]:
        """Which datasets these are: two equal answers mean that nothing was made anew in between."""
        found = {"mapped": self.mapped, "clusters": self.clusters, "golden": self.golden}
        return {name: item.id if item else "" for name, item in found.items()}


def find_mapped(store: Store, obj: MappedObject) -> Mapped | None:
    """The datasets of an object; None while it is not mapped, or not deduplicated though it has rules for it."""
    mapped = store.current(Kind.MAPPED, obj.name)
    clusters = store.current(Kind.CLUSTERS, obj.name)
    golden = store.current(Kind.GOLDEN, obj.name)
    if mapped is None or (obj.dedupe is not None and (clusters is None or golden is None)):
        return None
    return Mapped(mapped, clusters, golden)


def need_mapped(store: Store, obj: MappedObject) -> Mapped:
    """`find_mapped`, or a `FatalError` that says which command is missing."""
    found = find_mapped(store, obj)
    if found is not None:
        return found
    store.need(Kind.MAPPED, obj.name, made_by="map")
    store.need(Kind.CLUSTERS, obj.name, made_by="dedupe")
    store.need(Kind.GOLDEN, obj.name, made_by="dedupe")
    raise AssertionError("one of the three was missing")


def survivors(session: Session, found: Mapped, selected: str = "*") -> str:
    """SQL for the rows that may move: neither bad nor excluded, duplicates replaced by their golden record."""
    mapped = relation(session, found.mapped)
    clusters = relation(session, found.clusters, columns.CLUSTERS)
    golden = relation(session, found.golden, found.mapped.schema())
    replaced = (
        f"SELECT {quote(columns.ID)} FROM {clusters} WHERE {quote(columns.ID)} <> survivor"
        f" UNION ALL SELECT {quote(columns.ID)} FROM {golden}"
    )
    return (
        f"SELECT {selected} FROM {mapped} AS m WHERE NOT m.{quote(columns.BAD)} AND m.{quote(columns.EXCLUDED)} IS NULL"
        f" AND NOT EXISTS (SELECT 1 FROM ({replaced}) AS r WHERE r.{quote(columns.ID)} = m.{quote(columns.ID)})"
        f" UNION ALL SELECT {selected} FROM {golden}"
    )


def first_error(alias: str, what: str = "rule") -> str:
    """SQL for the rule (or message, …) of the first error among a row's issues; null when it has none."""
    return f"list_filter({alias}.{quote(columns.ISSUES)}, lambda __n: __n.severity = 'error')[1].{what}"


def staged_record(source: MappedSource, staged: Dataset, alias: str) -> str:
    """SQL for the `__id` that the mapping gives a staged row: 'SOURCE:KEY', told apart where the key is missing or double."""
    row, copy = f"{alias}.{quote(columns.ROW)}", f"{alias}.{quote(columns.COPY)}"
    shape = staged.schema()
    names = {name.lower(): name for name in shape.names}
    column = names.get(source.key.lower()) if source.key else None
    key = "NULL"
    if column is not None:
        name = f"{alias}.{quote(column)}"
        key = f"CAST({name} AS VARCHAR)"
        if pa.types.is_floating(shape.field(column).type):
            key = f"CASE WHEN {name} = trunc({name}) THEN CAST(CAST({name} AS HUGEINT) AS VARCHAR) ELSE {key} END"
    return (
        f"concat({literal(source.name + ':')}, coalesce(nullif({key}, ''), concat('(row ', {row}, ')')),"
        f" CASE WHEN {copy} > 0 THEN concat(' (copy ', {copy}, ')') ELSE '' END)"
    )
