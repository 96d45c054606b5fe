"""Who holds a project: whether the owner of a lease may still work, and what is told to those who must wait."""

from __future__ import annotations

import os
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.errors import SafetyStop
from migrator.staging.ledger_tables import leases
from migrator.staging.process import is_alive, machine

HERE: set[str] = set()
"""Owners of the leases that this process holds."""


def refuse_if_held(connection: Connection, now: datetime) -> None:
    """Raise `SafetyStop` while anybody works on the project of this ledger."""
    for held in connection.execute(sa.select(leases).where(leases.c.expires_at > now)):
        if works(held.owner, held.host, held.pid):
            raise held_by(held.host, held.pid)


def works(owner: str, host: str, pid: int) -> bool:
    """Whether the owner of a lease may still work; one of this process that could not give it back does not."""
    ours = host == machine() and pid == os.getpid()
    return owner in HERE if ours else is_alive(host, pid)


def held_by(place: str, pid: int) -> SafetyStop:
    """What those are told who come second."""
    who = f"process {pid} on {place.partition('/')[0]}" if pid else place
    return SafetyStop(
        f"another command works on this project ({who})",
        hint="wait for it to end; two at once could send a record twice",
    )


def lost() -> SafetyStop:
    """What a holder is told who was taken for dead."""
    return SafetyStop(
        "another command took this project over while this one was stalled",
        hint="nothing of this one was written since; run it again when the other has ended",
    )
