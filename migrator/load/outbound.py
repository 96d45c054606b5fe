"""Rows as they are sent: links resolved to what the target calls their records, in batch order, read back batch by batch.

The OUTBOUND dataset is the intent on record: it is complete before the first of its rows is sent. It is one sorted
file, read from front to back, so a batch costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import Link, MappedObject
from migrator.load.choice import EVERYTHING, Choice
from migrator.load.ends import end, parents, with_ends
from migrator.staging import columns
from migrator.staging.action import SENT, Action, listed
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.in_order import Order, runs, write_in_order
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

TARGET_KEY = "__target_key"
"""The external key as text, as outcomes name it."""
_OWN = (columns.ID, columns.FINGERPRINT, columns.BATCH, columns.ACTION)
_ID, _FP, _BATCH = quote(columns.ID), quote(columns.FINGERPRINT), quote(columns.BATCH)


def make_outbound(
    store: Store, session: Session, obj: MappedObject, planned: Dataset, choice: Choice = EVERYTHING
) -> Dataset:
    """The OUTBOUND dataset of what is chosen and left to send of a plan: rows whose links all resolve now."""
    held = tuple(link for link in obj.links if not link.deferred)
    crosswalks = [store.current(Kind.CROSSWALK, name) for name in _names(obj, held)]
    made_of = fingerprint(planned.id, [item.id if item else "" for item in crosswalks], choice.tag)
    found = store.current(Kind.OUTBOUND, obj.name)
    if found is not None and store.is_current(Kind.OUTBOUND, obj.name, made_of):
        return found
    left = rows_left(store, session, obj, planned, choice)
    building = store.build(Kind.OUTBOUND, obj.name, made_of)
    resolved = _resolved(store, session, obj, held, left)
    order = Order(columns.BATCH, planned.detail["batches"], columns.ID)
    sent = sum(planned.detail["counts"].get(action.value, 0) for action in SENT)
    building.add(lambda path: write_in_order(session, resolved, order, path, rows=sent))
    return building.complete({"left": row_count(session, f"({left})")})


def rows_left(
    store: Store, session: Session, obj: MappedObject, planned: Dataset, choice: Choice = EVERYTHING
) -> str:
    """SQL for the planned rows that are chosen and have no outcome newer than the plan."""
    return choice.narrowed(obj, _left(store, session, obj, planned))


def read_batches(path: Path) -> Iterator[pa.Table]:
    """The rows of each batch in turn from a file sorted by `__batch`; never more than a row group and a batch in memory."""
    waiting: list[pa.Table] = []
    current: int | None = None
    for rows in _pages(path, 20_000):
        for number, start, stop in runs(rows.column(columns.BATCH)):
            if current is not None and number < current:
                raise AssertionError(f"{path}: batches are out of order")
            if waiting and number != current:
                yield pa.concat_tables(waiting)
                waiting = []
            current = number
            waiting.append(rows.slice(start, stop - start))
    if waiting:
        yield pa.concat_tables(waiting)


def cut_batches(path: Path, size: int) -> Iterator[pa.Table]:
    """The rows of a file in its own order, in batches of `size`, numbered in `__batch` from 0."""
    for number, rows in enumerate(_pages(path, size)):
        yield rows.append_column(columns.BATCH, pa.array([number] * rows.num_rows, pa.int32()))


def _pages(path: Path, size: int) -> Iterator[pa.Table]:
    # With pre_buffer, Arrow's default, it keeps all of the file that was read so far: memory would grow with the data.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for page in file.iter_batches(batch_size=size):
            yield pa.Table.from_batches([page])


def _names(obj: MappedObject, links: Sequence[Link]) -> list[str]:
    return [obj.name, *sorted({name for link in links for name in link.mappings})]


def _left(store: Store, session: Session, obj: MappedObject, planned: Dataset) -> str:
    """SQL for the planned rows that have no outcome newer than the plan."""
    plan = relation(session, planned)
    wanted = f"SELECT r.* FROM {plan} AS r WHERE r.{quote(columns.ACTION)} IN ({listed(SENT)})"
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    if crosswalk is None or crosswalk.id == planned.detail["inputs"]["crosswalk"]:
        return wanted
    return (
        f"{wanted} AND NOT EXISTS (SELECT 1 FROM {relation(session, crosswalk)} AS x WHERE x.{_ID} = r.{_ID}"
        f" AND x.{_FP} = r.{_FP} AND x.at IS DISTINCT FROM r.{quote(columns.KNOWN)})"
    )


def _created_with(name: str, first: str) -> str:
    """The first value of a record that is to be made, if it has a value of its own; an update sends that itself."""
    made = f"r.{quote(columns.ACTION)} = {literal(Action.CREATE.value)} AND r.{quote(name)} IS NOT NULL"
    return f"CASE WHEN {made} THEN {literal(first)} ELSE r.{quote(name)} END"


def _resolved(store: Store, session: Session, obj: MappedObject, held: Sequence[Link], left: str) -> str:
    place = {link.field: number for number, link in enumerate(held)}
    later = {link.field for link in obj.links if link.deferred}
    first = {item.field: item.text for item in obj.firsts}
    sent = [item.name for item in obj.fields if item.name not in later]
    needed = ", ".join(quote(name) for name in (*_OWN, *dict.fromkeys((obj.key, *sent))))
    rows = with_ends(
        session, f"SELECT {needed} FROM ({left})", held, [parents(store, session, link) for link in held]
    )
    fields = ", ".join(
        f"r.{end(place[name])} AS {quote(name)}"
        if name in place
        else f"{_created_with(name, first[name])} AS {quote(name)}"
        if name in first
        else f"r.{quote(name)}"
        for name in sent
    )
    whole = " AND ".join(
        f"(r.{quote(link.field)} IS NULL OR r.{end(number)} IS NOT NULL)" for number, link in enumerate(held)
    )
    return (
        f"SELECT r.{_ID}, r.{_FP}, r.{_BATCH}, CAST(r.{quote(obj.key)} AS VARCHAR) AS {quote(TARGET_KEY)}, {fields}"
        f" FROM ({rows}) AS r WHERE {whole or 'true'}"
    )
