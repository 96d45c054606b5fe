"""The drill: the shipped cutover with users in both systems, a failure before the switch, one after it, the way back, then to the end.

Everything is real but the people: runbook, gates, journal, sync, undo steps, and on sandboxes also the systems' own
protocols, sign-in and rights. After each part every single value that users entered is looked for on both sides. Which
side users may edit follows from the manual steps of the runbook, which the drill does as an administrator would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import sqlalchemy as sa

from migrator.commands import steps
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync import once
from migrator.core.clock import SystemClock
from migrator.core.document import Document
from migrator.core.errors import DataError, MigratorError, SafetyStop
from migrator.core.phases import Phase
from migrator.core.twoway import Side
from migrator.runbook.answers import read_answer
from migrator.runbook.conduct import Given, carry_out
from migrator.runbook.doing import Place, project_verbs
from migrator.runbook.execute import Doing, Outcome
from migrator.runbook.facts import Value
from migrator.runbook.gates import Mode
from migrator.runbook.parse import Placed, Runbook, parse_runbook
from migrator.runbook.rehearsing import begin_at
from migrator.runbook.run import Runner
from migrator.runbook.shelf import shipped_folder
from migrator.runbook.verbs import Call
from migrator.runbook.world import Cancelled, World, silent
from migrator.staging.journal import verify
from migrator.staging.phases import standings
from migrator.staging.sync_tables import conflicts
from migrator.testing.users import Trace, Users

_ACTS: Mapping[str, Mapping[str, bool]] = {
    "P5-020": {"old": False, "new": False}, "P5-920": {"old": True, "new": True}, "P8-020": {"new": True},
    "P9-910": {"new": False}, "P9-990": {"new": True}, "P10-020": {"old": True, "new": True},
}  # fmt: skip
"""Manual step → the sides whose users may edit after it, or no more."""
_NO = {("P5-920", "freeze.active"), ("P10-020", "freeze.active"), ("P9-990", "freeze.active")}
_USUAL = {"yes_no": "yes", "number": "100", "time": "1h", "text": "the drill", "file": ""}


class Stage(Protocol):
    """Two systems with users in them, and the project that keeps them in step."""

    project: Project
    users: Users
    own_writes: str
    """Options that tell a freeze proof which writes on the old side are the sync's own."""

    def open_system(self, project: Project, name: str) -> Side:
        """A system as the sync opens it."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong right before a verb."""

    before: str
    what: str
    begin: Callable[[], None]
    """May raise what the verb would raise."""
    end: Callable[[], None] = lambda: None
    """Somebody mends it."""


