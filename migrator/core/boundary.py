"""Named points between two durable effects, where a crash must be harmless; tests kill the process at each of them.

In production `boundary()` costs one dictionary look-up. Two environment variables, read once, make it a tool for tests:

* `MIGRATOR_TRACE_BOUNDARIES=FILE` appends every boundary passed, one name a line, so that a test can enumerate
  them from the code itself and a new one cannot be forgotten.
* `MIGRATOR_KILL_AT=NAME#N` sends SIGKILL to this very process when the boundary NAME is passed for the Nth time.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

_TRACE = os.environ.get("MIGRATOR_TRACE_BOUNDARIES", "")
_NAME, _, _COUNT = os.environ.get("MIGRATOR_KILL_AT", "").partition("#")
_passed: Counter[str] = Counter()


def boundary(name: str) -> None:
    """Say that everything before this point is durable and nothing after it has begun."""
    if not (_TRACE or _NAME):
        return
    _passed[name] += 1
    if _TRACE:
        with Path(_TRACE).open("a", encoding="utf-8") as trace:
            trace.write(f"{name}\n")
    if name == _NAME and _passed[name] == int(_COUNT or 1):
        os.kill(os.getpid(), signal.SIGKILL)
