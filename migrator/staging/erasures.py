"""Requests to forget persons: what is still to be done, and by keyed hashes alone who may never come back.

A record is named by its stream ('MAPPING/SOURCE' on the old side, 'MAPPING' on the new one) and its id. What is kept of a
forgotten one is a hash of that, keyed with the ledger's own identity: in the ledger, and in a file beside the project's
settings, so that a ledger that is restored from an older backup is told whom it has to forget again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.errors import FatalError, Location, ProjectError, SafetyStop
from migrator.staging.ledger import Ledger, storable
from migrator.staging.ledger_tables import erased, erasures

FILE = "erased.jsonl"
"""Beside migration.yaml: hashes only; to be kept where the backups of the ledger are not."""
Name: TypeAlias = tuple[str, str]
"""Stream and id of a record."""


@dataclass(frozen=True, slots=True)
class Place:
    """One record of a person in one system."""

    stream: str
    id: str
    system: str
    object: str
    state: str = "open"
    """'open', 'deleted', 'absent' (not there any more), 'kept' (the order is not about that side), or 'by hand'."""

    @property
    def name(self) -> Name:
        """Stream and id."""
        return self.stream, self.id


DONE = frozenset({"deleted", "absent", "kept"})
KEPT = "kept"
"""State of a record on a side that the order is not about; hashed once more under it, so that a restored ledger knows."""


def hashed(places: Iterable[Place]) -> tuple[Name, ...]:
    """What hashes are kept of: every record, and of those that stay that they do."""
    return tuple(
        name
        for place in places
        for name in (place.name, *((_stays(place.name),) if place.state == KEPT else ()))
    )


def _stays(name: Name) -> Name:
    return f"{KEPT} {name[0]}", name[1]


@dataclass(frozen=True, slots=True)
class Request:
    """One order to forget a person."""

    number: int
    asked_at: datetime
    who: str
    second: str
    why: str
    places: tuple[Place, ...] = ()
    """Empty once everything is done."""
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """How records are hashed in one ledger."""

    key: bytes

    @classmethod
    def of(cls, ledger: Ledger) -> Digests:
        """Keyed with what the ledger was made with: every backup of it has the same."""
        return cls(hashlib.sha256(b"erased\0" + ledger.identity.encode()).digest())

    @property
    def owner(self) -> str:
        """Says whose hashes they are, and nothing else."""
        return hashlib.blake2b(b"owner", key=self.key, digest_size=8).hexdigest()

    def digest(self, name: Name) -> str:
        """Of one record; what is believed."""
        return hashlib.blake2b(
            "\0".join(name).encode(errors="replace"), key=self.key, digest_size=16
        ).hexdigest()

    def quick(self, stream: str, ids: Sequence[str]) -> Any:
        """64 bits of each id as a numpy array: finds candidates among millions."""
        import numpy as np
        import pandas as pd

        salt = hashlib.blake2b(stream.encode(errors="replace"), key=self.key, digest_size=8).hexdigest()
        return pd.util.hash_array(np.array(ids, dtype=object), hash_key=salt, categorize=False).view(np.int64)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whom a project has forgotten."""

    digests: Digests
    known: frozenset[str] = frozenset()
    quick: Any = field(default=())

    def __bool__(self) -> bool:
        return bool(self.known)

    def __contains__(self, name: Name) -> bool:
        return bool(self.known) and self.digests.digest(name) in self.known

    def stays(self, name: Name) -> bool:
        """Whether a record is to stay where it is, though the person is forgotten elsewhere."""
        return _stays(name) in self

    def among(self, stream: str, ids: Sequence[str]) -> list[str]:
        """Those of the ids that were forgotten; costs one vectorised hash of each."""
        import numpy as np

        if not self.known or not len(ids):
            return []
        places = np.flatnonzero(np.isin(self.digests.quick(stream, ids), self.quick))
        return [ids[int(at)] for at in places if (stream, ids[int(at)]) in self]


def forgotten(ledger: Ledger) -> Forgotten:
    """Whom the ledger says to have forgotten."""
    import numpy as np

    with ledger.read() as connection:
        rows = connection.execute(sa.select(erased.c.digest, erased.c.quick)).all()
    return Forgotten(
        Digests.of(ledger),
        frozenset(row.digest for row in rows),
        np.array([row.quick for row in rows], np.int64),
    )


def backlog(ledger: Ledger) -> int:
    """Requests to be forgotten that are not done in every place."""
    query = sa.select(sa.func.count()).select_from(erasures).where(erasures.c.done_at.is_(None))
    with ledger.read() as connection:
        return int(connection.execute(query).scalar() or 0)


def requests(ledger: Ledger, *, open_only: bool = False) -> tuple[Request, ...]:
    """All requests, or those that are not done; the oldest first."""
    query = sa.select(erasures).order_by(erasures.c.number)
    if open_only:
        query = query.where(erasures.c.done_at.is_(None))
    with ledger.read() as connection:
        return tuple(_request(row) for row in connection.execute(query))


