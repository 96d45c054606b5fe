"""Updates and deletes, sent in batches and answered row by row: look again where nothing else protects, send, keep what is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from migrator.core.errors import CallRefused, ConnectorError
from migrator.core.twoway import Answer, CompareAndSet, Outcome, Record, Update, Value
from migrator.sync.meter import BudgetSpent
from migrator.sync.streams import Stream
from migrator.sync.work import Work

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of rows that were to be written."""

    answers: tuple[Answer | None, ...]
    """In their order; None: was never sent."""
    trouble: ConnectorError | None = None
    """What ended the sending early."""


def send(rows: Sequence[Row], size: int, write: Callable[[Sequence[Row]], Sequence[Answer]]) -> Sent:
    """Write rows in calls of `size`. A call whose fate is unknown leaves its rows unknown, and ends the sending."""
    answers: list[Answer | None] = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        try:
            answers += _split(some, write)
        except BudgetSpent as error:
            return Sent((*answers, *[None] * (len(rows) - len(answers))), error)
        except ConnectorError as error:
            lost = [Answer(Outcome.UNKNOWN, message=error.message)] * len(some)
            return Sent((*answers, *lost, *[None] * (len(rows) - len(answers) - len(some))), error)
    return Sent(tuple(answers))


def _split(rows: Sequence[Row], write: Callable[[Sequence[Row]], Sequence[Answer]]) -> list[Answer]:
    """One call; one that was refused as a whole is halved until the row that is why stands alone."""
    try:
        answers = list(write(rows))
    except CallRefused as error:
        if len(rows) == 1:
            return [Answer(Outcome.REFUSED, code=error.code, message=error.message)]
        half = len(rows) // 2
        return [*_split(rows[:half], write), *_split(rows[half:], write)]
    # an answer that is missing is an answer that was lost
    return answers[: len(rows)] + [Answer(Outcome.UNKNOWN)] * (len(rows) - len(answers))


def unchanged_since(
    work: Work, stream: Stream, updates: Sequence[Update], read: Mapping[str, Mapping[str, Value]]
) -> tuple[frozenset[str], Sequence[Record]]:
    """Ids that may be written: all where the side compares and sets exactly, else those that look as they did just now."""
    if stream.side.facts.cas is CompareAndSet.EXACT:
        return frozenset(row.id for row in updates), ()
    started = work.clock.monotonic()
    again = stream.side.fetch(stream.object, [row.id for row in updates], stream.fields)
    same = frozenset(record.id for record in again if _same(record.values, read[record.id], stream.compared))
    work.report.window = max(work.report.window, work.clock.monotonic() - started)
    return same, again


def _same(one: Mapping[str, Value], other: Mapping[str, Value], names: Sequence[str]) -> bool:
    return all(one.get(name) == other.get(name) for name in names)


def write_updates(work: Work, stream: Stream, updates: Sequence[Update]) -> Sent:
    """Send updates of one stream."""
    facts = stream.side.facts
    started = work.clock.monotonic()
    sent = send(updates, facts.batch_rows, lambda rows: stream.side.update(stream.object, rows))
    if facts.cas is not CompareAndSet.EXACT:
        work.report.window = max(work.report.window, work.clock.monotonic() - started)
    return sent
