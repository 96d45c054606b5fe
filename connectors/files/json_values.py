"""Where in a stream of JSON each record begins and ends: records in one array, or one after another over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from migrator.core.errors import FatalError

LINE_BYTES = 64 << 20
"""What one record, or one line, may have at most."""


class Shape(Enum):
    """How records stand in a JSON file."""

    LINES = "lines"
    ARRAY = "array"
    VALUES = "values"
    """One after another, each over any number of lines."""


class TextLine(NamedTuple):
    """A piece of text that should be one record, and the number of the line where it begins, from 1."""

    number: int
    text: bytes


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["{}\[\],]', re.DOTALL)
"""A whole text, or a character that has a meaning outside of one; a lone quote begins a text that goes on."""
_BETWEEN = b" \t\r\n,"


def records(blocks: Iterable[bytes], shape: Shape, place: str) -> Iterator[TextLine]:
    """Records of an array or a stream as they stand, unparsed; what is left at the end comes as one more.

    Raises `FatalError` for an array without end, and for a record of more than `LINE_BYTES`.
    """
    cutter = _Cutter(shape)
    for block in blocks:
        yield from cutter.cut(block)
        if len(cutter.held) > LINE_BYTES:
            raise FatalError(
                f"{place}:{cutter.line}: this record has no end after {LINE_BYTES >> 20} MB",
                hint="is it JSON? write one object a line with: jq -c",
            )
    if shape is Shape.ARRAY and cutter.depth >= 0:
        raise FatalError(
            f"{place}:{cutter.line}: the file ends inside its array",
            hint="it was cut off: get it again, whole",
        )
    yield from cutter.rest()


class _Cutter:
    """Finds the ends of records by brackets; `depth` is 0 between records, -1 outside of the array."""

    def __init__(self, shape: Shape) -> None:
        self._outside = -1 if shape is Shape.ARRAY else 0
        self.depth = self._outside
        self.held = b""
        self.line = 1
        self._scanned = 0

    def cut(self, block: bytes) -> Iterator[TextLine]:
        """The records that end in this block."""
        held = self.held + block
        start, self._scanned, scan = 0, len(held), self._scanned
        for token in _TOKEN.finditer(held, scan):
            if token[0] == b'"':
                self._scanned = token.start()
                break
            if self._ends(token[0]):
                stop = token.end() if self._outside == 0 else token.start()
                yield from self._piece(held[start:stop])
                self.line += held.count(b"\n", start, token.end())
                start = token.end()
        self.held = held[start:]
        self._scanned -= start

    def rest(self) -> Iterator[TextLine]:
        """What stands after the last record."""
        return self._piece(self.held)

    def _ends(self, token: bytes) -> bool:
        match token:
            case b"{" | b"[":
                self.depth += 1
                return self.depth == 0
            case b"}" | b"]":
                self.depth = max(self.depth - 1, self._outside)
                return self.depth == self._outside
            case b",":
                return self.depth == 0 and self._outside < 0
            case _:
                return False

    def _piece(self, text: bytes) -> Iterator[TextLine]:
        plain = text.lstrip(_BETWEEN)
        if plain:
            before = text.count(b"\n", 0, len(text) - len(plain))
            yield TextLine(self.line + before, plain.rstrip(_BETWEEN))
