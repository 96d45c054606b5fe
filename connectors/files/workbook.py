"""The inside of an .xlsx file, parsed in a stream: sheets, shared texts, number formats, and rows of cells as text.

openpyxl takes many times as long with safe XML; calamine loses error values and the difference of null and empty.
Part names and elements are those of ECMA-376, SpreadsheetML; documents with a DTD are refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from xml.parsers import expat

from connectors.archive import Archive
from migrator.core.errors import FatalError

_BLOCK = 1 << 18
_LAST_COLUMN = 16_384
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Format(Enum):
    """What a cell's number format makes of its number."""

    NUMBER = "number"
    DAY = "day"
    INSTANT = "instant"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not empty: its number in the sheet, from 1, and its cells up to the last one with a value."""

    number: int
    cells: list[str | None]


class Workbook:
    """One workbook, its zip checked; sheets by name in their own order. Close the archive when done."""

    def __init__(self, archive: Archive, place: str) -> None:
        """Raises `FatalError` when the zip is no workbook."""
        self._archive = archive
        self._place = place
        root = next((item for item in archive.members if item.lower() == "xl/workbook.xml"), None)
        if root is None:
            raise self._broken("it has no xl/workbook.xml")
        links = self._links(root)
        sheets: dict[str, str] = {}
        dates: list[str] = []

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name == "sheet":
                key = next((value for item, value in attributes.items() if item.endswith(":id")), "")
                kind, target = links.get(key, ("", ""))
                if kind.endswith("/worksheet"):
                    sheets[attributes.get("name", "")] = target
            elif name == "workbookPr":
                dates.append(attributes.get("date1904", "0"))

        self._parse(root, start)
        self.sheets: Sequence[str] = tuple(sheets)
        self._targets = sheets
        self._from_1904 = any(item in ("1", "true") for item in dates)
        parts = {kind.rpartition("/")[2]: target for kind, target in links.values()}
        self._styles_part = parts.get("styles")
        self._texts_part = parts.get("sharedStrings")

    def rows(self, sheet: str) -> Iterator[Row]:
        """Rows of a sheet that hold any value, lazily; shared texts are held in memory."""
        cells = _Cells(self._texts(), self._formats(), from_1904=self._from_1904)
        parser = _parser(cells.start, cells.end, cells.text)
        for block in self._blocks(self._targets[sheet]):
            self._feed(parser, block)
            yield from cells.take()
        self._feed(parser, b"", last=True)
        yield from cells.take()

    def _texts(self) -> list[str]:
        found: list[str] = []
        pieces: list[str] = []
        inside = _Inside()

        def start(name: str, _: Mapping[str, str]) -> None:
            if name == "si":
                pieces.clear()
            inside.start(name)

        def end(name: str) -> None:
            inside.end(name)
            if name == "si":
                found.append(unescape("".join(pieces)))

        def text(piece: str) -> None:
            if inside.text:
                pieces.append(piece)

        if self._texts_part:
            self._parse(self._texts_part, start, end, text)
        return found

    def _formats(self) -> list[Format]:
        """The format of each cell style, in the order that cells count them."""
        codes: dict[str, str] = {}
        styles: list[str] = []
        inside: list[str] = []

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name == "numFmt":
                codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
            elif name == "cellXfs":
                inside.append(name)
            elif name == "xf" and inside:
                styles.append(attributes.get("numFmtId", "0"))

        def end(name: str) -> None:
            if name == "cellXfs":
                inside.clear()

        if self._styles_part:
            self._parse(self._styles_part, start, end)
        return [_format(identifier, codes.get(identifier)) for identifier in styles]

    def _links(self, part: str) -> dict[str, tuple[str, str]]:
        """Relation id → type and member, of a part."""
        folder, name = posixpath.split(part)
        found: dict[str, tuple[str, str]] = {}

        def start(element: str, attributes: Mapping[str, str]) -> None:
            if element == "Relationship":
                target = attributes.get("Target", "")
                member = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
                found[attributes.get("Id", "")] = attributes.get("Type", ""), posixpath.normpath(member)

        self._parse(f"{folder}/_rels/{name}.rels", start)
        return found

    def _parse(
        self,
        part: str,
        start: Callable[[str, Mapping[str, str]], None],
        end: Callable[[str], None] = lambda _: None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        parser = _parser(start, end, text)
        for block in self._blocks(part):
            self._feed(parser, block)
        self._feed(parser, b"", last=True)

    def _blocks(self, part: str) -> Iterator[bytes]:
        if part not in self._archive.members:
            raise self._broken(f"it has no {part}")
        with self._archive.open_member(part) as stream:
            while block := stream.read(_BLOCK):
                yield block

    def _feed(self, parser: Any, block: bytes, *, last: bool = False) -> None:
        try:
            parser.Parse(block, last)
        except (expat.ExpatError, ValueError, IndexError) as error:
            raise self._broken(str(error)) from error

    def _broken(self, why: str) -> FatalError:
        return FatalError(
            f"{self._place}: this is no whole Excel workbook: {why}",
            hint="open it in Excel and save it as .xlsx again",
        )


def _parser(
    start: Callable[[str, Mapping[str, str]], None],
    end: Callable[[str], None],
    text: Callable[[str], None] | None,
) -> Any:
    """An expat parser that tells local names, expands no entities of a document's own, and refuses a DTD."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
    parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
    parser.StartDoctypeDeclHandler = _refuse_dtd
    if text is not None:
        parser.CharacterDataHandler = text
    return parser


