"""Excel workbooks as Arrow pages of text columns, row by row from the file: values as the cells hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from connectors.archive import Archive
from connectors.files.dialect import first_row_is_header
from connectors.files.naming import Header, name_columns
from connectors.files.part import PartPage, places
from connectors.files.workbook import Row, Workbook
from migrator.core.connector import Reject
from migrator.core.schema import FieldSchema, FieldType

_TITLES = 20
"""Rows in which titles are looked for."""


def _filled(row: Row) -> list[str]:
    return [cell for cell in row.cells if cell is not None and cell.strip()]


def _below_titles(rows: Sequence[Row]) -> tuple[Sequence[Row], Row | None]:
    """Rows of one cell before the first row of several, and that row; no titles where no row has several."""
    at = next((at for at, row in enumerate(rows) if len(_filled(row)) > 1), 0)
    return (rows[:at], rows[at]) if rows else ((), None)


@contextmanager
def open_workbook(path: Path, place: str) -> Iterator[Workbook]:
    """A workbook for reading in a stream, formulas as the values last saved; raises `FatalError` for a broken one."""
    with Archive(path) as archive:
        yield Workbook(archive, place)


def sheet_names(path: Path, place: str) -> list[str]:
    """Names of the sheets that hold cells, in the workbook's order; chart sheets are none."""
    with open_workbook(path, place) as book:
        return list(book.sheets)


@dataclass
class SheetReader:
    """Reads one sheet, every cell as text; an error value is its text, '#N/A', which no typed field accepts.

    A formula that was saved without a value is its own text, '=A1*2'.

    Whole numbers have no '.0', dates and times are ISO 8601, durations H:MM:SS, booleans true and false, empty cells null.
    Its first row that is not empty names the columns, rows without a value are no records. Titles, rows of one cell
    above a row of several, are left out and told.
    """

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
                titles, first = _below_titles(list(islice(rows, _TITLES + 1)))
            if first is None:
                self._layout = Header(()), 0
            else:
                cells = [cell or "" for cell in first.cells]
                has_header = self.header
                if has_header is None:
                    has_header = first_row_is_header(cells, f"{self.place}:{first.number}")
                header = name_columns(cells if has_header else [""] * len(cells))
                told = tuple(
                    f"row {row.number} is a title and not read: {_filled(row)[0]!r}" for row in titles
                )
                header = replace(header, notes=(*told, *header.notes))
                self._layout = header, first.number if has_header else first.number - 1
        return self._layout

    @contextmanager
    def _rows(self) -> Iterator[Iterator[Row]]:
        with open_workbook(self.path(), self.place) as book:
            yield book.rows(self.sheet)

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

    def _page(self, rows: Sequence[Row], names: Sequence[str], consumed: int) -> PartPage:
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
