"""The drill: the shipped cutover on two small systems with users in them, a failure before the switch, one after it, then to the end.

Everything is real but the two systems: runbook, gates, journal, sync engine, translator, undo steps. After each part it is
asked whether anything that users entered is missing. Which side users can edit follows from the steps, not from the script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from migrator.commands.sync import once
from migrator.core.document import Document
from migrator.core.errors import DataError, MigratorError, SafetyStop
from migrator.core.phases import Phase
from migrator.runbook.answers import read_answer
from migrator.runbook.conduct import Given, carry_out
from migrator.runbook.doing import Place, project_verbs
from migrator.runbook.durations import spoken
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

if TYPE_CHECKING:
    from migrator.testing.twin import Twin

_ACTS: Mapping[str, Mapping[str, bool]] = {
    "P5-020": {"old": False}, "P5-920": {"old": True}, "P8-020": {"new": True},
    "P9-910": {"new": False}, "P9-990": {"new": True}, "P10-020": {"old": True},
}  # fmt: skip
"""Manual step → which side's users may edit after it."""
_NO = {("P5-920", "freeze.active"), ("P10-020", "freeze.active"), ("P9-990", "freeze.active")}
_USUAL = {"yes_no": "yes", "number": "100", "time": "1h", "text": "the drill", "file": ""}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the drill, and what was found after it."""

    name: str
    ended: str
    phase: Phase
    missing_old: tuple[str, ...]
    """What users entered and the old side does not hold."""
    missing_new: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name, "ended": self.ended, "phase": self.phase.value, "missing_old": list(self.missing_old),
            "missing_new": list(self.missing_new), "seconds": round(self.seconds, 1),
        }  # fmt: skip


@dataclass(slots=True)
class Drill:
    """The whole drill."""

    parts: list[Part] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)
    """Step → how long it took each time, in seconds."""
    entered: int = 0
    refused: int = 0
    """Times that users tried to edit while they were locked out."""
    journal: int = 0
    """Rows of the journal, which holds."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        times = {step: {"median": median(found), "worst": max(found)} for step, found in self.steps.items()}
        return {
            "parts": [part.to_json() for part in self.parts], "steps": times, "entered": self.entered,
            "refused_while_locked_out": self.refused, "journal_rows": self.journal,
        }  # fmt: skip

    def raise_unless_nothing_is_lost(self) -> None:
        """Raise `DataError` when something that users entered is missing where it must be."""
        lost = [text for part in self.parts for text in (*part.missing_old, *part.missing_new)]
        if lost:
            raise DataError(
                f"{len(lost)} values that users entered are missing: {lost[0]}", hint="this is a bug"
            )


def drill(folder: Path, tell: Callable[[str, str], None] = silent) -> Drill:
    """Drill in an empty folder; raises what a part raises when it does not end as it must."""
    from migrator.testing.twin import Twin

    twin = Twin(folder)
    once(twin.project, full=True, open_system=twin.open_system)
    found = _Drilling(twin, tell)
    found.part(
        "a failure before the switch", "cutover", Phase.P4, fails_at="runbook verdict", ends_with=Cancelled
    )
    found.part(
        "a failure after the switch", "cutover", Phase.P9, fails_at="runbook trace", ends_with=SafetyStop
    )
    found.part("the way back", "rollback", Phase.P4)
    found.part("through to the end", "cutover", Phase.P9)
    return found.result()


class _Drilling:
    """One drill while it goes on."""

    def __init__(self, twin: Twin, tell: Callable[[str, str], None]) -> None:
        self._twin, self._tell, self._drill = twin, tell, Drill()
        self._fails_at = ""
        self._given = Given("the drill", asker=self, tell=tell, open_system=twin.open_system)

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """People do what the step says, and answer; while they do, users work."""
        self._twin.work(2)
        self._twin.open |= _ACTS.get(placed.rule.id, {})
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
        fails_at: str = "",
        ends_with: type[MigratorError] | None = None,
    ) -> None:
        """Carry out one runbook, to the failure that is expected or to the end, and look what is missing."""
        self._tell(name, "begins")
        self._fails_at = fails_at
        clock = self._clock()
        start, ended = clock.monotonic(), "done"
        try:
            with carry_out(
                self._twin.project, _drilled(book), self._given, Mode.REHEARSAL, self._verbs()
            ) as (runner, world):
                if not self._drill.parts:
                    begin_at(world.ledger, _drilled(book))
                self._run(runner, world)
        except MigratorError as error:
            if ends_with is None or type(error) is not ends_with:
                raise
            ended = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        self._twin.work()
        once(self._twin.project, open_system=self._twin.open_system)
        phase = self._phase()
        if phase is not to or (ended == "done") is (ends_with is not None):
            raise DataError(
                f"{name}: ended {ended!r} in {phase.value}, and was to end in {to.value}",
                hint="this is a bug",
            )
        missing = tuple(self._twin.missing("old")), tuple(self._twin.missing("new"))
        self._drill.parts.append(Part(name, ended, phase, *missing, clock.monotonic() - start))

    def _run(self, runner: Runner, _: World) -> None:
        try:
            runner.run()
        finally:
            for step, seconds in runner.report.done.items():
                self._drill.steps.setdefault(step, []).append(seconds)

    def _verbs(self) -> dict[str, Doing]:
        place = Place(self._twin.project, self._clock(), open_system=self._twin.open_system)
        return {name: partial(self._do, verb) for name, verb in project_verbs(place).items()}

    def _do(self, verb: Doing, call: Call, groups: Sequence[str]) -> Outcome:
        """Users work whenever they are let, also right before a step; then the step fails where it is to fail."""
        self._twin.work(2)
        if call.verb.name == self._fails_at:
            raise DataError(f"{call.verb.name} fails, because the drill wants it to", hint="")
        return verb(call, groups)

    def _clock(self) -> Any:
        from migrator.core.clock import SystemClock

        return SystemClock()

    def _phase(self) -> Phase:
        from migrator.commands.project import open_workspace

        with open_workspace(self._twin.project) as workspace, workspace.ledger.read() as connection:
            return standings(connection)["all"].phase

    def result(self) -> Drill:
        """What the drill found; raises `DataError` when the journal does not hold."""
        from migrator.commands.project import open_workspace

        with open_workspace(self._twin.project) as workspace, workspace.ledger.read() as connection:
            audit = verify(connection)
        if not audit.holds:
            raise DataError(
                f"the journal of the drill does not hold: {audit.flaws[0].what}", hint="this is a bug"
            )
        self._drill.journal, self._drill.entered = audit.rows, len(self._twin.entered)
        self._drill.refused = self._twin.refused
        return self._drill


def _drilled(name: str) -> Runbook:
    """A shipped runbook, told which column of the drill's systems names the sync's own writes."""
    path = shipped_folder() / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    own = "command: runbook freeze-proof --modifier changed_by --integration integration"
    return parse_runbook(Document(text.replace("command: runbook freeze-proof", own), str(path)))


def told(found: Drill) -> list[str]:
    """The drill in lines for people."""
    lines = [
        f"{part.name}: {part.ended}, now in {part.phase.value}; missing on the old side {len(part.missing_old)},"
        f" on the new side {len(part.missing_new)}; {spoken(part.seconds)}"
        for part in found.parts
    ]
    slow = sorted(found.steps.items(), key=lambda item: -max(item[1]))[:5]
    lines.append(
        f"users entered {found.entered} values, and were refused {found.refused} times while locked out"
    )
    lines.append("longest steps: " + ", ".join(f"{step} {max(times):.1f}s" for step, times in slow))
    return lines
