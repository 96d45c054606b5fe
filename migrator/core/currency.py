"""The currencies of ISO 4217 and how many decimals their amounts have.

`iso4217.csv` holds list one as published on 2026-01-01, and the codes withdrawn since about 1990 (`withdrawn: yes`), which
old records still carry; digits are empty where a code has no minor unit (gold, drawing rights, testing).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def minor_units() -> Mapping[str, int | None]:
    """ISO 4217 code → decimals of its amounts: 0 for JPY, 2 for EUR, 3 for KWD; None for codes without a minor unit."""
    text = resources.files("migrator.core").joinpath("iso4217.csv").read_text(encoding="ascii")
    rows = csv.DictReader(text.splitlines())
    return {row["code"]: int(row["digits"]) if row["digits"] else None for row in rows}
