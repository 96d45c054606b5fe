"""Transactions of a record store inside one another, and what comes to be seen only later."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from migrator.core.clock import Clock


@dataclass(order=True, slots=True)
class _Late:
    due: float
    number: int
    action: Callable[[], None] = field(compare=False)


class Transactions:
    """One writer at a time; readers wait for it."""

    def __init__(self, database: sqlite3.Connection, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.RLock()
        self._late: list[_Late] = []
        self._queued: list[_Late] = []
        self._numbered = itertools.count()
        self._depth = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is due is seen inside; nobody writes meanwhile."""
        with self._lock:
            self._settle()
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Everything inside is done or, when an exception leaves it, nothing; may stand inside another."""
        with self._lock:
            self._settle()
            mark, queued = f"s{self._depth}", len(self._queued)
            self._depth += 1
            self._database.execute(f"SAVEPOINT {mark}")
            try:
                yield
            except BaseException:
                self._database.execute(f"ROLLBACK TO {mark}")
                del self._queued[queued:]
                raise
            finally:
                self._database.execute(f"RELEASE {mark}")
                self._depth -= 1
            if self._depth == 0:
                while self._queued:
                    heapq.heappush(self._late, self._queued.pop())

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do it so many seconds after this transaction, if it is not rolled back; at once for 0."""
        if not seconds:
            action()
            return
        self._queued.append(_Late(self._clock.monotonic() + seconds, next(self._numbered), action))

    def _settle(self) -> None:
        while self._late and self._depth == 0 and self._late[0].due <= self._clock.monotonic():
            heapq.heappop(self._late).action()
