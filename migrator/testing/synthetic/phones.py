"""Telephone numbers of real regions, valid and all different, in the notations people write them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import as_text, joined

_EXCHANGES = tuple(str(number) for number in range(200, 1000) if number % 100 != 11 and number != 555)
_AREAS = (
    "212",
    "213",
    "312",
    "415",
    "512",
    "617",
    "206",
    "303",
    "404",
    "602",
    "702",
    "713",
    "305",
    "503",
    "702",
)
_FULL_WIDTH = dict(zip("+0123456789", "＋０１２３４５６７８９", strict=True))


@dataclass(frozen=True, slots=True)
class Region:
    """How a region's mobile numbers are made: a prefix, then `digits` more; and how they are grouped in writing."""

    code: str
    country: str
    prefixes: tuple[str, ...]
    digits: int
    groups: tuple[int, ...]
    trunk: str = ""
    """What is dialled before the number at home."""
    abroad: str = "+"
    """What is dialled there before a country's code; '+' where it is not 00."""


REGIONS = (
    Region("US", "1", tuple(dict.fromkeys(a + e for a in _AREAS for e in _EXCHANGES)), 4, (3, 3, 4)),
    Region("GB", "44", ("71", "72", "73"), 8, (4, 6), "0", "00"),
    Region("SG", "65", tuple(f"9{digit}" for digit in range(1, 9)), 6, (4, 4)),
    Region("HK", "852", ("61", "63", "64", "65", "69", "94", "96", "97"), 6, (4, 4)),
    Region("CN", "86", tuple(f"13{digit}" for digit in range(10)), 8, (3, 4, 4), abroad="00"),
    Region("MY", "60", ("12", "16", "19"), 7, (2, 3, 4), "0", "00"),
)
REGION_CODES = tuple(region.code for region in REGIONS)

E164, SPACED, DIALLED, NATIONAL, FULL_WIDTH, BRACKETS = range(6)
NOTATIONS = 6


def notated(regions: np.ndarray, numbers: np.ndarray, notations: np.ndarray) -> pa.Array:
    """The number-th telephone number of each region (index into REGIONS), in one of the six notations.

    Different numbers give different telephone numbers as long as there are fewer than a region has (8 million in Hong Kong).
    """
    out = np.full(len(regions), None, object)
    for index, region in enumerate(REGIONS):
        for notation in range(NOTATIONS):
            where = np.flatnonzero((regions == index) & (notations == notation))
            if len(where):
                national = _national(region, numbers[where])
                out[where] = _written(region, national, notation).to_pylist()
    return pa.array(out, pa.string())


def _national(region: Region, numbers: np.ndarray) -> pa.Array:
    size = 10**region.digits
    capacity = size * len(region.prefixes)
    # a prime step walks through all numbers before one comes again, and neighbours look unrelated
    mixed = (numbers * 7_368_787 + 1_234_567) % capacity
    prefixes = pa.array(region.prefixes, pa.string()).take(pa.array(mixed // size))
    return joined(prefixes, as_text(mixed % size, region.digits))


def _written(region: Region, national: pa.Array, notation: int) -> pa.Array:
    groups = []
    at = 0
    for size in region.groups:
        groups.append(pc.utf8_slice_codeunits(national, at, at + size))
        at += size
    tight, spaced, dashed = (pc.binary_join_element_wise(*groups, between) for between in ("", " ", "-"))
    written = {
        E164: lambda: joined(f"+{region.country}", tight),
        SPACED: lambda: joined(f"+{region.country} ", spaced),
        DIALLED: lambda: joined(f"{region.abroad}{region.country}-", dashed),
        NATIONAL: lambda: _written_at_home(region, groups),
        FULL_WIDTH: lambda: _widened(joined(f"+{region.country}", tight)),
        BRACKETS: lambda: joined(f"+{region.country} (", groups[0], ") ", *groups[1:]),
    }
    result: pa.Array = written[notation]()
    return result


def _written_at_home(region: Region, groups: Sequence[pa.Array]) -> pa.Array:
    if region.code == "US":
        return joined("(", groups[0], ") ", groups[1], "-", groups[2])
    return joined(region.trunk, groups[0], "-", *groups[1:])


def _widened(text: pa.Array) -> pa.Array:
    for narrow, wide in _FULL_WIDTH.items():
        text = pc.replace_substring(text, narrow, wide)
    return text
