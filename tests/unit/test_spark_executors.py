"""What executors are given comes in batches of the size that was asked for, whole and in order."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from migrator.staging.spark_executors import in_chunks

GIVEN = pa.schema([("a", pa.int32()), ("b", pa.string())])
TAKEN = pa.schema([("n", pa.int64()), ("text", pa.string())])


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_chunks_have_the_rows_of_the_batches(sizes: list[int], rows: int) -> None:
    numbers = iter(range(sum(sizes)))
    batches = [
        pa.RecordBatch.from_pydict({"a": taken, "b": list(map(str, taken))}, schema=GIVEN)
        for taken in ([next(numbers) for _ in range(size)] for size in sizes)
    ]
    found = list(in_chunks(iter(batches), TAKEN, rows))
    assert [batch.schema for batch in found] == [TAKEN] * len(found)
    assert all(batch.num_rows == rows for batch in found[:-1])
    assert all(0 < batch.num_rows <= rows for batch in found)
    expected = [{"n": n, "text": str(n)} for n in range(sum(sizes))]
    assert [row for batch in found for row in batch.to_pylist()] == expected
