"""What is still open after a run, from the store alone: every list that keeps it from being green, with reason and next step."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from migrator.staging.prepared import Prepared
from migrator.staging.sync_tables import conflicts, deferred, dirty, holds, intents, mismatches
from migrator.sync.report import Status
from migrator.sync.work import Work

_RED = frozenset({"undelete", "delete-vs-edit", "missing", "missing-both", "drift", "unreadable", "erased"})


def assess(work: Work) -> None:
    """Fill the report with backlog, holds and every reason why the run is not green."""
    report = work.report
    for scene in work.scenes:
        for stream in scene.streams:
            side = "old" if stream is not scene.new else "new"
            report.calls[side] = max(report.calls[side], stream.side.allowance.used)
    _queue(work)
    _holds(work)
    _rest(work)


def _queue(work: Work) -> None:
    found = work.store.ledger.fetch(_BACKLOG, {"most": work.settings.attempts})[0]
    total, worst = found.total, found.worst or 0
    work.report.backlog = int(total)
    if worst:
        work.report.blame(
            Status.RED, "quarantine", f"{worst} record(s) keep failing", "migrator sync stuck",
            count=int(worst), exit_code=1,
        )  # fmt: skip
    if total > worst:
        work.report.blame(
            Status.YELLOW, "backlog", f"{total - worst} record(s) still wait", "the next run goes on with them",
            count=int(total - worst), exit_code=4,
        )  # fmt: skip


def _holds(work: Work) -> None:
    found: Counter[tuple[str, str]] = Counter()
    alarmed = 0
    for row in work.store.ledger.fetch(_HELD):
        found[row.mapping, row.kind] = int(row.number)
        if row.kind.startswith("missing") and row.checks >= work.settings.missing_alarm:
            alarmed += 1
    for (mapping, kind), number in found.items():
        work.report.holds[kind] = work.report.holds.get(kind, 0) + number
        status = Status.RED if kind in _RED and (not kind.startswith("missing") or alarmed) else Status.YELLOW
        work.report.blame(
            status, "hold", f"{mapping}: {number} held: {kind}", f"migrator sync conflicts list --reason {kind}",
            mapping=mapping, count=number, exit_code=5 if status is Status.RED else 1,
        )  # fmt: skip


def _rest(work: Work) -> None:
    found = work.store.ledger.fetch(_OPEN)[0]
    counts = (
        ("unknown", found.unknown, "write(s) whose answer was lost", "the next run looks them up"),
        ("deferred", found.deferred, "link(s) wait for the record they point to", "they are filled once it is linked"),
    )  # fmt: skip
    for code, number, what, step in counts:
        if number:
            work.report.blame(Status.YELLOW, code, f"{number} {what}", step, count=int(number))
    if found.old:
        work.report.count("", "mismatches_twice", int(found.old))
    if found.opened:
        work.report.count("", "open_conflicts", int(found.opened))


def _number(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(table).where(*where).scalar_subquery()


_BACKLOG = Prepared(
    sa.select(
        sa.func.count().label("total"),
        sa.func.sum(sa.case((dirty.c.attempts >= sa.bindparam("most"), 1), else_=0)).label("worst"),
    )
)
_HELD = Prepared(
    sa.select(
        holds.c.mapping,
        holds.c.kind,
        sa.func.count().label("number"),
        sa.func.max(holds.c.checks).label("checks"),
    )
    .group_by(holds.c.mapping, holds.c.kind)
    .order_by(holds.c.mapping, holds.c.kind)
)
_OPEN = Prepared(
    sa.select(
        _number(intents).label("unknown"),
        _number(deferred).label("deferred"),
        _number(mismatches, mismatches.c.passes >= 2).label("old"),
        _number(conflicts, conflicts.c.state == "open").label("opened"),
    )
)
