"""Where the records of a CSV buffer begin and end: exact for every dialect we read, at the speed of array operations.

Arrow parses fields fast but says too little: it accepts a file cut inside a quoted field, drops characters after a
closing quote, and knows no lines. So records are found here first; Arrow then gets whole, well-formed records only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Positions: TypeAlias = npt.NDArray[np.int64]

_LF, _CR = 0x0A, 0x0D


@dataclass(frozen=True, slots=True)
class Records:
    """The whole records at the beginning of a buffer; blank lines are none, unless asked for."""

    starts: Positions
    ends: Positions
    """Just after each record's line end."""
    lines: Positions
    """How many line ends stand before each record in the buffer."""
    misquoted: frozenset[int]
    """Records with text after a closing quote: how they divide into fields is anybody's guess."""
    used: int
    """Bytes up to the end of the last whole record (or blank line)."""
    newlines: int
    """Line ends within `used`."""

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, position: int) -> int:
        """The record that holds a byte of the buffer."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1


@dataclass(frozen=True, slots=True)
class Splitter:
    """Finds records for one delimiter and one quote character (0: no quoting), both single ASCII bytes."""

    delimiter: int
    quote: int
    keep_blank: bool
    """A blank line is a record: true for files of one column, where it is an empty field."""

    def split(self, buffer: bytes) -> Records:
        """Records of a buffer that begins at a record's start. What follows the last line end outside quotes is left."""
        data = np.frombuffer(buffer, np.uint8)
        newlines = _line_ends(buffer, data)
        if not self.quote or self.quote not in buffer:
            return self._records(data, newlines, newlines, frozenset())
        quotes = np.flatnonzero(data == self.quote)
        if self._regular(data, quotes):
            outside = np.searchsorted(quotes, newlines) % 2 == 0
            return self._records(data, newlines, newlines[outside], frozenset())
        ends, misquoted = self._scan(buffer)
        return self._records(data, newlines, ends, misquoted)

    def _regular(self, data: npt.NDArray[np.uint8], quotes: Positions) -> bool:
        """Every opening quote begins a field and every closing one ends it: then counting quotes is exact."""
        beside = np.zeros(256, bool)
        beside[[_LF, _CR, self.delimiter, self.quote]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        before = opening[1:] if len(opening) and opening[0] == 0 else opening
        after = closing[:-1] if len(closing) and closing[-1] == len(data) - 1 else closing
        return bool(beside[data[before - 1]].all() and beside[data[after + 1]].all())

    def _scan(self, buffer: bytes) -> tuple[Positions, frozenset[int]]:
        """The slow and tolerant way, for buffers with quotes in odd places."""
        pattern = self._pattern()
        ends: list[int] = []
        misquoted: list[int] = []
        position = 0
        while match := pattern.match(buffer, position):
            position = match.end()
            if match["tail"] is not None:
                misquoted.append(position)
            ends.append(position - 1)
        return np.array(ends, np.int64), frozenset(misquoted)

    def _pattern(self) -> re.Pattern[bytes]:
        quote, delimiter = re.escape(bytes([self.quote])), re.escape(bytes([self.delimiter]))
        quoted = rb"%b(?:[^%b]++|%b%b)*+%b(?P<tail>[^%b\r\n]++)?+" % (
            quote,
            quote,
            quote,
            quote,
            quote,
            delimiter,
        )
        plain = rb"[^%b%b\r\n][^%b\r\n]*+" % (quote, delimiter, delimiter)
        return re.compile(rb"(?:(?:%b|%b|)(?:%b|(?=[\r\n])))*+(?:\r\n?|\n)" % (quoted, plain, delimiter))

    def unclosed(self, buffer: bytes) -> int | None:
        """Offset of the quote that opens and never closes in a buffer that holds no whole record, or None."""
        quote, delimiter = re.escape(bytes([self.quote])), re.escape(bytes([self.delimiter]))
        quoted = rb"%b(?:[^%b]++|%b%b)*+%b[^%b\r\n]*+" % (quote, quote, quote, quote, quote, delimiter)
        plain = rb"[^%b%b\r\n][^%b\r\n]*+" % (quote, delimiter, delimiter)
        whole = re.match(rb"(?:(?:%b|%b|)%b)*+" % (quoted, plain, delimiter), buffer)
        at = whole.end() if whole else 0
        return at if self.quote and buffer[at : at + 1] == bytes([self.quote]) else None

    def _records(
        self, data: npt.NDArray[np.uint8], newlines: Positions, last: Positions, misquoted: frozenset[int]
    ) -> Records:
        """Records from the positions of their last byte; `misquoted` names records by their end."""
        ends = last + 1
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if len(ends) else ends
        used = int(ends[-1]) if len(ends) else 0
        total = int(np.searchsorted(newlines, used))
        if not self.keep_blank and len(ends):
            first = data[starts]
            filled = (first != _LF) & (first != _CR)
            starts, ends = starts[filled], ends[filled]
        lines = np.searchsorted(newlines, starts)
        bad = frozenset(np.flatnonzero(np.isin(ends, list(misquoted))).tolist()) if misquoted else frozenset()
        return Records(starts, ends, lines, bad, used, total)


def _line_ends(buffer: bytes, data: npt.NDArray[np.uint8]) -> Positions:
    """Positions of LF, and of CR without LF after it; a CR at the very end waits for what follows."""
    found = np.flatnonzero(data == _LF)
    if b"\r" not in buffer:
        return found
    returns = np.flatnonzero(data == _CR)
    returns = returns[returns < len(data) - 1]
    lone = returns[data[returns + 1] != _LF]
    return np.sort(np.concatenate((found, lone))) if len(lone) else found
