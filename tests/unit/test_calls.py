"""What a target may do to a call, and what becomes of its rows: each has one true answer, and no call is wasted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from migrator.core.clock import FixedClock
from migrator.core.connector import TargetFacts
from migrator.core.errors import CallRefused, FatalError, RetryableError
from migrator.core.mapped import Link
from migrator.core.retry import RetryPolicy
from migrator.load.calls import Answered, Verb, Way, Writing
from migrator.load.isolate import ALIKE, CALLS_ALIKE, NO_ANSWER, Health
from migrator.load.lanes import Lanes
from migrator.load.load import target_schemas
from migrator.testing.memory import MemoryTarget
from tests.load_world import mapped_object

OBJ = mapped_object("contact", links=[Link("account", ("account",))])
QUICK = RetryPolicy(attempts=3, first=1.0, patience=60.0)
Spoil = Callable[[Sequence[str]], None]


class Moody(MemoryTarget):
    """A target that does something before and after each write, given the keys of the call."""

    def __init__(self, before: Spoil | None = None, after: Spoil | None = None, **facts: object) -> None:
        made = {"batch_rows": 200, "assigns_ids": False, "creates_objects": True, "checks_references": False}
        super().__init__(facts=TargetFacts(**{**made, **facts}))  # type: ignore[arg-type]
        self.before, self.after = before, after
        self.sent: list[tuple[str, ...]] = []
        """The keys of every call, also of those that never arrived."""
        self.prepare(target_schemas([replace(OBJ, links=())]))

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        return self._write(super().upsert, object_name, rows, key)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        return self._write(super().update, object_name, rows, key)

    def _write(self, write: Callable[..., pa.Table], name: str, rows: pa.Table, key: str) -> pa.Table:
        keys = tuple(rows.column(key).to_pylist())
        self.sent.append(keys)
        if self.before:
            self.before(keys)
        answers = write(name, rows, key=key)
        if self.after:
            self.after(keys)
        return answers

    @property
    def held(self) -> set[str]:
        return {row["key"] for page in self.read("T contact") for row in page.to_pylist()}


def refusing(bad: set[str], code: str = "TOO_LONG") -> Spoil:
    """Refuses any call that holds one of these."""

    def spoil(keys: Sequence[str]) -> None:
        if bad & set(keys):
            raise CallRefused("Name: data value too large", code=code)

    return spoil


def failing(bad: set[str]) -> Spoil:
    """Never answers a call that holds one of these."""

    def spoil(keys: Sequence[str]) -> None:
        if bad & set(keys):
            raise RetryableError("internal server error")

    return spoil


def way(target: MemoryTarget, lanes: Lanes | None = None) -> Way:
    return Way(target, QUICK, FixedClock(), lambda: 1.0, lanes or Lanes(), Health(), lambda: None)


def rows(size: int, parents: Sequence[str | None] = ("a",)) -> pa.Table:
    keys = [f"k{n}" for n in range(size)]
    accounts = [parents[n % len(parents)] for n in range(size)]
    return pa.table(
        {"__target_key": keys, "key": keys, "name": ["名"] * size, "account": pa.array(accounts, pa.string())}
    )


def write(target: MemoryTarget, sent: pa.Table, lanes: Lanes | None = None) -> Answered:
    return Writing(way(target, lanes), OBJ, Verb.UPSERT).write(sent)


def outcomes(found: Answered) -> dict[str, str]:
    """Key → code of a refusal, or the outcome; every answer must stand beside its row."""
    assert found.rows.column("key").to_pylist() == found.answers.column("key").to_pylist()
    return {row["key"]: row["code"] or row["outcome"] for row in found.answers.to_pylist()}


def test_the_bad_rows_of_a_call_refused_whole_are_found_by_halving() -> None:
    bad = {"k0", "k77", "k199"}
    target = Moody(before=refusing(bad), atomic=True)
    found = write(target, rows(200))
    assert found.error is None
    assert {key: word for key, word in outcomes(found).items() if word != "created"} == dict.fromkeys(
        bad, "TOO_LONG"
    )
    assert {row["message"] for row in found.answers.to_pylist()} == {None, "Name: data value too large"}
    assert target.held == {f"k{n}" for n in range(200)} - bad
    assert len(target.sent) <= 1 + len(bad) * 2 * 8


def test_when_every_row_is_refused_alike_the_load_stops_after_a_few_calls() -> None:
    target = Moody(before=refusing({f"k{n}" for n in range(200)}, "INVALID_FIELD"), atomic=True)
    found = write(target, rows(200))
    assert isinstance(found.error, FatalError)
    assert f"{ALIKE} records that were sent alone were refused alike (INVALID_FIELD)" in str(found.error)
    assert not found.answers.num_rows
    assert len(target.sent) < 3 * ALIKE


def test_a_few_rows_that_are_all_bad_are_quarantined_each() -> None:
    target = Moody(before=refusing({f"k{n}" for n in range(9)}), atomic=True)
    assert set(outcomes(write(target, rows(9))).values()) == {"TOO_LONG"}


def test_calls_refused_alike_one_after_the_other_are_no_poison_either() -> None:
    target = Moody(before=refusing({f"k{n}" for n in range(200)}), atomic=True, batch_rows=2)
    found = write(target, rows(200))
    assert f"the last {CALLS_ALIKE} calls were refused alike" in str(found.error)
    assert len(target.sent) == 3 * CALLS_ALIKE
    assert found.answers.num_rows == 2 * (CALLS_ALIKE - 1)
    passing = Moody(before=refusing({f"k{n}" for n in range(200) if n % 10}), atomic=True, batch_rows=1)
    assert write(passing, rows(200)).error is None


def test_a_row_that_breaks_every_call_it_is_in_is_found_and_looked_up() -> None:
    target = Moody(before=failing({"k5"}))
    found = write(target, rows(64))
    assert {key: word for key, word in outcomes(found).items() if word != "created"} == {"k5": NO_ANSWER}
    assert len(target.sent) <= QUICK.attempts + 2 + 3 * 7


def test_a_row_that_was_written_though_it_never_answered_counts_as_written() -> None:
    target = Moody(after=failing({"k5"}))
    found = write(target, rows(64))
    assert set(outcomes(found).values()) == {"updated", "unchanged"}
    assert outcomes(found)["k5"] == "updated"
    assert target.held == {f"k{n}" for n in range(64)}


@pytest.mark.parametrize("size", [1, 200])
def test_when_nothing_is_answered_it_is_the_system_and_no_row_is_to_blame(size: int) -> None:
    target = Moody(before=failing({f"k{n}" for n in range(30, 200)}), batch_rows=size)
    found = write(target, rows(200).slice(0 if size == 1 else 30))
    assert isinstance(found.error, RetryableError)
    assert set(outcomes(found).values()) <= {"created"}
    assert found.answers.num_rows == (30 if size == 1 else 0)
    assert len(target.sent) <= 30 + 5 * QUICK.attempts


def test_a_single_row_that_never_answers_is_to_blame_when_others_pass_after_it() -> None:
    target = Moody(before=failing({"k5", "k6"}), batch_rows=1)
    found = write(target, rows(20))
    assert found.error is None
    assert {key for key, word in outcomes(found).items() if word == NO_ANSWER} == {"k5", "k6"}
    last = write(Moody(before=failing({"k19"}), batch_rows=1), rows(20))
    assert last.error is None
    assert {key for key, word in outcomes(last).items() if word == NO_ANSWER} == {"k19"}


def test_a_row_that_is_last_and_alone_is_only_to_blame_when_what_passed_before_passes_again() -> None:
    calls = iter(range(1000))

    def down_for_good(_: Sequence[str]) -> None:
        if next(calls) >= 19:
            raise RetryableError("internal server error")

    found = write(Moody(before=down_for_good, batch_rows=1), rows(20))
    assert isinstance(found.error, RetryableError)
    assert found.answers.num_rows == 19


def test_a_row_that_passes_once_the_system_is_back_is_not_to_blame() -> None:
    calls = iter(range(1000))

    def down_for_a_while(_: Sequence[str]) -> None:
        if 19 <= next(calls) < 19 + QUICK.attempts:
            raise RetryableError("internal server error")

    found = write(Moody(before=down_for_a_while, batch_rows=1), rows(20))
    assert found.error is None
    assert set(outcomes(found).values()) == {"created"}


def test_a_pause_or_a_used_up_budget_is_not_searched_for_bad_rows() -> None:
    def used_up(_: Sequence[str]) -> None:
        raise RetryableError("the day's budget is used up", retry_after=7200)

    target = Moody(before=used_up)
    found = write(target, rows(50))
    assert "budget" in str(found.error)
    assert len(target.sent) == 1


@pytest.mark.parametrize("first", [CallRefused("bad", code="BAD"), RetryableError("internal server error")])
def test_a_budget_that_ends_during_a_search_refuses_no_row(first: CallRefused | RetryableError) -> None:
    def spoil(keys: Sequence[str]) -> None:
        if len(target.sent) > QUICK.attempts:
            raise RetryableError("the day's budget is used up", retry_after=7200)
        if "k5" in keys:
            raise first

    target = Moody(before=spoil)
    found = write(target, rows(50))
    assert "budget" in str(found.error)
    assert not found.answers.num_rows
    assert len(target.sent) == QUICK.attempts + 1


class Locked(Moody):
    """Refuses rows whose parent is held, `times` calls long for each parent."""

    def __init__(self, held: dict[str, int], *, atomic: bool = False) -> None:
        super().__init__(lock_codes=frozenset({"LOCKED"}), atomic=atomic)
        self.parents = dict(held)

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        held = {name for name in set(rows.column("account").to_pylist()) if self.parents.get(name, 0) > 0}
        self.parents = {name: left - (name in held) for name, left in self.parents.items()}
        if held and self.facts.atomic:
            self.sent.append(tuple(rows.column(key).to_pylist()))
            raise CallRefused("unable to lock row", code="LOCKED")
        answers = super().upsert(object_name, rows, key=key)
        words = [
            ("refused", "LOCKED") if parent in held else (word, None)
            for word, parent in zip(answers.column("outcome").to_pylist(), rows.column("account").to_pylist(), strict=True)
        ]  # fmt: skip
        for name, column in (("outcome", 0), ("code", 1)):
            answers = answers.set_column(
                answers.column_names.index(name),
                name,
                pa.array([word[column] for word in words], pa.string()),
            )
        return answers


@pytest.mark.parametrize("atomic", [False, True])
def test_locked_rows_are_sent_again_parent_by_parent_and_pass(atomic: bool) -> None:
    target = Locked({"b": 2, "c": 1}, atomic=atomic)
    asked = way(target)
    found = Writing(asked, OBJ, Verb.UPSERT).write(rows(30, ("a", "b", "c")))
    assert "LOCKED" not in outcomes(found).values()
    assert len(outcomes(found)) == 30
    again = target.sent[1:]
    assert all(len(call) % 10 == 0 for call in again), "the children of one parent travel together"
    if atomic:
        assert [len(call) for call in again] == [10, 10, 10, 10]
    else:
        assert [len(call) for call in again] == [20, 10]
    assert asked.clock.monotonic() - FixedClock().monotonic() == 1 + 2, "waits grow"


def test_what_stays_locked_is_refused_in_the_systems_own_words() -> None:
    found = write(Locked({"b": 99}), rows(30, ("a", "b", "c")))
    assert [key for key, word in outcomes(found).items() if word == "LOCKED"] == [
        f"k{n}" for n in range(1, 30, 3)
    ]
    assert found.error is None


def test_rows_still_locked_when_the_work_ends_are_left_for_the_next_run() -> None:
    target = Locked({"b": 99})
    sent = target.sent

    def end(_: Sequence[str]) -> None:
        if len(sent) > 1:
            raise RetryableError("the day's budget is used up", retry_after=7200)

    target.before = end
    found = write(target, rows(30, ("a", "b", "c")))
    assert "budget" in str(found.error)
    assert set(outcomes(found).values()) == {"created"}
    assert len(found.rows) == 20


def test_calls_that_are_not_made_any_more_are_not_taken_for_done() -> None:
    with Lanes(1) as lanes:
        pass  # its work is over
    found = write(Moody(batch_rows=10), rows(30), lanes)
    assert isinstance(found.error, RetryableError)
    assert not found.answers.num_rows


class CreateOnly(Moody):
    """A target whose `upsert` always creates: it makes a second record of the same key without a word."""

    def __init__(self, after: Spoil) -> None:
        super().__init__(after=after, upserts_by_key=False)
        self.created: list[str] = []

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        self.created += rows.column(key).to_pylist()
        return super().upsert(object_name, rows, key=key)


def test_a_target_that_only_creates_is_asked_first_and_again_after_a_lost_answer() -> None:
    lost = [3]

    def lose(_: Sequence[str]) -> None:
        if lost[0]:
            lost[0] -= 1
            raise RetryableError("timeout")

    target = CreateOnly(lose)
    found = write(target, rows(10))
    assert set(outcomes(found)) == target.held == set(target.created)
    assert len(target.created) == 10
    changed = rows(12).set_column(2, "name", pa.array(["新"] * 12))
    assert sorted(outcomes(write(target, changed)).values()) == ["created"] * 2 + ["updated"] * 10
    assert len(target.created) == 12


class Crowded(Moody):
    """Takes `most` calls at once and pushes back when there are more."""

    def __init__(self, most: int) -> None:
        super().__init__(batch_rows=1)
        self.most, self.refused = most, 0
        self.now, self.seen, self.lock = 0, [0] * 20, threading.Lock()

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        with self.lock:
            self.now += 1
            here = self.now
            self.seen[here] += 1
        try:
            if here > self.most:
                self.refused += 1
                raise RetryableError("too many at once", throttled=True)
            time.sleep(0.001)
            with self.lock:
                return super().upsert(object_name, rows, key=key)
        finally:
            with self.lock:
                self.now -= 1


def test_calls_at_once_grow_until_the_system_pushes_back_and_stay_there() -> None:
    target = Crowded(4)
    with Lanes(12) as lanes:
        assert lanes.permitted == 1
        found = write(target, rows(1200), lanes)
        assert 2 <= lanes.permitted <= 5
    assert set(outcomes(found).values()) == {"created"}
    assert 0 < target.refused <= 24
    assert target.seen[4] > 30, "calls went out with three others"


def test_without_push_back_all_lanes_are_used_and_never_more() -> None:
    target = Crowded(5)
    with Lanes(5) as lanes:
        write(target, rows(300), lanes)
        assert lanes.permitted == 5
    assert target.refused == 0
    assert target.seen[5] > 10


def test_an_error_in_one_lane_ends_the_others_and_loses_no_answer() -> None:
    def refuse(keys: Sequence[str]) -> None:
        if keys == ("k40",):
            raise FatalError("no permission")

    target = Moody(before=refuse, batch_rows=1)
    with Lanes(4) as lanes:
        found = write(target, rows(200, (None,)), lanes)
    assert str(found.error) == "no permission"
    assert set(outcomes(found)) == target.held
    assert 40 <= found.answers.num_rows < 60


def test_with_several_lanes_the_children_of_one_parent_share_calls() -> None:
    target = Moody(batch_rows=20)
    with Lanes(3) as lanes:
        write(target, rows(100, ("a", "b", "c", "d", "e")), lanes)
    assert all(len({int(key[1:]) % 5 for key in call}) == 1 for call in target.sent)
