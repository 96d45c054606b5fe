"""What a run is going to take is a straight line through two samples, held against what happened."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.commands.cost_model import Prediction, compare, line, predict, to_come
from migrator.commands.measured import Took
from migrator.commands.room import Step
from migrator.commands.row_count import _rows as rows_of_file
from migrator.commands.sample import FirstRows
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.memory import MemoryObject, MemorySource

amounts = st.floats(0, 1e6)
counts = st.integers(1, 10**9)


@given(amounts, amounts, counts, counts, counts)
def test_what_grows_in_step_with_the_rows_is_predicted_exactly(
    start: float, each: float, fewer: int, more: int, rows: int
) -> None:
    if fewer >= more:
        return
    found = line((fewer, start + each * fewer), (more, start + each * more))
    assert found.at(rows) == pytest.approx(start + each * rows, rel=1e-3, abs=1e-3 * (start + 1) * (1 + rows / (more - fewer)))  # fmt: skip


@given(amounts, amounts, counts, counts, counts)
def test_noise_never_makes_a_negative_prediction(
    one: float, two: float, fewer: int, more: int, rows: int
) -> None:
    found = line((fewer, one), (more, two))
    assert found.start >= 0
    assert found.each >= 0
    assert found.at(rows) >= 0


def test_a_busy_machine_makes_the_prediction_longer_and_not_steeper() -> None:
    small = {Step.MAP: Took("s", 100, 2.0, 1.0, 1_000)}
    large = {Step.MAP: Took("l", 400, 5.0, 2.5, 4_000)}
    busy = {Step.MAP: replace(large[Step.MAP], seconds=10.0)}
    calm = predict(small, large, 100, 400, 10_000)[Step.MAP]
    assert (calm.cpu, calm.seconds, calm.bytes, calm.rows) == (50.5, 101.0, 100_000, 10_000)
    assert predict(small, busy, 100, 400, 10_000)[Step.MAP] == replace(calm, seconds=202.0)


def test_a_prediction_is_kept_whole_and_held_against_what_happened() -> None:
    took = Took("l", 400, 5.0, 2.5, 4_000)
    steps = predict({Step.MAP: took}, {Step.MAP: took, Step.LOAD: took}, 400, 400, 800)
    prediction = Prediction("run", "2026-01-01", 0.5, 800, steps)
    assert Prediction.from_json(prediction.to_json()) == prediction
    assert prediction.seconds == 20.0
    happened = {Step.EXTRACT: took, Step.MAP: Took("r", 800, 15.0, 2.5, 8_000)}
    extracted, mapped, loaded = compare(prediction, happened)
    assert (extracted.step, extracted.ratio) == (Step.EXTRACT, None)
    assert (mapped.ratio, mapped.cpu_ratio, mapped.disk_ratio) == (1.5, 0.5, 1.0)
    assert (loaded.step, loaded.took, loaded.to_json()["ratio"]) == (Step.LOAD, None, None)


def test_a_step_that_nobody_measured_is_not_to_come_when_a_later_one_is_done() -> None:
    took = Took("l", 400, 5.0, 2.5, 4_000)
    both = dict.fromkeys((Step.EXTRACT, Step.MAP, Step.LOAD), took)
    prediction = Prediction("run", "2026-01-01", 0.5, 800, predict(both, both, 400, 400, 800))
    assert [item.step for item in to_come(compare(prediction, {Step.MAP: took}))] == [Step.LOAD]
    assert [item.step for item in to_come(compare(prediction, {}))] == [Step.EXTRACT, Step.MAP, Step.LOAD]
    assert to_come(compare(prediction, both)) == ()


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 9))
def test_the_first_rows_of_a_source_are_its_first_rows(there: int, wanted: int, page: int) -> None:
    schema = ObjectSchema("Thing", "Id", (FieldSchema("Id", FieldType.ID),))
    rows = pa.table({"Id": [f"{number}" for number in range(there)]})
    source = FirstRows(MemorySource([MemoryObject(schema, rows)]), {"Thing": wanted})
    read = [page.rows for page in source.read("Thing", page_rows=page)]
    assert pa.concat_tables(read).equals(rows.slice(0, wanted))
    assert all(one.num_rows <= page for one in read)


texts = st.text(st.sampled_from('ab,"\n 中'), max_size=6)


@given(st.lists(st.tuples(texts, texts), max_size=30))
def test_rows_of_a_file_that_is_seen_whole_are_counted_exactly(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])
    head = out.getvalue().encode()
    assert rows_of_file(".csv", len(head), head) == len(rows)
    assert rows_of_file(".csv", len(head) - 1, head[:-1]) == len(rows)


def test_a_file_of_which_only_the_head_is_seen_is_guessed_by_its_size() -> None:
    head = b'"a"\n' + b'"some row"\n' * 999
    assert rows_of_file(".csv", len(head) * 50, head) == pytest.approx(50_000, rel=0.01)
    assert rows_of_file(".csv", 0, b"") == 0
