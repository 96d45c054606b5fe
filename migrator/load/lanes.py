"""Calls in flight at once: as many as help, no more than the system takes; with one lane there are no threads at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from migrator.core.errors import RetryableError

PROBE = 400
"""So many calls must pass before one more is tried at once than the system refused last: refusals stay below one in so many."""
AHEAD = 2
"""Batches in flight: while the answers of one are put on record, the next is on its way."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Lanes:
    """At most `most` calls at once. The number in use grows from one and halves whenever the system pushes back.

    Additive increase, multiplicative decrease: quickly up to one below what was refused last, and above that by one
    only after `PROBE` calls have passed. A context manager: at its end no call is in flight any more.
    """

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self._free = threading.Condition()
        self._in_flight, self._permitted, self._ceiling = 0, 1.0, most
        self._passed, self._epoch, self._steep = 0, 0, True
        self._stopped, self._serial = threading.Event(), threading.Lock()
        self._calls = ThreadPoolExecutor(most, "call") if most > 1 else None
        self._batches = ThreadPoolExecutor(AHEAD, "batch") if most > 1 else None

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for pool in (self._calls, self._batches):
            if pool is not None:
                pool.shutdown(wait=True)

    @property
    def permitted(self) -> int:
        """Calls that may be in flight at once now."""
        return int(self._permitted)

    @contextmanager
    def lane(self) -> Iterator[None]:
        """Hold one lane during a call; a `RetryableError` that is throttled closes half of them."""
        if self.most == 1:
            yield
            return
        epoch, beside = self._enter()
        try:
            yield
        except RetryableError as error:
            if error.throttled:
                self._halve(epoch, beside)
            raise
        else:
            self._answered()
        finally:
            with self._free:
                self._in_flight -= 1
                self._free.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one at a time does what is done in here; other calls go on."""
        with self._serial:
            yield

    def push_back(self) -> None:
        """Halve, for a reason that no single call told."""
        self._halve(self._epoch, self.permitted)

    def each(
        self, work: Callable[[Item], Answer], items: Sequence[Item], *, until: Callable[[Answer], bool]
    ) -> list[Answer | None]:
        """What `work` gives for each item, in their order; None for those not begun any more when `until` held of one."""
        over = threading.Event()

        def one(item: Item) -> Answer | None:
            if over.is_set() or self._stopped.is_set():
                return None
            answer = work(item)
            if until(answer):
                over.set()
            return answer

        if self._calls is None or len(items) == 1:
            return [one(item) for item in items]
        asked = [self._calls.submit(one, item) for item in items]
        try:
            return [future.result() for future in asked]
        finally:
            over.set()

    def all(self, work: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """What `work` gives for each item, in their order; raises what the first of them raises."""
        if self._calls is None or len(items) == 1:
            return [work(item) for item in items]
        asked = [self._calls.submit(work, item) for item in items]
        return [future.result() for future in asked]

    def ahead(self, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
        """What `work` gives for each item, in their order; a few of them are worked on at once.

        When one raises, no further call is begun, and those in flight are brought to their end first: what was
        answered is on record.
        """
        if self._batches is None:
            yield from map(work, items)
            return
        begun: deque[Future[Answer]] = deque()
        try:
            for item in items:
                begun.append(self._batches.submit(work, item))
                if len(begun) == AHEAD:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            for future in begun:
                future.cancel()
                if not future.cancelled():
                    future.exception()  # waits; the first error is the one to tell

    def _enter(self) -> tuple[int, int]:
        """Wait for a free lane; returns the number of halvings so far, and how many calls are in flight with this one."""
        with self._free:
            while self._in_flight >= int(self._permitted):
                self._free.wait()
            self._in_flight += 1
            return self._epoch, self._in_flight

    def _halve(self, epoch: int, beside: int) -> None:
        """After a call was pushed back that went out as one of so many; one from before the last halving is no news."""
        with self._free:
            if epoch == self._epoch:
                self._ceiling = max(1, beside - 1)
                self._permitted = max(1.0, min(self._permitted, beside) / 2)
                self._passed, self._steep = 0, False
                self._epoch += 1

    def _answered(self) -> None:
        with self._free:
            if self._permitted < self._ceiling:
                step = 1.0 if self._steep else 1.0 / self._permitted
                self._permitted = min(float(self._ceiling), self._permitted + step)
            elif self._ceiling < self.most:
                self._passed += 1
                if self._passed >= PROBE:
                    self._passed, self._ceiling = 0, self._ceiling + 1
