"""Batches are read back whole, in order, one at a time, in memory that does not grow with the file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.load.outbound import cut_batches, read_batches


def written(path: Path, batches: list[int], *, row_group: int = 10) -> Path:
    rows = pa.table(
        {"__batch": pa.array(batches, pa.int32()), "n": pa.array(range(len(batches)), pa.int64())}
    )
    pq.write_table(rows, path, row_group_size=row_group)
    return path


def test_a_batch_is_whole_wherever_pages_end(tmp_path: Path) -> None:
    numbers = [0] * 25 + [1] * 3 + [4] * 40
    found = list(read_batches(written(tmp_path / "a.parquet", numbers)))
    assert [(part.column("__batch")[0].as_py(), part.num_rows) for part in found] == [
        (0, 25),
        (1, 3),
        (4, 40),
    ]
    assert pa.concat_tables(found).column("n").to_pylist() == list(range(68))


def test_an_empty_file_has_no_batches(tmp_path: Path) -> None:
    assert list(read_batches(written(tmp_path / "a.parquet", []))) == []


def test_a_file_that_is_out_of_order_is_a_bug_and_not_sent(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="out of order"):
        list(read_batches(written(tmp_path / "a.parquet", [0, 2, 1])))


def test_a_file_can_be_cut_into_numbered_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": range(7)}), tmp_path / "a.parquet")
    found = list(cut_batches(tmp_path / "a.parquet", 3))
    assert [(part.column("__batch")[0].as_py(), part.num_rows) for part in found] == [(0, 3), (1, 3), (2, 1)]


def test_memory_holds_a_row_group_and_a_batch_whatever_the_size_of_the_file(tmp_path: Path) -> None:
    group, groups = 20_000, 30
    with pq.ParquetWriter(
        tmp_path / "a.parquet", pa.schema([("__batch", pa.int32()), ("t", pa.string())])
    ) as file:
        for number in range(groups):
            texts = [f"{number * group + n:064d}" for n in range(group)]
            file.write_table(pa.table({"__batch": pa.array([number] * group, pa.int32()), "t": texts}))
    before, peak = pa.total_allocated_bytes(), 0
    for _ in read_batches(tmp_path / "a.parquet"):
        peak = max(peak, pa.total_allocated_bytes() - before)
    whole = group * groups * 70
    assert peak < whole / 4
