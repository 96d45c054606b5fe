"""Plant, reconcile, compare: what had to be found against what was found, exactly."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from migrator.core.progress import Quiet
from migrator.staging.relation import relation
from tests.corruption.faults import Finding, Planter
from tests.corruption.world import CUSTOMER, OBJECTS, World
from validation.readback import read_back
from validation.reconcile import Reconciled, reconcile
from validation.relations import open_sides


@dataclass(frozen=True)
class Proof:
    """What was planted, and what the reconcile said."""

    planted: Mapping[str, list[Finding]]
    found: frozenset[Finding]
    rows: int

    @property
    def expected(self) -> frozenset[Finding]:
        """Everything that had to be found."""
        return frozenset(finding for findings in self.planted.values() for finding in findings)

    @property
    def missed(self) -> frozenset[Finding]:
        """Planted and not named as it should be."""
        return self.expected - self.found

    @property
    def false_alarms(self) -> frozenset[Finding]:
        """Named without having been planted."""
        return self.found - self.expected

    def table(self) -> str:
        """One line a fault."""
        lines = [f"{'fault':44} {'planted':>8} {'named':>8}"]
        for name, findings in self.planted.items():
            named = sum(finding in self.found for finding in findings)
            lines.append(
                f"{name:44} {len(findings):8} {named:8}{'' if named == len(findings) else '   MISSED'}"
            )
        total = len(self.expected)
        lines.append(
            f"{self.rows:,} records compared: {total - len(self.missed)} of {total} findings named,"
            f" {len(self.false_alarms)} false alarms"
        )
        return "\n".join(lines)


def plant(world: World, each: int) -> dict[str, list[Finding]]:
    """Damage the target's database."""
    with closing(sqlite3.connect(world.database)) as database:
        return dict(Planter(database).plant(each))


def compare(world: World) -> tuple[Reconciled, frozenset[Finding]]:
    """Read the target back through its connector and reconcile it: everything that is named."""
    target = world.target()
    read_back(world.store, target, CUSTOMER, progress=Quiet())
    target.close()
    with world.session() as session:
        result = reconcile(session, world.store, open_sides(session, world.store, CUSTOMER, OBJECTS))
        rows = session.fetch(f"SELECT key, field, class FROM {relation(session, result.dataset)}"
                             " WHERE class <> 'unresolved_link'").to_pylist()  # fmt: skip
    return result, frozenset((row["key"], row["field"], row["class"]) for row in rows)


def prove(world: World, each: int) -> Proof:
    """Plant every fault `each` times and see what is named."""
    planted = plant(world, each)
    result, found = compare(world)
    return Proof(planted, found, result.expected)
