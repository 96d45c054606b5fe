"""In which phase each group of objects is, changed together with the row of the journal that tells why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.staging.journal import append
from migrator.staging.ledger_tables import journal
from migrator.staging.ledger_tables import phases as table

KIND = "phase"
"""Rows of the journal that tell a change of phase."""
EVERYTHING = "all"
"""The group that stands for all objects, which waves leave one by one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one group stands."""

    group: str
    phase: Phase
    entered_at: datetime
    plan: str
    journal: int
    objects: tuple[str, ...] = ()
    """Mappings that the group is made of; none stands for all."""
    waves: tuple[str, ...] = ()
    """The groups of the runbook that moved it."""


def standings(connection: Connection) -> dict[str, Standing]:
    """Every group that is in a phase, by name; what it is made of stands in the journal's row about it."""
    query = sa.select(table, journal.c.body).outerjoin(journal, journal.c.number == table.c.journal)
    found = {}
    for row in connection.execute(query.order_by(table.c.name)):
        told = json.loads(row.body or "{}")
        objects, waves = (tuple(told.get(name, ())) for name in ("objects", "waves"))
        found[row.name] = Standing(
            row.name, Phase(row.phase), row.entered_at, row.plan, row.journal, objects, waves
        )
    return found


def with_waves(known: Mapping[str, Standing], groups: Iterable[str]) -> dict[str, Standing]:
    """The same, with waves that have not moved yet: each stands where everything stands."""
    everything = known.get(EVERYTHING)
    waves = {group: everything for group in groups if group not in known and everything is not None}
    return {**waves, **known}


def put_in_phase(
    connection: Connection,
    group: str,
    phase: Phase,
    *,
    came_from: Phase | None,
    plan: str,
    at: datetime,
    told: Mapping[str, Any],
    is_new: bool = False,
) -> int:
    """Note that a group is in `phase` from now on, and tell so in the journal, in the caller's transaction.

    `is_new`: a wave that leaves the group `came_from` was read of, and has stood nowhere by itself.

    Whether it may is decided before, by the gate. Raises `SafetyStop` when it is not in `came_from` any more: somebody
    else moved it meanwhile. Returns the number of the journal's row.
    """
    body = {
        **told, "group": group, "from": came_from.value if came_from else None, "to": phase.value, "plan": plan,
        "direction": phase.direction, "policy": phase.policy,
    }  # fmt: skip
    number = append(connection, KIND, body, at=at).number  # makes others who come here wait
    row = connection.execute(sa.select(table.c.phase).where(table.c.name == group)).scalar()
    if row != (came_from.value if came_from and not is_new else None):
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
