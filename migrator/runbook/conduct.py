"""The commands `runbook …` as plain functions: list, check, run, sign, rehearse, look; on a project and its ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync import OpenSide
from migrator.commands.sync_sides import open_side
from migrator.commands.target import flat
from migrator.core.clock import Clock
from migrator.core.errors import (
    DataError,
    MigratorError,
    Problem,
    ProjectError,
    Severity,
    raise_errors,
)
from migrator.runbook.answers import FileAnswers, NobodyThere
from migrator.runbook.checking import check_runbook, evening
from migrator.runbook.consent import footing_of
from migrator.runbook.doing import Place, project_verbs
from migrator.runbook.established import FirstOf
from migrator.runbook.execute import Asker, Doing, Hands, Outcome
from migrator.runbook.gates import Mode
from migrator.runbook.live import ProjectFacts
from migrator.runbook.parse import Runbook
from migrator.runbook.ready import refusals
from migrator.runbook.record import State, replay
from migrator.runbook.rehearsing import begin_at, make_copy, note_rehearsal, open_copy, timings
from migrator.runbook.run import Runner
from migrator.runbook.shelf import find_book
from migrator.runbook.syncing import SyncFacts
from migrator.runbook.verbs import Call
from migrator.runbook.view import BookView, view
from migrator.runbook.waves import WaveFacts, undeclared
from migrator.runbook.world import RunReport, World, silent
from migrator.staging.phases import standings

LEASE = "runbook"
"""Only one process carries a runbook out; its verbs hold the project's own lease while they work."""


@dataclass(frozen=True, slots=True)
class Given:
    """What whoever carries a runbook out says: who they are, who is asked, what is told."""

    operator: str
    answers: Path | None = None
    asker: Asker = field(default_factory=NobodyThere)
    production: str = ""
    tell: Any = silent
    open_system: OpenSide = open_side
    """How a system is opened for the sync."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a runbook, and what its next step waits for."""

    book: Runbook
    problems: tuple[Problem, ...]
    next_step: str = ""
    waits_for: tuple[str, ...] = ()
    worst: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "runbook": self.book.name, "steps": len(self.book.steps), "worst_seconds": self.worst,
            "window_seconds": self.book.rule.window.seconds, "next_step": self.next_step,
            "waits_for": list(self.waits_for),
            "problems": [
                {"code": item.code, "severity": item.severity.value, "place": str(item.location),
                 "message": item.message, "hint": item.hint}
                for item in self.problems
            ],
        }  # fmt: skip

    def raise_unless_ready(self) -> None:
        """Raise `ProjectError` when the runbook is wrong, `DataError` when its next step may not begin."""
        errors = [item for item in self.problems if item.severity is Severity.ERROR]
        if errors:
            raise ProjectError(errors)
        if self.waits_for:
            raise DataError(
                f"{self.next_step} waits for: {'; '.join(self.waits_for)}", hint="migrator runbook status"
            )


@dataclass(frozen=True, slots=True)
class StepStatus:
    """Where one step stands."""

    id: str
    phase: str
    title: str
    owner: str
    state: str
    """`done`, `failed`, `undone`, `started`, `next` or `open`."""
    seconds: float = 0.0
    at: str = ""
    by: str = ""
    evidence: str = ""
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BookStatus:
    """Where a runbook stands."""

    book: Runbook
    plan: str
    phases: dict[str, str]
    steps: tuple[StepStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "runbook": self.book.name, "plan": self.plan, "phases": self.phases,
            "steps": [
                {name: getattr(item, name) for name in StepStatus.__dataclass_fields__} for item in self.steps
            ],
        }  # fmt: skip


def check(folder: Path, project: Project | None, name: str, operator: str) -> Checked:
    """Everything that is wrong with a runbook; with a project also what its next step waits for."""
    book = find_book(folder, name)
    if project is None:
        problems = check_runbook(book)
        return Checked(book, tuple(problems), worst=evening(book, {}))
    with carry_out(project, book, Given(operator)) as (runner, world):
        problems = [*check_runbook(book, world.rehearsed), *_across(project, book)]
        found = Checked(book, tuple(problems), worst=evening(book, world.rehearsed))
        if any(item.severity is Severity.ERROR for item in problems):
            return found
        ahead = runner.ahead()
        if ahead is None:
            return found
        reasons, _ = refusals(runner.look(), ahead)
        return replace(found, next_step=ahead.id, waits_for=tuple(str(item) for item in reasons))


def run(project: Project, name: str, given: Given) -> RunReport:
    """Carry a runbook out from the first step that is not done or does not hold."""
    book = find_book(project.folder, name)
    raise_errors(_across(project, book))
    with carry_out(project, book, given) as (runner, world), world.ledger.lease(LEASE):
        return runner.run()


