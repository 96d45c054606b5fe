"""Exact decimals in SQLite, which has none.

A column declared DECIMAL or NUMERIC there makes a float of '12345678901234567.89'. Ours are declared `DECIMAL_BLOB(p,s)`,
which SQLite stores untouched. They hold a number where the value has at most 15 significant digits, which a float
keeps exactly, so that comparing, sorting and summing work as anybody expects; and digits as text beyond that.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

EXACT_DIGITS = 15
"""So many significant digits go through a float and come back the same."""


class DecimalBlob(UserDefinedType[Any]):
    """The declared type, with its way in and out for SQLAlchemy."""

    cache_ok = True

    def __init__(self, precision: int | None = None, scale: int | None = None) -> None:
        self.precision, self.scale = precision, scale

    def get_col_spec(self, **_: object) -> str:
        """The declared type."""
        return f"DECIMAL_BLOB({self.precision},{self.scale or 0})" if self.precision else "DECIMAL_BLOB"

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], Any]:  # noqa: ARG002 (SQLAlchemy's signature)
        """Decimal → number or digits."""
        return lambda value: None if value is None else stored_decimals(pa.array([f"{value:f}"]))[0]

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Number or digits → Decimal."""
        return lambda value: None if value is None else Decimal(str(value))


def is_exact(declared: str) -> bool:
    """Whether a column declared so keeps every decimal."""
    return "BLOB" in declared.upper()


def stored_decimals(texts: pa.Array) -> list[Any]:
    """Decimals, written plainly, as SQLite keeps them."""
    numbers: list[Any] = pc.cast(texts, pa.float64()).to_pylist()
    if (pc.max(pc.utf8_length(texts)).as_py() or 0) <= EXACT_DIGITS:
        return numbers  # the usual case: too short to have more digits
    exact = pc.fill_null(fits_float(texts), True)
    rows = zip(numbers, exact.to_pylist(), texts.to_pylist(), strict=True)
    return [number if fits else digits for number, fits, digits in rows]


def fits_float(texts: pa.Array) -> pa.Array:
    """Which decimals, written plainly, have so few significant digits that a float holds them exactly."""
    digits = pc.replace_substring_regex(texts, r"[-.]", "")
    return pc.less_equal(pc.utf8_length(pc.utf8_trim(digits, "0")), EXACT_DIGITS)


def written(values: pa.Array) -> pa.Array:
    """Decimals as plain digits with their scale, never with an exponent."""
    texts = values.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    scale = values.type.scale
    plain = [None if value is None else f"{value:.{scale}f}" for value in values.to_pylist()]
    return pa.array(plain, pa.string())
