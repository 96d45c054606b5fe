"""The engines whose words a mapping's query can be shown in."""

from __future__ import annotations

from enum import Enum


class Dialect(Enum):
    """An engine's SQL."""

    DUCKDB = "duckdb"
    SPARK = "spark"
