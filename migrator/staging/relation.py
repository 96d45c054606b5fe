"""Datasets as relations of the engine: one place that knows how a mapping's datasets are named in a session and joined."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject, MappedSource
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.records import copies_of, exploded, key_of, names_of
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


def counted_survivors(session: Session, name: str, found: Mapped, selected: str = "*") -> str:
    """The relation of `survivors`, laid aside as `name`, for what joins them.

    Behind the filters that make them the engine takes one row in twenty-five to be left, and so holds whole rows in memory
    to look others up in, instead of the other way round. Of a file it knows how many rows it has.
    """
    session.lay_aside(name, survivors(session, found, selected))
    return quote(name)


def first_error(alias: str, what: str = "rule") -> str:
    """SQL for the rule (or message, …) of the first error among a row's issues; null when it has none."""
    return f"list_filter({alias}.{quote(columns.ISSUES)}, lambda __n: __n.severity = 'error')[1].{what}"


RECORD = "__record"
"""What `staged_records` calls the `__id` of the record made of a row."""


def staged_records(session: Session, source: MappedSource, staged: Dataset) -> str:
    """SQL for the staged rows of a source with `__record`, the `__id` that the mapping gives each record made of them.

    A row that is exploded stands here once for each of its values, with the value beside it.
    """
    rows, names = relation(session, staged), {name.lower(): name for name in staged.schema().names}
    texts = [_text(staged.schema(), names[key.lower()]) for key in source.keys if key.lower() in names]
    given = key_of(texts) if len(texts) == len(source.keys) else "CAST(NULL AS TEXT)"
    if source.own_key:
        rows = f"""(SELECT r.* REPLACE (coalesce(n.copy, 0) AS {quote(columns.COPY)}) FROM {rows} AS r
            LEFT JOIN ({copies_of(rows, given)}) AS n USING ({quote(columns.ROW)}))"""
    if source.explode is not None:
        kept = [quote(name) for name in staged.schema().names]
        rows = f"({exploded(kept, _text(staged.schema(), source.explode.column), source.explode, rows)})"
    return f"SELECT *, {names_of(source.name, given, source.explode)[1]} AS {quote(RECORD)} FROM {rows}"


def _text(shape: pa.Schema, column: str) -> str:
    """A staged column as text; a whole number that is stored as a float has no '.0'."""
    name = quote(column)
    text = f"CAST({name} AS VARCHAR)"
    if pa.types.is_floating(shape.field(column).type):
        return (
            f"CASE WHEN {name} = trunc({name}) THEN CAST(CAST({name} AS HUGEINT) AS VARCHAR) ELSE {text} END"
        )
    return text
