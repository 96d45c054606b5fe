"""Any stretch of a member's unpacked bytes, again and again, without unpacking all that stands before it.

`data.xml` holds every entity one after the other and may have tens of gigabytes. It is gone through once, to find
where what begins; later reads of one entity start right there. In a folder, and in a zip without packing, that is a
seek. In a packed zip the inflater is copied every so often on the first way through (a copy is 40 kB), and a later
read goes on from the nearest copy. Nothing is unpacked to disk, except what is not UTF-8 or packed by a rare method.
"""

from __future__ import annotations

import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from migrator.core.errors import FatalError

BLOCK = 1 << 20
_CHECKPOINTS = 256
_AGAIN = "download or copy the file again, and compare its size with the original"


class Spans(Protocol):
    """Bytes that are read through once and then in stretches."""

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order, once, checked against the checksum where there is one; must come before `span`."""
        ...

    def span(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`; may be called by several threads at a time."""
        ...

    def close(self) -> None:
        """Let go of what is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a zip says of a member's unpacked bytes."""

    size: int
    crc: int


class PlainSpans:
    """A stretch of a file: the whole of it, or a zip member that is stored without packing."""

    def __init__(self, path: Path, place: str, *, start: int = 0, checksum: Checksum | None = None) -> None:
        self._path = path
        self._place = place
        self._start = start
        self._checksum = checksum

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order."""
        end = self._checksum.size if self._checksum else self._path.stat().st_size
        yield from _checked(self.span(0, end), self._checksum, self._place)

    def span(self, start: int, end: int) -> Iterator[bytes]:
        """Seek and read."""
        with _opened(self._path) as stream:
            stream.seek(self._start + start)
            yield from _exactly(stream, end - start, self._place)

    def close(self) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    unpacked: int
    packed: int
    inflater: Any


class DeflatedSpans:
    """A deflated zip member: `start` is where its packed bytes begin in the file."""

    def __init__(self, path: Path, place: str, *, start: int, packed: int, checksum: Checksum) -> None:
        self._path = path
        self._place = place
        self._start = start
        self._packed = packed
        self._checksum = checksum
        self._distance = max(16 << 20, checksum.size // _CHECKPOINTS)
        self._checkpoints = [_Checkpoint(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))]

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order; leaves the checkpoints behind."""
        first = self._checkpoints[0]
        self._checkpoints = [first]
        yield from _checked(self._inflate(first, self._checkpoints), self._checksum, self._place)

    def span(self, start: int, end: int) -> Iterator[bytes]:
        """Inflate from the nearest checkpoint on and leave out what stands before `start`."""
        checkpoint = max(
            (item for item in self._checkpoints if item.unpacked <= start), key=lambda item: item.unpacked
        )
        at = checkpoint.unpacked
        for block in self._inflate(checkpoint, None):
            cut = block[max(start - at, 0) : end - at]
            at += len(block)
            if cut:
                yield cut
            if at >= end:
                return

    def close(self) -> None:
        """Let the checkpoints go."""
        del self._checkpoints[1:]

    def _inflate(self, start: _Checkpoint, checkpoints: list[_Checkpoint] | None) -> Iterator[bytes]:
        inflater = start.inflater.copy()
        unpacked, packed = start.unpacked, start.packed
        with _opened(self._path) as stream:
            stream.seek(self._start + packed)
            while not inflater.eof:
                data = inflater.unconsumed_tail
                if not data:
                    data = stream.read(min(BLOCK // 4, self._packed - packed))
                    packed += len(data)
                try:
                    block = inflater.decompress(data, BLOCK)
                except zlib.error as error:
                    raise FatalError(
                        f"{self._place}: the packed data is damaged after byte {unpacked:,}: {error}",
                        hint=_AGAIN,
                    ) from error
                if not data and not block:
                    return
                unpacked += len(block)
                if block:
                    yield block
                if checkpoints is not None and unpacked - checkpoints[-1].unpacked >= self._distance:
                    checkpoints.append(_Checkpoint(unpacked, packed, inflater.copy()))


class SpooledSpans:
    """Bytes that can only be had in order: kept in a temporary file that has no name and goes when we go."""

    def __init__(self, blocks: Iterable[bytes], place: str) -> None:
        self._source = blocks
        self._place = place
        self._lock = threading.Lock()
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="migrator-")  # noqa: SIM115 - lives as long as we

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order; leaves them in the spool."""
        for block in self._source:
            try:
                self._spool.write(block)
            except OSError as error:
                raise FatalError(
                    f"{self._place}: cannot keep an unpacked copy in {tempfile.gettempdir()}: {error.strerror}",
                    hint="make room there, or set TMPDIR to a folder on a larger disk",
                ) from error
            yield block
        self._spool.flush()

    def span(self, start: int, end: int) -> Iterator[bytes]:
        """Read from the spool, a block at a time, so that others may read between."""
        while start < end:
            with self._lock:
                self._spool.seek(start)
                (block,) = _exactly(self._spool, min(BLOCK, end - start), self._place)
            start += len(block)
            yield block

    def close(self) -> None:
        """Give the disk space back."""
        self._spool.close()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise FatalError(f"{path}: cannot read this file: {error.strerror or error}") from error


def _exactly(stream: IO[bytes], wanted: int, place: str) -> Iterator[bytes]:
    while wanted > 0:
        try:
            block = stream.read(min(BLOCK, wanted))
        except OSError as error:
            raise FatalError(f"{place}: reading fails: {error.strerror or error}", hint=_AGAIN) from error
        if not block:
            raise FatalError(f"{place}: ends {wanted:,} bytes too early; it changed while it was read")
        wanted -= len(block)
        yield block


def _checked(blocks: Iterator[bytes], checksum: Checksum | None, place: str) -> Iterator[bytes]:
    size = crc = 0
    for block in blocks:
        size += len(block)
        crc = zlib.crc32(block, crc)
        yield block
    if checksum is not None and (size, crc) != (checksum.size, checksum.crc):
        raise FatalError(
            f"{place}: the packed data is damaged: {size:,} of {checksum.size:,} bytes, checksum "
            f"{'agrees' if crc == checksum.crc else 'does not agree'}",
            hint=_AGAIN,
        )
