"""How full the columns of a staged dataset are, read from the footers of its files without reading a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Fill:
    """One staged column."""

    rows: int
    values: int
    """Rows with a value; empty texts count, unless the column holds nothing else."""
    complete: bool
    """No row lacks a value and none holds an empty text."""

    @property
    def share(self) -> float:
        """Share of rows with a value, 0 to 1."""
        return self.values / self.rows if self.rows else 0.0


def fills(files: Sequence[Path]) -> dict[str, Fill]:
    """Column → fill over Parquet files; a column whose footers say nothing is left out."""
    found: dict[str, Fill | None] = {}
    for path in files:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                known = found.get(column.path_in_schema, Fill(0, 0, complete=True))
                found[column.path_in_schema] = _more(known, column)
    return {name: item for name, item in found.items() if item is not None}


def _more(known: Fill | None, column: pq.ColumnChunkMetaData) -> Fill | None:
    statistics = column.statistics
    if known is None or statistics is None or not statistics.has_null_count:
        return None
    rows, nulls = column.num_values, statistics.null_count
    bounded = bool(statistics.has_min_max)
    only_empty = nulls == rows or (bounded and statistics.max in ("", b""))
    sound = nulls == 0 and bounded and statistics.min not in ("", b"")
    values = 0 if only_empty else rows - nulls
    return Fill(known.rows + rows, known.values + values, known.complete and sound)
