"""The events of a run: kept in a file of its own, `.migrator/events/RUN.jsonl`, and passed on to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from migrator.core.clock import Clock
from migrator.core.errors import MigratorError
from migrator.core.eventlines import EventLines
from migrator.core.progress import Event, Progress
from migrator.staging.store import writing

KEPT = 200
"""Files of so many runs are kept; the oldest go first."""
BUDGET_SECONDS = 10.0
"""What is left of a day's budget is told no more often than this."""


class _Told:
    """Passes everything on to two listeners, and tells after a batch what is left of the budgets."""

    def __init__(
        self, first: Progress, second: Progress, budgets: Callable[[], Mapping[str, int]], clock: Clock
    ) -> None:
        self._both = (first, second)
        self._budgets, self._clock = budgets, clock
        self._next = 0.0

    def start(self, step: str, name: str, total: int | None) -> None:
        """See `Progress.start`."""
        for one in self._both:
            one.start(step, name, total)

    def advance(self, step: str, name: str, rows: int) -> None:
        """See `Progress.advance`."""
        for one in self._both:
            one.advance(step, name, rows)
        if self._clock.monotonic() >= self._next:
            self._next = self._clock.monotonic() + BUDGET_SECONDS
            for system, left in self._budgets().items():
                self.tell(Event.BUDGET, step, system, {"left": left})

    def done(self, step: str, name: str, note: str = "") -> None:
        """See `Progress.done`."""
        for one in self._both:
            one.done(step, name, note)

    def tell(self, event: Event, step: str, name: str, counts: Mapping[str, float]) -> None:
        """See `Progress.tell`."""
        for one in self._both:
            one.tell(event, step, name, counts)


@contextmanager
def told(
    folder: Path,
    run: str,
    command: str,
    *,
    listener: Progress,
    budgets: Callable[[], Mapping[str, int]],
    clock: Clock,
) -> Iterator[Progress]:
    """A listener for one run, from its start to its end, however it ends; a killed one has no end in its file."""
    path, began = folder / f"{run}.jsonl", clock.monotonic()
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    with file:

        def write(line: str) -> None:
            with writing(path):
                file.write(line)
                file.flush()

        progress = _Told(EventLines(write, clock), listener, budgets, clock)

        def finish(code: int) -> None:
            seconds = round(clock.monotonic() - began, 3)
            progress.tell(Event.RUN_FINISHED, command, run, {"exit_code": code, "seconds": seconds})

        progress.tell(Event.RUN_STARTED, command, run, {})
        try:
            yield progress
        except BaseException as error:
            finish(_exit_code(error))
            raise
        finish(0)
    _rotate(folder)


def _exit_code(error: BaseException) -> int:
    match error:
        case MigratorError():
            return error.exit_code
        case SystemExit(code=int(code)):
            return code
        case KeyboardInterrupt():
            return 130
        case _:
            return 70


def _rotate(folder: Path) -> None:
    """Run ids begin with their time, so their order is that of their names."""
    for old in sorted(folder.glob("*.jsonl"))[:-KEPT]:
        old.unlink(missing_ok=True)
