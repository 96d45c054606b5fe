"""Rows put in order slice by slice are what the engine's own sort gives, in a slice's memory, and leave nothing behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.core.errors import FatalError
from migrator.staging import in_order
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.in_order import Order, write_in_order


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    with closing(open_engine(EngineSettings(), tmp_path)) as session:
        yield session


def shuffled(session: DuckSession, numbers: list[int]) -> None:
    chance = random.Random(7)
    ids = [f"é{n:05d}" if n % 3 else f"Z{n:05d}" for n in range(len(numbers))]
    rows = list(zip(numbers, ids, strict=True))
    chance.shuffle(rows)
    session.table(
        "given",
        pa.table(
            {
                "batch": pa.array([number for number, _ in rows], pa.int32()),
                "id": [text for _, text in rows],
                "price": pa.array(
                    [None if number % 2 else number for number, _ in rows], pa.decimal128(18, 2)
                ),
                "tags": pa.array([[text] for _, text in rows]),
            }
        ),
    )


@pytest.mark.parametrize(
    "end", [1, 40, 25, 0], ids=["one batch", "as told", "more batches than told", "none told"]
)
@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_the_order_is_the_engines(
    session: DuckSession, tmp_path: Path, end: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_order, "SLICE_ROWS", 7_000)
    shuffled(session, [n * 40 // 3_000 for n in range(3_000)])
    path = tmp_path / "sorted.parquet"
    order = Order("batch", end, "id")
    assert write_in_order(session, "SELECT * FROM given", order, path, rows=rows) == 3_000
    wanted = session.fetch("SELECT * FROM given ORDER BY batch, id")
    assert pq.read_table(path).equals(wanted.cast(pq.read_schema(path)))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["sorted.parquet", "spill"]


def test_no_rows_make_a_file_with_the_columns(session: DuckSession, tmp_path: Path) -> None:
    shuffled(session, [1, 2])
    path = tmp_path / "sorted.parquet"
    order = Order("batch", 0, "id")
    assert write_in_order(session, "SELECT * FROM given WHERE false", order, path, rows=0) == 0
    assert pq.read_schema(path).names == ["batch", "id", "price", "tags"]


def test_a_query_that_fails_leaves_nothing(session: DuckSession, tmp_path: Path) -> None:
    def refuse(_: pa.ChunkedArray) -> pa.Array:
        raise FatalError("no")

    shuffled(session, list(range(100)))
    session.function("refuse", refuse, ["INTEGER"], "INTEGER")
    order = Order("batch", 100, "id")
    with pytest.raises(FatalError, match="no"):
        write_in_order(
            session, "SELECT refuse(batch) AS batch, id FROM given", order, tmp_path / "a.parquet", rows=100
        )
    assert [item.name for item in tmp_path.iterdir()] == ["spill"]


def test_memory_holds_a_slice_and_not_the_rows(
    session: DuckSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_order, "SLICE_ROWS", 10_000)
    sql = "SELECT CAST(hash(i) % 400 AS INTEGER) AS batch, CAST(i AS VARCHAR) AS id, repeat('x', 200) AS wide FROM range(400000) AS t(i)"
    pool = pa.system_memory_pool()
    default = pa.default_memory_pool()
    pa.set_memory_pool(pool)  # a pool that nothing else has used: its highest mark is ours
    try:
        write_in_order(session, sql, Order("batch", 400, "id"), tmp_path / "a.parquet", rows=400_000)
        assert pool.max_memory() < 400_000 * 200 / 3
    finally:
        pa.set_memory_pool(default)