@dataclass(frozen=True, slots=True)
class Troubles:
    """The two failures of a drill."""

    before_the_switch: Trouble
    after_the_switch: Trouble


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the drill, and what was found after it."""

    name: str
    ended: str
    phase: Phase
    trace: Trace
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name, "ended": self.ended, "phase": self.phase.value, "trace": self.trace.to_json(),
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


@dataclass(slots=True)
class Drill:
    """The whole drill."""

    systems: str
    parts: list[Part] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Step → how long it took each time, in seconds."""
    planned: dict[str, float] = field(default_factory=dict)
    """Step → how long the runbook gives it, in seconds."""
    titles: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    """Times that users were refused while locked out."""
    journal: int = 0
    """Rows of the journal, which holds."""

    @property
    def trace(self) -> Trace:
        """Everything that users entered, at the end."""
        return self.parts[-1].trace if self.parts else Trace()

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times in seconds."""
        times = {
            step: {"title": self.titles[step], "planned": self.planned[step], "median": round(median(found), 3),
                   "worst": round(max(found), 3), "times": len(found)}
            for step, found in self.steps.items()
        }  # fmt: skip
        return {
            "systems": self.systems, "parts": [part.to_json() for part in self.parts], "steps": times,
            "trace": self.trace.to_json(), "refused_while_locked_out": self.refused, "journal_rows": self.journal,
        }  # fmt: skip

    def raise_unless_nothing_is_lost(self) -> None:
        """Raise `DataError` when something that users entered is missing where it must be."""
        lost = [text for part in self.parts for text in part.trace.missing]
        if lost:
            raise DataError(
                f"{len(lost)} values are missing after the drill: {lost[0]}", hint="this is a bug"
            )


def drill_sandboxes(folder: Path, tell: Callable[[str, str], None] = silent) -> Drill:
    """Drill on a Salesforce and a Fxiaoke sandbox over HTTP, in an empty folder; what goes wrong there are rights.

    Raises what a part raises when it does not end as it must.
    """
    from migrator.testing.boxes import boxes

    with boxes(folder) as stage:
        steps.run(stage.project)
        old = stage.old
        troubles = Troubles(
            Trouble(
                "runbook freeze-proof", "the freeze locked out the integration user too",
                lambda: old.give_profile("", "Read Only"), lambda: old.give_profile("", "System Administrator"),
            ),
            Trouble(
                "runbook trace", "somebody deactivated the integration user of the old system",
                lambda: old.let_in("", active=False), lambda: old.let_in("", active=True),
            ),
        )  # fmt: skip
        return _drilled_on(stage, "Salesforce and Fxiaoke sandboxes over HTTP", troubles, tell)


def drill_files(folder: Path, tell: Callable[[str, str], None] = silent) -> Drill:
    """Drill on two SQLite files, in seconds; what goes wrong there are the verbs themselves."""
    from migrator.testing.twin import Twin

    def fail() -> None:
        raise DataError("it fails, because the drill wants it to", hint="")

    troubles = Troubles(
        Trouble("runbook verdict", "the comparison fails", fail),
        Trouble("runbook trace", "the trace fails", fail),
    )
    return _drilled_on(Twin(folder), "two SQLite files", troubles, tell)


def _drilled_on(stage: Stage, systems: str, troubles: Troubles, tell: Callable[[str, str], None]) -> Drill:
    once(stage.project, full=True, open_system=stage.open_system)
    found = _Drilling(stage, Drill(systems), tell)
    before, after = troubles.before_the_switch, troubles.after_the_switch
    found.part(f"before the switch, {before.what}", "cutover", Phase.P4, trouble=before, ends_with=Cancelled)
    found.part(f"after the switch, {after.what}", "cutover", Phase.P9, trouble=after, ends_with=SafetyStop)
    found.part("the way back", "rollback", Phase.P4)
    found.part("through to the end", "cutover", Phase.P9)
    return found.result()


class _Drilling:
    """One drill while it goes on."""

    def __init__(self, stage: Stage, drill: Drill, tell: Callable[[str, str], None]) -> None:
        self._stage, self._tell, self._drill = stage, tell, drill
        self._trouble: Trouble | None = None
        self._given = Given("the drill", asker=self, tell=tell, open_system=stage.open_system)

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """People do what the step says, and answer; until they do, users work."""
        users = self._stage.users
        users.work(2)
        users.move(_ACTS.get(placed.rule.id, {}))
        return "the drill", {
            name: False
            if (placed.rule.id, name) in _NO
            else read_answer(name, question, _USUAL[question.type])
            for name, question in placed.rule.form.items()
        }

    def part(
        self,
        name: str,
        book: str,
        to: Phase,
        *,
        trouble: Trouble | None = None,
        ends_with: type[MigratorError] | None = None,
    ) -> None:
        """Carry out one runbook, to the failure that is expected or to the end, and look what is missing."""
        self._tell(name, "begins")
        clock = SystemClock()
        start, ended = clock.monotonic(), "done"
        with self._going_wrong(trouble):
            try:
                self._carry_out(drilled(book, self._stage.own_writes))
            except MigratorError as error:
                if ends_with is None or type(error) is not ends_with:
                    raise
                ended = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        self._stage.users.work()
        once(self._stage.project, open_system=self._stage.open_system)
        phase = self._phase()
        if phase is not to or (ended == "done") is (ends_with is not None):
            raise DataError(
                f"{name}: ended {ended!r} in {phase.value}, and was to end in {to.value}",
                hint="this is a bug",
            )
        trace = self._stage.users.trace(logged_values(self._stage.project))
        self._drill.parts.append(Part(name, ended, phase, trace, clock.monotonic() - start))

    @contextmanager
    def _going_wrong(self, trouble: Trouble | None) -> Iterator[None]:
        """What goes wrong in a part is mended when the part is over."""
        self._trouble = trouble
        try:
            yield
        finally:
            self._trouble = None
            if trouble is not None:
                trouble.end()

    def _carry_out(self, book: Runbook) -> None:
        for placed in book.steps:
            self._drill.planned[placed.id] = placed.rule.planned
            self._drill.titles[placed.id] = placed.rule.title
        with carry_out(self._stage.project, book, self._given, Mode.REHEARSAL, self._verbs()) as (
            runner,
            world,
        ):
            if not self._drill.parts:
                begin_at(world.ledger, book)
            self._run(runner, world)

    def _run(self, runner: Runner, _: World) -> None:
        try:
            runner.run()
        finally:
            for step, seconds in runner.report.done.items():
                self._drill.steps.setdefault(step, []).append(seconds)

    def _verbs(self) -> dict[str, Doing]:
        place = Place(self._stage.project, SystemClock(), open_system=self._stage.open_system)
        return {name: partial(self._do, verb) for name, verb in project_verbs(place).items()}

    def _do(self, verb: Doing, call: Call, groups: Sequence[str]) -> Outcome:
        """Users work whenever they are let, also right before a step; then it goes wrong where it is to."""
        self._stage.users.work(2)
        if self._trouble is not None and call.verb.name == self._trouble.before:
            self._trouble.begin()
        return verb(call, groups)

    def _phase(self) -> Phase:
        with open_workspace(self._stage.project) as workspace, workspace.ledger.read() as connection:
            return standings(connection)["all"].phase

    def result(self) -> Drill:
        """What the drill found; raises `DataError` when the journal does not hold."""
        with open_workspace(self._stage.project) as workspace, workspace.ledger.read() as connection:
            audit = verify(connection)
        if not audit.holds:
            raise DataError(
                f"the journal of the drill does not hold: {audit.flaws[0].what}", hint="this is a bug"
            )
        self._drill.journal, self._drill.refused = audit.rows, self._stage.users.refused
        return self._drill


def logged_values(project: Project) -> frozenset[str]:
    """Every text in the conflict log: what was overruled must stand in it."""
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        rows = connection.execute(sa.select(conflicts.c.members)).scalars().all()
    return frozenset(text for row in rows for text in _texts(json.loads(row)))


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)
        case _:
            return


def drilled(name: str, own_writes: str) -> Runbook:
    """A shipped runbook, told which writes on the old side are the sync's own, and looking every second where it waits."""
    path = shipped_folder() / f"{name}.yaml"
    text = path.read_text(encoding="utf-8").replace("every: 20s", "every: 1s")
    own = f"command: runbook freeze-proof {own_writes}"
    return parse_runbook(Document(text.replace("command: runbook freeze-proof", own), str(path)))
