"""Time and chance as parameters, so that tests can hold both still."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What code may know of time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow; for durations."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for real."""
        time.sleep(seconds)


@dataclass
class FixedClock:
    """A clock that moves only when told to; sleeping moves it."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        """The instant it stands at."""
        return self.at

    def monotonic(self) -> float:
        """Seconds of that instant."""
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """Move on without waiting."""
        self.at += timedelta(seconds=seconds)


def new_id() -> str:
    """A fresh random identifier, 12 hex digits: for runs and temporary names, never for records."""
    return uuid.uuid4().hex[:12]
