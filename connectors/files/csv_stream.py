"""CSV of any size as Arrow pages of text columns: exact places, nothing padded or cut, memory bounded by the page."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from connectors.files.csv_records import Positions, Records, Splitter
from connectors.files.dialect import Dialect
from connectors.files.encoding import MARKED, show_raw
from connectors.files.naming import Header, name_columns
from connectors.files.part import PartPage, places
from migrator.core.connector import Reject
from migrator.core.errors import FatalError

PAGE_BYTES = 64 << 20
"""A page is handed on when it holds this much text, however few its rows are."""
RECORD_BYTES = 64 << 20
"""A record larger than this is taken for a quote that never closes."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole records of a file: the bytes, where each lies, and what of them stands before the chunk."""

    text: bytes
    records: Records
    line: int
    """Line number of the chunk's first byte, from 1."""


def chunks(
    blocks: Iterator[bytes], dialect: Dialect, *, columns: int, place: str, line: int = 1
) -> Iterator[Chunk]:
    """Cut UTF-8 blocks at record ends; raises `FatalError` for a quote that does not close."""
    splitter = Splitter(ord(dialect.delimiter), ord(dialect.quote) if dialect.quote else 0, columns == 1)
    rest, wanted = b"", 0
    for block in blocks:
        rest += block
        if len(rest) < wanted:
            continue
        held = rest.endswith(b"\r")
        text = rest[:-1] if held else rest
        records = splitter.split(text)
        if records.used:
            yield Chunk(text[: records.used], records, line)
            line += records.newlines
            rest, wanted = rest[records.used :], 0
        elif len(rest) > RECORD_BYTES:
            raise _unclosed(splitter, text, place, line, f"has not ended after {RECORD_BYTES >> 20} MB")
        else:
            wanted = 2 * len(rest)
    if rest:
        text = rest if rest.endswith(b"\n") else rest + b"\n"
        records = splitter.split(text)
        if records.used:
            yield Chunk(text[: records.used], records, line)
        if records.used < len(text):
            raise _unclosed(
                splitter,
                text[records.used :],
                place,
                line + records.newlines,
                "is still open at the end of the file",
            )


def _unclosed(splitter: Splitter, text: bytes, place: str, line: int, what: str) -> FatalError:
    at = splitter.unclosed(text) or 0
    line += text[:at].count(b"\n")
    return FatalError(
        f"{place}:{line}: a quoted field begins here and {what}",
        hint="the file is cut off or a quote is missing: export it again, or set `quote: none` if quotes are plain text",
    )


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """What the first record of a file says: field names, and the line that it begins on."""

    header: Header
    line: int

    @property
    def width(self) -> int:
        """Fields in a record."""
        return len(self.header.names)


def read_layout(blocks: Iterator[bytes], dialect: Dialect, place: str) -> CsvLayout:
    """Names from a file's first record; without a header line they are column_1, column_2, …

    Raises `FatalError` when that record cannot be read; an empty file has no fields.
    """
    for chunk in chunks(blocks, dialect, columns=0, place=place):
        position = dialect.skip_lines
        if len(chunk.records) > position:
            return _layout(chunk, position, dialect, place)
    return CsvLayout(Header(()), 1)


def _layout(chunk: Chunk, position: int, dialect: Dialect, place: str) -> CsvLayout:
    records = chunk.records
    raw = chunk.text[records.starts[position] : records.ends[position]]
    line = chunk.line + int(records.lines[position])
    if MARKED.search(raw) or position in records.misquoted or b"\0" in raw:
        raise FatalError(
            f"{place}:{line}: the first record cannot be read: {show_raw(raw)[:200]!r}", hint="mend this line"
        )
    cells = _cells(raw, dialect)
    if dialect.header:
        return CsvLayout(name_columns(cells), line)
    return CsvLayout(Header(tuple(f"column_{number}" for number in range(1, len(cells) + 1))), line)


def _cells(raw: bytes, dialect: Dialect) -> list[str]:
    csv.field_size_limit(RECORD_BYTES)
    text = io.StringIO(raw.decode(), newline="")
    if not dialect.quote:
        return next(csv.reader(text, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE))
    return next(csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote))


class ZeroBytes(Enum):
    """What becomes of a record that holds a zero byte, which no text should and many databases refuse."""

    REJECT = "reject"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """Everything that decides how the records of one file are read."""

    dialect: Dialect
    layout: CsvLayout
    place: str
    zero_bytes: ZeroBytes = ZeroBytes.REJECT


def read_pages(blocks: Iterator[bytes], form: CsvFormat, *, skip: int, page_rows: int) -> Iterator[PartPage]:
    """Pages of the records after the header, text columns, the first `skip` records left out.

    A record that is ragged, misquoted, undecodable or holds a zero byte is a reject with its line and raw text.
    """
    if not form.layout.width:
        return
    page = _PageBuilder(form, consumed=skip)
    for chunk in chunks(blocks, form.dialect, columns=form.layout.width, place=form.place):
        first = _first_record(chunk, form)
        position = min(first + skip, len(chunk.records))
        skip -= position - first
        while position < len(chunk.records):
            stop = min(len(chunk.records), position + page_rows - page.records)
            page.add(chunk, position, stop)
            position = stop
            if page.records >= page_rows or page.bytes >= PAGE_BYTES:
                yield page.take()
    if page.records:
        yield page.take()


