"""The drill: the shipped cutover with users in both systems, rehearsed with failures before and after the switch and the way back, then run.

Everything is real but the people: runbook, gates, journal, sync, undo steps, and on sandboxes also the systems' own
protocols, sign-in and rights. After each part every single value that users entered is looked for on both sides. Which
side users may edit follows from the manual steps of the runbook, which the drill does as an administrator would.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import sqlalchemy as sa
import yaml

from migrator.commands import steps
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync import once
from migrator.core.clock import SystemClock
from migrator.core.document import Document
from migrator.core.errors import DataError, MigratorError, SafetyStop
from migrator.core.phases import Phase
from migrator.core.twoway import Side
from migrator.runbook.answers import read_answer
from migrator.runbook.approvals import FORCES
from migrator.runbook.conduct import Given, carry_out
from migrator.runbook.doing import Place, project_verbs
from migrator.runbook.execute import Doing, Outcome
from migrator.runbook.facts import Value
from migrator.runbook.gates import Mode
from migrator.runbook.parse import Placed, Runbook, parse_runbook
from migrator.runbook.record import APPROVAL, FORCE, approve
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


_CANNOT = {
    "G19": "a drill has no fourteen nights", "G20": "its rehearsals were to fail", "G21": "the way back was gone just now",
    "G25": "nobody owns fields here", "G27": "every value that users enter is compared at the end",
}  # fmt: skip
"""Conditions that a drill cannot meet, and why two people pass over each."""


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


def random_schedule(folder: Path, seed: int, tell: Callable[[str, str], None] = silent) -> Drill:
    """Drill on two SQLite files under a schedule drawn from `seed`: verbs fail before or after they did their work, again and
    again, on the way there and on the way back, until both were gone to the end once.

    Raises `DataError` when it does not end.
    """
    from migrator.testing.twin import Twin

    chance = random.Random(seed)  # noqa: S311 (a drill, no secret)
    stage = Twin(folder, seed=seed, companies=8)
    once(stage.project, full=True, open_system=stage.open_system)
    found = _Drilling(stage, Drill(f"two SQLite files, schedule {seed}"), tell)
    for book, to in (("cutover", Phase.P9), ("rollback", Phase.P4), ("cutover", Phase.P9)):
        for attempt in range(_ATTEMPTS):
            found.stumbles = Stumbles(chance, 0.25 if attempt < _ATTEMPTS - 1 else 0.0)
            if found.attempt(f"{book}, attempt {attempt + 1}", book) is to and found.ended == "done":
                break
        else:
            raise DataError(f"{book} did not end in {to.value}", hint=f"repeat it with seed {seed}")
    return found.result()


_ATTEMPTS = 4


@dataclass(slots=True)
class Stumbles:
    """Verbs that fail by chance: half of them before they did anything, half after they did all of it."""

    chance: random.Random
    share: float

    def around(self, verb: Callable[[], Outcome]) -> Outcome:
        """Do it, or fail; raises `DataError`."""
        drawn = self.chance.random()
        if drawn < self.share / 2:
            raise DataError("it failed before it began, because the schedule says so", hint="")
        outcome = verb()
        if drawn < self.share:
            raise DataError("it failed when it was done, because the schedule says so", hint="")
        return outcome


def _drilled_on(stage: Stage, systems: str, troubles: Troubles, tell: Callable[[str, str], None]) -> Drill:
    once(stage.project, full=True, open_system=stage.open_system)
    found = _Drilling(stage, Drill(systems), tell)
    before, after = troubles.before_the_switch, troubles.after_the_switch
    found.part(f"before the switch, {before.what}", "cutover", Phase.P4, trouble=before, ends_with=Cancelled)
    found.part(f"after the switch, {after.what}", "cutover", Phase.P9, trouble=after, ends_with=SafetyStop)
    found.part("the way back", "rollback", Phase.P4)
    found.part("for real, through to the end", "cutover", Phase.P9, mode=Mode.REAL)
    return found.result()


class _Drilling:
    """One drill while it goes on."""

    def __init__(self, stage: Stage, drill: Drill, tell: Callable[[str, str], None]) -> None:
        self._stage, self._tell, self._drill = stage, tell, drill
        self._trouble: Trouble | None = None
        self.stumbles = Stumbles(random.Random(0), 0.0)  # noqa: S311 (none at all)
        self.ended = ""
        """How the last part ended."""
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
        mode: Mode = Mode.REHEARSAL,
    ) -> None:
        """Carry out one runbook, to the failure that is expected or to the end, and look what is missing."""
        with self._going_wrong(trouble):
            phase = self.attempt(name, book, (ends_with,) if ends_with else (), mode)
        if phase is not to or (self.ended == "done") is (ends_with is not None):
            raise DataError(
                f"{name}: ended {self.ended!r} in {phase.value}, and was to end in {to.value}",
                hint="this is a bug",
            )

    def attempt(
        self,
        name: str,
        book: str,
        may_end: Sequence[type[MigratorError]] = (MigratorError,),
        mode: Mode = Mode.REHEARSAL,
    ) -> Phase:
        """Carry out one runbook as far as it goes, let users work and the sync run, and look what is missing; the phase then."""
        self._tell(name, "begins")
        clock = SystemClock()
        start, self.ended = clock.monotonic(), "done"
        try:
            self._carry_out(drilled(book, self._stage.own_writes, mode), mode)
        except MigratorError as error:
            if not isinstance(error, tuple(may_end)):
                raise
            self.ended = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        if self._trouble is not None:
            self._trouble.end()
        self._stage.users.work()
        once(self._stage.project, open_system=self._stage.open_system)
        trace = self._stage.users.trace(logged_values(self._stage.project))
        self._drill.parts.append(Part(name, self.ended, self._phase(), trace, clock.monotonic() - start))
        return self._phase()

    @contextmanager
    def _going_wrong(self, trouble: Trouble | None) -> Iterator[None]:
        """What goes wrong in a part."""
        self._trouble = trouble
        try:
            yield
        finally:
            self._trouble = None

    def _carry_out(self, book: Runbook, mode: Mode) -> None:
        for placed in book.steps:
            self._drill.planned[placed.id] = placed.rule.planned
            self._drill.titles[placed.id] = placed.rule.title
        with carry_out(self._stage.project, book, self._given, mode, self._verbs()) as (
            runner,
            world,
        ):
            if not self._drill.parts:
                begin_at(world.ledger, book)
            if mode is Mode.REAL:
                _consent(book, runner, world)
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
        return self.stumbles.around(partial(verb, call, groups))

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


def _consent(book: Runbook, runner: Runner, world: World) -> None:
    """What the real run wants of people: approvals bound to the plan, and two names for each condition a drill cannot meet."""
    plan, ledger, day = runner.footing.plan, world.ledger, 86_400.0
    for placed in book.steps:
        wanted = placed.step.approvals
        for role in wanted.of[: wanted.need] if wanted else ():
            name = book.rule.roles[role].owner
            approve(ledger, APPROVAL, plan=plan, step=placed.id, name=name, role=role, valid=day)
    for condition, reason in _CANNOT.items():
        for role in list(book.rule.roles)[:FORCES]:
            name = book.rule.roles[role].owner
            approve(
                ledger, FORCE, plan=plan, step=condition, name=name, role=role, valid=day, reason=reason, group=""
            )  # fmt: skip


def drilled(name: str, own_writes: str, mode: Mode) -> Runbook:
    """A shipped runbook with people in its roles, told which writes are the sync's own, looking every second where it waits.

    The one that is carried out for real is another version: what was done in a rehearsal is not done for it.
    """
    path = shipped_folder() / f"{name}.yaml"
    text = path.read_text(encoding="utf-8").replace("every: 20s", "every: 1s")
    own = f"command: runbook freeze-proof {own_writes}"
    data: Any = Document(text.replace("command: runbook freeze-proof", own), str(path)).texts()
    data["version"] = f"drill, {mode.value}"
    for role, told in data["roles"].items():
        told |= {"owner": f"{role}, first", "backup": f"{role}, second"}
    return parse_runbook(Document(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), str(path)))
