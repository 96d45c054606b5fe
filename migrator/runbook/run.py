"""Carrying a runbook out: step after step, each judged, done, verified and recorded; what is done is not done again.

Where the state stands: only in the journal and in the table of phases. A process that dies anywhere leaves steps that
are begun and not done; the next one looks whether what they were to reach holds, and does them again only where it does
not. Between the freeze and the switch a failure, a passed limit or an abort trigger takes everything back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migrator import __version__
from migrator.core.boundary import boundary
from migrator.core.errors import MigratorError, SafetyStop
from migrator.core.phases import CUTOVER, Phase
from migrator.runbook.durations import spoken
from migrator.runbook.established import Established
from migrator.runbook.execute import (
    Interrupted,
    Outcome,
    Watch,
    evidence_problem,
    execute,
    keep_evidence,
)
from migrator.runbook.expression import evaluate
from migrator.runbook.gates import Judged
from migrator.runbook.mistakes import call_of
from migrator.runbook.model import Asked, OtherRunbook, Step
from migrator.runbook.parse import Placed, Runbook
from migrator.runbook.ready import Look, Refused, refusals
from migrator.runbook.record import STEP, Footing, State
from migrator.runbook.rows import Rows
from migrator.runbook.world import Cancelled, RunReport, World, refuse_unless_sound
from migrator.staging.journal import append
from migrator.staging.phases import put_in_phase, standings, with_waves

CANCEL = "(cancel)"
"""What stands for the step in rows about a cancelled cutover."""


class Runner:
    """One run of one runbook."""

    def __init__(self, book: Runbook, world: World) -> None:
        self._book, self._world = book, world
        self._footing = Footing(book.content, world.mapping, __version__)
        self._rows = Rows(book.name, world, self._footing)
        self._clock = world.hands.clock
        self.report = RunReport(book.name, self._footing.plan, world.mode.value)

    @property
    def footing(self) -> Footing:
        """What the plan stands on."""
        return self._footing

    def run(self) -> RunReport:
        """Carry out every step that is not done and holds; returns when the last one is.

        Raises `ProjectError` when the runbook is wrong, `Refused` when a step may not begin, `Cancelled` when the
        cutover was taken back, and what a step raises when it fails outside of it.
        """
        refuse_unless_sound(self._book, self._world)
        self._finish_cancel()
        for placed in self._book.steps:
            if self._holds_already(placed):
                self._find_done(placed)
                self.report.held.append(placed.id)
                continue
            self._step(placed)
        return self.report

    def ahead(self) -> Placed | None:
        """The step that `run` would begin with; None when all are done."""
        return next((placed for placed in self._book.steps if not self._holds_already(placed)), None)

    def cancel(self, why: str) -> None:
        """Take the evening back: undo what was done since the freeze, the last first, and return to P4."""
        self._rows.step(CANCEL, self._groups_in_cutover(), State.STARTED, message=why)
        boundary("runbook.cancelling")
        self._finish_cancel()

    def look(self) -> Look:
        """Everything that is known now."""
        history, world = self._rows.read(), self._world
        with world.ledger.read() as connection:
            standing = with_waves(standings(connection), self._book.rule.groups)
        facts = Established(
            self._book, self._footing, world.ledger, history, standing, self._clock, world.live
        )
        return Look(facts, self._clock, world.operator, world.mode, world.evidence, world.rehearsed)

    def _holds_already(self, placed: Placed) -> bool:
        look, groups = self.look(), self._book.groups_of(placed)
        row = look.facts.history.last(self._footing.plan, placed.id)
        since = max(look.facts.history.before(group, placed.step.phase) for group in groups)
        if row is None or row.number < since or row.state not in {State.DONE, State.STARTED}:
            return False
        here = [look.phase_of(group) for group in groups]
        call = call_of(self._book, placed)
        if call is not None and call.enters is not None:
            return all(now is not None and now.number >= placed.step.phase.number for now in here)
        if row.state is State.DONE and all(
            now is not None and now.number > placed.step.phase.number for now in here
        ):
            return True  # what was entered since sealed it
        if row.state is State.STARTED and (not row.facts or placed.rule.verification is None):
            return False  # nobody knows how far it came: it is done again
        if self._verified(placed, look):
            return False
        age = (self._clock.now() - row.at).total_seconds()
        return not evidence_problem(placed, row.evidence, self._world.evidence, age)

    def _find_done(self, placed: Placed) -> None:
        """A step that reached what it was to reach, and whose process died before it could say so."""
        row = self._rows.last(placed.id)
        if row is not None and row.state is State.STARTED:
            self._rows.step(placed.id, row.groups, State.DONE, row=row, message="found done")

    def _step(self, placed: Placed) -> None:
        look, groups = self.look(), self._book.groups_of(placed)
        try:
            self._check_triggers(placed, look)
            reasons, judged = refusals(look, placed)
            self._rows.gate(placed, judged, passed=not reasons)
            boundary("runbook.judged")
            if reasons:
                self._refuse(placed, Refused(placed.id, reasons))
            self._do(placed, groups, judged)
        except Interrupted as error:
            self._rows.step(placed.id, groups, State.FAILED, message=error.message)
            boundary("runbook.failed")
            self._give_up(placed, error)
        self._announce(placed)

    def _refuse(self, placed: Placed, refused: Refused) -> None:
        """A refusal waits for people; but a freeze that no longer fits the window is broken off."""
        late = any(item.code == "window" for item in refused.reasons)
        if late and self._frozen():
            raise Interrupted(str(refused.message))
        self._world.tell(placed.id, "refused")
        raise refused

    def _do(self, placed: Placed, groups: Sequence[str], judged: Iterable[tuple[str, Judged]]) -> None:
        began, start = self._clock.now(), self._clock.monotonic()
        self._world.tell(placed.id, "begins")
        self._rows.step(placed.id, groups, State.STARTED, began=began)
        boundary("runbook.begun")
        call = call_of(self._book, placed)
        try:
            if call is not None and call.enters is not None:
                self._enter(call.enters, groups, judged)
                boundary("runbook.entered")
                outcome = Outcome(document={"entered": call.enters.value, "groups": list(groups)})
            else:
                outcome = self._execute(placed, groups)
                boundary("runbook.executed")
        except Interrupted:
            raise
        except MigratorError as error:
            self._rows.step(placed.id, groups, State.FAILED, began=began, message=error.message)
            self._give_up(placed, error)
            raise
        seconds = self._clock.monotonic() - start
        evidence = keep_evidence(placed, self._world.evidence, outcome.document)
        boundary("runbook.evidence")
        row = self._rows.step(
            placed.id, groups, State.STARTED, began=began, seconds=seconds, by=outcome.by, evidence=evidence,
            facts=dict(outcome.facts),
        )  # fmt: skip
        boundary("runbook.established")
        limit = placed.rule.limit
        if limit is not None and seconds > limit:
            raise Interrupted(f"{placed.id} took {spoken(seconds)}, at most {spoken(limit)}")
        look = self.look()
        wrong = self._verified(placed, look)
        if wrong:
            raise Interrupted(f"{placed.id} is not done: {wrong}")
        self._check_triggers(placed, look)
        self._rows.step(placed.id, groups, State.DONE, row=row)
        boundary("runbook.done")
        self.report.done[placed.id] = round(seconds, 3)
        self._world.tell(placed.id, f"done in {spoken(seconds)}")

    def _execute(self, placed: Placed, groups: Sequence[str]) -> Outcome:
        return execute(
            self._book, placed, groups, self._world.hands,
            Watch(lambda: self.look().facts, lambda: self._break_off(placed)),
        )  # fmt: skip

    def _break_off(self, placed: Placed) -> None:
        """What a step that waits asks again and again; taking back is not broken off."""
        if isinstance(placed.rule, Step):
            self._check_triggers(placed, self.look())

    def _enter(self, phase: Phase, groups: Sequence[str], judged: Iterable[tuple[str, Judged]]) -> None:
        standing = self.look().facts.standings
        forced = {group: sorted({*item.forced_by}) for group, item in judged if item.forced_by}
        with self._world.ledger.begin() as connection:
            for group in groups:
                before = standing.get(group)
                put_in_phase(
                    connection, group, phase, came_from=before.phase if before else None, plan=self._footing.plan,
                    at=self._clock.now(), is_new=before is not None and before.group != group,
                    told={
                        **self._book.told_of(group), "runbook": self._book.name, "by": self._world.operator,
                        "forced_by": forced.get(group, []),
                    },
                )  # fmt: skip

    def _verified(self, placed: Placed, look: Look) -> str:
        """'' when what the step was to reach holds; otherwise what does not."""
        asked: Asked | None = placed.rule.verification
        if asked is None:
            return ""
        groups = (
            self._book.groups_of(placed) if isinstance(placed.rule, Step) else tuple(self._book.rule.groups)
        )
        found = [evaluate(asked.condition, look.facts, group) for group in groups]
        return "; ".join(f"{asked.text} does not hold: {item.told}" for item in found if not item.holds)

    def _check_triggers(self, placed: Placed, look: Look) -> None:
        """Raise `Interrupted` when an abort trigger fires; those of the whole runbook hold from P5 to P8."""
        whole = self._book.rule.abort_if if placed.step.phase in CUTOVER else ()
        for asked in (*placed.step.abort_if, *whole):
            for group in self._book.groups_of(placed):
                found = evaluate(asked.condition, look.facts, group)
                if found.holds:
                    raise Interrupted(f"abort trigger {asked.text}: {found.told} ({group})")

    def _frozen(self) -> bool:
        """Whether the users of the old side are locked out and the switch is not made."""
        return bool(self._groups_in_cutover())

    def _groups_in_cutover(self) -> list[str]:
        look = self.look()
        before_the_switch = (Phase.P5, Phase.P6, Phase.P7)
        return [group for group in self._book.rule.groups if look.phase_of(group) in before_the_switch]

    def _give_up(self, placed: Placed, error: MigratorError) -> None:
        """After a failure: before the switch take everything back; elsewhere say what the way back is."""
        if self._frozen():
            self.cancel(f"{placed.id}: {error.message}")
            raise Cancelled(
                f"{placed.id}: {error.message}\n    the cutover was taken back: users may work in the old system again",
                hint="settle the cause, then begin again with: migrator runbook run",
            ) from error
        back = placed.step.rollback
        other = f"migrator runbook run {back.runbook}" if isinstance(back, OtherRunbook) else ""
        if other or isinstance(error, Interrupted):
            raise SafetyStop(
                error.message, hint=f"settle it and resume{f', or go back with: {other}' if other else ''}"
            ) from error

    def _finish_cancel(self) -> None:
        """Undo what is left to undo of a cancelled cutover; safe to be killed in and called again."""
        look = self.look()
        row = look.facts.history.last(self._footing.plan, CANCEL)
        if row is None or row.state is not State.STARTED:
            return
        for placed in reversed(self._book.steps):
            last = look.facts.history.last(self._footing.plan, placed.id)
            if placed.step.phase not in CUTOVER or last is None or last.state is State.UNDONE:
                continue
            undo = self._book.undo_of(placed)
            if undo is not None:
                self._undo(undo, placed)
            self._rows.step(placed.id, last.groups, State.UNDONE, message=row.message)
            boundary("runbook.undone")
        frozen = self._groups_in_cutover()
        with self._world.ledger.begin() as connection:
            for group in frozen:
                put_in_phase(
                    connection, group, Phase.P4, came_from=look.phase_of(group), plan=self._footing.plan,
                    at=self._clock.now(),
                    told={
                        **self._book.told_of(group), "runbook": self._book.name, "by": self._world.operator,
                        "cancelled": row.message,
                    },
                )  # fmt: skip
            append(connection, STEP, self._rows.body(CANCEL, row.groups, State.DONE), at=self._clock.now())
        boundary("runbook.cancelled")

    def _undo(self, undo: Placed, placed: Placed) -> None:
        groups = self._book.groups_of(placed)
        self._world.tell(undo.id, f"takes back {placed.id}")
        began = self._clock.now()
        try:
            outcome = self._execute(undo, groups)
        except MigratorError as error:
            raise SafetyStop(
                f"{undo.id}, which takes back {placed.id}, failed: {error.message}",
                hint="settle it, then run again: taking back goes on where it stopped",
            ) from error
        boundary("runbook.undoing")
        evidence = keep_evidence(undo, self._world.evidence, outcome.document)
        self._rows.step(
            undo.id,
            groups,
            State.STARTED,
            began=began,
            by=outcome.by,
            facts=dict(outcome.facts),
            evidence=evidence,
        )
        wrong = self._verified(undo, self.look())
        if wrong:
            raise SafetyStop(
                f"{undo.id}, which takes back {placed.id}: {wrong}", hint="settle it, then run again"
            )
        self._announce(undo)

    def _announce(self, placed: Placed) -> None:
        message = placed.rule.communication
        if message is not None:
            to = ", ".join(message.to)
            self.report.messages.append((to, message.text))
            self._world.tell(placed.id, f"tell {to}: {message.text}")
