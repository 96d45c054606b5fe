"""Which encoding an XML file is in, by its byte order mark or declaration; UTF-8 is read as it is, the rest is transcoded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from migrator.core.errors import FatalError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
"""What files that declare the narrower encoding are really in; every text of the one reads the same in the other."""
_DECLARED = re.compile(rb"""^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")


def xml_encoding(head: bytes, place: str) -> str:
    """The Python name of the encoding of XML text that begins with `head`; raises `FatalError` for one nobody knows.

    A file that says UTF-16 but is written in single bytes (a classic of .NET string writers) is UTF-8.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    declared = _DECLARED.match(head)
    if declared is None:
        return "utf-8"
    label = declared[1].decode("ascii")
    try:
        name = codecs.lookup(label).name
    except LookupError as error:
        raise FatalError(
            f"{place}:1: the encoding {label!r} of this file is not known",
            hint="save the file as UTF-8, or correct the encoding in its first line",
        ) from error
    return "utf-8" if name in {"utf-16", "utf-32", "ascii", "utf-8-sig"} else _WIDER.get(name, name)


def transcoded(blocks: Iterable[bytes], encoding: str, place: str) -> Iterator[bytes]:
    """The same text as UTF-8 without a byte order mark; raises `FatalError` at the first byte that does not decode."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    at = 0
    first = True
    for block, last in _marked_last(blocks):
        kept = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=last)
        except UnicodeDecodeError as error:
            raise FatalError(
                f"{place}: byte {at - kept + error.start:,}: not valid {encoding}: {error.reason}",
                hint="the encoding in the first line is wrong, or the file was damaged on its way",
            ) from error
        at += len(block)
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        yield text.encode()


def _marked_last(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for block in blocks:
        yield block, False
    yield b"", True
