"""Any byte stream as UTF-8 blocks: strict, in one pass, with the place of the first byte that does not decode."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

from connectors.files.detection import ENCODINGS, candidates
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError

BLOCK_BYTES = 4 << 20


class Undecodable(Enum):
    """What becomes of a byte that does not decode."""

    ERROR = "error"
    QUARANTINE = "quarantine"
    """The row that holds it becomes a reject, the rest is read."""


_CODECS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf_8_sig": "utf-8",
    "utf-8-sig": "utf-8",
    "iso8859-1": "latin-1",
}
"""Names users know → the superset that files under that name really use."""


def codec_name(name: str, place: str) -> str:
    """The codec for an encoding a user names; raises `ProjectError` for one that Python does not know as text."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:  # the only way Python tells text codecs apart
        raise ProjectError.at(
            place, f"unknown encoding {name!r}", did_you_mean(name, ENCODINGS, noun="encodings")
        )
    return _CODECS.get(found.name, found.name)


MARKED = re.compile(rb"\xed[\xb0-\xb3]")
"""Finds, in blocks read with `Undecodable.QUARANTINE`, the stand-ins of bytes that did not decode.

A byte 0xNN stands as the lone surrogate U+DCNN in its three-byte form, which valid UTF-8 never holds.
"""


def show_raw(text: bytes) -> str:
    r"""Raw text for people: bytes that did not decode, and zero bytes, as \xNN."""
    shown = text.decode("utf-8", "surrogatepass").replace("\0", "\\x00")
    return re.sub("[\udc00-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02X}", shown)


def _keep_one(error: UnicodeError) -> tuple[str, int]:
    """Stand in for the first byte only: what follows may be a separator."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.start + 1


def _keep_unit(error: UnicodeError) -> tuple[str, int]:
    """Stand in for the whole faulty unit: in UTF-16 and UTF-32 one byte less would shift everything after it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("migrator.keep-one", _keep_one)
codecs.register_error("migrator.keep-unit", _keep_unit)


@dataclass
class _Progress:
    """How far a stream was read, for error places."""

    place: str
    encoding: str
    fed: int = 0
    lines: int = 0

    def error(self, error: UnicodeDecodeError) -> FatalError:
        """The located error; what the decoder was given ends where the stream was read to."""
        raw: bytes = error.object
        offset = self.fed - len(raw) + error.start
        line = self.lines + raw[: error.start].decode(self.encoding, "ignore").count("\n") + 1
        bad = " ".join(f"0x{byte:02X}" for byte in raw[error.start : error.end][:4])
        return FatalError(
            f"{self.place}:{line}: byte {bad} at offset {offset} is not {self.encoding}: {error.reason}",
            hint=f"{_suggest(raw, error.start)}, or set `undecodable: quarantine` to read the other rows",
        )


def _suggest(raw: bytes, at: int) -> str:
    """What the line of the bad byte would be in other encodings."""
    start = raw.rfind(b"\n", 0, at) + 1
    stop = raw.find(b"\n", at)
    line = raw[start : stop if stop >= 0 else min(at + 200, len(raw))]
    fitting = [item.name for item in candidates(line)] or list(ENCODINGS)
    return f"set `encoding:` to what the whole file is in (this line decodes as {', '.join(fitting)})"


def transcode(
    stream: BinaryIO,
    encoding: str,
    *,
    place: str,
    undecodable: Undecodable = Undecodable.ERROR,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[bytes]:
    """UTF-8 blocks of whole characters, byte order mark removed; every byte of the stream is checked.

    Raises `FatalError` at the first byte that does not decode; with `Undecodable.QUARANTINE` such a byte is marked
    (see `MARKED`). `encoding` is a codec name.
    """
    encoding = codecs.lookup(encoding).name
    wide = encoding.startswith(("utf-16", "utf-32"))
    errors = (
        "strict"
        if undecodable is Undecodable.ERROR
        else "migrator.keep-unit"
        if wide
        else "migrator.keep-one"
    )
    blocks = (
        _check_utf8(stream, errors, place, block_bytes)
        if encoding == "utf-8"
        else _convert(stream, encoding, errors, place, block_bytes)
    )
    first = True
    for block in blocks:
        if block:
            yield block.removeprefix(codecs.BOM_UTF8) if first else block
            first = False


def _convert(stream: BinaryIO, encoding: str, errors: str, place: str, size: int) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    progress = _Progress(place, encoding)
    chunk = b"-"
    while chunk:
        chunk = stream.read(size)
        progress.fed += len(chunk)
        try:
            block = decoder.decode(chunk, not chunk).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise progress.error(error) from error
        except UnicodeError as error:  # what UTF-16 and UTF-32 raise for a missing mark
            raise FatalError(
                f"{place}:1: not {encoding}: {error}",
                hint=f"set `encoding:` to {encoding}-le or {encoding}-be",
            ) from error
        progress.lines += block.count(b"\n")
        yield block


def _check_utf8(stream: BinaryIO, errors: str, place: str, size: int) -> Iterator[bytes]:
    """Bytes pass through untouched; decoding them is only the check."""
    progress = _Progress(place, "utf-8")
    chunk, rest = b"-", b""
    while chunk:
        chunk = stream.read(size)
        progress.fed += len(chunk)
        block = rest + chunk
        try:
            used = len(block) if block.isascii() else codecs.utf_8_decode(block, "strict", not chunk)[1]
            whole = block[:used]
        except UnicodeDecodeError as error:
            if errors == "strict":
                raise progress.error(error) from error
            text, used = codecs.utf_8_decode(block, errors, not chunk)
            whole = text.encode("utf-8", "surrogatepass")
        rest = block[used:]
        progress.lines += whole.count(b"\n")
        yield whole