def _first_record(chunk: Chunk, form: CsvFormat) -> int:
    """The chunk's first record that is data."""
    lines = chunk.records.lines + chunk.line
    return int(np.searchsorted(lines, form.layout.line, side="right" if form.dialect.header else "left"))


class _PageBuilder:
    """Gathers converted pieces of chunks until they make a page."""

    def __init__(self, form: CsvFormat, consumed: int) -> None:
        self._form = form
        self._consumed = consumed
        self._clear()

    def _clear(self) -> None:
        self.records = 0
        self.bytes = 0
        self._tables: list[pa.Table] = []
        self._lines: list[Positions] = []
        self._rejects: list[Reject] = []

    def add(self, chunk: Chunk, start: int, stop: int) -> None:
        table, lines, rejects = _convert(chunk, start, stop, self._form)
        self._tables.append(table)
        self._lines.append(lines)
        self._rejects += rejects
        self.records += stop - start
        self.bytes += int(chunk.records.ends[stop - 1] - chunk.records.starts[start])

    def take(self) -> PartPage:
        self._consumed += self.records
        where = places(f"{self._form.place}:", pa.array(np.concatenate(self._lines)))
        page = PartPage(pa.concat_tables(self._tables), where, tuple(self._rejects), self._consumed)
        self._clear()
        return page


def _convert(
    chunk: Chunk, start: int, stop: int, form: CsvFormat
) -> tuple[pa.Table, Positions, list[Reject]]:
    """Records `start` to `stop` of a chunk as rows, their line numbers, and those that are no rows."""
    records = chunk.records
    refused = _unreadable(chunk, start, stop, form)
    kept = (
        np.array([item for item in range(start, stop) if item not in refused], np.int64) if refused else None
    )
    if kept is None:
        kept = np.arange(start, stop)
        text = chunk.text[records.starts[start] : records.ends[stop - 1]]
    else:
        text = b"".join(chunk.text[records.starts[item] : records.ends[item]] for item in kept)
    ragged: dict[int, int] = {}
    table = _parse(text, form, ragged)
    if table.num_rows + len(ragged) != len(kept):
        raise RuntimeError(
            f"{form.place}: {len(kept)} records found, {table.num_rows} + {len(ragged)} parsed"
        )
    for number, width in ragged.items():
        what = f"{width} fields where the header has {form.layout.width}"
        refused[int(kept[number])] = ("file.ragged", what)
    lines = records.lines + chunk.line
    rejects = [
        Reject(f"{form.place}:{lines[item]}", rule, what, _raw(chunk, item))
        for item, (rule, what) in sorted(refused.items())
    ]
    return table, lines[np.delete(kept, list(ragged))] if ragged else lines[kept], rejects


def _raw(chunk: Chunk, item: int) -> str:
    return show_raw(chunk.text[chunk.records.starts[item] : chunk.records.ends[item]].rstrip(b"\r\n"))


def _unreadable(chunk: Chunk, start: int, stop: int, form: CsvFormat) -> dict[int, tuple[str, str]]:
    """Records that Arrow must not see → rule and message."""
    refused: dict[int, tuple[str, str]] = {}
    records = chunk.records
    for item in records.misquoted:
        if start <= item < stop:
            refused[item] = ("file.quoting", "text follows a closing quote: the fields cannot be told apart")
    if b"\0" in chunk.text and form.zero_bytes is ZeroBytes.REJECT:
        for position in np.flatnonzero(np.frombuffer(chunk.text, np.uint8) == 0):
            what = ("file.zero-byte", "holds a zero byte; set `zero_bytes: keep` to read it all the same")
            refused[records.at(int(position))] = what
    if b"\xed" in chunk.text:
        for match in MARKED.finditer(chunk.text):
            refused[records.at(match.start())] = (
                "file.undecodable",
                "holds bytes that are not in the file's encoding",
            )
    return {item: what for item, what in refused.items() if start <= item < stop}


def _parse(text: bytes, form: CsvFormat, ragged: dict[int, int]) -> pa.Table:
    """Let Arrow divide well-formed records into fields; ragged ones are noted by their number from 0."""

    def note(row: pacsv.InvalidRow) -> str:
        ragged[row.number - 1] = row.actual_columns
        return "skip"

    names, quote = form.layout.header.names, form.dialect.quote
    if not text:
        return pa.schema([pa.field(name, pa.string()) for name in names]).empty_table()
    if text.startswith(codecs.BOM_UTF8):
        text = codecs.BOM_UTF8 + text  # Arrow takes one away, and this one is data
    return pacsv.read_csv(
        pa.BufferReader(text),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=list(names)),
        parse_options=pacsv.ParseOptions(
            delimiter=form.dialect.delimiter,
            quote_char=quote or False,
            double_quote=bool(quote),
            newlines_in_values=bool(quote),
            ignore_empty_lines=len(names) > 1,
            invalid_row_handler=note,
        ),
        convert_options=pacsv.ConvertOptions(
            check_utf8=False,  # the transcoder has checked every byte
            column_types={name: pa.string() for name in names},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=form.dialect.null_quoted,
        ),
    )
