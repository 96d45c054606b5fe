"""The full comparison of one stream with the store: every record and every mapped field, by columns, page by page.

What differs, what nobody knows and what is no longer listed goes into the queue; nothing is ever deleted because of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrator.core.errors import RetryableError
from migrator.core.twoway import ID, VERSION
from migrator.staging.prepared import SQLITE, Prepared
from migrator.staging.sync_tables import dirty, members
from migrator.sync.returning import is_back
from migrator.sync.state import CREATING, DOUBTED, GONE, UNLISTED, Changes, MemberRow, Part, Watermark
from migrator.sync.store import SyncStore, not_a_member
from migrator.sync.streams import Scene, Stream
from migrator.sync.values import row_fingerprints, table_fingerprints, text_fingerprints
from migrator.sync.work import Work

_PAGE = 50_000
_FEW = 20
"""Up to so many rows of a page the columns cost more than the rows."""
_LIVE_IDS = Prepared(
    sa.select(members.c.id)
    .where(
        members.c.stream == sa.bindparam("of"),
        members.c.until.is_(None),
        members.c.state != GONE,
        members.c.state != CREATING,
        members.c.id > sa.bindparam("last"),
    )
    .order_by(members.c.id)
    .limit(_PAGE)
)
_DIFFERING = Prepared(
    sa.text(
        "SELECT l.value ->> 0 AS id, m.id IS NULL AS unknown, m.state FROM json_each(:page) AS l"
        f" LEFT JOIN {members.name} AS m ON m.stream = :of AND m.id = l.value ->> 0 AND m.until IS NULL"
        " WHERE m.id IS NULL OR m.state = 'gone' OR m.seen IS NOT l.value ->> 1"
    ).columns(id=sa.Text, unknown=sa.Boolean, state=sa.Text)
)
"""On SQLite."""
_UNKNOWN = Prepared(
    sa.select(dirty.c.id, dirty.c.why, dirty.c.attempts).where(
        dirty.c.stream == sa.bindparam("of"), not_a_member()
    )
)


def reconcile(work: Work, scene: Scene, stream: Stream, mark: Watermark, watermark: str) -> None:
    """Compare a whole stream; `watermark` was taken before, and is committed with what was found."""
    import numpy as np

    generation = mark.generation + 1
    found: list[tuple[str, str]] = []
    listed: list[Any] = []
    rows, ended = 0, False
    for page in stream.side.scan(stream.object, stream.compared):
        ids: list[str] = page.rows.column(ID).to_pylist()
        rows += len(ids)
        ended = page.last
        if ids:
            listed.append(text_fingerprints(ids, generation))
            found += _differing(work.store, stream, page.rows, ids)
    if not ended:
        raise RetryableError(
            f"{stream.name}: the list broke off before its end", hint="the next run compares it again"
        )
    there = np.sort(np.concatenate(listed)) if listed else np.array([], dtype=np.int64)
    missing = list(_unlisted(work.store, stream, there, generation))
    fresh = replace(
        mark, watermark=watermark, pulled_at=work.now(), scanned_at=work.now(), generation=generation, rows=rows,
        fingerprint=scene.fingerprint,
    )  # fmt: skip
    _note(work, stream, fresh, [*dict.fromkeys(found), *((name, UNLISTED) for name in missing)])


def _differing(store: SyncStore, stream: Stream, rows: pa.Table, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Ids of a page that the store knows otherwise, or not at all; the database compares, a page at a time."""
    few = rows.num_rows <= _FEW
    prints = (
        row_fingerprints(rows.to_pylist(), stream.compared)
        if few
        else table_fingerprints(rows, stream.compared)
    )
    if store.ledger.engine.dialect.name == SQLITE:
        page = list(zip(ids, prints, strict=True))
        found = store.ledger.fetch(_DIFFERING, {"page": page, "of": stream.name})
    else:
        with store.ledger.read() as connection:
            query = sa.text(
                "SELECT l.id, m.id IS NULL AS unknown, m.state FROM unnest(CAST(:ids AS text[]), CAST(:seen AS bigint[]))"
                f" AS l(id, seen) LEFT JOIN {_table(connection)} AS m"
                " ON m.stream = :stream AND m.id = l.id AND m.until IS NULL"
                " WHERE m.id IS NULL OR m.state = 'gone' OR m.seen IS DISTINCT FROM l.seen"
            )
            values = {"ids": list(ids), "seen": prints, "stream": stream.name}
            found = connection.execute(query, values).all()
    back = _come_back(store, stream, rows, [row.id for row in found if row.state == GONE])
    return [
        (row.id, "unknown" if row.unknown else "changed")
        for row in found
        if row.state != GONE or row.id in back
    ]


