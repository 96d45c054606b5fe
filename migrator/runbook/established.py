"""Facts as the ledger has them: what steps established, how long ago, what the plan says, and where the groups stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from migrator.core.clock import Clock
from migrator.core.phases import Phase
from migrator.runbook.facts import CATALOGUE, Facts, Value
from migrator.runbook.parse import Runbook
from migrator.runbook.record import Footing, History, Rehearsal, State, StepRow
from migrator.staging.journal import verify
from migrator.staging.ledger import Ledger
from migrator.staging.phases import Standing

_STANDS_FOR: Mapping[str, str] = {
    "verdict": "verdict.status", "freeze": "freeze.active", "freeze_proof": "freeze_proof.foreign_edits",
    "canary": "canary.result", "final_delta": "final_delta.empty_pulls",
}  # fmt: skip
"""What has an age → the fact that is established with it."""
_BEGINS: Mapping[str, Phase] = {
    **dict.fromkeys(_STANDS_FOR, Phase.P5), "reverse_lag": Phase.P8, "reverse": Phase.P8
}  # fmt: skip
"""What a fact is about → the phase with which it begins: what was established before that is of another evening."""
_LOOKS = frozenset({"verdict", "canary", "freeze_proof"})


def counted(history: History, book: Runbook, footing: Footing, *, drill: bool = False) -> list[Rehearsal]:
    """The rehearsals that count: of this very file, mapping and tool, and gone through to the end."""
    return [
        item
        for item in history.rehearsals
        if item.ended == State.DONE.value and item.drill is drill and item.basis == footing.basis
        and (drill or (item.book == book.name and item.content == footing.content))
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Established:
    """Facts from the ledger; `live` is asked first for what can be computed now."""

    book: Runbook
    footing: Footing
    ledger: Ledger
    history: History
    standings: Mapping[str, Standing]
    clock: Clock
    live: Facts
    together: frozenset[str] = frozenset()
    """Groups that are moved in one step."""

    def value(self, name: str, group: str) -> Value | None:
        """What a fact is now for a group."""
        of_plan = self._of_the_plan(name, group)
        if of_plan is not None:
            return of_plan
        now = self.live.value(name, group)
        if now is not None:
            return now
        derived = self._derived(name, group)
        if derived is not None:
            return derived
        found = self._recorded(name, group)
        return found.facts[name] if found else None

    def _recorded(self, name: str, group: str) -> StepRow | None:
        """The step that established a fact; what belongs to one evening, or to one way back, does not outlive it."""
        found = self.history.fact(name, group, self.footing.basis, said=CATALOGUE[name].said)
        began = _BEGINS.get(name.partition(".")[0])
        if found is not None and began is not None and found.number < self.history.before(group, began):
            return None
        return found

    def _of_the_plan(self, name: str, group: str) -> Value | None:
        rule = self.book.rule
        told: Mapping[str, Callable[[], Value | None]] = {
            "fall_back.answered": lambda: rule.fall_back is not None,
            "exceptions.signed": lambda: float(rule.exceptions),
            "parallel.required": lambda: rule.parallel,
            "window.left": self._window_left,
            "rehearsals.counted": lambda: float(len(counted(self.history, self.book, self.footing))),
            "rollback_drill.done": lambda: bool(counted(self.history, self.book, self.footing, drill=True)),
            "journal.intact": self._intact,
            "parents.behind": lambda: float(len(self._behind(group))),
        }
        return told[name]() if name in told else None

    def _window_left(self) -> float | None:
        window = self.book.rule.window
        return (window.end - self.clock.now()).total_seconds() if window.end else window.seconds

    def _intact(self) -> bool:
        with self.ledger.read() as connection:
            return verify(connection).holds

    def _behind(self, group: str) -> Sequence[str]:
        """The groups that this one comes after and that are no further than it is, and do not move together with it."""
        known = self.book.rule.groups.get(group)
        return [
            parent
            for parent in (known.after if known else ())
            if parent not in self.together
            and _place(self.standings.get(parent)) <= _place(self.standings.get(group))
        ]

    def _derived(self, name: str, group: str) -> Value | None:
        """What follows from when other facts were established."""
        what, _, part = name.partition(".")
        if name == "switch.age":
            entered = self._switched(group)
            return (self.clock.now() - entered).total_seconds() if entered else None
        if name == "canary.after_freeze":
            return self._is_later("canary", "freeze", group)
        if name == "verdict.after_final_delta":
            return self._is_later("verdict", "final_delta", group)
        if name == "verdict.same_mapping":
            return self._recorded("verdict.status", group) is not None or None
        if part == "age" and what in _STANDS_FOR:
            at = self._since(what, group)
            return (self.clock.now() - at).total_seconds() if at else None
        return None

    def _switched(self, group: str) -> datetime | None:
        return next(
            (
                entry.at for entry in reversed(self.history.phases)
                if entry.body["group"] == group and entry.body["to"] == Phase.P8.value
            ),
            None,
        )  # fmt: skip

    def _is_later(self, one: str, other: str, group: str) -> bool | None:
        first, second = self._since(other, group), self._since(one, group)
        return second >= first if first and second else None

    def _since(self, what: str, group: str) -> datetime | None:
        """When it was established: for what looks at data, when it began to look."""
        found = self._recorded(_STANDS_FOR[what], group)
        if found is None:
            return None
        return found.began if what in _LOOKS else found.at


def _place(standing: Standing | None) -> int:
    return standing.phase.number if standing else -1


class NoFacts:
    """Knows nothing."""

    def value(self, name: str, group: str) -> Value | None:  # noqa: ARG002 (the protocol)
        """Never known."""
        return None


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Several sources of facts, asked in their order."""

    sources: tuple[Facts, ...]

    def value(self, name: str, group: str) -> Value | None:
        """What the first source that knows says."""
        for source in self.sources:
            found = source.value(name, group)
            if found is not None:
                return found
        return None
