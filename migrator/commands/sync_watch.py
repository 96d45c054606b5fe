"""The command `sync watch`: a run every so often until it is told to end, which it does between two runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType

from migrator.commands.sync import SyncRun
from migrator.core.clock import Clock, SystemClock
from migrator.core.errors import MigratorError, ProjectError


@dataclass(slots=True)
class Stop:
    """Set by SIGTERM or SIGINT: the run at work ends as it would, and no other begins. A second signal ends at once."""

    asked: threading.Event = field(default_factory=threading.Event)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """What a signal does."""
        if self.asked.is_set():
            raise SystemExit(128 + number)
        self.asked.set()


@contextmanager
def until_stopped() -> Iterator[Stop]:
    """While it is open, signals that end a process are answered by `Stop`."""
    stop = Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Watched:
    """What came of watching."""

    runs: int = 0
    failed: int = 0
    """Runs that could not be made; the next one was tried all the same."""
    last: SyncRun | None = None


def watch(
    run: Callable[[], SyncRun],
    every: timedelta,
    stop: Stop,
    told: Callable[[SyncRun | MigratorError], None],
    *,
    clock: Clock | None = None,
) -> Watched:
    """Run, wait, run again: from start to start `every` passes, or nothing when a run took longer.

    A run that fails is told and followed by the next; files that are wrong end it, since they will not mend themselves.
    """
    watched, clock = Watched(), clock or SystemClock()
    while not stop.asked.is_set():
        began = clock.monotonic()
        try:
            watched.last = run()
            told(watched.last)
        except ProjectError:
            raise
        except MigratorError as error:
            watched.failed += 1
            told(error)
        watched.runs += 1
        stop.asked.wait(max(0.0, every.total_seconds() - (clock.monotonic() - began)))
    return watched
