"""Two pieces of work at once: who fails first is told with the other's failure, and nothing is left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from migrator.commands.beside import Halt, HaltingClock, HaltingProgress, Stopped, together
from migrator.core.clock import FixedClock, SystemClock
from migrator.core.errors import DataError, FatalError, RetryableError
from migrator.core.progress import Quiet


def nothing() -> None:
    """Nobody to interrupt."""


def play(
    extract: Callable[[Halt], None], load: Callable[[Halt], str], interrupt: Callable[[], None] = nothing
) -> str:
    halt = Halt()
    before = threading.active_count()
    try:
        return together(("extract", lambda: extract(halt)), ("load", lambda: load(halt)), halt, interrupt)
    finally:
        assert threading.active_count() == before


def works_until_halted(halt: Halt) -> str:
    HaltingClock(SystemClock(), halt).sleep(600)
    return "never"


def fails(error: BaseException) -> Callable[[Halt], str]:
    def fail(_halt: Halt) -> str:
        raise error

    return fail


def test_what_the_one_here_gives_is_the_answer_once_both_have_ended() -> None:
    done: list[str] = []

    def extract(_halt: Halt) -> None:
        time.sleep(0.2)
        done.append("extract")

    assert play(extract, lambda _halt: "loaded") == "loaded"
    assert done == ["extract"]


@pytest.mark.parametrize(
    "error", [FatalError("gone"), RetryableError("away"), KeyboardInterrupt(), SystemExit(143)]
)
def test_the_one_here_fails_and_the_other_wakes_up(error: BaseException) -> None:
    began = time.monotonic()
    with pytest.raises(type(error)) as told:
        play(lambda halt: works_until_halted(halt) and None, fails(error))
    assert told.value is error
    assert not getattr(error, "__notes__", ())
    assert time.monotonic() - began < 10


def test_the_other_fails_and_the_one_here_wakes_up() -> None:
    with pytest.raises(FatalError, match="password"):
        play(lambda halt: fails(FatalError("the password is wrong"))(halt) and None, works_until_halted)


def test_what_fails_second_is_noted_on_what_failed_first() -> None:
    def load(halt: Halt) -> str:
        try:
            return works_until_halted(halt)
        except Stopped:
            raise DataError("an answer is missing") from None

    with pytest.raises(FatalError) as told:
        play(lambda halt: fails(FatalError("gone"))(halt) and None, load)
    assert told.value.__notes__ == ["then the load failed too: an answer is missing"]


def test_who_is_in_the_middle_of_something_is_interrupted() -> None:
    interrupted = threading.Event()

    def extract(_halt: Halt) -> None:
        assert interrupted.wait(60)
        raise Stopped

    with pytest.raises(FatalError):
        play(extract, fails(FatalError("gone")), interrupted.set)


def test_rows_that_are_told_are_a_safe_point() -> None:
    halt = Halt()
    progress = HaltingProgress(Quiet(), halt)
    progress.start("load", "account", 3)
    progress.advance("load", "account", 1)
    halt.fail("extract", FatalError("gone"))
    progress.done("load", "account")
    with pytest.raises(Stopped):
        progress.advance("load", "account", 1)
    with pytest.raises(Stopped):
        progress.start("load", "contact", 3)


def test_sleeping_takes_as_long_as_it_should() -> None:
    clock = FixedClock()
    before = clock.monotonic()
    HaltingClock(clock, Halt()).sleep(12.34)
    assert clock.monotonic() - before == pytest.approx(12.34)
