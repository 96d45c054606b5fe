"""What happens in a run as lines of JSON, for the events file and for logs: numbers and names of objects, never values."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from migrator.core.clock import Clock
from migrator.core.progress import Event

SCHEMA = 1
"""Of a line; `docs/events.md` has it as JSON Schema."""
_WARNINGS = frozenset({Event.RETRIED, Event.THROTTLED, Event.QUARANTINE, Event.ELSEWHERE, Event.PLAIN})


class EventLines:
    """A listener that writes one line an event through `write`, which gets it with its line end."""

    def __init__(self, write: Callable[[str], object], clock: Clock) -> None:
        self._write, self._clock = write, clock
        self._run = ""
        self._rows: dict[tuple[str, str], int] = {}
        self._began: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def start(self, step: str, name: str, total: int | None) -> None:
        """See `Progress.start`."""
        with self._lock:
            self._rows[step, name], self._began[step, name] = 0, self._clock.monotonic()
        self.tell(Event.STARTED, step, name, {} if total is None else {"total": total})

    def advance(self, step: str, name: str, rows: int) -> None:
        """See `Progress.advance`."""
        with self._lock:
            done = self._rows[step, name] = self._rows.get((step, name), 0) + rows
        self.tell(Event.ADVANCED, step, name, {"rows": rows, "done": done})

    def done(self, step: str, name: str, note: str = "") -> None:  # noqa: ARG002 (a note is for people)
        """See `Progress.done`."""
        with self._lock:
            rows = self._rows.pop((step, name), 0)
            began = self._began.pop((step, name), self._clock.monotonic())
        seconds = round(self._clock.monotonic() - began, 3)
        self.tell(Event.FINISHED, step, name, {"rows": rows, "seconds": seconds})

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """See `Progress.tell`."""
        if event is Event.RUN_STARTED:
            self._run = name
        self.say(_level(event, counts), event.value, step, name, {"counts": dict(counts)})

    def say(self, level: str, event: str, step: str, name: str, more: Mapping[str, Any]) -> None:
        """Write a line as it is to be."""
        line = {
            "schema": SCHEMA, "ts": self._clock.now().isoformat(), "level": level, "event": event, "run": self._run,
            "step": step, "object": "" if name == self._run else name, **more,
        }  # fmt: skip
        with self._lock:
            self._write(json.dumps(line, ensure_ascii=False) + "\n")


def _level(event: Event, counts: Mapping[str, float]) -> str:
    if event is Event.RUN_FINISHED and counts.get("exit_code"):
        return "error"
    return "warning" if event in _WARNINGS else "info"
