"""The records of one region of data.xml, batch by batch: proven well-formed by expat, then read plainly or carefully."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.parsers import expat

from connectors.dynamics_export.batch import Chunk, Piece, Position, places
from connectors.dynamics_export.careful import CarefulReader, read_careful
from connectors.dynamics_export.schema import EntityPlan
from connectors.dynamics_export.swift import read_plain
from migrator.core.errors import FatalError

PIECE = 4 << 20
"""Bytes worked on at a time; more only where one record alone has more."""


def read_records(blocks: Iterable[bytes], start: Position, plan: EntityPlan, file: str) -> Iterator[Chunk]:
    """Chunks in order; raises `FatalError` at the first byte that is not well-formed."""
    proof = Proof(file, start)
    careful: CarefulReader | None = None
    for piece in _pieces(blocks, start, proof):
        batch = None if careful else read_plain(piece, plan)
        if batch is None:
            careful = careful or (CarefulReader(plan, file, piece) if _may_hide_tags(piece) else None)
            batch = careful.read(piece.data) if careful else read_careful(piece, plan, file)
        yield Chunk(batch, places(file, batch), piece.end)
    proof.finish()


def _may_hide_tags(piece: Piece) -> bool:
    """A comment or CDATA may hold what looks like the end of a record, so from here on no cut can be trusted."""
    return b"<!" in piece.data or b"<?" in piece.data


class Proof:
    """Proves that a region is well-formed, at the speed of expat without handlers."""

    def __init__(self, file: str, start: Position, *, around: str = "records") -> None:
        self._file = file
        self._start = start
        self._around = around
        self._ahead = len(around) + 2
        self._parser = expat.ParserCreate("utf-8")
        self._parser.Parse(f"<{around}>".encode(), False)

    def add(self, data: bytes) -> None:
        """Go on with the next bytes."""
        self._parse(data, last=False)

    def finish(self) -> None:
        """Prove that nothing is left open."""
        self._parse(f"</{self._around}>".encode(), last=True)

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            line = self._start.line + error.lineno - 1
            byte = self._start.offset + max(self._parser.ErrorByteIndex - self._ahead, 0)
            raise FatalError(
                f"{self._file}:{line}:{error.offset + 1}: this is not well-formed XML: "
                f"{expat.errors.messages[error.code]} (byte {byte:,})",
                hint="the file was cut or changed on its way; export or copy it again",
            ) from error


def _pieces(blocks: Iterable[bytes], start: Position, proof: Proof) -> Iterator[Piece]:
    """Bytes cut behind the last record that is whole; what follows the last record comes with a piece of its own."""
    waiting: list[bytes] = []
    size = 0
    at = start
    for block in blocks:
        proof.add(block)
        waiting.append(block)
        size += len(block)
        if size < PIECE or b"</record" not in block:
            continue
        data = b"".join(waiting)
        cut = data.find(b">", data.rfind(b"</record")) + 1
        if not cut:
            continue
        end = Position(at.offset + cut, at.line + data.count(b"\n", 0, cut))
        yield Piece(data[:cut], at, end)
        at = end
        waiting = [data[cut:]]
        size = len(waiting[0])
    data = b"".join(waiting)
    if data.strip():
        yield Piece(data, at, Position(at.offset + len(data), at.line + data.count(b"\n")))
