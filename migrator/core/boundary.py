"""Named points between two durable effects, where a crash must be harmless; tests kill the process at each of them.

In production `boundary()` costs one dictionary look-up. Two environment variables, read once, make it a tool for tests:

* `MIGRATOR_TRACE_BOUNDARIES=FILE` appends every boundary passed, one name a line, so that a test can enumerate
  them from the code itself and a new one cannot be forgotten.
* `MIGRATOR_KILL_AT=NAME#N` sends SIGKILL to this very process when the boundary NAME is passed for the Nth time.

Inside one process `observed` does the same for a simulation, which ends the work by an exception of its own.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TRACE = os.environ.get("MIGRATOR_TRACE_BOUNDARIES", "")
_NAME, _, _COUNT = os.environ.get("MIGRATOR_KILL_AT", "").partition("#")
_passed: Counter[str] = Counter()
_observers: list[Callable[[str], None]] = []


@contextmanager
def observed(observer: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, call `observer` with the name of each boundary passed; what it raises goes through."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def boundary(name: str) -> None:
    """Say that everything before this point is durable and nothing after it has begun."""
    for observer in _observers:
        observer(name)
    if not (_TRACE or _NAME):
        return
    _passed[name] += 1
    if _TRACE:
        with Path(_TRACE).open("a", encoding="utf-8") as trace:
            trace.write(f"{name}\n")
    if name == _NAME and _passed[name] == int(_COUNT or 1):
        os.kill(os.getpid(), signal.SIGKILL)
