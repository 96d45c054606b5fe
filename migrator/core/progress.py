"""What a long step may tell while it works, without knowing who listens."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol


class Event(Enum):
    """What can happen; `docs/events.md` says what each one counts."""

    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    STARTED = "step.started"
    ADVANCED = "step.advanced"
    FINISHED = "step.finished"
    BATCH = "batch.answered"
    RETRIED = "call.retried"
    THROTTLED = "call.throttled"
    QUARANTINE = "quarantine"
    BUDGET = "budget"
    JUDGED = "sync.judged"
    ELSEWHERE = "engine.elsewhere"
    """Work runs on this machine though the project names a cluster; the name says why."""
    PLAIN = "run.plain"
    """The steps of a run go one after the other though they were to overlap; the name says why."""


class Progress(Protocol):
    """Listens to steps; the command line draws bars from it, a quiet run ignores it. May be called by several threads."""

    def start(self, step: str, name: str, total: int | None) -> None:
        """A step begins on an object; `total` rows when known."""
        ...

    def advance(self, step: str, name: str, rows: int) -> None:
        """`rows` more rows are done."""
        ...

    def done(self, step: str, name: str, note: str = "") -> None:
        """The step is finished on that object; `note` says in a few words what came of it."""
        ...

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """Something else happened in a step, to an object, a system or a run; numbers only, never values of records."""
        ...


class Quiet:
    """Listens to nothing."""

    def start(self, step: str, name: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, step: str, name: str, rows: int) -> None:
        """Ignore."""

    def done(self, step: str, name: str, note: str = "") -> None:
        """Ignore."""

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """Ignore."""
