"""Sheets of texts as an .xlsx file and back: every cell inert, the file's size and insides checked before it is read."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from migrator.core.errors import FatalError, Location, Problem, ProjectError, raise_errors

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

MAX_BYTES = 200_000_000
"""Most that a workbook may hold once it is unpacked."""
MAX_MEMBERS = 5_000
MAX_ROWS = 200_000
MAX_COLUMNS = 500
MAX_TEXT = 32_767
"""Characters a cell holds; more would be cut by the writer without a word."""
_FOREIGN = ("xl/externallinks/", "xl/vbaproject", "xl/embeddings/", "xl/activex/", "xl/macrosheets/")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile(r"_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_")
"""How the format writes characters that XML has no room for."""
_UNPRINTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_TITLE = 31


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of texts: a header, and rows that name only cells with a text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    hidden: bool = False
    """Not shown by the spreadsheet program at all."""
    hidden_columns: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    """Columns whose texts are for reading only; shown grey."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → words that it offers; other words are refused, but for those in `open_choices`."""
    open_choices: frozenset[str] = frozenset()
    widths: Mapping[str, int] = field(default_factory=dict)
    frozen: int = 0
    """Columns that stay when the others move."""
    numbers: tuple[int, ...] = ()
    """Number of each row, as read."""


def write_sheets(sheets: Sequence[Sheet], path: Path) -> None:
    """Write a workbook, whole or not at all; raises `ProjectError` when a text is longer than a cell holds."""
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    raise_errors(problem for sheet in sheets for problem in _too_long(sheet, path.name))
    for sheet in sheets:
        _write(book, sheet)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        book.save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is it open in Excel?") from error
    finally:
        temporary.unlink(missing_ok=True)


def _too_long(sheet: Sheet, file: str) -> Iterator[Problem]:
    for number, row in enumerate(sheet.rows, start=2):
        for name, text in row.items():
            if len(text) > MAX_TEXT:
                at = Location(f"{file}!{sheet.title}!{number}")
                words = f"{name}: {len(text):,} characters, and a cell holds {MAX_TEXT:,}"
                yield Problem(at, words, "put the value map into a CSV file, or edit this mapping as YAML")


def _write(book: Workbook, sheet: Sheet) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    page = book.create_sheet(sheet.title)
    grey, wrap = Font(color="707070"), Alignment(wrap_text=True, vertical="top")
    for number, name in enumerate(sheet.columns, start=1):
        cell = page.cell(1, number)
        _put(cell, name)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDE6EE")
        letters = page.column_dimensions[get_column_letter(number)]
        letters.width = sheet.widths.get(name, 22)
        letters.hidden = name in sheet.hidden_columns
        letters.number_format = "@"
    for at, row in enumerate(sheet.rows, start=2):
        for number, name in enumerate(sheet.columns, start=1):
            cell = page.cell(at, number)
            cell.number_format, cell.alignment = "@", wrap
            if name in sheet.read_only:
                cell.font = grey
            if row.get(name):
                _put(cell, row[name])
    last = get_column_letter(max(len(sheet.columns), 1))
    page.freeze_panes = f"{get_column_letter(sheet.frozen + 1)}2"
    page.auto_filter.ref = f"A1:{last}{len(sheet.rows) + 1}"
    page.sheet_state = "veryHidden" if sheet.hidden else "visible"
    _offer(page, sheet)


def _put(cell: Any, text: str) -> None:
    """A text that no spreadsheet program takes for a formula, a number or an escape."""
    escaped = _ESCAPE.sub("_x005F_", text)
    cell.value = _UNPRINTED.sub(lambda match: f"_x{ord(match[0]):04X}_", escaped)
    cell.data_type = "s"
    cell.quotePrefix = True


def _offer(page: Worksheet, sheet: Sheet) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    for name, words in sheet.choices.items():
        if name in sheet.columns:
            letter = get_column_letter(sheet.columns.index(name) + 1)
            offered = DataValidation("list", formula1=f'"{",".join(words)}"', allow_blank=True)
            offered.showErrorMessage = name not in sheet.open_choices
            offered.error = f"one of: {', '.join(words)}"
            page.add_data_validation(offered)
            offered.add(f"{letter}2:{letter}{len(sheet.rows) + 1000}")


def title_for(name: str, taken: set[str]) -> str:
    """A title for a sheet: short enough, and no other's; `taken` grows by it."""
    word = re.sub(r"[\[\]:*?/\\']", "_", name)[:_TITLE]
    chosen, number = word, 1
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{word[: _TITLE - 1 - len(str(number))]}_{number}"
    taken.add(chosen.casefold())
    return chosen


