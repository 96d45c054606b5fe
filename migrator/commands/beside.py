"""Two pieces of work at once: the first that fails stops the other at its next safe point, and neither outlives the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from migrator.core.clock import Clock
from migrator.core.progress import Event, Progress

Answer = TypeVar("Answer")
SLICE = 0.1
"""Seconds between two looks at whether the other piece of work failed, while one waits."""


class Stopped(Exception):
    """Raised at a safe point of one piece of work because the other failed; nobody is told."""


class Halt:
    """Whether both pieces of work are to end, and what they failed with, the first failure first."""

    def __init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._failures: list[tuple[str, BaseException]] = []

    @property
    def is_set(self) -> bool:
        """Whether they are to end."""
        return self._stopped.is_set()

    def check(self) -> None:
        """A safe point: raise `Stopped` when the other piece of work failed."""
        if self._stopped.is_set():
            raise Stopped

    def fail(self, who: str, error: BaseException) -> None:
        """Say that `who` ended with an error."""
        with self._lock:
            if not isinstance(error, Stopped):
                self._failures.append((who, error))
            self._stopped.set()

    def first(self) -> BaseException | None:
        """The error that came first; what came after it is noted on it."""
        with self._lock:
            if not self._failures:
                return None
            (_, error), *others = self._failures
            for who, other in others:
                error.add_note(f"then the {who} failed too: {other if str(other) else type(other).__name__}")
            return error


class HaltingClock:
    """A clock whose sleepers wake up when both pieces of work are to end."""

    def __init__(self, clock: Clock, halt: Halt) -> None:
        self._clock, self._halt = clock, halt

    def now(self) -> datetime:
        """See `Clock`."""
        return self._clock.now()

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; raises `Stopped` when there is nothing to wait for any more."""
        while seconds > 0:
            self._halt.check()
            self._clock.sleep(min(seconds, SLICE))
            seconds -= SLICE
        self._halt.check()


class HaltingProgress:
    """Passes everything on; each time that rows are told to be done, which is when they are on record, is a safe point."""

    def __init__(self, progress: Progress, halt: Halt) -> None:
        self._progress, self._halt = progress, halt

    def start(self, step: str, name: str, total: int | None) -> None:
        """See `Progress.start`."""
        self._progress.start(step, name, total)
        self._halt.check()

    def advance(self, step: str, name: str, rows: int) -> None:
        """See `Progress.advance`."""
        self._progress.advance(step, name, rows)
        self._halt.check()

    def done(self, step: str, name: str, note: str = "") -> None:
        """See `Progress.done`."""
        self._progress.done(step, name, note)

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """See `Progress.tell`."""
        self._progress.tell(event, step, name, counts)


def together(
    beside: tuple[str, Callable[[], None]],
    here: tuple[str, Callable[[], Answer]],
    halt: Halt,
    interrupt: Callable[[], None],
) -> Answer:
    """Do one piece of work in a thread and the other in this one; what the one in this thread gives.

    Each comes with a word for it. When either fails, Ctrl-C included, the other ends at its next safe point, and the
    first error is raised with the other noted on it. `interrupt` ends what the thread is in the middle of.
    """
    (who, work), (own, mine) = beside, here
    thread = threading.Thread(target=_guarded, args=(who, work, halt), name=who, daemon=True)
    thread.start()
    answer: list[Answer] = []
    try:
        answer.append(mine())
    except BaseException as error:  # noqa: BLE001 (raised again below, or the first error in its place)
        halt.fail(own, error)
    while thread.is_alive():
        if halt.is_set:
            interrupt()
        thread.join(SLICE)
    failed = halt.first()
    if failed is not None:
        raise failed
    return answer[0]


def _guarded(who: str, work: Callable[[], None], halt: Halt) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
        halt.fail(who, error)
