"""What the ledger knows of functions: when a system was looked at, and what people said of its components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from migrator.staging import journal
from migrator.staging.ledger import Ledger, storable
from migrator.staging.ledger_tables import function_answers, function_scans

JOURNAL_KIND = "function.decided"


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """One look at a system."""

    number: int
    system: str
    at: datetime
    run: str
    source: str
    files: int
    components: int
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What somebody said of one component: names of answers → texts; an empty text takes one back."""

    component: str
    who: str
    way: str
    changes: Mapping[str, str]
    number: int = 0
    at: datetime | None = None
    """None, until it is recorded, for now."""
    run: str = ""


def record_scan(
    ledger: Ledger, *, system: str, source: str, files: int, components: int, detail: Mapping[str, Any]
) -> None:
    """Note that a system was looked at."""
    with ledger.begin() as connection:
        ledger.check_fence(connection)
        connection.execute(
            function_scans.insert().values(
                system=system, at=ledger.clock.now(), run=ledger.run, source=storable(source), files=files,
                components=components, detail=dict(detail),
            )
        )  # fmt: skip


def last_scans(ledger: Ledger) -> dict[str, ScanRecord]:
    """System → the last look at it."""
    newest = sa.select(sa.func.max(function_scans.c.number)).group_by(function_scans.c.system)
    query = (
        sa.select(function_scans).where(function_scans.c.number.in_(newest)).order_by(function_scans.c.system)
    )
    with ledger.read() as connection:
        return {row.system: ScanRecord(**row._mapping) for row in connection.execute(query)}


def record_answers(ledger: Ledger, said: Sequence[AnswerRecord]) -> None:
    """Put on record what people said, all or none, in the register's history and in the journal alike."""
    if not said:
        return
    now = ledger.clock.now()
    rows = [
        {
            "component": storable(one.component), "at": now, "who": storable(one.who), "way": one.way,
            "changes": {name: storable(text) for name, text in one.changes.items()}, "run": ledger.run,
        }
        for one in said
    ]  # fmt: skip
    bodies = (
        (JOURNAL_KIND, {name: row[name] for name in ("component", "who", "way", "changes")}) for row in rows
    )
    with ledger.begin() as connection:
        connection.execute(function_answers.insert(), rows)
        journal.append_all(connection, bodies, at=now, run=ledger.run)


def answers(ledger: Ledger, components: Iterable[str] = ()) -> list[AnswerRecord]:
    """Everything people said (of these components, of all for none), the oldest first."""
    query = sa.select(function_answers).order_by(function_answers.c.number)
    wanted = list(components)
    if wanted:
        query = query.where(function_answers.c.component.in_(wanted))
    with ledger.read() as connection:
        return [AnswerRecord(**row._mapping) for row in connection.execute(query)]
