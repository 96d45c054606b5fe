"""Word lists that invented people and companies are put together from; each list is a CSV file beside this one."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from functools import cache
from importlib.resources import files

import pyarrow as pa


@cache
def words(file: str, column: str, **where: str) -> pa.Array:
    """A column of a list, of the rows where the other columns have the values given."""
    found = [row[column] for row in _rows(file) if all(row[name] == value for name, value in where.items())]
    return pa.array(found, pa.string())


@cache
def slugs(file: str, column: str, **where: str) -> pa.Array:
    """The same column in plain small letters and digits, as in addresses."""
    return pa.array([slug(word) for word in words(file, column, **where).to_pylist()], pa.string())


def slug(word: str) -> str:
    """'O'Brien' → 'obrien', 'Lü' → 'lv'."""
    plain = unicodedata.normalize("NFKD", word.replace("ü", "v")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.lower())


@cache
def _rows(file: str) -> tuple[dict[str, str], ...]:
    text = files(__package__).joinpath(f"{file}.csv").read_bytes().decode("utf-8")
    return tuple(csv.DictReader(io.StringIO(text, newline="")))