MADE_BY = "migrator map to-xlsx"


def read_sheets(path: Path, made_by: str = MADE_BY) -> list[Sheet]:
    """All sheets of a workbook, texts only; `made_by` is the command that writes such a workbook.

    Raises `ProjectError`: no workbook, too large, links to other files, macros, or a cell that is a formula or a number
    that a text could have been changed into.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    _check_archive(path, made_by)
    try:
        book = load_workbook(path, read_only=True, keep_links=False)
        try:
            return [_read(page, path.name) for page in book.worksheets]
        finally:
            book.close()
    except (*_BROKEN, InvalidFileException) as error:
        raise ProjectError.at(str(path), f"this workbook cannot be read: {error}", _anew(made_by)) from error


def _anew(made_by: str) -> str:
    return f"save it as .xlsx again, or make a new one: {made_by}"


_BROKEN = (
    zipfile.BadZipFile, zlib.error, ParseError, OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError,
)  # fmt: skip
"""What openpyxl raises on a damaged file, which it does not check."""


def _check_archive(path: Path, made_by: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, str(path), _anew(made_by))
    except FileNotFoundError as error:
        raise ProjectError.at(str(path), "no such file", f"make one with: {made_by}") from error
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
        # RuntimeError: a member that is encrypted, or packed in a way that is not known
        raise ProjectError.at(str(path), f"this is no workbook: {error}", _anew(made_by)) from error


def _check_members(archive: zipfile.ZipFile, path: str, anew: str) -> None:
    members = archive.infolist()
    size = sum(item.file_size for item in members)
    if len(members) > MAX_MEMBERS or size > MAX_BYTES:
        words = f"{len(members):,} parts of {size:,} bytes: more than such a workbook holds"
        raise ProjectError.at(path, words, f"at most {MAX_MEMBERS:,} and {MAX_BYTES:,}")
    foreign = [item.filename for item in members if item.filename.lower().startswith(_FOREIGN)]
    if foreign:
        words = f"this workbook holds macros, objects or links to other files: {foreign[0]}"
        raise ProjectError.at(path, words, "take them out; nothing of them was read")
    for item in members:
        # in a cell it would stand as &lt;!DOCTYPE; without the zeros UTF-16 looks like ASCII
        if b"<!DOCTYPE" in archive.read(item).replace(b"\0", b""):
            words = f"{item.filename} declares a document type, which no workbook needs"
            raise ProjectError.at(path, words, anew)


def _read(page: Any, file: str) -> Sheet:
    page.reset_dimensions()
    problems: list[Problem] = []
    header: list[str] = []
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    for number, cells in enumerate(page.iter_rows(max_row=MAX_ROWS + 1, max_col=MAX_COLUMNS), start=1):
        if number > MAX_ROWS:
            raise ProjectError.at(f"{file}!{page.title}", f"more than {MAX_ROWS:,} rows", "delete empty rows")
        texts = [_text(cell, f"{file}!{page.title}", problems) for cell in cells]
        if number == 1:
            header = texts
            problems.extend(_doubled(header, f"{file}!{page.title}"))
            continue
        row = {name: text for name, text in zip(header, texts, strict=False) if name and text}
        if row:
            rows.append(row)
            numbers.append(number)
    raise_errors(problems)
    return Sheet(page.title, tuple(header), tuple(rows), numbers=tuple(numbers))


def _doubled(header: Sequence[str], file: str) -> Iterable[Problem]:
    for name in {name for name in header if name and header.count(name) > 1}:
        yield Problem(Location(f"{file}!1"), f"two columns are called {name!r}", "rename or delete one")


def _text(cell: Any, file: str, problems: list[Problem]) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "s":
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(value))
        return text.replace("\r\n", "\n").strip()
    if cell.data_type == "b":
        return str(value).lower()
    if cell.data_type == "n" and isinstance(value, int):
        return str(value)
    what = {"f": "a formula", "e": "an error", "d": "a date"}.get(cell.data_type, "a number with a point")
    at = Location(f"{file}!{cell.coordinate}")
    problems.append(
        Problem(at, f"this cell holds {what}, not a text", "format the cell as Text, and type it again")
    )
    return ""


def place(file: str, sheet: Sheet, column: str, row: int) -> Location:
    """A cell as people name it: file.xlsx!Sheet!C5."""
    from openpyxl.utils import get_column_letter

    letter = get_column_letter(sheet.columns.index(column) + 1) if column in sheet.columns else ""
    return Location(f"{file}!{sheet.title}!{letter}{row}")