def _come_back(store: SyncStore, stream: Stream, rows: pa.Table, ids: Sequence[str]) -> frozenset[str]:
    """Records with a tombstone that are listed with a later version than they died with."""
    if not ids:
        return frozenset()
    stones = store.tombstones([(stream.name, name) for name in ids])
    versions = dict(zip(rows.column(ID).to_pylist(), rows.column(VERSION).to_pylist(), strict=True))
    return frozenset(name for name in ids if is_back(stones.get((stream.name, name)), versions[name]))


def _table(connection: sa.Connection) -> str:
    """The members' table under its schema, where the ledger has one."""
    schema = (connection.get_execution_options().get("schema_translate_map") or {}).get(None)
    name: str = connection.dialect.identifier_preparer.quote(members.name)
    return f"{connection.dialect.identifier_preparer.quote(schema)}.{name}" if schema else name


def _unlisted(store: SyncStore, stream: Stream, there: Any, generation: int) -> Iterator[str]:
    """Live members that were not listed. Hashes with the generation's own salt stand for the ids listed: 8 bytes each."""
    import numpy as np

    for ids in _live_ids(store, stream):
        hashes = text_fingerprints(ids, generation)
        if not len(there):
            yield from ids
            continue
        places = np.minimum(np.searchsorted(there, hashes), len(there) - 1)
        yield from (ids[at] for at in np.flatnonzero(there[places] != hashes))


def _live_ids(store: SyncStore, stream: Stream) -> Iterator[list[str]]:
    last = ""
    while True:
        ids = [row.id for row in store.ledger.fetch(_LIVE_IDS, {"of": stream.name, "last": last})]
        if not ids:
            return
        yield ids
        last = ids[-1]


def _note(work: Work, stream: Stream, mark: Watermark, found: Sequence[tuple[str, str]]) -> None:
    """Queue, mismatches with their generation, and the watermark from before the comparison, in one transaction."""
    from migrator.sync.pull import queued

    changes = Changes(watermarks=[mark])
    for why, names in (
        (UNLISTED, [name for name, kind in found if kind == UNLISTED]),
        ("reconcile", [name for name, kind in found if kind != UNLISTED]),
    ):
        changes.dirty += queued(work, stream, names, why)
    changes.mismatches = [(stream.name, name, kind, mark.generation) for name, kind in found]
    _forget_unknown(work, stream, frozenset(name for name, _ in found), changes)
    work.report.reconciled.append(stream.name)
    work.report.count(stream.mapping, "mismatches", len(found))
    work.store.commit(Part.PULL, changes)


def _forget_unknown(work: Work, stream: Stream, found: frozenset[str], changes: Changes) -> None:
    """Queued records that belong to no group and are not in a complete list: when they come back, a list has them again.

    One that may have had a partner is remembered, as dead: should it show up after so long, a person is asked.
    """
    for row in work.store.ledger.fetch(_UNKNOWN, {"of": stream.name}):
        if row.id in found or (row.why == DOUBTED and row.attempts < work.settings.attempts):
            continue
        if row.why == DOUBTED:
            grp = work.store.next_group()
            changes.members.append(
                MemberRow(stream.name, row.id, stream.which, grp, GONE, leads=False, since=-1)
            )
        changes.clean.append((stream.name, row.id))
