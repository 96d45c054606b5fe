"""What is still open after a run, from the store alone: every list that keeps it from being green, with reason and next step."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from migrator.staging.sync_tables import conflicts, deferred, dirty, holds, intents, mismatches
from migrator.sync.report import Status
from migrator.sync.work import Work

_RED = frozenset({"undelete", "delete-vs-edit", "missing", "missing-both", "drift", "unreadable"})


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
    d = dirty.c
    quarantined = d.attempts >= work.settings.attempts
    with work.store.ledger.read() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(dirty)).scalar() or 0
        worst = (
            connection.execute(sa.select(sa.func.count()).select_from(dirty).where(quarantined)).scalar() or 0
        )
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
    h = holds.c
    found: Counter[tuple[str, str]] = Counter()
    alarmed = 0
    with work.store.ledger.read() as connection:
        for row in connection.execute(
            sa.select(h.mapping, h.kind, sa.func.count(), sa.func.max(h.checks))
            .group_by(h.mapping, h.kind)
            .order_by(h.mapping, h.kind)
        ):
            found[row[0], row[1]] = int(row[2])
            if row[1].startswith("missing") and row[3] >= work.settings.missing_alarm:
                alarmed += 1
    for (mapping, kind), number in found.items():
        work.report.holds[kind] = work.report.holds.get(kind, 0) + number
        status = Status.RED if kind in _RED and (not kind.startswith("missing") or alarmed) else Status.YELLOW
        work.report.blame(
            status, "hold", f"{mapping}: {number} held: {kind}", f"migrator sync conflicts list --reason {kind}",
            mapping=mapping, count=number, exit_code=5 if status is Status.RED else 1,
        )  # fmt: skip


def _rest(work: Work) -> None:
    counts = (
        ("unknown", intents, Status.YELLOW, "write(s) whose answer was lost", "the next run looks them up"),
        (
            "deferred",
            deferred,
            Status.YELLOW,
            "link(s) wait for the record they point to",
            "they are filled once it is linked",
        ),
    )
    with work.store.ledger.read() as connection:
        for code, table, status, what, step in counts:
            number = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0
            if number:
                work.report.blame(status, code, f"{number} {what}", step, count=int(number))
        old = connection.execute(
            sa.select(sa.func.count()).select_from(mismatches).where(mismatches.c.passes >= 2)
        ).scalar()
        opened = connection.execute(
            sa.select(sa.func.count()).select_from(conflicts).where(conflicts.c.state == "open")
        ).scalar()
    if old:
        work.report.count("", "mismatches_twice", int(old))
    if opened:
        work.report.count("", "open_conflicts", int(opened))
