"""The distinct texts of a field read once: in every script, then folded, whatever the number of records that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.normalise import Step, chained
from migrator.dedupe.script import composed
from migrator.dedupe.unicode import STABLE
from migrator.staging.engine import Session

_SIMPLE = "dedupe_simple"


@dataclass(frozen=True, slots=True)
class Reading:
    """A field, as column tN of `dedupe_raw`: whether it is in some script that is to be made simple, and how it is folded."""

    number: int
    worded: bool
    steps: tuple[Step, ...]


def reading_of(number: int) -> str:
    """The table of a field: `raw` its distinct texts, `n` their records, `text` in one width and case, `value` folded."""
    return f"dedupe_reading{number}"


def make_readings(session: Session, readings: Sequence[Reading], scratch: Path) -> None:
    """Make the tables of all fields."""
    for item in readings:
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE {reading_of(item.number)} AS SELECT t{item.number} AS raw, count(*) AS n "
            f"FROM dedupe_raw WHERE t{item.number} IS NOT NULL GROUP BY 1"
        )
    worded = [item for item in readings if item.worded]
    _simplify(session, worded, scratch / "texts.parquet")
    for item in readings:
        _fold(session, item)
    session.execute(f"DROP TABLE {_SIMPLE}")


def _simplify(session: Session, readings: Sequence[Reading], scratch: Path) -> None:
    """`dedupe_simple`: texts that SQL cannot bring to compatibility form and simplified characters."""
    foreign = " UNION ".join(
        f"SELECT raw FROM {reading_of(item.number)} WHERE strlen(raw) <> length(raw) "
        f"AND regexp_matches(raw, '[^{STABLE}]|\\p{{Han}}')"
        for item in readings
    )
    nobody = "SELECT NULL::VARCHAR AS raw WHERE false"
    translate_distinct(session, foreign or nobody, _simple, _SIMPLE, scratch)


def _simple(texts: pa.Array) -> pa.Array:
    return pa.array(composed(texts.to_pylist()), pa.string())


def _fold(session: Session, item: Reading) -> None:
    table = reading_of(item.number)
    plain = "nullif(trim(lower(regexp_replace(raw, '\\s+', ' ', 'g'))), '')"
    text = f"coalesce({_SIMPLE}.value, {plain})" if item.worded else "raw"
    joined = f"LEFT JOIN {_SIMPLE} USING (raw)" if item.worded else ""
    source = f"(SELECT raw, n, {text} AS text, {text} AS value FROM {table} {joined})"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_folded AS {chained({'value': item.steps}, ('raw', 'n', 'text'), source)}"
    )
    session.execute(f"DROP TABLE {table}")
    session.execute(f"ALTER TABLE dedupe_folded RENAME TO {table}")
