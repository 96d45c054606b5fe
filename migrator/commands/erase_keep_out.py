"""Persons who were forgotten kept out: of what is read anew, and of a ledger that was restored from an older backup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

import sqlalchemy as sa

from migrator.commands.erase_subject import Subject, old_name
from migrator.commands.project import Workspace
from migrator.core.errors import SafetyStop
from migrator.core.mapped import MappedObject
from migrator.staging.engine import Session, quote
from migrator.staging.erasures import FILE, Forgotten, Name, forgotten, unknown
from migrator.staging.purge import purge
from migrator.staging.relation import RECORD, staged_records
from migrator.staging.store import Kind, Store
from migrator.staging.sync_tables import members

_MORE = re.compile(r"( \(copy \d+\)|#.*)$", re.DOTALL)
"""What a copy of a record, or a value of a list in it, is called beside the record's own name."""
_PAGE = 50_000


def refuse_restored(workspace: Workspace) -> None:
    """Raise `SafetyStop` when the file beside the project names persons that this ledger does not know to be forgotten."""
    number = len(unknown(workspace.project.folder, workspace.ledger))
    if number:
        raise SafetyStop(
            f"{number} record(s) were erased that this ledger still knows: it was restored from before ({FILE})",
            hint="forget them again first: migrator erase again",
        )


def is_anybody_forgotten(workspace: Workspace) -> bool:
    """Whether there is anybody to be kept out."""
    refuse_restored(workspace)
    return bool(forgotten(workspace.ledger))


def keep_out(workspace: Workspace, objects: Iterable[MappedObject]) -> int:
    """Take forgotten persons out of what was staged; returns how many rows went. Costs one look where nobody was forgotten."""
    refuse_restored(workspace)
    known = forgotten(workspace.ledger)
    if not known:
        return 0
    every = {item.name: item for item in objects}
    with closing(workspace.session()) as session:
        names = tuple(dict.fromkeys(staged_among(workspace.store, session, every, known)))
        if not names:
            return 0
        return sum(purge(workspace.store, session, Subject(names, every).doomed({})).values())


def staged_among(
    store: Store, session: Session, objects: Mapping[str, MappedObject], known: Forgotten
) -> Iterator[Name]:
    """Forgotten records among those that are staged."""
    for obj in objects.values():
        for source in obj.sources:
            staged = store.current(Kind.STAGED, source.staged)
            if staged is None or not staged.files:
                continue
            sql = f"SELECT {quote(RECORD)} AS r FROM ({staged_records(session, source, staged)})"
            for batch in session.stream(sql):
                records: list[str] = batch.column(0).to_pylist()
                keys = [record[len(source.name) + 1 :] for record in records]
                bare = [_MORE.sub("", key) if key[-1:] == ")" or "#" in key else key for key in keys]
                stream = f"{obj.name}/{source.name}"
                for key in known.among(stream, bare):
                    yield from (
                        old_name(obj.name, record)
                        for record, one in zip(records, bare, strict=True)
                        if one == key
                    )


def linked_among(workspace: Workspace, known: Forgotten) -> Iterator[Name]:
    """Forgotten records among those that the sync has linked."""
    c = members.c
    with workspace.ledger.read() as connection:
        streams = list(connection.execute(sa.select(c.stream).distinct().order_by(c.stream)).scalars())
    query = (
        sa.select(c.id)
        .where(c.stream == sa.bindparam("of"), c.id > sa.bindparam("last"))
        .distinct()
        .order_by(c.id)
        .limit(_PAGE)
    )
    for stream in streams:
        last = ""
        while True:
            with workspace.ledger.read() as connection:
                ids = list(connection.execute(query, {"of": stream, "last": last}).scalars())
            if not ids:
                break
            yield from ((stream, name) for name in known.among(stream, ids))
            last = ids[-1]
