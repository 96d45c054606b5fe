"""Large sheets of texts as an .xlsx file, written line by line: every cell inert, memory that of one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from migrator.core.errors import FatalError
from migrator.mapping.workbook_sheets import Sheet


def write_lines(path: Path, sheets: Iterable[Sheet]) -> None:
    """Write a workbook, whole or not at all; `read_sheets` reads it back. Raises `FatalError` when it cannot be written."""
    from xlsxwriter import Workbook

    temporary = path.with_name(f".{path.name}.writing")
    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    }  # fmt: skip
    try:
        with Workbook(str(temporary), options) as book:
            for sheet in sheets:
                _write_sheet(book, sheet)
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is it open in Excel?") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_sheet(book: Any, sheet: Sheet) -> None:
    text = {"num_format": "@", "text_wrap": True, "valign": "top"}
    head = book.add_format({"bold": True, "bg_color": "#DDE6EE", "valign": "top"})
    asked = book.add_format({**text, "border": 1, "border_color": "#9AA7B5"})
    told = book.add_format({**text, "font_color": "#566475"})
    page = book.add_worksheet(sheet.title)
    for column, name in enumerate(sheet.columns):
        page.set_column(column, column, sheet.widths.get(name, 20))
    for column, name in enumerate(sheet.columns):
        page.write_string(0, column, name, head)
    for number, row in enumerate(sheet.rows, start=1):
        for column, name in enumerate(sheet.columns):
            look = told if name in sheet.read_only else asked
            if row.get(name):
                page.write_string(number, column, row[name], look)
            elif name not in sheet.read_only:
                page.write_blank(number, column, None, look)
    last = max(len(sheet.rows), 1)
    page.freeze_panes(1, sheet.frozen)
    page.autofilter(0, 0, last, len(sheet.columns) - 1)
    for name, words in sheet.choices.items():
        column = sheet.columns.index(name)
        page.data_validation(
            1,
            column,
            last,
            column,
            {"validate": "list", "source": list(words), "error_message": "one of the list"},
        )
    if sheet.hidden:
        page.very_hidden()
