"""The wrappers that misbehave on purpose do exactly what they say: what is written, what is told, what raises."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.core.connector import Limits, Paced, Rate, SourceFacts
from migrator.core.errors import CallRefused, ConnectorError, FatalError, RetryableError
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.extract import extract_object
from migrator.testing.faults import FaultySource, FaultyTarget, Lock, Poison
from migrator.testing.memory import MemoryObject, MemorySource, MemoryTarget
from migrator.testing.troubles import (
    LOST,
    Asked,
    Fault,
    Schedule,
    Trouble,
    always,
    by_chance,
    first_attempt,
    never,
    on_calls,
)
from tests.load_world import world

SCHEMA = ObjectSchema(
    "T", "key", (FieldSchema("key", FieldType.STRING), FieldSchema("name", FieldType.STRING))
)
ROWS = pa.table({"key": ["a", "b", "c", "d"], "name": ["1", "2", "3", "4"]})


def faulty(schedule: Schedule = never, **more: Any) -> FaultyTarget:
    return FaultyTarget(MemoryTarget([SCHEMA]), schedule, **more)


def held(target: FaultyTarget) -> str:
    return "".join(row["key"] for page in target.inside.read("T") for row in page.to_pylist())


def told(answers: pa.Table) -> str:
    return " ".join(f"{row['key']}={row['code'] or row['outcome']}" for row in answers.to_pylist())


WRITTEN = {
    Trouble.TIMEOUT_BEFORE: "", Trouble.TIMEOUT_AFTER: "abcd", Trouble.PARTIAL: "ab", Trouble.RESET: "ac",
    Trouble.EXPIRED: "ab", Trouble.REVOKED: "ab", Trouble.THROTTLED: "", Trouble.THROTTLED_HINT: "",
    Trouble.UNAVAILABLE: "",
}  # fmt: skip


@pytest.mark.parametrize("trouble", sorted(LOST, key=lambda item: item.value), ids=lambda item: item.value)
def test_a_lost_call_has_written_what_it_says_and_can_be_made_again(trouble: Trouble) -> None:
    target = faulty(first_attempt(Fault(trouble)))
    with pytest.raises(ConnectorError) as caught:
        target.upsert("T", ROWS, key="key")
    assert held(target) == WRITTEN[trouble]
    assert isinstance(caught.value, FatalError if trouble is Trouble.REVOKED else RetryableError)
    if isinstance(caught.value, RetryableError):
        assert caught.value.throttled is (trouble in (Trouble.THROTTLED, Trouble.THROTTLED_HINT))
        assert (caught.value.retry_after == 30.0) is (trouble is Trouble.THROTTLED_HINT)
    target.upsert("T", ROWS, key="key")
    assert "".join(sorted(held(target))) == "abcd"
    assert target.befell == {trouble: 1}


@pytest.mark.parametrize(
    ("trouble", "answers", "written"),
    [
        (Trouble.REFUSED, "a=created c=created b=sandbox.refused d=sandbox.refused", "ac"),
        (Trouble.SHUFFLED, "d=created c=created b=created a=created", "abcd"),
        (Trouble.REPEATED, "a=created b=created c=created d=created a=created", "abcd"),
        (Trouble.STRANGER, "a=created b=created c=created d=created nobody=created", "abcd"),
        (Trouble.SILENT, "b=created c=created d=created", "abcd"),
    ],
)
def test_answers_arrive_as_they_should_not(trouble: Trouble, answers: str, written: str) -> None:
    target = faulty(always(Fault(trouble)))
    assert told(target.upsert("T", ROWS, key="key")) == answers
    assert held(target) == written


def is_b(row: Mapping[str, Any]) -> bool:
    return bool(row["key"] == "b")


def test_a_row_that_others_hold_passes_when_it_was_tried_often_enough() -> None:
    target = faulty(locks=[Lock(is_b, tries=2)])
    assert target.facts.lock_codes == {"sandbox.locked"}
    assert told(target.upsert("T", ROWS, key="key")) == "a=created c=created d=created b=sandbox.locked"
    assert told(target.upsert("T", ROWS.slice(1, 1), key="key")) == "b=sandbox.locked"
    assert told(target.upsert("T", ROWS.slice(1, 1), key="key")) == "b=created"


def test_nothing_goes_through_with_a_poison_row_whatever_the_verb() -> None:
    target = faulty(poisons=[Poison(is_b)])
    for call in (
        lambda: target.upsert("T", ROWS, key="key"),
        lambda: target.update("T", ROWS, key="key"),
        lambda: target.delete("T", ["a", "b"], key="key"),
    ):
        with pytest.raises(CallRefused):
            call()
    assert held(target) == ""
    target.upsert("T", ROWS.filter(pa.array([True, False, True, True])), key="key")
    assert held(target) == "acd"
    target.heal()
    target.upsert("T", ROWS, key="key")
    assert held(target) == "acdb"


def test_schedules_say_when() -> None:
    fault = Fault(Trouble.RESET)
    second = Asked(2, "upsert", "T", ("a",), 1)
    again = Asked(3, "upsert", "T", ("a",), 2)
    read = Asked(1, "read", "T", (), 1)
    assert [always(fault)(item) for item in (second, again, read)] == [fault, fault, None]
    assert [first_attempt(fault)(item) for item in (second, again)] == [fault, None]
    assert [on_calls({3: fault})(item) for item in (second, again)] == [None, fault]
    assert first_attempt(fault, frozenset({"read"}))(read) == fault
    chance = [by_chance(3, 0.5)(Asked(number, "upsert", "T", (), 1)) for number in range(200)]
    assert chance == [by_chance(3, 0.5)(Asked(number, "upsert", "T", (), 1)) for number in range(200)]
    assert 60 < sum(item is not None for item in chance) < 140
    assert by_chance(3, 1.0, in_a_row=2)(Asked(9, "upsert", "T", (), 3)) is None


def test_reads_of_a_target_fail_too() -> None:
    target = faulty(
        first_attempt(Fault(Trouble.UNAVAILABLE), frozenset({"fetch", "read", "prepare", "describe"}))
    )
    for call in (
        target.describe,
        lambda: target.prepare([SCHEMA]),
        lambda: target.fetch("T", ["a"], key="key", columns=["key"]),
        lambda: list(target.read("T")),
    ):
        with pytest.raises(RetryableError):
            call()
        call()


def test_a_wrapped_target_keeps_its_other_sides() -> None:
    class Limited(MemoryTarget):
        limits = Limits((Rate(5, 1.0),))

        def pace(self, gate: object) -> None:
            self.gate = gate

    target = FaultyTarget(Limited([SCHEMA]))
    assert isinstance(target, Paced)
    target.pace("gate")  # type: ignore[arg-type]
    assert target.inside.gate == "gate"  # type: ignore[attr-defined]
    assert not isinstance(faulty(), Paced)


@pytest.mark.parametrize("seed", range(2))
def test_an_extract_through_a_bad_line_ends_like_one_through_a_good_one(tmp_path: Path, seed: int) -> None:
    rows = pa.table({"key": [f"k{n}" for n in range(40)], "name": [str(n) for n in range(40)]})
    source = MemorySource([MemoryObject(SCHEMA, rows)], facts=SourceFacts(copies_overlap=True))
    troubles = (*sorted(LOST, key=lambda item: item.value), Trouble.REPEATED)
    wrapped = FaultySource(source, by_chance(seed, 0.5, troubles, verbs=frozenset({"read"})))
    with world(tmp_path) as here:
        for _ in range(40):
            try:
                done = extract_object(
                    here.store, here.engine, wrapped, "s", SCHEMA, files=tmp_path, progress=Quiet(), page_rows=8
                )  # fmt: skip
                break
            except ConnectorError:
                continue
        staged = pa.concat_tables([pq.read_table(path) for path in done.files])
    assert staged.select(["key", "name"]).to_pylist() == rows.to_pylist()
    assert sum(wrapped.befell.values()) > 1
    with closing(wrapped):
        wrapped.heal()
        assert sum(page.rows.num_rows for page in wrapped.read("T")) == 40
