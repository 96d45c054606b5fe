"""What merging gave up, as a command: every value that lost against another, listed, counted by field, and written to a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from migrator.commands.binding import check_names
from migrator.commands.inspect import looking
from migrator.commands.project import Project
from migrator.commands.quarantine import write_csv
from migrator.commands.target import flat
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import MappedObject
from migrator.core.mask import mask
from migrator.staging.engine import Session
from migrator.staging.provenance import given_up
from migrator.staging.store import Store

COLUMNS = ("object", "cluster", "survivor", "field", "member", "value", "kept")


@dataclass(frozen=True, slots=True)
class Lost:
    """One value that lost; values are masked where the field is personal, unless asked for."""

    cluster: str
    survivor: str
    field: str
    member: str
    value: str
    kept: str | None


@dataclass(frozen=True, slots=True)
class ObjectConflicts:
    """The lost values of one object."""

    name: str
    fields: Mapping[str, int]
    """Field → values."""
    shown: tuple[Lost, ...]

    @property
    def values(self) -> int:
        """How many there are."""
        return sum(self.fields.values())


@dataclass(frozen=True, slots=True)
class Conflicts:
    """All of them."""

    objects: tuple[ObjectConflicts, ...]
    file: str = ""
    """Where they were written, '' when that was not asked for."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "objects": {
                item.name: {
                    "values": item.values, "fields": dict(item.fields), "shown": [asdict(row) for row in item.shown],
                }
                for item in self.objects
            },
            "file": self.file,
        }  # fmt: skip


def conflicts(
    project: Project,
    objects: Sequence[str] = (),
    fields: Sequence[str] = (),
    *,
    to: Path | None = None,
    limit: int = 20,
    unmask: bool = False,
) -> Conflicts:
    """Values that were given up in the merges of `objects` (all) and `fields` (all); with `to`, written there whole.

    Raises `ProjectError` for names nobody knows and a file that is no .csv, `FatalError` when it cannot be written.
    """
    if to is not None and to.suffix.lower() != ".csv":
        raise ProjectError.at("--out", f"{to.name} is no .csv file", "name it for example conflicts.csv")
    with looking(project) as (workspace, session, bound):
        known = flat(bound.groups)
        check_names(objects, [item.name for item in known])
        _check_fields(fields, known)
        chosen = [item for item in known if not objects or item.name in objects]
        found = [
            _conflicts(workspace.store, session, item, fields, limit=limit, unmask=unmask) for item in chosen
        ]
        if to is not None:
            _write(workspace.store, session, chosen, fields, to)
    return Conflicts(tuple(item for item in found if item.fields), str(to) if to else "")


def _check_fields(fields: Sequence[str], objects: Sequence[MappedObject]) -> None:
    known = sorted({name for item in objects for name in item.schema.field_names})
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known, noun="fields")
            raise ProjectError.at("--field", f"no mapping has a field {name!r}", hint)


def _conflicts(
    store: Store, session: Session, obj: MappedObject, fields: Sequence[str], *, limit: int, unmask: bool
) -> ObjectConflicts:
    sql = given_up(session, store, obj, tuple(fields))
    counts = session.fetch(f"SELECT field, count(*) AS n FROM ({sql}) GROUP BY 1 ORDER BY 2 DESC, 1")
    rows = session.fetch(f"SELECT * FROM ({sql}) ORDER BY survivor, field, member LIMIT {limit:d}")

    def shown(field: str, value: str | None) -> str | None:
        return mask(value) if value is not None and field in obj.pii and not unmask else value

    lost = tuple(
        Lost(**{**row, "value": shown(row["field"], row["value"]), "kept": shown(row["field"], row["kept"])})
        for row in rows.to_pylist()
    )
    return ObjectConflicts(obj.name, {row["field"]: row["n"] for row in counts.to_pylist()}, lost)


def _write(
    store: Store, session: Session, objects: Sequence[MappedObject], fields: Sequence[str], to: Path
) -> None:
    try:
        write_csv(to, _rows(store, session, objects, fields), COLUMNS)
    except OSError as error:
        raise FatalError(f"{to} cannot be written: {error.strerror}") from error


def _rows(
    store: Store, session: Session, objects: Sequence[MappedObject], fields: Sequence[str]
) -> Iterator[Sequence[str]]:
    for obj in objects:
        sql = (
            f"SELECT * FROM ({given_up(session, store, obj, tuple(fields))}) ORDER BY survivor, field, member"
        )
        with closing(session.cursor()) as reading:
            for batch in reading.stream(sql):
                told = (batch.column(name).to_pylist() for name in COLUMNS[1:])
                yield from ((obj.name, *(value or "" for value in row)) for row in zip(*told, strict=True))
