"""How a CSV file is written: delimiter, quote character, header line; told from its first lines, settable, never guessed."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.errors import ProjectError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields are divided and quoted; both characters are single ASCII bytes, quote '' means no quoting."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    null_quoted: bool = False
    """True: a quoted empty field is null too (Salesforce writes every null as \"\")."""
    skip_lines: int = 0
    """Lines before the header that are not data (Excel's 'sep=;')."""

    def __str__(self) -> str:
        names = f"{DELIMITERS.get(self.delimiter, self.delimiter)}-separated"
        quoting = f"quoted with {self.quote}" if self.quote else "not quoted"
        return f"{names}, {quoting}, {'with' if self.header else 'without'} header line"


@dataclass(frozen=True, slots=True)
class DialectSettings:
    """What the user has set; None: tell it from the file."""

    delimiter: str | None = None
    quote: str | None = None
    header: bool | None = None


def sniff(
    text: str, settings: DialectSettings, *, place: str, complete: bool, suffix: str = ".csv"
) -> Dialect:
    """The dialect of a file that begins with `text`; raises `ProjectError` when it is not clear.

    `complete` says that `text` is the whole file; otherwise its last record may be cut and is not looked at.
    """
    declared = re.match(r'"?sep=(.)"?\r?\n', text)
    if declared:
        text = text[declared.end() :]
    quote = settings.quote if settings.quote is not None else _sniff_quote(text)
    delimiter = settings.delimiter or (declared[1] if declared else None)
    if delimiter is None:
        delimiter = "\t" if suffix == ".tsv" else _sniff_delimiter(text, quote, place, complete=complete)
    header = settings.header
    if header is None:
        rows = _rows(text, delimiter, quote, complete=complete)
        header = first_row_is_header(rows[0], f"{place}:1") if rows else True
    return Dialect(delimiter, quote, header, skip_lines=1 if declared else 0)


def _rows(text: str, delimiter: str, quote: str, *, complete: bool) -> list[list[str]]:
    # line ends are left to the csv module: only it knows which stand inside quotes
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    try:
        rows = [row for row in reader if row]
    except csv.Error:
        return []
    return rows if complete else rows[:-1] or rows


def _sniff_quote(text: str) -> str:
    """The apostrophe only where nearly every line begins and ends with it."""
    lines = [line for line in text.splitlines()[:200] if line]
    apostrophes = sum(1 for line in lines if line[0] == "'" and line[-1] == "'" and len(line) > 1)
    return "'" if lines and apostrophes >= 0.8 * len(lines) and '"' not in text else '"'


def _sniff_delimiter(text: str, quote: str, place: str, *, complete: bool) -> str:
    """The one that cuts all lines into the same number of fields, as many as the first line has."""
    found: list[tuple[float, int, str]] = []
    for delimiter in DELIMITERS:
        rows = _rows(text, delimiter, quote, complete=complete)
        width = len(rows[0]) if rows else 0
        if width > 1:
            widths = Counter(len(row) for row in rows)
            found.append((widths[width] / len(rows), width, delimiter))
    if not found:
        return ","
    found.sort(reverse=True)
    best, *others = found
    rival = next((item for item in others if item[0] >= best[0] - 0.05), None)
    if rival and rival[1] * 1.5 > best[1]:
        names = " or ".join(DELIMITERS[item[2]] for item in (best, rival))
        raise ProjectError.at(
            f"{place}:1",
            f"the delimiter is not clear: {names}",
            "set `delimiter:` of this system in migration.yaml",
        )
    return best[2]


_NUMBER = re.compile(r"[+-]?[$€£¥]?\d[\d.,' ]*%?")
_NEVER_A_NAME = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?"  # a date
    r"|[^@\s]+@[^@\s]+\.[^@\s]+"  # an e-mail address
    r"|https?://.*"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-.*"  # a GUID
    r"|[a-zA-Z0-9]{15}[A-Z0-5]{3}(?<=\d.{14}...)"  # a CRM's record id
)


def first_row_is_header(row: Sequence[str], place: str) -> bool:
    """Names are not dates, addresses or ids; numbers could be either, and then the user must say (`ProjectError`)."""
    cells = [cell.strip() for cell in row if cell.strip()]
    if any(_NEVER_A_NAME.fullmatch(cell) for cell in cells):
        return False
    if any(_NUMBER.fullmatch(cell) for cell in cells):
        raise ProjectError.at(
            place,
            "it is not clear whether this row holds column names: some of it are numbers",
            "set `header: true` or `header: false` of this system in migration.yaml",
        )
    return True
