"""What people decided about pairs of records: who, when and why, never changed afterwards; the last word on a pair stands.

Decisions are about records by their `__id`, so they outlive every rerun, and are written in one short transaction
without the lease: a person may decide while a command works, and the next `dedupe` hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa

from migrator.core.mapped import Judgement, Same
from migrator.staging.ledger import Ledger, storable
from migrator.staging.ledger_tables import match_decisions as table

WITHDRAWN = "withdrawn"
"""What stands in place of a verdict where a decision was taken back."""


class Way(Enum):
    """Where a decision was taken."""

    TERMINAL = "terminal"
    PAGE = "page"
    WORKBOOK = "workbook"
    COMMAND = "command"
    FILE = "file"
    """Brought in from another ledger's decisions."""


@dataclass(frozen=True, slots=True)
class MatchDecision:
    """One word of one person about two records, `one` < `other`."""

    mapping: str
    one: str
    other: str
    verdict: Same | None
    """None: what was decided before is taken back."""
    who: str
    why: str = ""
    way: Way = Way.COMMAND
    weight: float | None = None
    """What the model gave the pair when it was decided, in bits."""
    at: datetime | None = None
    """When; None, until it is recorded, for now."""
    run: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """The two records."""
        return self.one, self.other

    @property
    def said(self) -> str:
        """The verdict as a word."""
        return self.verdict.value if self.verdict else WITHDRAWN

    def to_json(self) -> dict[str, Any]:
        """For `--json` and for files."""
        found = asdict(self) | {"verdict": self.said, "way": self.way.value}
        return found | {"at": self.at.isoformat() if self.at else None}


def ordered(one: str, other: str) -> tuple[str, str]:
    """Two ids as pairs hold them: the smaller first."""
    return (one, other) if one < other else (other, one)


def record(ledger: Ledger, said: Iterable[MatchDecision]) -> tuple[MatchDecision, ...]:
    """Put decisions on record, all or none; returns them as they stand, with their moment.

    What has no moment gets one later than all before it, so that of two decisions of a clock that stands still or goes
    back the one said last stands.
    """
    with ledger.begin() as connection:
        # two who decide at once get their moments one after the other
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7126054)"))
        last = connection.execute(sa.select(sa.func.max(table.c.at))).scalar()
        entered = []
        for item in said:
            at = item.at or _after(last, ledger.clock.now())
            last = max(last, at) if last else at
            entered.append(
                replace(
                    item, at=at, who=storable(item.who), why=storable(item.why), run=item.run or ledger.run
                )
            )
        if entered:
            connection.execute(table.insert(), [_row(item) for item in entered])
    return tuple(entered)


def _after(last: datetime | None, now: datetime) -> datetime:
    return now if last is None or last < now else last + timedelta(microseconds=1)


def _row(item: MatchDecision) -> dict[str, Any]:
    if item.one >= item.other:
        raise ValueError(f"a pair is two records, the smaller first: {item.pair}")
    return asdict(item) | {"verdict": item.said, "way": item.way.value}


def decisions(ledger: Ledger, mapping: str = "") -> list[MatchDecision]:
    """All decisions about a mapping's records (about all records for ''), the oldest first."""
    query = sa.select(table).order_by(table.c.at, table.c.number)
    if mapping:
        query = query.where(table.c.mapping == mapping)
    with ledger.read() as connection:
        return [_decision(row) for row in connection.execute(query)]


def newest(ledger: Ledger) -> int:
    """A number that grows with every decision: who has read all of them may ask cheaply whether there are more."""
    with ledger.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(table.c.number))).scalar() or 0)


def _decision(row: sa.Row[Any]) -> MatchDecision:
    verdict = None if row.verdict == WITHDRAWN else Same(row.verdict)
    return MatchDecision(
        row.mapping, row.one, row.other, verdict, row.who, row.why, Way(row.way), row.weight, row.at, row.run
    )


def standing(known: Sequence[MatchDecision]) -> dict[tuple[str, str, str], MatchDecision]:
    """(mapping, one, other) → the last word on it, of decisions in their order; what was taken back is not in it."""
    last = {(item.mapping, *item.pair): item for item in known}
    return {pair: item for pair, item in last.items() if item.verdict is not None}


def judgements(ledger: Ledger, mapping: str) -> tuple[Judgement, ...]:
    """What holds now of a mapping's pairs, ordered by pair."""
    found = standing(decisions(ledger, mapping)).values()
    return tuple(
        sorted(
            (Judgement(item.one, item.other, item.verdict) for item in found if item.verdict is not None),
            key=lambda item: (item.one, item.other),
        )
    )
