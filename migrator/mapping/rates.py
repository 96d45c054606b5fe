"""Exchange rates from a CSV file inside the project, exact, and the relation that a query joins them by."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from migrator.core.currency import minor_units
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.values import MAX_ENTRIES, resolve_inside

COLUMNS = ("from", "to", "rate")
DATED = "valid_from"
MAX_DIGITS = 18
"""Digits of a rate. With 38 digits in a product, amounts up to 20 digits convert exactly; larger ones are told."""
_RATE = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_FIRST_DAY = date(1, 1, 1)


@dataclass(frozen=True, slots=True)
class Rate:
    """One `from` is `rate` of the currency converted to, from `valid_from` (None: always) until the next rate."""

    currency: str
    valid_from: date | None
    rate: Decimal
    place: Location


@dataclass(frozen=True, slots=True)
class RateTable:
    """The rates of one file to one currency."""

    file: str
    to: str
    digits: int
    """Decimals of the currency converted to."""
    rates: tuple[Rate, ...]

    @property
    def relation(self) -> str:
        """Name of its relation in the compiled query; no dataset can have it, since no system's name has a space."""
        return f"rates {self.file} to {self.to}"

    def as_table(self) -> pa.Table:
        """(currency, valid_from, units, scale): the rate is units / 10^scale, with a scale of at least `digits`."""
        scales = [max(-int(item.rate.as_tuple().exponent), self.digits) for item in self.rates]
        units = [int(item.rate.scaleb(scale)) for item, scale in zip(self.rates, scales, strict=True)]
        return pa.table(
            {
                "currency": pa.array([item.currency for item in self.rates], pa.string()),
                "valid_from": pa.array([item.valid_from or _FIRST_DAY for item in self.rates], pa.date32()),
                "units": pa.array([Decimal(item) for item in units], pa.decimal128(38, 0)),
                "scale": pa.array(scales, pa.int32()),
            }
        )


def read_rates(file: str, to: str, project: Path, place: Location) -> RateTable:
    """The rates to `to` in `file`, a CSV (UTF-8, comma) with the columns from, to, rate and, where they are dated, valid_from.

    Raises `ProjectError` with every problem: outside the project, not there, no such columns, a code, day or rate that
    is none, two rates for one day, no rate to `to` at all.
    """
    path = resolve_inside(file, project, place)
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else str(error)
        raise ProjectError.at(
            place, f"cannot read the rates {file!r}: {why}", "a CSV in UTF-8, below the project folder"
        ) from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if any(name not in header for name in COLUMNS):
        words = "rates need the columns from, to and rate (and valid_from, where they change)"
        raise ProjectError.at(Location(file, 1, 1), words, f"its header is: {', '.join(header)}")
    if len(rows) > MAX_ENTRIES:
        raise ProjectError.at(
            place, f"more than {MAX_ENTRIES:,} rates in {file!r}", "leave out those not needed"
        )
    found = _rates(rows[1:], header, file, to)
    if not found:
        raise ProjectError.at(
            place, f"{file!r} holds no rate to {to}", "one row a rate: EUR,USD,2024-01-31,1.0837"
        )
    return RateTable(file, to, minor_units()[to] or 0, found)


def _rates(rows: Sequence[Sequence[str]], header: Sequence[str], file: str, to: str) -> tuple[Rate, ...]:
    problems: list[Problem] = []
    found: dict[tuple[str, date | None], Rate] = {}
    for number, row in enumerate(rows, start=2):
        if not any(row):
            continue
        place = Location(file, number)
        if len(row) != len(header):
            words = f"{len(row)} cells where the header has {len(header)}"
            problems.append(Problem(place, words, "one row a rate: EUR,USD,2024-01-31,1.0837"))
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        wrong = list(_wrong(cells, place))
        problems.extend(wrong)
        if not wrong and cells["to"] == to:
            rate = _rate(cells, place)
            known = found.setdefault((rate.currency, rate.valid_from), rate)
            if known.rate != rate.rate:
                words = f"another rate {rate.currency} to {to} for the same day stands at {known.place}"
                problems.append(Problem(place, words, "keep one"))
    if problems:
        raise ProjectError(problems)
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[0], key[1] or _FIRST_DAY)))


def _wrong(cells: Mapping[str, str], place: Location) -> Iterable[Problem]:
    for name in ("from", "to"):
        if cells[name] not in minor_units():
            hint = did_you_mean(cells[name].upper(), minor_units(), noun="codes")
            yield Problem(place, f"{name}: {cells[name]!r} is no ISO 4217 code", hint)
    day = cells.get(DATED, "")
    if day and _day(day) is None:
        yield Problem(place, f"valid_from: {day!r} is no day", "write YYYY-MM-DD")
    rate = cells["rate"]
    if not _RATE.fullmatch(rate) or not Decimal(rate):
        yield Problem(place, f"rate: {rate!r} is no number above zero", "a plain number with a point: 7.2431")
    elif len(rate.replace(".", "").strip("0")) > MAX_DIGITS or len(rate) > 2 * MAX_DIGITS:
        yield Problem(
            place, f"rate: more than {MAX_DIGITS} digits", "no source of rates is so exact: round it"
        )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == len("2024-01-31") else None
    except ValueError:
        return None


def _rate(cells: Mapping[str, str], place: Location) -> Rate:
    day = cells.get(DATED, "")
    return Rate(cells["from"], _day(day) if day else None, Decimal(cells["rate"]).normalize(), place)
