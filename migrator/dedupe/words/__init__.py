"""The tables behind names and companies: surnames, sounds, nicknames, places, trades, brands; each a CSV file here."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import TypeAlias

Rows: TypeAlias = tuple[dict[str, str], ...]

TABLES = (
    "brands.csv",
    "given_names.csv",
    "given_sounds.csv",
    "name_words.csv",
    "places.csv",
    "surnames.csv",
    "trade_words.csv",
)


@cache
def rows(table: str) -> Rows:
    """All rows of a table, in the file's order."""
    return tuple(csv.DictReader(text(table).splitlines()))


def text(table: str) -> str:
    """The table as it stands in its file."""
    return files(__package__).joinpath(table).read_text(encoding="utf-8")


@cache
def meanings(table: str, kind: str = "") -> dict[str, tuple[str, ...]]:
    """From each word of a table to all it may mean; of the rows of one kind, or of all."""
    found: dict[str, tuple[str, ...]] = {}
    for row in rows(table):
        if kind in ("", row["kind"]):
            found[row["word"]] = (*found.get(row["word"], ()), row["means"])
    return found
