"""The sync as runbooks see it: its runs as verbs, and where it stands as facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.commands.sync import OpenSide, SyncRun, once
from migrator.commands.sync_people import try_again
from migrator.commands.sync_state import SyncState
from migrator.commands.sync_status import look
from migrator.commands.target import flat
from migrator.core.errors import DataError, MigratorError
from migrator.core.phases import Phase
from migrator.core.translation import Direction, PairedObject
from migrator.runbook.doing import Place
from migrator.runbook.execute import Outcome
from migrator.runbook.facts import Value
from migrator.runbook.parse import Runbook
from migrator.runbook.waves import narrowed, objects_of
from migrator.staging.phases import standings, with_waves
from migrator.staging.sync_tables import reports
from migrator.sync.decide import SIDE_FROZEN
from migrator.sync.report import RunReport, Status

FOR_EVER = 100 * 365 * 86_400.0
"""Seconds that stand for a feed that never forgets."""
_NO_WAY_BACK = frozenset({"untranslatable", "no-way-back"})
"""Kinds of holds of values that the other side cannot hold."""


def is_synced(project: Project) -> bool:
    """Whether any mapping of the project says that it is synced."""
    return bool(_paired(project))


def only_loaded(project: Project) -> tuple[str, ...]:
    """The mappings that no sync keeps in step: what was loaded of them is all that the new side has."""
    synced = {item.mapping for item in _paired(project)}
    with open_workspace(project) as workspace:
        bound = flat(bind_project(workspace, staged=lambda _: None).groups)
    return tuple(item.name for item in bound if item.name not in synced)


def not_compared(project: Project) -> list[str]:
    """Fields of synced mappings that the sync does not carry, and therefore does not compare either."""
    return [
        f"{item.mapping}.{pair.new}"
        for item in _paired(project)
        for pair in item.pairs
        if pair.direction is Direction.NONE
    ]


def _paired(project: Project) -> list[PairedObject]:
    with open_workspace(project) as workspace:
        return [plan.paired for plan in bind_project(workspace, staged=lambda _: None).synced]


def one_run(place: Place, *, full: bool = False) -> tuple[SyncRun, dict[str, Value]]:
    """One run of the sync, and the facts that it establishes; what failed before is tried again at once."""
    try_again(place.project)
    named = (place.production,) if place.production else ()
    done = once(
        place.project, production=named, full=full, progress=place.progress, open_system=place.open_system
    )
    with open_workspace(place.project) as workspace:
        return done, state_facts(narrowed(done.status.state, workspace.ledger, place.objects))


def sync_once(place: Place, _: Sequence[str]) -> Outcome:
    """One run of the sync; raises `DataError` when it ends red."""
    done, facts = one_run(place)
    _refuse_red(done)
    return Outcome(facts, done.to_json())


def sync_reconcile(place: Place, _: Sequence[str]) -> Outcome:
    """Compare everything, mend what differs, and compare again: what differs then is told; and an idle run must not write."""
    first, _facts = one_run(place, full=True)
    again, facts = one_run(place, full=True)
    _refuse_red(again)
    differs = float(differing(place, again))
    facts |= {
        "reverse.mismatches": differs,
        "unexplained": differs,
        "echo.writes": float(writes_of(again, place.objects)),
    }
    return Outcome(facts, {"mended": first.report.writes, **again.to_json()})


def differing(place: Place, done: SyncRun) -> int:
    """What a full comparison found to differ: what it wrote, what its phase keeps it from writing, and what did not match."""
    state = own_state(place, done)
    held = sum(item.number for item in state.held if item.kind == SIDE_FROZEN)
    waiting = sum(item.records for item in state.waiting)
    return writes_of(done, place.objects) + state.mismatched + held + waiting


def own_state(place: Place, done: SyncRun) -> SyncState:
    """Where the sync stands after a run, as far as the mappings of a verb go."""
    with open_workspace(place.project) as workspace:
        return narrowed(done.status.state, workspace.ledger, place.objects)


def writes_of(done: SyncRun, objects: Sequence[str]) -> int:
    """Rows that a run wrote of these mappings; of all for ()."""
    kept = {name: item for name, item in done.report.figures.items() if not objects or name in objects}
    return RunReport(figures=kept).writes


def sync_check(place: Place, _: Sequence[str]) -> Outcome:
    """Whether the values that occur keep the mapping law in both directions."""
    from migrator.commands.sync_check import sync_check as check

    found = check(place.project)
    return Outcome({"laws.broken": float(len(found.broken))}, found.to_json())


def trace(place: Place, arguments: Sequence[str]) -> Outcome:
    """Carry the first edits on the new side back: how many arrived, and how many did not. Without any there is nothing to show."""
    from migrator.runbook.doing import options

    wanted = int(options(arguments, {"edits": "100"})["edits"])
    done, facts = one_run(place)
    own = place.objects
    figures = [found for name, found in done.report.figures.items() if not own or name in own]
    arrived = sum(found[name] for found in figures for name in ("written_old", "created_old", "deleted_old"))
    lost = sum(found[name] for found in figures for name in ("held", "refused", "unknown"))
    facts |= {"first_edits.traced": float(arrived), "first_edits.lost": float(lost)}
    return Outcome(facts, {"asked_for": wanted, **done.to_json()})


def given_up(project: Project, objects: Sequence[str] = ()) -> int:
    """Records that the sync tried often enough and left in quarantine; 0 in a project without one."""
    if not is_synced(project):
        return 0
    with open_workspace(project) as workspace:
        state = narrowed(look(workspace).state, workspace.ledger, objects)
        return sum(item.quarantined for item in state.waiting)


def pulls_until_empty(place: Place, most: int) -> tuple[list[int], dict[str, Value]]:
    """Runs until two in a row wrote nothing; raises `DataError` when the changes do not end."""
    written: list[int] = []
    while len(written) < 2 or any(written[-2:]):
        if len(written) >= most:
            raise DataError(
                f"{most} runs, and each brought changes", hint="somebody still writes to the old side"
            )
        done, facts = one_run(place)
        _refuse_red(done)
        written.append(writes_of(done, place.objects))
    return written, facts | {"final_delta.empty_pulls": 2.0}


def _refuse_red(done: SyncRun) -> None:
    if done.report.status is Status.RED:
        raise DataError(f"the sync is red: {done.standing.why}", hint=done.standing.next_step)


def state_facts(state: SyncState) -> dict[str, Value]:
    """Where the sync stands, as facts. What was never read is not known, and nothing of it is made up."""
    oldest = _age(state, [item.oldest for item in state.open])
    behind = _age(state, [item.oldest for item in state.waiting])
    facts: dict[str, Value] = {
        "conflicts.open": float(sum(item.number for item in state.open)), "conflicts.oldest": oldest,
        "holds.open": float(sum(item.number for item in state.held)), "brakes.armed": not state.brakes,
        "deferred_references": float(state.deferred), "reverse_lag": behind,
        "unexplained": float(state.mismatched),
        "cannot_go_back.open": float(sum(item.number for item in state.held if item.kind in _NO_WAY_BACK)),
    }  # fmt: skip
    pulled = [item.pulled_at for item in state.streams]
    if pulled and None not in pulled:
        read = _age(state, [at for at in pulled if at])
        facts |= {"lag": max(read, behind), "feed.age": read}
        facts["watermark.before_load"] = all(item.scanned_at for item in state.streams)
    return facts


def _age(state: SyncState, moments: Iterable[datetime]) -> float:
    return max(((state.now - at).total_seconds() for at in moments), default=0.0)


class SyncFacts:
    """Where the sync of a project stands now, read from the ledger; what asks a system is asked once."""

    def __init__(self, project: Project, open_system: OpenSide, book: Runbook) -> None:
        self._project, self._open, self._book = project, open_system, book
        self._paired: list[PairedObject] | None = None
        self._fixed: dict[str, Value | None] = {}

    def value(self, name: str, group: str) -> Value | None:
        """What a fact is now; None where there is no sync, or it does not say."""
        if not self._synced():
            return None
        if name in {"feed.memory", "overlap.needed"}:
            if name not in self._fixed:
                self._fixed[name] = self._of_sides(name)
            return self._fixed[name]
        own = objects_of(self._book, [group])
        with open_workspace(self._project) as workspace:
            if name in {"nights.green", "nights.both_ways"}:
                return float(_nights(workspace, group, own, both=name == "nights.both_ways"))
            state = narrowed(look(workspace).state, workspace.ledger, own)
            # that nothing waits says nothing of what was not read yet: only a run establishes that the way back is clear
            return None if name == "reverse_lag" else state_facts(state).get(name)

    def _synced(self) -> bool:
        if self._paired is None:
            try:
                self._paired = _paired(self._project)
            except MigratorError:
                self._paired = []
        return bool(self._paired)

    def _of_sides(self, name: str) -> Value | None:
        systems = dict.fromkeys(
            system for item in self._paired or () for system in (item.old_system, item.new_system)
        )
        found = []
        for system in systems:
            try:
                with closing(self._open(self._project, system)) as side:
                    found.append(side.facts)
            except MigratorError:
                return None
        if name == "feed.memory":
            return min((item.feed_memory or FOR_EVER for item in found), default=None)
        return max((item.overlap for item in found), default=None)


def _nights(workspace: Workspace, group: str, own: Sequence[str], *, both: bool) -> int:
    """Days in a row, up to today or yesterday, whose last run was green; `both`: only since the group is in P4 or later.

    A night that was not green for the mappings of others alone is green for a group of `own` mappings.
    """
    with workspace.ledger.read() as connection:
        rows = connection.execute(
            sa.select(reports.c.started_at, reports.c.status, reports.c.report).order_by(reports.c.started_at)
        ).all()
        standing = with_waves(standings(connection), [group]).get(group)
    since: datetime | None = None
    if both:
        if standing is None or standing.phase.number < Phase.P4.number:
            return 0
        since = standing.entered_at if standing.phase is Phase.P4 else None
    last: dict[Any, str] = {
        row.started_at.date(): _colour(row, own) for row in rows if since is None or row.started_at >= since
    }
    day = workspace.ledger.clock.now().date()
    if day not in last:
        day -= timedelta(days=1)
    count = 0
    while last.get(day) == Status.GREEN.value:
        count, day = count + 1, day - timedelta(days=1)
    return count


def _colour(row: Any, own: Sequence[str]) -> str:
    """The colour of one run for some mappings."""
    if row.status == Status.GREEN.value or not own:
        return str(row.status)
    causes = json.loads(row.report or "{}").get("causes", ())
    others = causes and all(one.get("mapping") and one["mapping"] not in own for one in causes)
    return Status.GREEN.value if others else str(row.status)
