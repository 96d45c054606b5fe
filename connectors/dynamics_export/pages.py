"""Chunks of any size cut into pages of the size asked for, each with a cursor to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors.dynamics_export.batch import Batch, Chunk, Position
from migrator.core.connector import Page, Reject
from migrator.core.errors import FatalError

_PAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """One region of one file: where it begins, and its chunks from any position on."""

    begin: Position
    chunks: Callable[[Position], Iterator[Chunk]]


class Pages:
    """Pages over several stretches, one after the other.

    A cursor is 'STRETCH:OFFSET:LINE' of the first record that was not delivered.
    """

    def __init__(self, stretches: Sequence[Stretch], page_rows: int) -> None:
        self._stretches = stretches
        self._page_rows = max(page_rows, 1)

    def read(self, cursor: str | None) -> Iterator[Page]:
        """Pages from the cursor on, or from the beginning."""
        number, position = self._resumed(cursor)
        for index in range(number, len(self._stretches)):
            stretch = self._stretches[index]
            yield from self._pages(index, stretch.chunks(position or stretch.begin))
            position = None

    def _resumed(self, cursor: str | None) -> tuple[int, Position | None]:
        if cursor is None:
            return 0, None
        try:
            index, offset, line = (int(part) for part in cursor.split(":"))
        except ValueError as error:
            raise FatalError(
                f"{cursor!r} is no cursor of this source", hint="read from the beginning"
            ) from error
        return index, Position(offset, line)

    def _pages(self, index: int, chunks: Iterator[Chunk]) -> Iterator[Page]:
        waiting: list[Chunk] = []
        for chunk in chunks:
            waiting.append(chunk)
            while self._full(waiting):
                page, waiting = self._cut(index, waiting)
                yield page
        if any(item.batch.rows.num_rows or item.batch.rejects for item in waiting):
            yield self._cut(index, waiting)[0]

    def _full(self, waiting: Sequence[Chunk]) -> bool:
        rows = sum(item.batch.rows.num_rows for item in waiting)
        size: int = sum(item.batch.rows.nbytes for item in waiting)
        return rows >= self._page_rows or (rows > 0 and size >= _PAGE_BYTES)

    def _cut(self, index: int, waiting: Sequence[Chunk]) -> tuple[Page, list[Chunk]]:
        """The first page of what waits, and what is left."""
        room = self._page_rows
        taken: list[Chunk] = []
        left: list[Chunk] = []
        for chunk in waiting:
            rows = chunk.batch.rows.num_rows
            if left or rows > room:
                head, tail = (None, chunk) if left else _split(chunk, room)
                taken.extend([head] if head is not None else [])
                left.append(tail)
            else:
                taken.append(chunk)
                room -= rows
        end = taken[-1].end
        return (
            Page(
                pa.concat_tables([item.batch.rows for item in taken]).combine_chunks(),
                pa.chunked_array([item.places for item in taken], pa.string()),
                tuple(_rejects(taken)),
                f"{index}:{end.offset}:{end.line}",
            ),
            left,
        )


def _rejects(chunks: Sequence[Chunk]) -> Iterator[Reject]:
    for chunk in chunks:
        for _, reject in chunk.batch.rejects:
            yield reject


def _split(chunk: Chunk, rows: int) -> tuple[Chunk, Chunk]:
    """A chunk in two, the first with so many rows; rejects stay with what they stand before."""
    batch = chunk.batch
    offset, line = int(batch.starts[rows]), int(batch.lines[rows])
    before = tuple(item for item in batch.rejects if item[0] < offset)
    after = tuple(item for item in batch.rejects if item[0] >= offset)
    head = Batch(batch.rows.slice(0, rows), batch.starts[:rows], batch.lines[:rows], before)
    tail = Batch(batch.rows.slice(rows), batch.starts[rows:], batch.lines[rows:], after)
    return (
        Chunk(head, chunk.places.slice(0, rows), Position(offset, line)),
        Chunk(tail, chunk.places.slice(rows), chunk.end),
    )
