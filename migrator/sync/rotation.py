"""A part of the full comparison every day, so that what no feed tells is found within a day or two and not after a week.

Linked records are taken in the order of their ids, a part of them each day, and fetched; what is not as it was last seen goes
into the queue. What nobody has linked yet, only a list of the whole can find. A part in which too much is not there at all
is not queued: that brake is the same as after a full comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from migrator.staging.prepared import Prepared
from migrator.staging.sync_tables import members
from migrator.sync.guard import engage, shrink_brake
from migrator.sync.pull import queued
from migrator.sync.state import LIVE, UNLISTED, Changes, Part, Watermark
from migrator.sync.streams import Scene, Stream
from migrator.sync.values import row_fingerprints
from migrator.sync.work import Work

DAY = timedelta(days=1)
_M = members.c
_NEXT = Prepared(
    sa.select(_M.id, _M.seen)
    .where(
        _M.stream == sa.bindparam("of"), _M.until.is_(None), _M.state == LIVE, _M.id > sa.bindparam("last")
    )
    .order_by(_M.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


@dataclass(slots=True)
class _Part:
    """What a part of a stream came to."""

    compared: int = 0
    last: str = ""
    differing: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def rotate(work: Work, scene: Scene, stream: Stream, mark: Watermark) -> None:
    """Compare today's part of a stream, once a day, unless all of it was compared today anyhow or requests run out."""
    parts, now = work.settings.rotation, work.now()
    if (
        parts < 2
        or mark.scanned_at is None
        or now - mark.scanned_at < DAY
        or stream.side.allowance.is_pressed
    ):
        return
    before, last = _remembered(work, stream)
    if before is not None and timedelta() <= now - before < DAY:
        return
    found = _compare(work, stream, last, max(1, -(-mark.rows // parts)))
    brake = shrink_brake(work.settings.limits, len(found.absent), found.compared)
    if brake is not None and engage(work, scene, brake):
        work.stopped[scene.mapping] = brake.kind
        return
    changes = Changes(dirty=queued(work, stream, found.differing, "reconcile"))
    changes.dirty += queued(work, stream, found.absent, UNLISTED)
    work.report.count(stream.mapping, "rotated", found.compared)
    work.report.count(stream.mapping, "mismatches", len(found.differing) + len(found.absent))
    work.store.commit(Part.PULL, changes)
    # killed before this, the same part is compared again
    work.store.note(_fact(stream), json.dumps({"at": now.isoformat(), "last": found.last}))


def _remembered(work: Work, stream: Stream) -> tuple[datetime | None, str]:
    """When a part was compared last, and the id it ended with; '' at the end of all."""
    text = work.store.fact(_fact(stream))
    if not text:
        return None, ""
    known = json.loads(text)
    return datetime.fromisoformat(known["at"]), known["last"]


def _fact(stream: Stream) -> str:
    return f"part/{stream.name}"[:64]


def _compare(work: Work, stream: Stream, last: str, most: int) -> _Part:
    found = _Part(last=last)
    for rows in _pages(work, stream, last, most):
        ids = [row.id for row in rows]
        there = {record.id: record for record in stream.side.fetch(stream.object, ids, stream.compared)}
        present = [name for name in ids if name in there]
        prints = dict(
            zip(
                present,
                row_fingerprints([there[name].values for name in present], stream.compared),
                strict=True,
            )
        )
        found.absent += [name for name in ids if name not in there]
        found.differing += [row.id for row in rows if row.id in prints and row.seen != prints[row.id]]
        found.compared += len(ids)
        found.last = ids[-1]
    if found.compared < most:
        found.last = ""
    return found


def _pages(work: Work, stream: Stream, last: str, most: int) -> Iterator[Sequence[Any]]:
    size, left = stream.side.facts.page_rows, most
    while left > 0:
        values = {"of": stream.name, "last": last, "most": min(size, left)}
        rows = work.store.ledger.fetch(_NEXT, values)
        if not rows:
            return
        yield rows
        last, left = rows[-1].id, left - len(rows)
