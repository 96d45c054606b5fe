"""Date formats a mapping may declare: a closed list of directives that means the same on every engine."""

from __future__ import annotations

import re

DIRECTIVES = {
    "%Y": "year, four digits",
    "%y": "year, two digits (69 to 99 are 19xx)",
    "%m": "month 1 to 12",
    "%d": "day 1 to 31",
    "%H": "hour 0 to 23",
    "%I": "hour 1 to 12",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second, up to six digits",
    "%p": "AM or PM",
    "%b": "English month, short (Jan)",
    "%B": "English month, whole (January)",
    "%a": "English weekday, short (Mon)",
    "%A": "English weekday, whole (Monday)",
    "%%": "a percent sign",
}
"""Directive → what it stands for."""
_TOKEN = re.compile(r"%.?")


def check_format(text: str) -> None:
    """Raise ValueError when `text` is not a format we know how to read."""
    tokens = _TOKEN.findall(text)
    unknown = [token for token in tokens if token not in DIRECTIVES]
    if unknown:
        raise ValueError(f"{text!r}: unknown directive {unknown[0]!r} (known: {' '.join(DIRECTIVES)})")
    if not tokens:
        raise ValueError(f"{text!r} is not a date format: it has no directive")