def _request(row: Any) -> Request:
    places = tuple(Place(**item) for item in json.loads(row.places))
    return Request(row.number, row.asked_at, row.who, row.second, row.why, places, row.done_at)


def ask(connection: Connection, ledger: Ledger, request: Request) -> Request:
    """Put a request on record with the hashes of its records, inside the transaction that forgets their values."""
    made = connection.execute(
        erasures.insert().values(
            asked_at=request.asked_at, who=storable(request.who), second=storable(request.second),
            why=storable(request.why), places=_text(request.places), done_at=None, run=ledger.run,
        )
    )  # fmt: skip
    asked = replace(request, number=int(made.inserted_primary_key[0]))  # type: ignore[index]
    keep_hashes(connection, Digests.of(ledger), hashed(asked.places), asked.number)
    return asked


def keep_hashes(connection: Connection, digests: Digests, names: Iterable[Name], number: int) -> None:
    """Enter the hashes of records; those that are there stay."""
    rows = {digests.digest(name): int(digests.quick(name[0], [name[1]])[0]) for name in names}
    known = set(connection.execute(sa.select(erased.c.digest)).scalars())
    fresh = [
        {"digest": one, "quick": quick, "request": number} for one, quick in rows.items() if one not in known
    ]
    if fresh:
        connection.execute(erased.insert(), fresh)


def put(connection: Connection, request: Request) -> None:
    """Keep what became of a request; a done one forgets which records it was about."""
    values = {"places": _text(() if request.done_at else request.places), "done_at": request.done_at}
    if request.done_at:
        values["why"] = ""
    connection.execute(erasures.update().where(erasures.c.number == request.number).values(**values))


def _text(places: Sequence[Place]) -> str:
    return json.dumps([asdict(place) for place in places], ensure_ascii=False)


# ---- the file beside the project


def write_file(folder: Path, ledger: Ledger) -> Path:
    """Add to the file what it does not have; durable before anything is deleted."""
    path, digests = folder / FILE, Digests.of(ledger)
    there = set(read_file(folder, ledger))
    with ledger.read() as connection:
        rows = connection.execute(sa.select(erased).order_by(erased.c.request, erased.c.digest)).all()
    lines = [
        json.dumps(
            {"ledger": digests.owner, "digest": row.digest, "quick": row.quick, "request": row.request}
        )
        for row in rows
        if row.digest not in there
    ]
    if lines:
        try:
            with os.fdopen(os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), "a") as stream:
                stream.write("".join(f"{line}\n" for line in lines))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise FatalError(f"cannot write {path}: {error.strerror}", hint="is the disk full?") from error
    return path


def read_file(folder: Path, ledger: Ledger) -> dict[str, Mapping[str, Any]]:
    """Digest → line; empty without a file. Raises `SafetyStop` for hashes of another ledger, `ProjectError` for what is none."""
    path, owner = folder / FILE, Digests.of(ledger).owner
    found: dict[str, Mapping[str, Any]] = {}
    for row, line in _lines(path):
        try:
            item = json.loads(line)
            mine, digest, _ = item["ledger"], item["digest"], int(item["quick"])
        except (ValueError, KeyError, TypeError) as error:
            place = Location(str(path), row)
            raise ProjectError.at(
                place, "this names nobody who was erased", "put the file back from a copy"
            ) from error
        if mine != owner:
            raise SafetyStop(
                f"{path} names persons that another ledger has forgotten, and this one cannot tell who they are",
                hint="restore the ledger it belongs to; or move the file away: then nobody keeps them out any more",
            )
        found[digest] = item
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise FatalError(
            f"cannot read {path}: {error}", hint="it must be a file that you may read"
        ) from error
    for row, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield row, line


def unknown(folder: Path, ledger: Ledger) -> list[Mapping[str, Any]]:
    """Lines of the file that the ledger does not know of: it was restored from before they were written."""
    listed = read_file(folder, ledger)
    if not listed:
        return []
    with ledger.read() as connection:
        known = set(connection.execute(sa.select(erased.c.digest)).scalars())
    return [line for digest, line in listed.items() if digest not in known]


def of_lines(ledger: Ledger, lines: Sequence[Mapping[str, Any]]) -> Forgotten:
    """Those whom lines of the file name."""
    import numpy as np

    quick = np.array([line["quick"] for line in lines], np.int64)
    return Forgotten(Digests.of(ledger), frozenset(line["digest"] for line in lines), quick)


def keep_lines(connection: Connection, lines: Sequence[Mapping[str, Any]]) -> None:
    """Enter what the file names and the ledger does not know."""
    if lines:
        rows = [
            {"digest": one["digest"], "quick": one["quick"], "request": one.get("request", 0)}
            for one in lines
        ]
        connection.execute(erased.insert(), rows)
