"""What people decide about the sync as a whole: pause it, let it go on, and let a brake, a new schema or a restored ledger pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.commands.review import someone
from migrator.commands.sync_sides import open_side
from migrator.commands.sync_state import PAUSED
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.translation import PairedObject
from migrator.core.twoway import Side
from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.ledger import storable
from migrator.sync.guard import GENERATION, accept_restored
from migrator.sync.store import SyncStore, keep_fact

VALID = timedelta(hours=24)
"""How long an approval may be used."""


@dataclass(frozen=True, slots=True)
class Approvers:
    """Two people who take a decision together, and why."""

    who: str
    second: str
    why: str

    def check(self) -> None:
        """Raises `SafetyStop` unless they are two, and say why."""
        if not self.second.strip() or self.second.strip().casefold() == self.who.strip().casefold():
            raise SafetyStop(
                "this needs two people, and only one is named",
                hint="name the other one: --second NAME",
            )
        if not self.why.strip():
            raise SafetyStop("nobody says why", hint="say it: --why '…'; it stands in the journal")


@dataclass(frozen=True, slots=True)
class Told:
    """What was put on record."""

    what: str
    number: int = 1

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"what": self.what, "number": self.number}


def pause(project: Project, *, who: str, why: str) -> Told:
    """From now on no run begins; one that is at work ends by itself."""
    name = someone(who)
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        now = workspace.ledger.clock.now()
        body = {"who": name, "at": now.isoformat(), "why": why}
        keep_fact(connection, PAUSED, json.dumps(body, ensure_ascii=False))
        journal.append(connection, "paused", {"who": name, "why": why}, at=now, run=workspace.ledger.run)
    return Told(f"paused by {name}")


def try_again(project: Project) -> Told:
    """Records that wait after failures are tried by the next run, however long they would still wait.

    For when the cause is mended: nobody on the evening of a switch has the hours that a row which keeps failing is given.
    """
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        waits = t.dirty.c.not_before.is_not(None)
        found = connection.execute(t.dirty.update().where(waits).values(not_before=None)).rowcount
    return Told("tried again by the next run", found)


def resume(project: Project, *, who: str) -> Told:
    """Runs may begin again."""
    name = someone(who)
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        gone = connection.execute(t.state.delete().where(t.state.c.name == PAUSED)).rowcount
        if gone:
            now = workspace.ledger.clock.now()
            journal.append(connection, "resumed", {"who": name}, at=now, run=workspace.ledger.run)
    return Told("may run again" if gone else "was not paused", int(gone))


def approve_brake(project: Project, brake: str, by: Approvers, allow: int | None) -> Told:
    """Let one brake (MAPPING/KIND) pass for a day, for the mapping as it is now, up to what was measured or `allow`."""
    by.check()
    mapping, _, kind = brake.rpartition("/")
    with open_workspace(project) as workspace:
        objects = _paired(workspace)
        with workspace.ledger.begin() as connection:
            engaged = connection.execute(
                sa.select(t.brakes).where(t.brakes.c.mapping == mapping, t.brakes.c.kind == kind)
            ).first()
            if engaged is None:
                raise ProjectError.at("--brake", f"no brake {brake!r} is on", _engaged(connection, brake))
            now = workspace.ledger.clock.now()
            row = {
                "mapping": mapping, "kind": kind, "allowed": allow if allow is not None else engaged.measured,
                "who": storable(by.who), "second": storable(by.second), "why": storable(by.why),
                "fingerprint": fingerprint_of(objects, mapping), "at": now, "until": now + VALID,
            }  # fmt: skip
            connection.execute(t.approvals.insert(), [row])
            _journal(
                workspace, connection, by, {"brake": brake, "allowed": row["allowed"], "until": row["until"]}
            )
    return Told(f"brake {brake} may pass {row['allowed']:,} until {row['until']:%Y-%m-%d %H:%M} UTC")


def approve_drift(project: Project, system: str, by: Approvers) -> Told:
    """Take the schema that a system has now for the one that the mappings are approved with."""
    by.check()
    project.system(system)
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        gone = connection.execute(t.snapshots.delete().where(t.snapshots.c.system == system)).rowcount
        _journal(workspace, connection, by, {"schema": system})
    return Told(f"the next run takes the schema of {system} as approved", int(gone))


def approve_restored(
    project: Project, by: Approvers, open_system: Callable[[Project, str], Side] = open_side
) -> Told:
    """Let the sync write again with a ledger that was lost or restored; its questions are to be answered first."""
    by.check()
    with open_workspace(project) as workspace, workspace.ledger.lease(), ExitStack() as opened:
        ledger, store = workspace.ledger, SyncStore(workspace.ledger)
        systems = dict.fromkeys(
            name for paired in _paired(workspace) for name in (paired.old_system, paired.new_system)
        )
        sides = [opened.enter_context(closing(open_system(project, name))) for name in systems]
        accept_restored(store, sides)
        counts = f"{ledger.identity}/{store.fact(GENERATION)}"
        with ledger.begin() as connection:
            _journal(workspace, connection, by, {"ledger": "restored", "generation": counts})
    return Told("the sync may write again with this ledger", 1)


def _paired(workspace: Workspace) -> tuple[PairedObject, ...]:
    bound = bind_project(workspace, staged=lambda _: None)
    return tuple(plan.paired for plan in bound.synced)


def fingerprint_of(objects: Iterable[PairedObject], mapping: str) -> str:
    """What approvals of a mapping are bound to: its rules as they are now."""
    return "/".join(item.fingerprint for item in objects if item.mapping == mapping)[:64]


def _engaged(connection: Connection, brake: str) -> str:
    found = [
        f"{row.mapping}/{row.kind}"
        for row in connection.execute(sa.select(t.brakes.c.mapping, t.brakes.c.kind))
    ]
    return did_you_mean(brake, found, noun="brakes") or "no brake is on: migrator sync status"


def _journal(workspace: Workspace, connection: Connection, by: Approvers, what: Mapping[str, Any]) -> None:
    body = {**what, "who": by.who, "second": by.second, "why": by.why}
    journal.append(connection, "override", body, at=workspace.ledger.clock.now(), run=workspace.ledger.run)
