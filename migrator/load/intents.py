"""What is on record before a batch goes out: what each of its records was in the target, and what it is about to become.

This is what a rollback restores, and how a record that we made is told from one that was there: a batch whose answer
was lost is sent again, and is then answered as if its records had always been there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrator.core.mapped import MappedObject
from migrator.load.outbound import TARGET_KEY
from migrator.load.send import Sender
from migrator.staging import columns
from migrator.staging.engine import Session, flush_and_rename, quote
from migrator.staging.relation import relation
from migrator.staging.store import Building, Dataset, Kind, Part, Store

_ID, _KEY = quote(columns.ID), quote(TARGET_KEY)


def intents_name(answers: Kind, obj: MappedObject) -> str:
    """The name of the intents of one pass over one object."""
    return f"{answers.value}:{obj.name}"


class Intents:
    """The intents of one pass of a load over one object."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        obj: MappedObject,
        answers: Kind,
        *,
        plan: str,
        target_is_empty: bool,
    ) -> None:
        """`target_is_empty`: the object held nothing before the first batch, so there is nothing to ask for."""
        name = intents_name(answers, obj)
        self._sender, self._obj, self._target_is_empty = sender, obj, target_is_empty
        self._building: Building = store.build(Kind.INTENTS, name, plan)
        self._doubts = _read(store.current(Kind.DOUBTS, name))

    def keep(self, batch: pa.Table) -> None:
        """Put on record what the records of a batch are in the target, and the values it carries."""
        wrote = batch.select(
            [name for name in batch.column_names if not name.startswith(columns.RESERVED_PREFIX)]
        )
        asked = [] if self._target_is_empty else batch.column(TARGET_KEY).to_pylist()
        held = self._sender.fetch(self._obj, asked, wrote.column_names)
        kind = pa.struct(held.schema)
        keys = batch.column(TARGET_KEY).combine_chunks()
        pool = pa.concat_tables([_found(held, self._obj.key), _doubted(self._doubts, kind)])
        # The earlier word counts: what was asked for after a lost answer may be our own writing.
        place = pc.coalesce(
            pc.add(pc.index_in(keys, value_set=self._doubts.column(TARGET_KEY)), held.num_rows),
            pc.index_in(keys, value_set=pool.column(TARGET_KEY).slice(0, held.num_rows)),
        )
        known = pool.take(place)
        self._building.add_table(
            pa.table(
                {
                    columns.ID: batch.column(columns.ID),
                    TARGET_KEY: keys,
                    "existed": pc.fill_null(known.column("existed"), False),
                    "was": known.column("was"),
                    "wrote": _struct(wrote),
                }
            )
        )


def _found(held: pa.Table, key: str) -> pa.Table:
    return pa.table(
        {
            TARGET_KEY: held.column(key).cast(pa.string()),
            "existed": pa.array([True] * held.num_rows, pa.bool_()),
            "was": _struct(held),
        }
    )


def _doubted(doubts: pa.Table, kind: pa.StructType) -> pa.Table:
    """Doubts in the shape of what is asked for now; a field that was not sent then was not changed then."""
    was = doubts.column("was").combine_chunks()
    there = {field.name: was.field(number) for number, field in enumerate(was.type)}
    arrays = [
        there[field.name].cast(field.type) if field.name in there else pa.nulls(len(was), field.type)
        for field in kind
    ]
    made = pa.StructArray.from_arrays(arrays, fields=list(kind), mask=was.is_null()) if arrays else was
    return pa.table(
        {
            TARGET_KEY: doubts.column(TARGET_KEY),
            "existed": doubts.column("existed"),
            "was": made,
        }
    )


def _struct(rows: pa.Table) -> pa.Array:
    whole = rows.combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in whole.columns]
    return pa.StructArray.from_arrays(arrays, fields=list(rows.schema))


_NO_DOUBTS = pa.schema(
    [(columns.ID, pa.string()), (TARGET_KEY, pa.string()), ("existed", pa.bool_()), ("was", pa.struct([]))]
)


def _read(doubts: Dataset | None) -> pa.Table:
    """At most a batch or two of each load that was killed."""
    if doubts is None:
        return _NO_DOUBTS.empty_table()
    return pa.concat_tables([pq.read_table(path) for path in doubts.files])


