"""What changed on each side since the last run: into the queue, together with the new watermark, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa

from migrator.core.errors import RetryableError, WatermarkExpired
from migrator.core.twoway import ID, VERSION, Evidence, EvidenceKind, FeedPage
from migrator.sync.reconcile import reconcile
from migrator.sync.state import Changes, DirtyRow, Part, Watermark
from migrator.sync.streams import Scene, Stream
from migrator.sync.work import Work

_TREND = 14
"""So many runs back the usual number of changes is taken from."""


def pull(work: Work, scene: Scene, stream: Stream, mark: Watermark, *, full: bool) -> None:
    """Read one stream: its changes, or the whole of it when the feed cannot say what is missing.

    The watermark is taken before a whole read begins, so that nothing falls between the two.
    """
    if full or must_scan(work, scene, mark):
        _whole(work, scene, stream, mark)
        return
    try:
        pages = list(stream.side.changes(stream.object, mark.watermark, stream.side.facts.overlap))
    except WatermarkExpired:
        _whole(work, scene, stream, mark)
        return
    _commit(work, stream, mark, pages)


def must_scan(work: Work, scene: Scene, mark: Watermark) -> bool:
    """Whether only a full comparison finds what changed: first time, new mapping, dark for longer than the feed remembers, or due."""
    if mark.watermark is None or mark.scanned_at is None or mark.fingerprint != scene.fingerprint:
        return True
    now = work.now()
    if now - mark.scanned_at >= work.settings.scan_every or now < mark.scanned_at:
        return True
    memory = scene.stream(mark.stream).side.facts.feed_memory
    dark = abs(now - mark.pulled_at) if mark.pulled_at is not None else timedelta.max
    return memory is not None and dark >= timedelta(seconds=memory)


def _whole(work: Work, scene: Scene, stream: Stream, mark: Watermark) -> None:
    """A list says what is there; of what is not, merged records above all, only the feed tells, as far back as it goes."""
    pages = _pages(stream, mark)
    watermark = _watermark(stream, pages)
    proofs = [proof for page in pages for proof in page.evidence]
    found = Changes(evidence=[(stream.name, proof, False) for proof in proofs])
    found.dirty += _proved(work, stream, proofs, frozenset())
    work.store.commit(Part.PULL, found)
    reconcile(work, scene, stream, mark, watermark)


def _pages(stream: Stream, mark: Watermark) -> list[FeedPage]:
    """What the feed has; from now on, where it no longer knows what was before."""
    try:
        return list(stream.side.changes(stream.object, mark.watermark, stream.side.facts.overlap))
    except WatermarkExpired:
        return list(stream.side.changes(stream.object, None, 0.0))


def _commit(work: Work, stream: Stream, mark: Watermark, pages: list[FeedPage]) -> None:
    watermark = _watermark(stream, pages)
    changes = Changes()
    found = dict(_rows(pages))
    known = work.store.versions(stream.name, list(found))
    ids = [name for name, version in found.items() if known.get(name) != version or not version]
    changes.dirty += queued(work, stream, ids, "changed")
    proofs = [proof for page in pages for proof in page.evidence]
    changes.evidence += [(stream.name, proof, False) for proof in proofs]
    changes.dirty += _proved(work, stream, proofs, frozenset(ids))
    trend = (*mark.changed, len(ids))[-_TREND:]
    changes.watermarks.append(replace(mark, watermark=watermark, pulled_at=work.now(), changed=trend))
    work.report.count(stream.mapping, f"pulled_{stream.which.value}", len(ids))
    work.store.commit(Part.PULL, changes)


def _watermark(stream: Stream, pages: list[FeedPage]) -> str:
    """Of the last page; a read without one was cut short, and is nothing to go on."""
    found = pages[-1].watermark if pages else None
    if found is None:
        raise RetryableError(
            f"{stream.name}: the answer broke off before its end", hint="the next run reads it again"
        )
    return found


def _rows(pages: list[FeedPage]) -> Iterator[tuple[str, str]]:
    for page in pages:
        yield from zip(_texts(page.rows, ID), _texts(page.rows, VERSION), strict=True)


def _texts(rows: pa.Table, name: str) -> list[str]:
    found: list[str] = rows.column(name).to_pylist()
    return found


def queued(work: Work, stream: Stream, ids: list[str], why: str) -> list[DirtyRow]:
    """Rows for the queue; one that is there keeps its history, and is due at once."""
    before = work.store.dirty_rows([(stream.name, name) for name in ids])
    now = work.now()
    fresh = []
    for name in ids:
        known = before.get((stream.name, name))
        fresh.append(replace(known, not_before=None) if known else DirtyRow(stream.name, name, why, now))
    return fresh


def _proved(work: Work, stream: Stream, proofs: list[Evidence], already: frozenset[str]) -> list[DirtyRow]:
    """Records that something was proved about, and that the sync has not dealt with: the feed tells of our own deletes too.

    One with a tombstone may have come back, and been merged away since.
    """
    ids = [name for name in dict.fromkeys(proof.id for proof in proofs) if name not in already]
    if not ids:
        return []
    known = work.store.evidence([(stream.name, name) for name in ids])
    stones = work.store.tombstones([(stream.name, name) for name in ids])
    merged = frozenset(proof.id for proof in proofs if proof.kind is EvidenceKind.MERGED)
    new = [
        name
        for name in ids
        if ((stream.name, name) not in stones or name in merged)
        and any(
            proof.id == name
            and not any(
                (proof.kind, proof.version) == (old.kind, old.version)
                for old, _ in known.get((stream.name, name), ())
            )
            for proof in proofs
        )
    ]
    return queued(work, stream, new, "proved")
