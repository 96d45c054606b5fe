"""Values every object has: dates around midnight and clock changes, money in currencies with 0, 2 and 3 decimals, notes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.words import words

CURRENCIES = ("USD", "CNY", "MYR", "EUR", "GBP", "HKD", "SGD", "JPY", "KRW", "KWD")
_DECIMALS = np.array([2, 2, 2, 2, 2, 2, 2, 0, 0, 3])
_SHARES = np.array([0.35, 0.6, 0.72, 0.8, 0.86, 0.91, 0.95, 0.97, 0.985])
# clock changes of New York, London, Sydney and Kuala Lumpur's one of 1981, in UTC
_CHANGES = np.array(
    ["2024-03-10T07:00:00", "2024-11-03T06:00:00", "2023-10-29T01:00:00", "2024-03-31T01:00:00",
     "2024-10-05T16:00:00", "2019-12-31T16:00:00"], "datetime64[s]",
).astype(np.int64)  # fmt: skip
_FROM = int(np.datetime64("2012-01-01", "s").astype(np.int64))
_SPAN = 13 * 365 * 86_400

BAD_DATES = ("2024-02-30", "0000-00-00", "n/a", "31/31/2020", "2023-13-01")
BAD_AMOUNTS = ("12,34,5", "n/a", "1.234.567", "--", "approx. 500")
LONG = 5_000


def instants(ask: Chance, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Created and modified, seconds since 1970; one in fifty within a second of a clock change, one in fifty at midnight."""
    created = _FROM + ask.below("created", numbers, _SPAN)
    kind = ask.share("created kind", numbers)
    change = _CHANGES[ask.below("change", numbers, len(_CHANGES))] + ask.below("around", numbers, 3) - 1
    created = np.where(kind < 0.02, change, created)
    created = np.where((kind >= 0.02) & (kind < 0.04), created - created % 86_400, created)
    untouched = ask.happens("untouched", numbers, 0.2)
    modified = np.where(untouched, created, created + ask.below("modified", numbers, 300 * 86_400))
    return created, modified


def spaced(seconds: np.ndarray) -> pa.Array:
    """'2024-06-15 14:30:00'."""
    return pa.array(seconds.astype("datetime64[s]")).cast(pa.string())


def iso(seconds: np.ndarray, ending: str) -> pa.Array:
    """'2024-06-15T14:30:00' and the ending, '.000Z' or '.0000000Z'."""
    return joined(
        pc.binary_replace_slice(spaced(seconds).cast(pa.binary()), 10, 11, b"T").cast(pa.string()), ending
    )


def culture(seconds: np.ndarray) -> pa.Array:
    """'6/15/2024 2:30:00 PM'."""
    times = pa.array(seconds.astype("datetime64[s]"))
    hour = pc.hour(times)
    twelve = pc.if_else(pc.equal(hour, 0), 12, pc.if_else(pc.greater(hour, 12), pc.subtract(hour, 12), hour))
    day = [part.cast(pa.string()) for part in (pc.month(times), pc.day(times), pc.year(times))]
    clock = [pc.utf8_lpad(part.cast(pa.string()), 2, "0") for part in (pc.minute(times), pc.second(times))]
    half = pc.if_else(pc.less(hour, 12), " AM", " PM")
    return joined(
        day[0], "/", day[1], "/", day[2], " ", twelve.cast(pa.string()), ":", clock[0], ":", clock[1], half
    )


def days(ask: Chance, what: str, numbers: np.ndarray, first: str, span: int) -> pa.Array:
    """Calendar days '2024-06-15' from `first` on, within `span` days."""
    start = np.datetime64(first, "D")
    return pa.array(start + ask.below(what, numbers, span).astype("timedelta64[D]")).cast(pa.string())


def currencies(ask: Chance, numbers: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """ISO codes, and the decimals of each."""
    index = np.searchsorted(_SHARES, ask.share("currency", numbers), side="right")
    return pa.array(CURRENCIES).take(pa.array(index)), _DECIMALS[index]


def amounts(ask: Chance, what: str, numbers: np.ndarray, decimals: np.ndarray, limit: int) -> pa.Array:
    """Exact amounts below `limit`, with as many decimals as their currency has; one in ten is empty."""
    whole = ask.below(what, numbers, limit)
    rest = ask.below(f"{what} rest", numbers, 1000)
    text = as_text(whole)
    for places in (2, 3):
        here = joined(as_text(whole), ".", as_text(rest % 10**places, places))
        text = chosen(decimals == places, here, text)
    return chosen(ask.happens(f"{what} none", numbers, 0.1), None, text)


def notes(ask: Chance, numbers: np.ndarray) -> pa.Array:
    """Free text as people leave it; two thirds are empty, one in two thousand has five thousand letters."""
    note = ask.one_of("note", numbers, words("notes", "text"))
    times = np.where(ask.happens("long", numbers, 0.0005), LONG // 5, 1)
    note = chosen(times > 1, pc.utf8_slice_codeunits(pc.binary_repeat(note, times), 0, LONG), note)
    return chosen(ask.happens("no note", numbers, 0.66), None, note)
