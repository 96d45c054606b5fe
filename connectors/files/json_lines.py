"""JSON of any size as Arrow pages of text columns, one object a line or in one array: numbers as written, nested values as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connectors.files.encoding import MARKED, show_raw
from connectors.files.json_values import LINE_BYTES, Shape, TextLine, records
from connectors.files.naming import Header, name_columns
from connectors.files.part import PartPage, places
from connectors.files.text_file import TextFile
from migrator.core.connector import Reject
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

PAGE_BYTES = 64 << 20


class _Number(str):
    """A number exactly as it stands in the file."""

    __slots__ = ()


class _DuplicateKeyError(ValueError):
    """A key stands twice in one object, and JSON would keep only the last."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _DuplicateKeyError(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=_no_constant
)


def value_text(value: Any) -> str | None:
    """A value as staged: text as it is, numbers as written, true and false, the rest as JSON text; null stays null."""
    match value:
        case None:
            return None
        case str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case _:
            return json_text(value)


def json_text(value: Any) -> str:
    """Compact JSON of a parsed value, numbers exactly as they stood in the file."""
    match value:
        case _Number():
            return str(value)
        case dict():
            inner = ",".join(
                f"{json.dumps(key, ensure_ascii=False)}:{json_text(item)}" for key, item in value.items()
            )
            return f"{{{inner}}}"
        case list():
            return f"[{','.join(json_text(item) for item in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@dataclass
class JsonLinesReader:
    """Reads one file: each line that is not blank is one object; with `whole`, objects may span lines or be in one array."""

    file: TextFile
    whole: bool = False
    _found: tuple[FieldSchema, ...] | None = field(default=None, repr=False)
    _keys: tuple[str, ...] = ()
    _header: Header = field(default_factory=lambda: Header(()))

    @property
    def place(self) -> str:
        """The file's."""
        return self.file.place

    def fields(self) -> Sequence[FieldSchema]:
        """Every key of every line in order of first appearance: keys may come late, so the whole file is read once."""
        if self._found is None:
            nested: dict[str, bool] = {}
            for line in self._lines():
                parsed = _parse(line)
                if isinstance(parsed, dict):
                    for key, value in parsed.items():
                        nested[key] = nested.get(key, False) or isinstance(value, dict | list)
            self._keys = tuple(nested)
            self._header = name_columns(self._keys)
            self._found = tuple(
                FieldSchema(name, FieldType.JSON if nested[key] else FieldType.STRING)
                for name, key in zip(self._header.names, self._keys, strict=True)
            )
        return self._found

    def notes(self) -> Sequence[str]:
        """The encoding, and keys that were renamed."""
        self.fields()
        return (f"encoding {self.file.detection()}", *self._header.notes)

    def count(self) -> int | None:
        """Not known without reading."""
        return None

    def pages(self, *, skip: int, page_rows: int) -> Iterator[PartPage]:
        """Pages of objects; a line that is no JSON object is a reject with its line number."""
        self.fields()
        page: list[TextLine] = []
        size = 0
        for position, line in enumerate(self._lines()):
            if position < skip:
                continue
            page.append(line)
            size += len(line.text)
            if len(page) >= page_rows or size >= PAGE_BYTES:
                skip += len(page)
                yield self._page(page, skip)
                page, size = [], 0
        if page:
            yield self._page(page, skip + len(page))

    def _page(self, lines: Sequence[TextLine], consumed: int) -> PartPage:
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        rejects: list[Reject] = []
        for line in lines:
            parsed = _parse(line)
            if isinstance(parsed, dict):
                rows.append(parsed)
                numbers.append(line.number)
            else:
                rejects.append(self._reject(line, parsed))
        names = self._header.names
        columns = [pa.array([value_text(row.get(key)) for row in rows], pa.string()) for key in self._keys]
        table = pa.Table.from_arrays(columns, names=list(names))
        return PartPage(
            table, places(f"{self.file.place}:", pa.array(numbers, pa.int64())), tuple(rejects), consumed
        )

    def _reject(self, line: TextLine, what: str) -> Reject:
        rule = "file.undecodable" if MARKED.search(line.text) else "json.line"
        return Reject(f"{self.file.place}:{line.number}", rule, what, show_raw(line.text))

    def _lines(self) -> Iterator[TextLine]:
        """What may be an object each, with the number of the line where it begins, from 1."""
        shape = self._shape() if self.whole else Shape.LINES
        return (
            self._text_lines()
            if shape is Shape.LINES
            else records(self.file.blocks(), shape, self.file.place)
        )

    def _shape(self) -> Shape:
        """An array begins with a bracket; objects stand on lines where the first line is one."""
        first = next(self.file.blocks(), b"").lstrip()
        line = first.split(b"\n", 1)[0]
        if first.startswith(b"["):
            return Shape.ARRAY
        return (
            Shape.LINES
            if not first.startswith(b"{") or isinstance(_parse(TextLine(1, line)), dict)
            else Shape.VALUES
        )

    def _text_lines(self) -> Iterator[TextLine]:
        """Lines that are not blank, with their numbers from 1."""
        rest, number = b"", 0
        for block in self.file.blocks():
            *whole, rest = (rest + block).split(b"\n")
            if len(rest) > LINE_BYTES:
                raise FatalError(
                    f"{self.file.place}:{number + len(whole) + 1}: this line has no end after {LINE_BYTES >> 20} MB",
                    hint="JSON Lines hold one object a line; turn an array into lines with: jq -c '.[]'",
                )
            for text in whole:
                number += 1
                if text.strip():
                    yield TextLine(number, text)
        if rest.strip():
            yield TextLine(number + 1, rest)


def _parse(line: TextLine) -> dict[str, Any] | str:
    """The object on a line, or what is wrong with the line."""
    try:
        parsed = _DECODER.decode(line.text.decode())
    except UnicodeDecodeError:
        return "holds bytes that are not in the file's encoding"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return str(error)
    if not isinstance(parsed, dict):
        return f"is a JSON {type(parsed).__name__}, not an object"
    return parsed
