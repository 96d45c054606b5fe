"""Laws of the gate: no window of any rate is ever exceeded, nearly all of it is used, and the day's budget holds."""

from __future__ import annotations

import threading
from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.budget import Budget, MemoryTally
from migrator.core.clock import FixedClock, SystemClock
from migrator.core.connector import Gate, Limits, Rate
from migrator.core.errors import FatalError, RetryableError
from migrator.core.pace import Pace, narrowed

ANYTHING = st.builds(Rate, st.integers(1, 60), st.sampled_from([0.5, 1.0, 2.0, 20.0, 60.0]))


def gate(*rates: Rate, clock: FixedClock | None = None, budget: Budget | None = None) -> Pace:
    made: Gate = Pace("crm", Limits(rates), clock or FixedClock(), budget=budget)
    assert isinstance(made, Pace)
    return made


def most_in_a_window(times: list[float], seconds: float) -> int:
    """The largest number of `times` in any closed window of so many seconds."""
    return max(bisect_left(times, begin + seconds + 1e-9) - number for number, begin in enumerate(times))


@settings(max_examples=60, deadline=None)
@given(st.lists(ANYTHING, min_size=1, max_size=3), st.lists(st.floats(0, 3), max_size=30))
def test_no_window_of_any_rate_is_ever_exceeded(rates: list[Rate], pauses: list[float]) -> None:
    clock = FixedClock()
    pace, times = gate(*rates, clock=clock), []
    for number in range(200):
        clock.sleep(pauses[number % len(pauses)] if pauses and number % 7 == 0 else 0.0)
        pace.admit()
        times.append(clock.monotonic())
    for rate in rates:
        assert most_in_a_window(times, rate.seconds) <= rate.calls


@settings(max_examples=40, deadline=None)
@given(ANYTHING, st.floats(0, 0.5))
def test_of_the_permitted_rate_nearly_all_is_used(rate: Rate, busy: float) -> None:
    """`busy`: how much of the time between two calls the caller itself needs."""
    clock = FixedClock()
    pace, began = gate(rate, clock=clock), clock.monotonic()
    calls = rate.calls * 12
    for _ in range(calls):
        pace.admit()
        clock.sleep(busy * rate.seconds / rate.calls)
    # after twelve full windows: the first may go out faster than the rate, never slower
    assert calls / (clock.monotonic() - began) >= 0.95 * rate.calls / rate.seconds


def test_a_call_may_count_for_many_and_none_counts_for_more_than_a_window() -> None:
    clock = FixedClock()
    pace, times = gate(Rate(10, 2.0), clock=clock), []
    for requests in (4, 4, 4, 7, 1, 10, 1):
        pace.admit(requests=requests)
        times += [clock.monotonic()] * requests
    assert most_in_a_window(times, 2.0) == 10
    with pytest.raises(FatalError, match="11 requests, and crm permits 10 in 2 seconds"):
        pace.admit(requests=11)


def test_scopes_count_together_apart_or_alone_as_the_rate_says() -> None:
    clock = FixedClock()
    pace = gate(Rate(5, 60.0, "*"), Rate(2, 60.0, "token"), clock=clock)
    began = clock.monotonic()
    for scope in ("create", "create", "update", "update"):
        pace.admit(scope)
    # calls of one scope are spread over its window, and those of the other do not wait for them
    assert clock.monotonic() - began == pytest.approx(24.1, abs=0.1)
    pace.admit("token")
    pace.admit("token")
    assert clock.monotonic() - began == pytest.approx(54.2, abs=0.2)
    alone = gate(Rate(1, 60.0, "token"))
    for _ in range(50):
        alone.admit("create")
    assert alone.admitted == 50


def test_a_pause_holds_its_scope_or_everything_and_the_longest_counts() -> None:
    clock = FixedClock()
    pace = gate(clock=clock)
    began = clock.monotonic()
    pace.hold(30.0, "create")
    pace.hold(10.0, "create")
    pace.admit("update")
    assert clock.monotonic() == began
    pace.admit("create")
    assert clock.monotonic() - began == pytest.approx(30, abs=0.01)
    pace.hold(5.0)
    pace.admit("update")
    assert clock.monotonic() - began == pytest.approx(35, abs=0.01)


def test_nobody_waits_beyond_patience() -> None:
    clock = FixedClock()
    pace = gate(clock=clock)
    pace.hold(301.0)
    with pytest.raises(RetryableError, match="left alone for another 301 seconds") as caught:
        pace.admit()
    assert caught.value.retry_after == pytest.approx(301)