def cancel(project: Project, name: str, given: Given, why: str) -> None:
    """Take back what was done since the freeze."""
    with (
        carry_out(project, find_book(project.folder, name), given) as (runner, world),
        world.ledger.lease(LEASE),
    ):
        runner.cancel(why)


def rehearse(project: Project, name: str, given: Given, on: Path | None = None) -> RunReport:
    """Carry a runbook out on copies (`on`: a project on sandboxes), and put its times on record."""
    book = find_book(project.folder, name)
    raise_errors(_across(project, book))
    with open_workspace(project) as workspace:
        stamp = f"{workspace.ledger.clock.now():%Y%m%dT%H%M%S%f}"
        copy = open_copy(project, on) if on else make_copy(project, project.workspace / "rehearsals" / stamp)
        with carry_out(copy, book, given, Mode.REHEARSAL) as (runner, world):
            begin_at(world.ledger, book)
            try:
                runner.run()
            except MigratorError as error:
                note_rehearsal(
                    workspace.ledger, book, runner.footing, runner.report, error.message.splitlines()[0]
                )
                raise
        note_rehearsal(workspace.ledger, book, runner.footing, runner.report)
        return runner.report


def status(project: Project, name: str, operator: str = "") -> BookStatus:
    """Every step and how far it is; of the next one also what it waits for. Acts on nothing."""
    book = find_book(project.folder, name)
    with carry_out(project, book, Given(operator)) as (runner, _):
        look, ahead = runner.look(), runner.ahead()
        found = []
        for placed in book.steps:
            row = look.facts.history.last(look.plan, placed.id)
            reasons = refusals(look, placed)[0] if row is None or row.state is not State.DONE else []
            is_next = ahead is not None and placed.id == ahead.id
            state = "next" if is_next else row.state.value if row else "open"
            found.append(
                StepStatus(
                    placed.id, placed.step.phase.value, placed.rule.title, placed.rule.owner, state,
                    row.seconds if row else 0.0, row.at.isoformat() if row else "", row.by if row else "",
                    row.evidence.get("sha256", "") if row else "",
                    tuple(str(item) for item in reasons) if is_next else (),
                )
            )  # fmt: skip
        phases = {group: standing.phase.value for group, standing in look.facts.standings.items()}
        return BookStatus(book, look.plan, phases, tuple(found))


@contextmanager
def carry_out(
    project: Project, book: Runbook, given: Given, mode: Mode = Mode.REAL, verbs: dict[str, Doing] | None = None
) -> Iterator[tuple[Runner, World]]:  # fmt: skip
    """A runner of a book on a project, and the world it works in; `verbs` in place of the project's own."""
    with open_workspace(project) as workspace:
        clock = workspace.ledger.clock
        asker = FileAnswers(given.answers, given.asker) if given.answers else given.asker
        done_with = verbs or _verbs(project, book, given, clock=clock)
        footing = footing_of(project, book)
        history = replay(workspace.ledger)
        rehearsed = {step: item.worst for step, item in timings(history, book, footing).items()}
        world = World(
            workspace.ledger, Hands(done_with, asker, clock, project.folder), given.operator, mode,
            project.folder / "evidence" / book.name / footing.plan[:8], footing.mapping,
            FirstOf(
                (SyncFacts(project, given.open_system, book), ProjectFacts(project), WaveFacts(project, book))
            ),
            rehearsed, given.tell,
        )  # fmt: skip
        yield Runner(book, world), world


def _across(project: Project, book: Runbook) -> list[Problem]:
    """What the mappings say against the waves of a runbook; nothing where no group has mappings of its own."""
    if not any(rule.objects for rule in book.rule.groups.values()):
        return []
    with open_workspace(project) as workspace:
        return list(undeclared(book, flat(bind_project(workspace, staged=lambda _: None).groups)))


def _verbs(project: Project, book: Runbook, given: Given, *, clock: Clock) -> dict[str, Doing]:
    """What a project can do, and to rehearse another runbook of it."""

    def rehearsal(call: Call, _: Sequence[str]) -> Outcome:
        return Outcome(document=rehearse(project, call.arguments[0], given).to_json())

    groups = {name: rule.objects for name, rule in book.rule.groups.items()}
    place = Place(project, clock, given.production, open_system=given.open_system, groups=groups)
    return {**project_verbs(place), "runbook rehearse": rehearsal}


def show(folder: Path, project: Project | None, name: str) -> BookView:
    """A runbook in words; with a project also its rehearsed times and how far it is."""
    book = find_book(folder, name)
    if project is None:
        return view(book)
    with open_workspace(project) as workspace:
        footing, history = footing_of(project, book), replay(workspace.ledger)
        with workspace.ledger.read() as connection:
            standing = {group: item.phase.value for group, item in standings(connection).items()}
        now = f"{workspace.ledger.clock.now():%Y-%m-%d %H:%M} UTC"
    return view(
        book,
        timings=timings(history, book, footing),
        history=history,
        plan=footing.plan,
        standing=standing,
        made=now,
    )
