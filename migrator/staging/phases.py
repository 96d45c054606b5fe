"""In which phase each group of objects is, changed together with the row of the journal that tells why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.staging.journal import append
from migrator.staging.ledger_tables import phases as table

KIND = "phase"
"""Rows of the journal that tell a change of phase."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one group stands."""

    group: str
    phase: Phase
    entered_at: datetime
    plan: str
    journal: int


def standings(connection: Connection) -> dict[str, Standing]:
    """Every group that is in a phase, by name."""
    rows = connection.execute(sa.select(table).order_by(table.c.name)).all()
    return {
        row.name: Standing(row.name, Phase(row.phase), row.entered_at, row.plan, row.journal) for row in rows
    }


def put_in_phase(
    connection: Connection,
    group: str,
    phase: Phase,
    *,
    came_from: Phase | None,
    plan: str,
    at: datetime,
    told: Mapping[str, Any],
) -> int:
    """Note that a group is in `phase` from now on, and tell so in the journal, in the caller's transaction.

    Whether it may is decided before, by the gate. Raises `SafetyStop` when it is not in `came_from` any more: somebody
    else moved it meanwhile. Returns the number of the journal's row.
    """
    body = {
        **told, "group": group, "from": came_from.value if came_from else None, "to": phase.value, "plan": plan,
        "direction": phase.direction, "policy": phase.policy,
    }  # fmt: skip
    number = append(connection, KIND, body, at=at).number  # makes others who come here wait
    row = connection.execute(sa.select(table.c.phase).where(table.c.name == group)).scalar()
    if row != (came_from.value if came_from else None):
        raise SafetyStop(
            f"{group} is in {row or 'no phase'}, and was to be moved from {came_from.value if came_from else 'none'}",
            hint="somebody else moved it; look at: migrator runbook status",
        )
    values = {"phase": phase.value, "entered_at": at, "plan": plan, "journal": number}
    if row is None:
        connection.execute(table.insert().values(name=group, **values))
    else:
        connection.execute(table.update().where(table.c.name == group).values(**values))
    return number
