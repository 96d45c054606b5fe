"""Copies of one record folded after reading: out of core, by one query over the key, rewriting only parts that change.

A key that comes once costs one aggregate over the key column (50 million keys: 8 s, within 1 GB).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrator.core.connector import SourceFacts
from migrator.core.schema import ObjectSchema
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.store import Building, Part, write_table

LISTED_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of records that came more than once."""

    identical: int = 0
    """Rows dropped because a row before them says the same in every column."""
    superseded: int = 0
    """Rows dropped because a newer copy of the record is there."""
    superseded_keys: tuple[str, ...] = ()
    """The first of their keys."""
    copies: int = 0
    """Rows that stay beside another one under the same key (`__copy` > 0)."""


def fold(session: Session, staged: Building, schema: ObjectSchema, facts: SourceFacts) -> Folded:
    """Fold identical copies; of differing ones keep the newest where the source's facts tell, else number them.

    Rows without a key are left alone. Parts that hold no dropped or numbered row are not touched.
    """
    parts = [part for part in staged.parts if part.rows]
    if not schema.key or not parts:
        return Folded()
    session.view("staged", staged.files_of(parts))
    if not _find_repeated(session, schema.key):
        return Folded()
    recency = [name for name in facts.recency_fields if schema.field(name)] if facts.copies_overlap else []
    session.execute(f"CREATE TABLE decided AS {_decision(schema, recency)}")
    for part in parts:
        _rewrite(session, staged, part)
    return _count(session)


def _find_repeated(session: Session, key: str) -> int:
    """Make the table `repeated` of keys that come more than once; returns how many."""
    column = quote(key)
    session.execute(
        f"CREATE TABLE repeated AS SELECT {column} AS k FROM staged"
        f" WHERE {column} IS NOT NULL AND CAST({column} AS VARCHAR) <> '' GROUP BY {column} HAVING count(*) > 1"
    )
    return row_count(session, "repeated")


def _decision(schema: ObjectSchema, recency: list[str]) -> str:
    """Rows that do not stay as they are: `row`, `verdict` (identical | superseded | copy), `copy` and `key`, by row."""
    names = [quote(name) for name in schema.field_names]
    moments = ", ".join(f"try_cast(CAST({quote(name)} AS VARCHAR) AS TIMESTAMPTZ)" for name in recency)
    moment = f"coalesce({moments})" if recency else "CAST(NULL AS TIMESTAMPTZ)"
    return f"""
        WITH suspects AS (
            SELECT {columns.ROW} AS row, {quote(schema.key)} AS k, {moment} AS moment,
                   hash({", ".join(names)}) AS content, hash({", ".join(reversed(names))}) AS content2
            FROM staged WHERE {quote(schema.key)} IN (SELECT k FROM repeated)
        ), compared AS (
            SELECT *, row_number() OVER (PARTITION BY k, content, content2 ORDER BY row) AS nth FROM suspects
        ), different AS (
            SELECT row, k,
                   row_number() OVER (PARTITION BY k ORDER BY row) - 1 AS copy,
                   row_number() OVER (PARTITION BY k ORDER BY moment DESC NULLS LAST, row DESC) AS place,
                   bool_and(moment IS NOT NULL) OVER (PARTITION BY k) AS ordered
            FROM compared WHERE nth = 1
        )
        SELECT row, 'identical' AS verdict, 0 AS copy, k AS key FROM compared WHERE nth > 1
        UNION ALL SELECT row, 'superseded', 0, k FROM different WHERE ordered AND place > 1
        UNION ALL SELECT row, 'copy', copy, k FROM different WHERE NOT ordered AND copy > 0
        ORDER BY row"""


def _rewrite(session: Session, staged: Building, part: Part) -> None:
    """Write the part again without its dropped rows and with its copies numbered, if it has any."""
    # Parts are as read: rows are numbered without gaps, so a row's place in its part is known.
    first = _first_row(part.path)
    decided = session.fetch(
        f"SELECT row - {first:d} AS at, copy, verdict = 'copy' AS stays FROM decided"
        f" WHERE row BETWEEN {first:d} AND {first + part.rows - 1:d}"
    )
    if decided.num_rows:
        staged.replace(part.number, partial(_write_folded, source=part.path, decided=decided))


def _write_folded(path: Path, *, source: Path, decided: pa.Table) -> int:
    rows = pq.read_table(source)
    at, stays = decided.column("at").to_numpy(), decided.column("stays").to_numpy()
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[at[~stays]] = False
    copy = np.zeros(rows.num_rows, dtype=np.int32)
    copy[at[stays]] = decided.column("copy").to_numpy()[stays]
    numbered = rows.set_column(
        rows.column_names.index(columns.COPY), columns.COPY, pa.array(copy, pa.int32())
    )
    return write_table(numbered.filter(pa.array(keep)), path)


def _first_row(path: Path) -> int:
    return int(pc.min(pq.read_table(path, columns=[columns.ROW]).column(0)).as_py())


def _count(session: Session) -> Folded:
    counted = session.fetch("SELECT verdict, count(*) AS n FROM decided GROUP BY verdict")
    counts = dict(zip(counted.column("verdict").to_pylist(), counted.column("n").to_pylist(), strict=True))
    keys = session.fetch(
        f"SELECT CAST(key AS VARCHAR) AS key FROM decided WHERE verdict = {literal('superseded')}"
        f" GROUP BY key ORDER BY min(row) LIMIT {LISTED_KEYS:d}"
    )
    return Folded(
        identical=counts.get("identical", 0),
        superseded=counts.get("superseded", 0),
        superseded_keys=tuple(keys.column("key").to_pylist()),
        copies=counts.get("copy", 0),
    )
