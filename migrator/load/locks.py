"""Rows that were refused because another transaction held them or their parent: sent again, parent by parent, one call at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc


def locked(answers: pa.Table, codes: frozenset[str]) -> pa.ChunkedArray:
    """Which answers are refusals that only time mends."""
    refused = pc.equal(answers.column("outcome"), "refused")
    known = pc.is_in(answers.column("code"), value_set=pa.array(sorted(codes), pa.string()))
    return pc.and_(refused, known)


def by_parent(rows: pa.Table, links: Sequence[str], size: int, *, alone: bool) -> Iterator[pa.Table]:
    """Rows cut into calls of at most `size`, those of one parent in one call where it holds them.

    `links` are the columns that name parents, the most important first. `alone`: each parent has calls of its own,
    because one that is still held would refuse the others too.
    """
    if not links:
        yield from (rows.slice(start, size) for start in range(0, rows.num_rows, size))
        return
    ordered = rows.sort_by([(name, "ascending") for name in links])
    begin = end = 0
    for start, stop in _runs(ordered.column(links[0])):
        if end > begin and (alone or stop - begin > size):
            yield ordered.slice(begin, end - begin)
            begin = start
        while stop - begin > size:
            yield ordered.slice(begin, size)
            begin += size
        end = stop
    if end > begin:
        yield ordered.slice(begin, end - begin)


def _runs(values: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of equal values; rows without a parent each stand alone."""
    listed = values.to_pylist()
    start = 0
    for place in range(1, len(listed) + 1):
        if place == len(listed) or listed[place] != listed[start] or listed[start] is None:
            yield start, place
            start = place