def settle_intents(store: Store, session: Session, obj: MappedObject, answers: Kind) -> None:
    """Keep what was carried out as history and the rest as doubts, before the answers go into the crosswalk.

    May be killed anywhere and called again: the intents go last.
    """
    name = intents_name(answers, obj)
    unfinished = store.unfinished(Kind.INTENTS, name)
    if unfinished is not None and unfinished.parts and unfinished.intact:
        store.build(Kind.INTENTS, name, unfinished.fingerprint, resume=True).complete()
    intents, recorded = store.current(Kind.INTENTS, name), store.current(answers, obj.name)
    if intents is None:
        return
    if recorded is not None and recorded.rows:
        _keep_history(store, session, obj, intents, recorded)
    _keep_doubts(store, session, name, intents, recorded)
    store.discard(Kind.INTENTS, name)


def _keep_history(
    store: Store, session: Session, obj: MappedObject, intents: Dataset, recorded: Dataset
) -> None:
    name = f"{intents.name}@{intents.id}"
    if not store.is_current(Kind.HISTORY, name, intents.id):
        kept = store.build(Kind.HISTORY, name, intents.id)
        for part in intents.parts:
            kept.add(lambda path, part=part: _link(part, path))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        kept.complete({"object": obj.name, "target": obj.target_object})
    if not store.is_current(Kind.ANSWERS, name, recorded.id):
        answered = store.build(Kind.ANSWERS, name, recorded.id)
        answered.add(lambda path: session.write(_answered(store, session, obj, recorded), path))
        runs = session.fetch(f"SELECT DISTINCT run FROM {relation(session, recorded)} WHERE run IS NOT NULL")
        answered.complete({"object": obj.name, "runs": sorted(runs.column("run").to_pylist())})


def _answered(store: Store, session: Session, obj: MappedObject, recorded: Dataset) -> str:
    before = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    known = ", ".join(f"{quote(name)} := o.{quote(name)}" for name in columns.CROSSWALK.names)
    return (
        f"SELECT n.{_ID}, n.target_id, n.outcome, n.run, n.at,"
        f" CASE WHEN o.{_ID} IS NOT NULL THEN struct_pack({known}) END AS known"
        f" FROM {relation(session, recorded)} AS n LEFT JOIN {before} AS o ON o.{_ID} = n.{_ID}"
    )


def _keep_doubts(
    store: Store, session: Session, name: str, intents: Dataset, recorded: Dataset | None
) -> None:
    """What was intended and never answered; an earlier doubt counts before a later one about the same record."""
    earlier = store.current(Kind.DOUBTS, name)
    if earlier is None and recorded is not None and recorded.rows == intents.rows:
        return
    made_of = f"{intents.id}+{recorded.id if recorded else ''}"
    if not store.is_current(Kind.DOUBTS, name, made_of):
        building = store.build(Kind.DOUBTS, name, made_of)
        building.add(lambda path: session.write(_doubtful(session, intents, recorded, earlier), path))
        building.complete()
    kept = store.current(Kind.DOUBTS, name)
    if kept is not None and not kept.rows:
        store.discard(Kind.DOUBTS, name)


def _doubtful(session: Session, intents: Dataset, recorded: Dataset | None, earlier: Dataset | None) -> str:
    """SQL for what no answer has come to of these intents and of the doubts there were."""
    answered = relation(session, recorded, columns.CROSSWALK)
    open_now = f"NOT EXISTS (SELECT 1 FROM {answered} AS n WHERE n.{_ID} = d.{_ID})"
    sql = f"SELECT {_ID}, {_KEY}, existed, was FROM {relation(session, intents)} AS d WHERE {open_now}"
    if earlier is not None:
        known = relation(session, earlier)
        was = _reshaped(earlier.schema().field("was").type, intents.schema().field("was").type)
        sql = (
            f"SELECT {_ID}, {_KEY}, existed, {was} AS was FROM {known} AS d WHERE {open_now} UNION ALL {sql}"
            f" AND NOT EXISTS (SELECT 1 FROM {known} AS e WHERE e.{_ID} = d.{_ID})"
        )
    return sql


def _reshaped(was: pa.StructType, wanted: pa.StructType) -> str:
    """SQL for the struct `d.was` with the fields of `wanted`; a field that was not sent then was not changed then."""
    there = {field.name for field in was}
    given = ", ".join(
        f"{quote(field.name)} := d.was.{quote(field.name)}"
        if field.name in there
        else f"{quote(field.name)} := NULL"
        for field in wanted
    )
    return f"CASE WHEN d.was IS NOT NULL THEN struct_pack({given}) END"


def _link(part: Part, path: Path) -> int:
    """The file of a part under a second name: nothing is copied where the file system can do that."""
    temporary = path.with_name(f".{path.name}.linking")
    temporary.unlink(missing_ok=True)
    try:
        os.link(part.path, temporary)
    except OSError:
        shutil.copyfile(part.path, temporary)
    flush_and_rename(temporary, path)
    return part.rows