def _refuse_dtd(*_: object) -> None:
    raise ValueError("it has a document type definition, which no workbook needs")


@dataclass
class _Inside:
    """Whether the parser stands in text to keep: in <t>, but not in the reading aids <rPh> of East Asian text."""

    text: bool = False
    aid: bool = False

    def start(self, name: str) -> None:
        if name == "rPh":
            self.aid = True
        elif name == "t":
            self.text = not self.aid

    def end(self, name: str) -> None:
        if name == "rPh":
            self.aid = False
        elif name == "t":
            self.text = False


class _Cells:
    """Gathers the rows of a sheet from parser events."""

    def __init__(self, texts: Sequence[str], formats: Sequence[Format], *, from_1904: bool) -> None:
        self._texts = texts
        self._formats = formats
        self._from_1904 = from_1904
        self._rows: list[Row] = []
        self._columns: dict[str, int] = {}
        self._inside = _Inside()
        self._number = 0
        self._row: list[str | None] = []
        self._kind = self._reference = self._style = ""
        self._pieces: list[str] | None = None
        self._formula: list[str] | None = None
        self._keeping = self._in_formula = False

    def take(self) -> list[Row]:
        """Rows finished since the last call."""
        found, self._rows = self._rows, []
        return found

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._kind = attributes.get("t", "n")
            self._reference = attributes.get("r", "")
            self._style = attributes.get("s", "0")
            self._pieces = self._formula = None
        elif name == "f":
            self._formula = []
            self._in_formula = True
        elif name in ("v", "is"):
            self._pieces = []
            self._keeping = name == "v"
        elif name in ("t", "rPh"):
            self._inside.start(name)
        elif name == "row":
            self._number = int(attributes.get("r", self._number + 1))
            self._row = []

    def text(self, piece: str) -> None:
        if self._in_formula and self._formula is not None:
            self._formula.append(piece)
        elif self._pieces is not None and (self._keeping or self._inside.text):
            self._pieces.append(piece)

    def end(self, name: str) -> None:
        if name == "v":
            self._keeping = False
        elif name == "f":
            self._in_formula = False
        elif name == "c":
            value = self._value("".join(self._pieces)) if self._pieces is not None else None
            # a formula that nobody ever calculated: what the cell holds is its text, not nothing
            if value is None and self._formula is not None:
                value = f"={''.join(self._formula)}"
            self._place(value)
            self._pieces = None
        elif name in ("t", "rPh"):
            self._inside.end(name)
        elif name == "row" and self._row:
            self._rows.append(Row(self._number, self._row))

    def _place(self, value: str | None) -> None:
        letters = self._reference.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = _column(letters)
        if column < 0:
            column = len(self._row)
        if value is None:
            return
        self._row += [None] * (column + 1 - len(self._row))
        self._row[column] = value

    def _value(self, text: str) -> str | None:
        match self._kind:
            case "n":
                return self._number_text(text)
            case "s":
                return self._texts[int(text)]
            case "b":
                return "true" if text.strip() in ("1", "true") else "false"
            case "e" | "d":
                return text
            case _:
                return unescape(text)

    def _number_text(self, text: str) -> str | None:
        style = int(self._style)
        form = self._formats[style] if style < len(self._formats) else Format.NUMBER
        if not text:
            return None
        return (
            number_text(text) if form is Format.NUMBER else moment_text(text, form, from_1904=self._from_1904)
        )


def _column(letters: str) -> int:
    """'A' → 0, 'AA' → 26; -1 without letters; raises ValueError beyond Excel's last column."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
        if not 0 < number <= _LAST_COLUMN:
            raise ValueError(f"there is no column {letters[:10]!r}")
    return number - 1


def unescape(text: str) -> str:
    """Excel writes characters that XML cannot hold as _xHHHH_."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def number_text(text: str) -> str:
    """A stored number in the fewest digits that mean the same, without exponent and without '.0'.

    Excel stores 1.1 as 1.1000000000000001: the same double, which is written back as 1.1.
    """
    if text.isdecimal():
        return text
    value = float(text)
    plain = format(Decimal(repr(value)), "f")
    return plain.removesuffix(".0") if plain != "-0.0" else "0"


def moment_text(text: str, form: Format, *, from_1904: bool) -> str:
    """A date, date and time, time of day or duration (H:MM:SS) from a day number; one out of range stays a number."""
    from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

    if form is Format.DURATION:
        minutes, seconds = divmod(round(float(text) * 86_400), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    try:
        value = from_excel(float(text), CALENDAR_MAC_1904 if from_1904 else CALENDAR_WINDOWS_1900)
    except (OverflowError, ValueError):
        return number_text(text)
    if isinstance(value, datetime):
        is_day = form is Format.DAY and value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat()
    return number_text(text) if isinstance(value, timedelta) or value is None else value.isoformat()


def _format(identifier: str, code: str | None) -> Format:
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format

    found = code if code is not None else BUILTIN_FORMATS.get(int(identifier), "General")
    if is_timedelta_format(found):
        return Format.DURATION
    if not is_date_format(found):
        return _EAST_ASIAN.get(int(identifier), Format.NUMBER) if code is None else Format.NUMBER
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.', "", found).lower()
    return Format.INSTANT if "h" in plain or "s" in plain else Format.DAY


_EAST_ASIAN = dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), Format.DAY) | dict.fromkeys(
    (*range(32, 36), 55, 56), Format.INSTANT
)
"""Built-in formats that Chinese, Japanese and Korean Excel use without writing them down (ECMA-376 18.8.30)."""
