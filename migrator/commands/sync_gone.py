"""The command `sync gone`: two people say that a missing record was deleted, which then counts as its proof."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.commands.project import Project, open_workspace
from migrator.commands.sync_people import Approvers, Told
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.twoway import EvidenceKind
from migrator.staging import journal
from migrator.staging import sync_tables as t
from migrator.staging.ledger import storable


def gone(project: Project, record: str, by: Approvers) -> Told:
    """Put on record that people know a held, missing record to be deleted; the next run does with its partner as with any delete.

    Brakes, the delete policy, and the question after edits of the partner hold as ever; a record that can be read lives,
    whatever people say. Raises `SafetyStop` for a record that is not missing.
    """
    by.check()
    stream, _, name = record.partition(":")
    with open_workspace(project) as workspace, workspace.ledger.lease():
        ledger = workspace.ledger
        with ledger.begin() as connection:
            ledger.check_fence(connection)
            grp = _group(connection, stream, name, record)
            _need_missing(connection, grp, record)
            now = ledger.clock.now()
            c = t.evidence.c
            connection.execute(
                t.evidence.delete().where(
                    c.stream == stream, c.id == name, c.kind == EvidenceKind.DELETED.value, c.version == ""
                )
            )
            row = {
                "stream": stream, "id": name, "kind": EvidenceKind.DELETED.value, "version": "", "into": "", "became": "[]",
                "how": storable(f"said by {by.who} and {by.second}"), "stamp": None, "seen_at": now, "ours": False,
            }  # fmt: skip
            connection.execute(t.evidence.insert(), [row])
            body = {"gone": record, "group": grp, "who": by.who, "second": by.second, "why": by.why}
            journal.append(connection, "override", body, at=now, run=ledger.run)
    return Told(f"{record} counts as deleted; the next run does what its mapping says of deletes")


def _group(connection: Connection, stream: str, name: str, record: str) -> int:
    c = t.members.c
    query = sa.select(c.grp).where(c.stream == stream, c.id == name, c.until.is_(None))
    found = connection.execute(query).scalar()
    if found is None:
        raise ProjectError.at(
            "RECORD", f"no record {record!r} is linked", "migrator sync stuck names those that are held"
        )
    return int(found)


def _need_missing(connection: Connection, grp: int, record: str) -> None:
    c = t.holds.c
    kind = connection.execute(sa.select(c.kind).where(c.grp == grp, c.field == "")).scalar()
    if kind is None or not kind.startswith("missing"):
        raise SafetyStop(
            f"{record} is not held as missing" + (f", but as {kind}" if kind else ""),
            hint="what is there, or proved to be deleted, needs no word of anybody: migrator sync once",
        )
