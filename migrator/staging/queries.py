"""Queries of the engine run beside the thread that asks, so that Ctrl-C and SIGTERM are heard in the middle of one.

Python tells signals to its main thread only. There the engine listens while it works on a query, but not while it waits
for a thread of its own that has taken the last piece of it: such a query could not be stopped before its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Answer = TypeVar("Answer")
_AGAIN = 0.05
"""Seconds after which an interrupt is sent again: one that comes before a query begins is not heard."""


class Queries:
    """Runs the queries of one connection, one at a time; `interrupt` ends the one that runs."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._beside = ThreadPoolExecutor(1, "query")

    def run(self, query: Callable[[], Answer]) -> Answer:
        """What `query` gives or raises; when a signal's handler raises, the query is interrupted first."""
        if threading.current_thread() is not threading.main_thread():
            return query()
        running = self._beside.submit(query)
        try:
            return running.result()
        except BaseException:
            while not running.done():
                self._interrupt()
                wait([running], _AGAIN)
            raise

    def close(self) -> None:
        """Let go of the thread."""
        self._beside.shutdown(wait=False)
