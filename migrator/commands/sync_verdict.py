"""Whether the sync is green, and why not, and what to do next: pure, from where it stands and what the project asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from migrator.commands.sync_settings import SyncSettings
from migrator.commands.sync_state import SyncState
from migrator.commands.sync_steps import ASKED, NEEDS_A_PERSON, RESTORED_STEP, hold_step
from migrator.sync.report import Cause, Status
from migrator.sync.state import MEMBER

_ORDER = (Status.RED, Status.YELLOW, Status.GREEN)
_LATER, _PERSON, _DATA = 4, 5, 1


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdict: a colour, every reason why it is not green, worst first, and the next step."""

    status: Status
    causes: tuple[Cause, ...]
    at: datetime

    @property
    def exit_code(self) -> int:
        """0 only when green, else that of the worst reason."""
        return self.causes[0].exit_code if self.causes else 0

    @property
    def why(self) -> str:
        """One line."""
        return self.causes[0].what if self.causes else "every check holds"

    @property
    def next_step(self) -> str:
        """What to do first."""
        return self.causes[0].next_step if self.causes else "nothing"

    def to_json(self) -> dict[str, Any]:
        """For `--json` and the health file."""
        return {
            "status": self.status.value,
            "exit_code": self.exit_code,
            "why": self.why,
            "next_step": self.next_step,
            "at": self.at.isoformat(),
            "causes": [
                {
                    "status": item.status.value, "code": item.code, "what": item.what, "next_step": item.next_step,
                    "mapping": item.mapping, "count": item.count, "exit_code": item.exit_code,
                }
                for item in self.causes
            ],
        }  # fmt: skip


def judge(state: SyncState, settings: SyncSettings) -> Standing:
    """The verdict on where the sync stands. Nothing that is unknown is taken for well."""
    found = [
        *_paused(state),
        *_runs(state, settings),
        *_reported(state),
        *_people(state, settings),
        *_reads(state, settings),
    ]
    causes = _worst_first(_without_echo(found))
    status = causes[0].status if causes else Status.GREEN
    return Standing(status, causes, state.now)


def judge_failure(error_code: int, what: str, next_step: str, now: datetime) -> Standing:
    """The verdict on a run that could not be made at all: what failed for now is yellow, all else needs a person."""
    status = Status.YELLOW if error_code == _LATER else Status.RED
    return Standing(status, (Cause(status, "failed", what, next_step, exit_code=error_code),), now)


def _worst_first(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(dict.fromkeys(causes), key=lambda item: _ORDER.index(item.status)))


def _without_echo(causes: Iterable[Cause]) -> Iterator[Cause]:
    """What the last run reported and the ledger shows now is told once, as it is now."""
    seen: set[tuple[str, str]] = set()
    for item in sorted(causes, key=lambda found: _ORDER.index(found.status)):
        if (item.code, item.mapping) not in seen:
            seen.add((item.code, item.mapping))
            yield item


def _paused(state: SyncState) -> Iterator[Cause]:
    if state.pause is not None:
        since = ago(state.now - state.pause.at)
        what = f"{state.pause.who} paused the sync {since}: {state.pause.why or 'no reason given'}"
        yield Cause(Status.YELLOW, "paused", what, "when it may go on: migrator sync resume")


def _runs(state: SyncState, settings: SyncSettings) -> Iterator[Cause]:
    if state.started is not None and not state.working:
        what = f"the run of {state.started.started_at:%Y-%m-%d %H:%M} UTC was killed"
        yield Cause(
            Status.YELLOW, "killed", what, "nothing is lost: migrator sync once goes on where it stopped"
        )
    if state.last is None:
        if not state.working:
            yield Cause(Status.YELLOW, "never", "no run has ever finished", "migrator sync once")
        return
    ended = state.last.finished_at or state.last.started_at
    late = state.now - ended
    if late > settings.late and state.pause is None:
        what = f"no run has finished for {span(late)}, and one is due every {span(settings.every).removeprefix('1 ')}"
        step = (
            "a run is at work: wait for it"
            if state.working
            else "is the timer on? migrator sync once; docs/sync.md, Schedules"
        )
        yield Cause(Status.RED, "late", what, step)


_SEEN_NOW = frozenset({"hold", "brake", "quarantine", "backlog", "unknown", "deferred"})
"""What the ledger shows as it is now."""


def _reported(state: SyncState) -> Iterator[Cause]:
    """The reasons of the last run that ended."""
    if state.last is None:
        return
    for item in state.last.report.get("causes", ()):
        if item["code"] not in _SEEN_NOW:
            yield _cause(item)
    if state.last.status not in {item.value for item in Status}:
        what = f"the last run ended as {state.last.status!r}, which this program does not know"
        yield Cause(
            Status.RED, "unknown", what, "update the program, then migrator sync once", exit_code=_PERSON
        )


