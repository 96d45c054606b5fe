"""The gates of a project's systems: one each while the process lives, however often a system is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.commands.limits import LimitSettings
from migrator.core.budget import Budget
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Paced
from migrator.core.errors import ProjectError
from migrator.core.pace import Pace, always
from migrator.staging.ledger import Ledger
from migrator.staging.tally import LedgerTally


@dataclass
class Gates:
    """Gates by the name of their system; while a ledger is given, requests are counted there."""

    clock: Clock = field(default_factory=SystemClock)
    _gates: dict[str, Pace] = field(default_factory=dict)
    _ledger: Ledger | None = None
    _permitted: Callable[[], None] = always

    def attach(self, system: str, connector: str, opened: object, settings: LimitSettings) -> None:
        """Give a source or target just opened the gate of its system.

        Raises `ProjectError` when the project narrows limits of a system that has none.
        """
        if not isinstance(opened, Paced):
            if settings.place is not None:
                raise ProjectError.at(
                    settings.place, f"the connector {connector!r} has no limits to narrow", "leave limits out"
                )
            return
        if system not in self._gates:
            self._gates[system] = self._made(system, opened, settings)
        opened.pace(self._gates[system])

    def find(self, system: str) -> Pace | None:
        """The gate of a system that was opened; None when it has no limits, or was not opened yet."""
        return self._gates.get(system)

    def parallel(self, system: str) -> int:
        """Calls to a system that may be in flight at once."""
        gate = self.find(system)
        return gate.limits.parallel if gate is not None else 1

    def left(self) -> dict[str, int]:
        """What is left for us of each system's day, of those that have a limit."""
        found = ((system, gate.budget.left) for system, gate in self._gates.items())
        return {system: left for system, left in found if left is not None}

    def count_in(self, ledger: Ledger) -> None:
        """From now on requests are counted in this ledger, those made so far too."""
        self._ledger = ledger
        for system, gate in self._gates.items():
            gate.budget.count_in(LedgerTally(ledger, system))

    def permit_by(self, permitted: Callable[[], None]) -> None:
        """From now on, whoever waited long at a gate asks first whether it may still go on."""
        self._permitted = permitted
        for gate in self._gates.values():
            gate.permitted = permitted

    def wait_by(self, clock: Clock) -> None:
        """From now on waiting at gates is done by this clock."""
        self.clock = clock
        for gate in self._gates.values():
            gate.clock = clock

    def close(self) -> None:
        """The ledger is about to be closed: what was counted ahead of time and not used is taken back."""
        for gate in self._gates.values():
            gate.budget.close()
        self._ledger = None
        self.permit_by(always)

    def _made(self, system: str, opened: Paced, settings: LimitSettings) -> Pace:
        published = opened.limits
        budget = Budget(
            system, self.clock, daily=published.daily, cap=settings.daily, reserve=settings.reserve,
            resets=published.resets, tally=LedgerTally(self._ledger, system) if self._ledger else None,
        )  # fmt: skip
        gate = Pace(system, settings.narrow(published), self.clock, budget=budget)
        gate.permitted = self._permitted
        return gate
