"""CSV on disk that is written once and read by row numbers, so that a page costs what the page holds."""

from __future__ import annotations

import csv
import io
import tempfile
import threading
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_BLOCK = 1 << 20
_GROUP = 100
"""Rows between two known places in the file: a page is found by whole groups, the rest by reading rows."""


class Spool:
    """A header and rows; the file is gone when nobody holds it any more."""

    def __init__(self, header: Sequence[str], *, delimiter: str = ",", line_end: str = "\n") -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as its job)
        weakref.finalize(self, self._file.close)
        self._style: dict[str, Any] = {
            "delimiter": delimiter, "lineterminator": line_end, "quoting": csv.QUOTE_ALL,
        }  # fmt: skip
        self._starts = array("Q")
        self._end = 0
        self._rows = 0
        self._lock = threading.Lock()
        self.header = self._lines([header])

    def __len__(self) -> int:
        return self._rows

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """More rows; None is empty."""
        with self._lock:
            place = 0
            while place < len(rows):
                room = _GROUP - self._rows % _GROUP
                if room == _GROUP:
                    self._starts.append(self._end)
                part = rows[place : place + room]
                data = self._lines(part)
                self._file.seek(self._end)
                self._file.write(data)
                self._end += len(data)
                self._rows += len(part)
                place += len(part)

    def page(self, start: int, count: int) -> Iterator[bytes]:
        """Header and rows from `start`, in pieces; whole groups as they stand, the edges row by row."""
        end = min(start + count, self._rows)
        yield self.header
        while start < end:
            group, skip = divmod(start, _GROUP)
            if skip or end - start < _GROUP:
                take = min(_GROUP - skip, end - start)
                yield self._lines(self._group(group)[skip : skip + take])
                start += take
                continue
            until = end // _GROUP
            yield from self._bytes(self._starts[group], self._start(until))
            start = until * _GROUP

    def whole(self) -> Iterator[bytes]:
        """Header and all rows."""
        yield self.header
        yield from self._bytes(0, self._end)

    def _start(self, group: int) -> int:
        return self._starts[group] if group < len(self._starts) else self._end

    def _group(self, group: int) -> list[list[str]]:
        data = b"".join(self._bytes(self._starts[group], self._start(group + 1)))
        return list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=self._style["delimiter"]))

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            with self._lock:
                self._file.seek(start)
                data = self._file.read(min(_BLOCK, end - start))
            yield data
            start += len(data)

    def _lines(self, rows: Iterable[Sequence[Any]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, **self._style).writerows(rows)
        return text.getvalue().encode()
