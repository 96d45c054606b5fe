"""Excel workbooks as Arrow pages of text columns, row by row from the file: values as the cells hold them."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import pyarrow as pa

from connectors.archive import Archive
from connectors.files.dialect import first_row_is_header
from connectors.files.naming import Header, name_columns
from connectors.files.part import PartPage, places
from migrator.core.connector import Reject
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

if TYPE_CHECKING:
    from openpyxl.cell import Cell, MergedCell
    from openpyxl.workbook import Workbook

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


@contextmanager
def open_workbook(path: Path, place: str) -> Iterator[Workbook]:
    """A workbook for reading in a stream, formulas as the values Excel last saved; raises `FatalError` for a broken one."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    with Archive(path):
        pass  # its checks are what we want: openpyxl makes none
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="openpyxl")  # styles and validations that it cannot show
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                yield book
            finally:
                book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ParseError, EOFError) as error:
        raise FatalError(
            f"{place}: this is no whole Excel workbook: {error}",
            hint="open it in Excel and save it as .xlsx again",
        ) from error


def sheet_names(path: Path, place: str) -> list[str]:
    """Names of the sheets that hold cells, in the workbook's order; chart sheets are none."""
    with open_workbook(path, place) as book:
        return [sheet.title for sheet in book.worksheets]


def cell_text(cell: Cell | MergedCell) -> str | None:  # noqa: PLR0911 (one line a type)
    """A cell's value as staged; an error value is its text, '#N/A', which no typed field accepts.

    Whole numbers have no '.0', other numbers the shortest digits that give the same value, dates and times are ISO 8601, a
    day without a time of day has none, durations are H:MM:SS, booleans true and false. An empty cell is null.
    """
    value: Any = cell.value
    match value:
        case None:
            return None
        case str():
            return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value) if "_x" in value else value
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
        case datetime():
            return value.date().isoformat() if _is_day(cell, value) else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            minutes, seconds = divmod(int(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        case _:
            return str(value)


def _is_day(cell: Cell | MergedCell, value: datetime) -> bool:
    return value.time() == time() and "h" not in (cell.number_format or "").lower()


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cells: list[str | None]


@dataclass
class SheetReader:
    """Reads one sheet: its first row that is not empty names the columns, rows without a value are no records."""

    place: str
    """'Workbook.xlsx!Sheet'."""
    path: Callable[[], Path]
    sheet: str
    header: bool | None = None
    _layout: tuple[Header, int] | None = field(default=None, repr=False)

    def _look(self) -> tuple[Header, int]:
        """Field names, and the number of the last row before the records."""
        if self._layout is None:
            with self._rows() as rows:
                first = next(rows, None)
            if first is None:
                self._layout = Header(()), 0
            else:
                cells = [cell or "" for cell in first.cells]
                has_header = self.header
                if has_header is None:
                    has_header = first_row_is_header(cells, f"{self.place}:{first.number}")
                names = cells if has_header else [""] * len(cells)
                self._layout = name_columns(names), first.number if has_header else first.number - 1
        return self._layout

    @contextmanager
    def _rows(self) -> Iterator[Iterator[_Row]]:
        with open_workbook(self.path(), self.place) as book:
            sheet = book[self.sheet]
            sheet.reset_dimensions()  # what the file says of its own size is often wrong
            yield (
                _Row(number, cells)
                for number, row in enumerate(sheet.iter_rows(), start=1)
                if (cells := _trimmed([cell_text(cell) for cell in row]))
            )

    def fields(self) -> Sequence[FieldSchema]:
        """Text columns, all of them."""
        return [FieldSchema(name, FieldType.STRING) for name in self._look()[0].names]

    def notes(self) -> Sequence[str]:
        """Columns that had to be renamed."""
        header = self._look()[0]
        return header.notes if header.names else ("the sheet is empty",)

    def count(self) -> int | None:
        """Not known without reading: what the sheet says of its size is often wrong."""
        return None

    def pages(self, *, skip: int, page_rows: int) -> Iterator[PartPage]:
        """See `PartReader.pages`; a row with values beyond the last named column is a reject."""
        header, last = self._look()
        with self._rows() as rows:
            records = islice((row for row in rows if row.number > last), skip, None)
            while page := list(islice(records, page_rows)):
                skip += len(page)
                yield self._page(page, header.names, skip)

    def _page(self, rows: Sequence[_Row], names: Sequence[str], consumed: int) -> PartPage:
        width = len(names)
        fitting = [row for row in rows if len(row.cells) <= width]
        columns = [
            pa.array([row.cells[column] if column < len(row.cells) else None for row in fitting], pa.string())
            for column in range(width)
        ]
        rejects = [
            Reject(
                f"{self.place}:{row.number}",
                "file.ragged",
                f"{len(row.cells)} cells where the header has {width}",
                "\t".join(cell or "" for cell in row.cells),
            )
            for row in rows
            if len(row.cells) > width
        ]
        numbers = pa.array([row.number for row in fitting], pa.int64())
        table = pa.Table.from_arrays(columns, names=list(names))
        return PartPage(table, places(f"{self.place}:", numbers), tuple(rejects), consumed)


def _trimmed(cells: list[str | None]) -> list[str | None]:
    while cells and cells[-1] is None:
        cells.pop()
    return cells
