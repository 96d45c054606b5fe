"""Records taken out of every dataset they stand in, as if they had never been read: for a person who is to be forgotten.

Files that hold none of them stay as they are. Of one that does, a version without them is written, entered in the ledger
in place of it, and only then the old one goes: killed anywhere, the next attempt does what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from migrator.core.boundary import boundary
from migrator.core.mapped import MappedSource
from migrator.staging import columns
from migrator.staging import ledger_tables as tables
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import RECORD, staged_records
from migrator.staging.store import Dataset, Kind, Part, Store, version_after

_NAMING = (columns.ID, "one", "other", "survivor")
"""Columns by which datasets name the record that a row is about."""
_TEXTUAL_REJECT = 6
"""A key of fewer signs says nothing about a text that could not be read."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """Records to be taken out, of all mappings."""

    ids: Mapping[str, frozenset[str]]
    """Mapping → `__id`s."""
    sources: Mapping[str, tuple[tuple[str, MappedSource], ...]] = field(default_factory=dict)
    """'system/object' → the mappings and sources that read it."""
    keys: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Mapping → its key in the target, and the values of it."""


def purge(store: Store, session: Session, doomed: Doomed) -> dict[str, int]:
    """Take the records out; returns 'kind/name' → rows that went. The caller holds the lease, where the ledger has one."""
    taken: dict[str, int] = {}
    for dataset in store.all():
        rows = _purge(store, session, dataset, doomed)
        if rows:
            name = f"{dataset.kind.value}/{dataset.name}"
            taken[name] = taken.get(name, 0) + rows
    return taken


def _purge(store: Store, session: Session, dataset: Dataset, doomed: Doomed) -> int:
    if not _is_anywhere(dataset):
        return 0
    where = _condition(session, dataset, doomed)
    if not where:
        return 0
    return sum(_rewrite(store, session, dataset, part, where) for part in dataset.parts if part.rows)


def _is_anywhere(dataset: Dataset) -> bool:
    """Whether any file with rows is left, here or in the place that machines share."""
    full = [part for part in dataset.parts if part.rows]
    if any(part.place.exists() for part in full):
        return True
    kept = dataset.depot.sizes(full[0].place.parent) if full else {}
    return any(part.place.name in kept for part in full)


def _condition(session: Session, dataset: Dataset, doomed: Doomed) -> str:
    """SQL that holds for rows about the records; '' when none can be."""
    match dataset.kind:
        case Kind.STAGED:
            return _staged(session, dataset, doomed)
        case Kind.REJECTS:
            named = [key for key in _keys_in(doomed, dataset.name) if len(key) >= _TEXTUAL_REJECT]
            return " OR ".join(f"contains(raw, {literal(key)})" for key in named)
        case Kind.READBACK:
            column, keys = doomed.keys.get(dataset.name, ("", frozenset()))
            return _among([column], keys) if column in dataset.schema().names else ""
        case _:
            return _among(_naming(dataset.schema()), doomed.ids.get(mapping_of(dataset.name), frozenset()))


def _staged(session: Session, dataset: Dataset, doomed: Doomed) -> str:
    rows: set[int] = set()
    for mapping, source in doomed.sources.get(dataset.name, ()):
        ids = doomed.ids.get(mapping, frozenset())
        if ids:
            found = session.fetch(
                f"SELECT DISTINCT {quote(columns.ROW)} AS row FROM ({staged_records(session, source, dataset)})"
                f" WHERE {_among([RECORD], ids)}"
            )
            rows.update(found.column("row").to_pylist())
    return f"{quote(columns.ROW)} IN ({', '.join(map(str, sorted(rows)))})" if rows else ""


def _keys_in(doomed: Doomed, staged: str) -> Iterator[str]:
    for mapping, source in doomed.sources.get(staged, ()):
        for name in sorted(doomed.ids.get(mapping, ())):
            if name.startswith(f"{source.name}:"):
                yield name.partition(":")[2]


def mapping_of(dataset: str) -> str:
    """The mapping that a dataset is of: 'PASS:MAPPING@ID' → MAPPING."""
    return dataset.rpartition(":")[2].partition("@")[0]


def _naming(schema: pa.Schema) -> list[str]:
    return [name for name in _NAMING if name in schema.names and pa.types.is_string(schema.field(name).type)]


def _among(names: Sequence[str], values: frozenset[str]) -> str:
    listed = ", ".join(literal(value) for value in sorted(values))
    return " OR ".join(f"{quote(name)} IN ({listed})" for name in names) if listed else ""


def _rewrite(store: Store, session: Session, dataset: Dataset, part: Part, where: str) -> int:
    """Write a part without the rows, if it has any; returns how many went."""
    view = f"purge:{dataset.id}:{part.number}"
    session.view(view, dataset.files_of([part]))
    kept = f"SELECT * FROM {quote(view)} WHERE NOT coalesce({where}, false)"
    counted = session.fetch(f"SELECT count(*) AS rows FROM {quote(view)} WHERE {where}")
    gone = int(counted.column("rows")[0].as_py())
    if not gone:
        return 0
    path = part.place.with_name(store.depot.named(version_after(part.place.name)))
    rows = session.write(kept, path)
    store.depot.put(path)
    boundary("purge.part-written")
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(
            tables.parts.update()
            .where(tables.parts.c.dataset == dataset.id, tables.parts.c.number == part.number)
            .values(file=path.name, rows=rows, bytes=path.stat().st_size)
        )
        table = tables.datasets
        connection.execute(table.update().where(table.c.id == dataset.id).values(rows=table.c.rows - gone))
    boundary("purge.part-committed")
    part.place.unlink(missing_ok=True)
    store.depot.delete(part.place)
    return gone
