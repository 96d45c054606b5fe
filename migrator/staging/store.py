"""Immutable Parquet datasets under one folder, each vouched for by the ledger and named by the fingerprint of its inputs.

A step asks whether a dataset for its inputs is already complete; if so there is nothing to do, which is what makes
every step restartable and a rerun idle. Otherwise it builds one: files are written under a temporary name, made
durable, renamed, and only then entered in the ledger. A crash leaves files nobody vouches for; `sweep` removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from migrator.core.boundary import boundary
from migrator.core.clock import new_id
from migrator.core.errors import FatalError
from migrator.staging import ledger as tables
from migrator.staging.engine import flush_and_rename
from migrator.staging.ledger import Ledger


class Kind(Enum):
    """What a dataset holds."""

    STAGED = "staged"
    """Name 'system/object': source rows as read."""
    REJECTS = "rejects"
    """Name 'system/object': what could not be read as a row."""
    MAPPED = "mapped"
    """Name of the mapping: every source row with its target fields, issues and exclusions."""
    CLUSTERS = "clusters"
    """Name of the mapping: members of duplicate clusters."""
    GOLDEN = "golden"
    """Name of the mapping: surviving rows of clusters after survivorship, same columns as MAPPED."""
    PLAN = "plan"
    """Name of the mapping: what is to be done with every row that may move."""
    OUTBOUND = "outbound"
    """Name of the mapping: the rows to send, references resolved to target ids, in batch order."""
    OUTCOMES = "outcomes"
    """Name of the mapping: one part per settled batch, crosswalk rows; folded into CROSSWALK at the end."""
    LINKS = "links"
    """Name of the mapping: one part per settled batch of the second pass (deferred references)."""
    CROSSWALK = "crosswalk"
    """Name of the mapping: the last outcome of every record ever sent."""
    READBACK = "readback"
    """Name of the mapping: the target's rows as read back by validation."""
    RECONCILE = "reconcile"
    """Name of the mapping: differences found between plan and read-back."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a dataset, in order; `cursor` is where the source goes on after it."""

    number: int
    path: Path
    rows: int
    cursor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as the ledger knows it."""

    id: str
    kind: Kind
    name: str
    fingerprint: str
    rows: int
    detail: Mapping[str, Any]
    parts: tuple[Part, ...]
    seconds: float = 0.0

    @property
    def files(self) -> tuple[Path, ...]:
        """Its Parquet files that hold rows, in order."""
        return tuple(part.path for part in self.parts if part.rows)

    def schema(self) -> pa.Schema:
        """The Arrow schema of its files; every dataset has at least one part, if need be an empty one."""
        return pq.read_schema(self.parts[0].path)


class Building:
    """A dataset under construction; parts already committed survive a crash and are found again by the next attempt."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        self.dataset = dataset
        self._parts = list(dataset.parts)
        self._started = store.ledger.clock.monotonic()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts committed so far, earlier attempts included."""
        return tuple(self._parts)

    @property
    def rows(self) -> int:
        """Rows committed so far."""
        return sum(part.rows for part in self._parts)

    @property
    def folder(self) -> Path:
        """Where its files live; scratch files put here are swept with it."""
        return self._store.folder(self.dataset.kind, self.dataset.name, self.dataset.id)

    def add(
        self,
        write: Callable[[Path], int],
        *,
        number: int | None = None,
        cursor: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Part:
        """Write one part and commit it: `write` gets a path, leaves a finished Parquet file there, returns its rows."""
        number = len(self._parts) if number is None else number
        path = self.folder / f"part-{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        boundary(f"{self.dataset.kind.value}.part-begun")
        rows = write(path)
        boundary(f"{self.dataset.kind.value}.part-written")
        part = Part(number, path, rows, cursor, dict(detail or {}))
        with self._store.ledger.begin() as connection:
            connection.execute(
                tables.parts.insert().values(
                    dataset=self.dataset.id,
                    number=number,
                    file=path.name,
                    rows=rows,
                    cursor=cursor,
                    detail=part.detail,
                )
            )
        boundary(f"{self.dataset.kind.value}.part-committed")
        self._parts.append(part)
        return part

    def add_table(
        self,
        rows: pa.Table,
        *,
        number: int | None = None,
        cursor: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Part:
        """`add` for Arrow rows in memory."""
        return self.add(lambda path: write_table(rows, path), number=number, cursor=cursor, detail=detail)

    def complete(self, detail: Mapping[str, Any] | None = None) -> Dataset:
        """Make this the current dataset of its kind and name, in one transaction with the retirement of the one before."""
        return self._store._complete(self, dict(detail or {}), self._started)


class Store:
    """All datasets of a project: files under `root`, truth in the ledger."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root = root
        self.ledger = ledger

    def folder(self, kind: Kind, name: str, dataset_id: str) -> Path:
        """Where a dataset's files live."""
        return self.root / kind.value / _safe(name) / dataset_id

    def current(self, kind: Kind, name: str) -> Dataset | None:
        """The complete dataset that stands for `name` now, or None."""
        return self._find(kind, name, "complete")

    def need(self, kind: Kind, name: str, *, made_by: str) -> Dataset:
        """`current`, or a `FatalError` that says which command makes it."""
        found = self.current(kind, name)
        if found is None:
            raise FatalError(
                f"there is no {kind.value} data for {name!r} yet", hint=f"run: migrator {made_by}"
            )
        return found

    def is_current(self, kind: Kind, name: str, fingerprint: str) -> bool:
        """Whether the current dataset was made from exactly these inputs and its files are still there."""
        found = self.current(kind, name)
        return (
            found is not None
            and found.fingerprint == fingerprint
            and all(part.path.exists() for part in found.parts)
        )

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names that have a complete dataset of this kind, sorted."""
        query = sa.select(tables.datasets.c.name).where(
            tables.datasets.c.kind == kind.value, tables.datasets.c.state == "complete"
        )
        with self.ledger.begin() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def build(self, kind: Kind, name: str, fingerprint: str, *, resume: bool = False) -> Building:
        """Begin a dataset, or go on with an unfinished one of the same inputs when `resume`."""
        unfinished = self._find(kind, name, "building")
        if unfinished is not None:
            if (
                resume
                and unfinished.fingerprint == fingerprint
                and all(part.path.exists() for part in unfinished.parts)
            ):
                return Building(self, unfinished)
            self._drop(unfinished)
        dataset = Dataset(new_id(), kind, name, fingerprint, 0, {}, ())
        with self.ledger.begin() as connection:
            connection.execute(
                tables.datasets.insert().values(
                    id=dataset.id, kind=kind.value, name=name, fingerprint=fingerprint, state="building", rows=0,
                    detail={}, run=self.ledger.run, seconds=0.0, created_at=self.ledger.clock.now(),
                )
            )  # fmt: skip
        boundary(f"{kind.value}.begun")
        return Building(self, dataset)

    def discard(self, kind: Kind, name: str) -> None:
        """Retire the current dataset, if there is one (its inputs are gone or its effect was undone)."""
        found = self.current(kind, name)
        if found is not None:
            self._drop(found)

    def sweep(self) -> int:
        """Remove files that the ledger does not vouch for; returns how many folders went. Call under the lease."""
        with self.ledger.begin() as connection:
            known = set(connection.execute(sa.select(tables.datasets.c.id)).scalars())
        removed = 0
        for folder in self.root.glob("*/*/*"):
            if folder.is_dir() and folder.name not in known and folder.parent.parent.name in _KINDS:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        return removed

    def _find(self, kind: Kind, name: str, state: str) -> Dataset | None:
        table = tables.datasets
        query = (
            sa.select(table)
            .where(table.c.kind == kind.value, table.c.name == name, table.c.state == state)
            .order_by(table.c.created_at.desc())
            .limit(1)
        )
        with self.ledger.begin() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            listed = connection.execute(
                sa.select(tables.parts)
                .where(tables.parts.c.dataset == row.id)
                .order_by(tables.parts.c.number)
            ).all()
        folder = self.folder(kind, name, row.id)
        return Dataset(
            row.id, kind, name, row.fingerprint, row.rows, row.detail or {},
            tuple(Part(p.number, folder / p.file, p.rows, p.cursor, p.detail or {}) for p in listed), row.seconds,
        )  # fmt: skip

    def _complete(self, building: Building, detail: dict[str, Any], started: float) -> Dataset:
        dataset, table, clock = building.dataset, tables.datasets, self.ledger.clock
        if not building.parts:
            raise ValueError(
                f"{dataset.kind.value}/{dataset.name}: a dataset needs at least one part, if need be an empty one"
            )
        seconds = clock.monotonic() - started
        before = self.current(dataset.kind, dataset.name)
        boundary(f"{dataset.kind.value}.completing")
        with self.ledger.begin() as connection:
            if before is not None:
                _delete_rows(connection, before.id)
            connection.execute(
                table.update()
                .where(table.c.id == dataset.id)
                .values(
                    state="complete",
                    rows=building.rows,
                    detail=detail,
                    seconds=seconds,
                    completed_at=clock.now(),
                )
            )
        boundary(f"{dataset.kind.value}.completed")
        if before is not None:
            shutil.rmtree(self.folder(before.kind, before.name, before.id), ignore_errors=True)
        return Dataset(
            dataset.id,
            dataset.kind,
            dataset.name,
            dataset.fingerprint,
            building.rows,
            detail,
            building.parts,
            seconds,
        )

    def _drop(self, dataset: Dataset) -> None:
        with self.ledger.begin() as connection:
            _delete_rows(connection, dataset.id)
        shutil.rmtree(self.folder(dataset.kind, dataset.name, dataset.id), ignore_errors=True)


def write_table(rows: pa.Table, path: Path) -> int:
    """Write Arrow rows to one durable Parquet file, whole or not at all; returns the number of rows."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        pq.write_table(rows, temporary, compression="zstd")
        flush_and_rename(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FatalError(
            f"cannot write {path}: {error}", hint="is the disk full, or the project folder read-only?"
        ) from error
    return int(rows.num_rows)


def _delete_rows(connection: sa.Connection, dataset_id: str) -> None:
    connection.execute(tables.parts.delete().where(tables.parts.c.dataset == dataset_id))
    connection.execute(tables.datasets.delete().where(tables.datasets.c.id == dataset_id))


def _safe(name: str) -> str:
    """A folder name for any object name; readable, and distinct names stay distinct."""
    return (
        "".join(char if char.isalnum() or char in "-_" else f"%{ord(char):02x}" for char in name)[:150] or "%"
    )


_KINDS = frozenset(kind.value for kind in Kind)


def list_files(datasets: Sequence[Dataset]) -> tuple[Path, ...]:
    """Files of several datasets, in order."""
    return tuple(path for dataset in datasets for path in dataset.files)