def _cause(item: Mapping[str, Any]) -> Cause:
    what, step = item["what"], item["next_step"]
    if item["code"] == "store":
        what, step = f"nothing is written: {what}", RESTORED_STEP
    return Cause(
        Status(item["status"]), item["code"], what, step, mapping=item.get("mapping", ""),
        count=item.get("count", 1), exit_code=item.get("exit_code", _LATER),
    )  # fmt: skip


def _people(state: SyncState, settings: SyncSettings) -> Iterator[Cause]:
    for brake in state.brakes:
        what = f"{brake.mapping}: the brake on {brake.kind} is on ({brake.measured:,} where {brake.allowed:,} are allowed)"
        step = f"look at what happened; if it is right: migrator sync resume --brake {brake.mapping}/{brake.kind} --second NAME --why …"
        yield Cause(Status.RED, "brake", what, step, mapping=brake.mapping, exit_code=_PERSON)
    # what came back beside records that live on is told with the holds
    fields = [item for item in state.open if item.field and not item.field.startswith(MEMBER)]
    if fields:
        number, oldest = sum(item.number for item in fields), state.now - min(item.oldest for item in fields)
        what = f"{number:,} conflicts wait for a person, the oldest for {span(oldest)}"
        step = (
            "migrator sync conflicts list, then resolve NUMBER --take old or new; many: export, then import"
        )
        yield Cause(Status.RED, "conflicts", what, step, count=number, exit_code=_PERSON)
    for item in state.held:
        if item.kind in ASKED:
            continue
        age = state.now - item.oldest
        waits = item.kind not in NEEDS_A_PERSON and age <= settings.wait
        status, code = (Status.YELLOW, _DATA) if waits else (Status.RED, _PERSON)
        what = f"{item.mapping}: {item.number:,} held as {item.kind}, the oldest for {span(age)}"
        step = hold_step(item.kind)
        yield Cause(
            status, f"hold.{item.kind}", what, step, mapping=item.mapping, count=item.number, exit_code=code
        )


def _reads(state: SyncState, settings: SyncSettings) -> Iterator[Cause]:
    quarantined = sum(item.quarantined for item in state.waiting)
    if quarantined:
        what = f"{quarantined:,} records fail again and again"
        step = "migrator sync stuck names them, and says for each code what to do; they are tried daily"
        yield Cause(Status.RED, "quarantine", what, step, count=quarantined, exit_code=_DATA)
    failing = sum(item.failing for item in state.waiting) - quarantined
    if failing:
        what = f"{failing:,} records failed and are tried again ({_codes(state)})"
        yield Cause(
            Status.YELLOW, "failing", what, "nothing yet: the next runs try them again", count=failing
        )
    waiting = sum(item.records - item.failing for item in state.waiting)
    if waiting:
        oldest = state.now - min(item.oldest for item in state.waiting)
        what = f"{waiting:,} records wait to be worked through, the oldest for {span(oldest)}"
        yield Cause(
            Status.YELLOW, "backlog", what, "nothing yet: the next run goes on with them", count=waiting
        )
    if state.unsettled:
        what = f"{state.unsettled:,} writes whose answer was lost"
        yield Cause(
            Status.YELLOW, "unknown", what, "nothing yet: the next run looks them up", count=state.unsettled
        )
    if state.deferred:
        what = f"{state.deferred:,} links wait for the record they point to"
        step = "is that record mapped, and does it move? the link is set once it has a partner"
        yield Cause(Status.YELLOW, "deferred", what, step, count=state.deferred)
    if state.erasures:
        what = f"{state.erasures:,} request(s) to be forgotten are not done"
        step = "migrator erase list says what is left, migrator erase again does it"
        yield Cause(Status.RED, "erasure", what, step, count=state.erasures, exit_code=_PERSON)
    if state.mismatched:
        what = f"{state.mismatched:,} records differ from the store in two full comparisons in a row"
        yield Cause(
            Status.RED, "mismatch", what, "migrator sync reconcile, then conflicts list", exit_code=_PERSON
        )
    scans = [item.scanned_at for item in state.streams]
    if scans and None in scans:
        what = "not every object was ever compared whole"
        yield Cause(Status.YELLOW, "reconcile", what, "migrator sync reconcile")
    elif (
        scans
        and (first := min(item for item in scans if item is not None)) < state.now - settings.reconcile * 1.5
    ):
        what = f"the last full comparison of an object is {span(state.now - first)} old"
        yield Cause(Status.YELLOW, "reconcile", what, "migrator sync reconcile")


def _codes(state: SyncState) -> str:
    return ", ".join(f"{code} × {number:,}" for code, number in state.errors[:3]) or "no code"


def span(time: timedelta) -> str:
    """A length of time as people say it, rounded down."""
    seconds = max(int(time.total_seconds()), 0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def ago(time: timedelta) -> str:
    """How long ago something was."""
    return "just now" if time < timedelta(seconds=60) else f"{span(time)} ago"
