"""A dual run that has begun, without a load before it: given links become groups, and what both systems hold now their bases.

The product takes its first bases from what a load staged (`migrator.sync.loaded`); tests and benches of the engine have no load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrator.core.errors import RetryableError
from migrator.core.twoway import ID, VERSION, Which
from migrator.staging.sync_tables import members
from migrator.sync.state import Changes, MemberRow, Part, Watermark
from migrator.sync.streams import Scene, Stream
from migrator.sync.values import table_fingerprints, to_text
from migrator.sync.work import Work

OLD, NEW, LEADS = "old", "new", "leads"
LINKS = pa.schema([(OLD, pa.string()), (NEW, pa.string()), (LEADS, pa.bool_())])
"""'SOURCE:ID' of an old record, id of the new one that stands for it, and whether its values are the new one's; in the
order of `new`, so that all old records of one new record come together."""


def seed(work: Work, scene: Scene, links: Iterable[pa.RecordBatch | pa.Table]) -> int:
    """Enter links as groups, then take the bases of every stream of the mapping; returns the links that were new.

    The watermark of each stream is taken before its bases are read. The caller holds the lease and has opened the store.
    """
    entered = sum(_enter(work, scene, page) for page in _pages(links))
    for stream in scene.streams:
        _take_bases(work, scene, stream)
    return entered


def _pages(links: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[list[dict[str, Any]]]:
    """Rows in pages that never part the old records of one new record."""
    held: list[dict[str, Any]] = []
    for batch in links:
        held += batch.to_pylist()
        last = held[-1][NEW] if held else None
        cut = next((at for at in range(len(held) - 1, -1, -1) if held[at][NEW] != last), -1) + 1
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _enter(work: Work, scene: Scene, page: Sequence[dict[str, Any]]) -> int:
    known = work.store.members(
        [(scene.new.name, row[NEW]) for row in page] + [_key(scene, row[OLD]) for row in page]
    )
    changes = Changes()
    for new, rows in groupby(page, key=lambda row: row[NEW]):
        olds = [(_key(scene, row[OLD]), bool(row[LEADS])) for row in rows]
        if (scene.new.name, new) in known or any(key in known for key, _ in olds):
            continue
        grp = work.store.next_group()
        changes.members.append(MemberRow(scene.new.name, new, Which.NEW, grp, since=-1))
        first = next((at for at, (_, leads) in enumerate(olds) if leads), 0)
        changes.members += [
            MemberRow(*key, Which.OLD, grp, leads=at == first, since=-1) for at, (key, _) in enumerate(olds)
        ]
    work.store.commit(Part.RESULT, changes)
    return sum(row.which is Which.OLD for row in changes.members)


def _key(scene: Scene, record: str) -> tuple[str, str]:
    source, _, name = record.partition(":")
    return f"{scene.mapping}/{source}", name


def _take_bases(work: Work, scene: Scene, stream: Stream) -> None:
    """Bases only of those that have none yet: what was decided since must not be forgotten."""
    pages = list(stream.side.changes(stream.object, None, 0.0))
    watermark = pages[-1].watermark if pages else None
    rows, ended = 0, False
    for page in stream.side.scan(stream.object, stream.compared):
        rows += page.rows.num_rows
        ended = page.last
        if page.rows.num_rows:
            _store_bases(work, stream, page.rows)
    if not ended or watermark is None:
        raise RetryableError(f"{stream.name}: the list broke off before its end", hint="seed it again")
    now = work.now()
    before = work.store.watermarks().get(stream.name) or Watermark(stream.name)
    mark = replace(
        before, watermark=watermark, pulled_at=now, scanned_at=now, rows=rows, fingerprint=scene.fingerprint
    )
    if before.watermark is None:
        work.store.commit(Part.PULL, Changes(watermarks=[mark]))


def _store_bases(work: Work, stream: Stream, page: pa.Table) -> None:
    names = [name for name in stream.compared if name in page.column_names]
    prints = table_fingerprints(page, stream.compared)
    ids, versions = page.column(ID).to_pylist(), page.column(VERSION).to_pylist()
    bases = [to_text(row) for row in page.select(names).to_pylist()]
    rows = [
        {"s": stream.name, "i": name, "v": version, "b": base, "f": seen}
        for name, version, base, seen in zip(ids, versions, bases, prints, strict=True)
    ]
    c = members.c
    statement = (
        members.update()
        .where(c.stream == sa.bindparam("s"), c.id == sa.bindparam("i"), c.until.is_(None), c.base == "{}")
        .values(version=sa.bindparam("v"), base=sa.bindparam("b"), seen=sa.bindparam("f"))
    )
    with work.store.ledger.begin() as connection:
        work.store.ledger.check_fence(connection)
        connection.execute(statement, rows)