def test_threads_share_one_limit() -> None:
    clock = SystemClock()
    pace, times = Pace("crm", Limits((Rate(20, 0.5),)), clock), []

    def work() -> None:
        for _ in range(10):
            pace.admit()
            times.append(clock.monotonic())

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # a thread may be put to sleep between being admitted and looking at its watch: the margin is for that
    assert most_in_a_window(sorted(times), 0.45) <= 20
    assert pace.admitted == 50


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def budget(clock: FixedClock, tally: MemoryTally | None = None, **settings: object) -> Budget:
    return Budget("crm", clock, **{"daily": 1000, "reserve": 0.2, "tally": tally, **settings})  # type: ignore[arg-type]


def spend(one: Budget, most: int = 2000) -> int:
    """Requests the budget holds now."""
    for number in range(most):
        try:
            one.take(1)
        except RetryableError:
            return number
    return most


def test_the_reserve_stays_for_the_users_and_the_message_says_when_it_goes_on() -> None:
    clock = FixedClock(NOON)
    one = budget(clock)
    assert (one.left, spend(one), one.left) == (800, 800, 0)
    with pytest.raises(RetryableError, match="800 of 800 calls; 200 of 1,000 are kept") as caught:
        one.take(1)
    assert "from 2026-03-02 13:00 UTC on" in caught.value.hint
    assert caught.value.retry_after == 25 * 3600
    clock.sleep(25 * 3600)
    assert spend(one) == 800


def test_what_is_left_of_a_block_is_not_carried_into_another_day() -> None:
    clock = FixedClock(NOON)
    one = budget(clock)
    one.take(1)
    clock.sleep(26 * 3600)
    assert (one.left, spend(one)) == (800, 800)


def test_a_day_may_begin_at_midnight_somewhere() -> None:
    clock = FixedClock(NOON)
    one = budget(clock, resets="Asia/Shanghai")
    assert spend(one) == 800
    with pytest.raises(RetryableError) as caught:
        one.take(1)
    assert "from 2026-03-01 16:00 UTC on" in caught.value.hint
    clock.sleep(4 * 3600)
    assert spend(one) == 800


def test_what_was_counted_outlives_the_command_and_a_kill_counts_at_most_a_block_too_many() -> None:
    clock, tally = FixedClock(NOON), MemoryTally()
    first = budget(clock, tally)
    for _ in range(301):
        first.take(1)
    assert budget(clock, tally).left == 800 - 304  # killed: blocks are of 4 here
    first.close()
    again = budget(clock, tally)
    assert again.left == 800 - 301
    assert spend(again) == 499


def test_the_system_itself_knows_best() -> None:
    clock = FixedClock(NOON)
    one = budget(clock)
    for _ in range(10):
        one.take(1)
    one.told(700, None)
    assert spend(one) == 100
    one.told(100, 5000)
    assert one.left == 4000 - 100
    capped = budget(clock, cap=500)
    capped.told(399, 10_000)
    assert spend(capped) == 1
    clock.sleep(25 * 3600)
    assert capped.left == 400  # what it said is of another day


def test_there_is_no_budget_until_somebody_names_a_limit() -> None:
    one = budget(FixedClock(NOON), daily=None)
    assert (one.left, spend(one)) == (None, 2000)
    one.told(2000, 2600)
    assert spend(one) == 80


def test_what_was_counted_before_the_ledger_was_open_moves_into_it() -> None:
    clock, tally = FixedClock(NOON), MemoryTally()
    tally.add(NOON - timedelta(hours=2), 700)
    one = budget(clock)
    for _ in range(50):
        one.take(1)
    one.count_in(tally)
    assert one.left == 50
    one.close()
    assert sum(tally.by_hour(NOON - timedelta(hours=24)).values()) == 750


def test_the_gate_does_not_let_through_what_the_day_does_not_hold() -> None:
    clock = FixedClock(NOON)
    pace = gate(Rate(5, 1.0), clock=clock, budget=budget(clock, daily=100))
    for _ in range(80):
        pace.admit()
    with pytest.raises(RetryableError, match="budget of crm is used up"):
        pace.admit()
    pace.spent(10, 100)
    pace.hold(400.0)
    for _ in range(100):  # what waits too long is not counted
        with pytest.raises(RetryableError, match="left alone"):
            pace.admit()
    assert pace.budget.left == 70


def test_limits_are_only_ever_narrowed() -> None:
    wide = Limits((Rate(100, 20.0),), daily=1000, parallel=8, resets="Asia/Shanghai")
    small = narrowed(wide, rates=(Rate(10, 1.0),), daily=5000, parallel=4)
    assert small == Limits((Rate(100, 20.0), Rate(10, 1.0)), 1000, "Asia/Shanghai", 4)
    assert narrowed(Limits(), daily=10, parallel=4).daily == 10
    assert narrowed(Limits(), parallel=4).parallel == 1
