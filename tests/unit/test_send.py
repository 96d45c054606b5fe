"""Answers are matched by key, patience has an end, and what cannot be trusted stops the load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrator.core import retry
from migrator.core.clock import FixedClock
from migrator.core.connector import OUTCOMES, TargetFacts
from migrator.core.errors import RetryableError, SafetyStop
from migrator.core.mapped import Link
from migrator.core.retry import RetryPolicy
from migrator.core.schema import FieldSchema, FieldType
from migrator.load.calls import match
from migrator.load.load import target_schemas
from migrator.load.send import FRESH, Permission
from migrator.staging.accounting import account
from migrator.staging.ledger_tables import leases
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

PARENT = mapped_object("parent", links=[Link("up", ("parent",), deferred=True)])
CHILD = mapped_object("child", links=[Link("parent", ("parent",))])
GROUPS = ((PARENT,), (CHILD,))
QUICK = RetryPolicy(attempts=3, first=1.0, patience=60.0)


class Faulty(MemoryTarget):
    """A target that spoils the nth write: before it is done, after it is done, or in its answers."""

    def __init__(
        self, before: dict[int, Exception] | None = None, after: dict[int, Exception] | None = None
    ) -> None:
        super().__init__()
        self.before, self.after, self.tries = before or {}, after or {}, 0
        self.spoil: Callable[[pa.Table], pa.Table] = lambda answers: answers

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        self.tries += 1
        if self.tries in self.before:
            raise self.before[self.tries]
        answers = super().upsert(object_name, rows, key=key)
        if self.tries in self.after:
            raise self.after[self.tries]
        return self.spoil(answers)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        put(made, PARENT, Rows({str(n): {"up": "parent/s:0"} for n in range(7)}))
        put(made, CHILD, Rows({str(n): {"parent": f"parent/s:{n}"} for n in range(5)}))
        yield made


def closed(here: World) -> bool:
    return account(here.store, here.session, [PARENT, CHILD]).closed


def loaded(target: MemoryTarget, name: str) -> int:
    return sum(page.num_rows for page in target.read(name))


def test_a_busy_target_is_asked_again_and_no_record_comes_twice(here: World) -> None:
    target = Faulty(
        before={2: RetryableError("busy", retry_after=7)}, after={4: RetryableError("lost answer")}
    )
    here.plan(GROUPS)
    began = here.ledger.clock.now()
    report = here.load(target, GROUPS, policy=QUICK)
    assert (loaded(target, "T parent"), loaded(target, "T child")) == (7, 5)
    assert report.objects[0].outcomes == {"created": 6, "unchanged": 1}
    assert (here.ledger.clock.now() - began).total_seconds() >= 7
    assert closed(here)


def test_when_patience_ends_everything_answered_is_kept_and_the_next_load_goes_on(here: World) -> None:
    target = Faulty(before={number: RetryableError("down") for number in range(3, 9)})
    here.plan(GROUPS)
    with pytest.raises(RetryableError, match="down"):
        here.load(target, GROUPS, policy=QUICK)
    assert loaded(target, "T parent") == 6
    assert not closed(here)
    report = here.load(target, GROUPS, policy=QUICK)
    assert report.objects[0].outcomes == {"created": 1}
    assert closed(here)


def test_outcomes_lost_with_a_damaged_disk_are_asked_for_again(here: World) -> None:
    target = Faulty(before={number: RetryableError("down") for number in range(3, 9)})
    here.plan(GROUPS)
    with pytest.raises(RetryableError):
        here.load(target, GROUPS, policy=QUICK)
    recorded = here.store.unfinished(Kind.OUTCOMES, "parent")
    assert recorded is not None
    recorded.parts[0].path.unlink()
    here.run(target, GROUPS)
    assert (loaded(target, "T parent"), loaded(target, "T child")) == (7, 5)
    assert closed(here)


def test_a_wait_beyond_patience_ends_the_run_at_once(here: World) -> None:
    target = Faulty(before={1: RetryableError("budget used up", retry_after=3600)})
    with pytest.raises(RetryableError, match="budget"):
        here.run(target, GROUPS)
    assert target.tries == 1


def test_shuffled_answers_do_no_harm(here: World) -> None:
    target = Faulty()
    target.spoil = lambda answers: answers.take(list(reversed(range(answers.num_rows))))
    here.run(target, GROUPS)
    crosswalk = here.query(Kind.CROSSWALK, "parent")
    assert [(row["__id"], row["target_id"]) for row in crosswalk] == [(f"s:{n}", f"k{n}") for n in range(7)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda answers: answers.slice(1), "no answer for 1: k0"),
        (lambda answers: pa.concat_tables([answers, answers.slice(0, 1)]), "several answers for 1: k0"),
        (
            lambda answers: pa.concat_tables([answers, pa.table([["?"], [None], ["created"], [None], [None], [None]], schema=OUTCOMES)]),
            "nobody asked for on 1",
        ),
        (lambda answers: answers.set_column(2, "outcome", pa.array(["fine"] * answers.num_rows)), "nobody knows: fine"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_stop_the_load_and_a_rerun_mends_it(
    here: World, spoil: Callable[[pa.Table], pa.Table], words: str
) -> None:
    target = Faulty()
    target.spoil = spoil
    with pytest.raises(SafetyStop, match=words):
        here.run(target, GROUPS)
    target.spoil = lambda answers: answers
    here.run(target, GROUPS)
    assert loaded(target, "T parent") == 7
    assert closed(here)


def making_ids() -> Faulty:
    """A target that makes its own record ids, beside the external key."""
    target = Faulty()
    target.facts = TargetFacts(batch_rows=200, assigns_ids=True, creates_objects=True)
    own = FieldSchema("id", FieldType.ID)
    MemoryTarget.prepare(
        target, [replace(one, key="id", fields=(own, *one.fields)) for one in target_schemas([PARENT, CHILD])]
    )
    return target


def test_links_hold_the_ids_that_the_target_makes(here: World) -> None:
    target = making_ids()
    here.run(target, GROUPS)
    parents = {row["key"]: row for page in target.read("T parent") for row in page.to_pylist()}
    assert {row["up"] for row in parents.values()} == {parents["k0"]["id"]}
    children = [row for page in target.read("T child") for row in page.to_pylist()]
    assert [row["parent"] for row in children] == [parents[row["key"]]["id"] for row in children]
    assert here.run(target, GROUPS).written == 0


def test_a_target_that_makes_ids_and_does_not_tell_them_is_stopped(here: World) -> None:
    target = making_ids()
    target.spoil = lambda answers: answers.set_column(1, "target_id", pa.nulls(answers.num_rows, pa.string()))
    with pytest.raises(SafetyStop, match="did not say its id"):
        here.run(target, GROUPS)


def test_answers_come_in_the_order_of_the_rows() -> None:
    answers = pa.table(
        [["b", "a"], ["2", "1"], ["created"] * 2, [None] * 2, [None] * 2, [None] * 2], schema=OUTCOMES
    )
    assert match("x", pa.chunked_array([["a"], ["b"]]), answers).column("target_id").to_pylist() == ["1", "2"]


def test_waits_grow_and_never_undercut_the_hint() -> None:
    policy = RetryPolicy(first=1.0, longest=5.0)
    assert [policy.wait(n, None, 1.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 5]
    assert policy.wait(1, 9.0, 0.0) == 9.0


def test_a_call_is_tried_as_often_as_the_policy_says() -> None:
    clock, tries = FixedClock(), []

    def attempt() -> None:
        tries.append(clock.now())
        raise RetryableError("no")

    with pytest.raises(RetryableError):
        retry.call(attempt, policy=RetryPolicy(attempts=4, first=1.0), clock=clock, chance=lambda: 1.0)
    assert [(one - tries[0]).total_seconds() for one in tries] == [0, 1, 3, 7]


def test_a_lease_is_renewed_before_a_call_unless_it_just_was(here: World) -> None:
    here.ledger.start_run("load", "test")
    with here.ledger.lease() as fence:
        permission = Permission(here.ledger, fence)
        permission.ask()
        until = expires_at(here)
        here.ledger.clock.sleep(FRESH - 1)
        permission.ask()
        assert expires_at(here) == until
        here.ledger.clock.sleep(1)
        permission.ask()
        assert expires_at(here) == until + timedelta(seconds=FRESH)
        with here.ledger.begin() as connection:
            connection.execute(leases.update().values(fence=fence + 1))
        here.ledger.clock.sleep(-1)  # its calendar was set back
        with pytest.raises(SafetyStop, match="took this project over"):
            permission.ask()


def expires_at(here: World) -> datetime:
    with here.ledger.read() as connection:
        found = connection.execute(sa.select(leases.c.expires_at)).scalar_one()
    assert isinstance(found, datetime)
    return found
