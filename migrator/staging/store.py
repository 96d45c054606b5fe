"""Immutable Parquet datasets under one folder, each vouched for by the ledger and named by the fingerprint of its inputs.

A step asks whether a dataset for its inputs is already complete; if so there is nothing to do, which is what makes
every step restartable and a rerun idle. Otherwise it builds one: files are written under a temporary name, made
durable, renamed, put into the place that machines share where there is one, and only then entered in the ledger. A crash
leaves files nobody vouches for; `sweep` removes them, there as here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from migrator.core.boundary import boundary
from migrator.core.clock import new_id
from migrator.core.errors import ConnectorError, FatalError, SafetyStop
from migrator.staging import ledger_tables as tables
from migrator.staging.depot import ONLY_HERE, Depot, Files
from migrator.staging.engine import Session, flush_and_rename, part_file
from migrator.staging.ledger import Ledger

ROW_GROUP = 100_000
"""Rows a group of a Parquet file holds: what the engine reads at once per thread."""


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
    PAIRS = "pairs"
    """Name of the mapping: pairs of records that may be one, with reasons, automatic or for a person to decide."""
    FEATURES = "features"
    """Name of the mapping: what the model compares of each record, and the model itself, for the next run."""
    EDGES = "edges"
    """Name of the mapping: all pairs that were found, for the next run."""
    GOLDEN = "golden"
    """Name of the mapping: surviving rows of clusters after survivorship, same columns as MAPPED."""
    DONORS = "donors"
    """Name of the mapping: which member gave each value of a golden row, and which values were given up."""
    MERGED = "merged"
    """Name of the mapping: every record that was ever merged into another, and which one stands for it."""
    PLAN = "plan"
    """Name of the mapping: what is to be done with every row that may move."""
    OUTBOUND = "outbound"
    """Name of the mapping: the rows to send, references resolved to target ids, in batch order."""
    OUTCOMES = "outcomes"
    """Name of the mapping: one part per settled batch, crosswalk rows; folded into CROSSWALK at the end."""
    LINKS = "links"
    """Name of the mapping: one part per settled batch of the second pass (deferred references, values after a first one)."""
    CROSSWALK = "crosswalk"
    """Name of the mapping: the last outcome of every record ever sent."""
    INTENTS = "intents"
    """Name 'PASS:MAPPING': one part per batch about to be sent, what each record was in the target and what it becomes."""
    DOUBTS = "doubts"
    """Name 'PASS:MAPPING': intents of a killed load whose answer never came; they outlive it until an answer does."""
    HISTORY = "history"
    """Name 'PASS:MAPPING@ID': intents that were carried out, kept for the way back."""
    ANSWERS = "answers"
    """Name 'PASS:MAPPING@ID': the outcome of each intent in HISTORY, and its crosswalk row from before."""
    UNDOING = "undoing"
    """Name 'MAPPING@RUN': one part per batch of a rollback about to be sent."""
    UNDONE = "undone"
    """Name 'MAPPING@RUN': what a rollback did to each record."""
    HELD = "held"
    """Name of the mapping: since when each complaint about a record is known, and how often it was found."""
    WAIVED = "waived"
    """Name of the mapping: which complaints each decision to leave records behind is about."""
    CHOSEN = "chosen"
    """Name of the mapping: the records that a retry is about, while it runs."""
    READBACK = "readback"
    """Name of the mapping: the target's rows as read back by validation."""
    RECONCILE = "reconcile"
    """Name of the mapping: differences found between plan and read-back."""
    FUNCTIONS = "functions"
    """Name of the system: what it does besides holding data, one row a component, as last scanned."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a dataset, in order; `cursor` is where the source goes on after it."""

    number: int
    place: Path
    """Where its file belongs on this machine."""
    rows: int
    cursor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    bytes: int = 0
    """Size of its file, by which a cut or lost one is noticed."""
    depot: Depot = field(default=ONLY_HERE, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """Its file, brought to this machine if need be."""
        self.depot.bring([self])
        return self.place

    @property
    def is_here(self) -> bool:
        """Whether its file is on this machine with the size it was committed with."""
        try:
            return self.place.stat().st_size == self.bytes
        except OSError:
            return False


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
    created_at: datetime | None = None
    depot: Depot = field(default=ONLY_HERE, compare=False, repr=False)
    """Where its files are kept besides this machine."""

    @property
    def files(self) -> Files:
        """Its Parquet files that hold rows, in order; brought to this machine as they are read."""
        return self.files_of(part for part in self.parts if part.rows)

    def files_of(self, parts: Iterable[Part]) -> Files:
        """The files of some of its parts, brought to this machine as they are read."""
        return Files(tuple(parts), self.depot)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(part.bytes for part in self.parts)

    def schema(self) -> pa.Schema:
        """The Arrow schema of its files; every dataset has at least one part, if need be an empty one."""
        first = self.parts[0]
        try:
            with first.place.open("rb") if first.is_here else self.depot.open(first.place) as stream:
                return pq.read_schema(stream)
        except (OSError, pa.ArrowInvalid) as error:
            raise FatalError(
                f"the {self.kind.value} data of {self.name!r} cannot be read: {error}", hint=self._mend
            ) from error

    @property
    def _mend(self) -> str:
        path = self.parts[0].place
        if self.kind is Kind.CROSSWALK:
            return (
                f"it remembers what was loaded: put {path} back from a backup; without one, move .migrator away and"
                " run everything again: records are matched by their external keys"
            )
        return f"delete {path} and run again: it is then made anew"

    @property
    def intact(self) -> bool:
        """Whether all its files are there, whole: here, or in the place that machines share."""
        missing = [part for part in self.parts if not part.is_here]
        if not missing:
            return True
        kept = self.depot.sizes(missing[0].place.parent)
        return all(kept.get(part.place.name) == part.bytes for part in missing)


class Building:
    """A dataset under construction; parts already committed survive a crash and are found again by the next attempt."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        self.dataset = dataset
        self._parts = {part.number: part for part in dataset.parts}
        self._replaced: dict[int, Part] = {}
        self._started = store.ledger.clock.monotonic()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts so far in order of their numbers, earlier attempts and replacements included."""
        return tuple(part for _, part in sorted((self._parts | self._replaced).items()))

    def files_of(self, parts: Iterable[Part]) -> Files:
        """The files of some of `parts`, brought to this machine as they are read."""
        return Files(tuple(parts), self._store.depot)

    @property
    def superseded(self) -> tuple[Part, ...]:
        """Committed parts in whose place another version stands."""
        return tuple(self._parts[number] for number in sorted(self._replaced.keys() & self._parts.keys()))

    @property
    def rows(self) -> int:
        """Rows in `parts`."""
        return sum(part.rows for part in self.parts)

    @property
    def folder(self) -> Path:
        """Where its files live; what else is put here goes when the dataset completes."""
        return self._store.folder(self.dataset.kind, self.dataset.name, self.dataset.id)

    def add(
        self,
        write: Callable[[Path], int],
        *,
        number: int | None = None,
        cursor: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Part:
        """Write one part and commit it: `write` gets a path, leaves a finished Parquet file there, returns its rows.

        `number` is by default the one after the last; a number that is already committed is a bug of the caller.
        """
        number = max(self._parts, default=-1) + 1 if number is None else number
        if number in self._parts:
            raise ValueError(
                f"{self.dataset.kind.value}/{self.dataset.name}: part {number} is committed already"
            )
        kind = self.dataset.kind.value
        boundary(f"{kind}.part-begun")
        part = self._write(write, part_file(number), number, cursor, detail)
        self._store.depot.put(part.place)
        boundary(f"{kind}.part-written")
        self._commit([part])
        boundary(f"{kind}.part-committed")
        return part

    def add_query(self, session: Session, sql: str) -> tuple[Part, ...]:
        """The rows of a query as the parts of a dataset that has none yet, written by the engine and committed together."""
        if self._parts:
            raise ValueError(f"{self.dataset.kind.value}/{self.dataset.name}: there are parts already")
        kind = self.dataset.kind.value
        boundary(f"{kind}.part-begun")
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            files = session.write_parts(sql, self.folder)
            kept = self._store.depot.sizes(self.folder)
            parts = tuple(self._keep(number, path, kept) for number, path in enumerate(files))
        boundary(f"{kind}.part-written")
        self._commit(parts)
        boundary(f"{kind}.part-committed")
        return parts

    def _keep(self, number: int, written: Path, kept: Mapping[str, int]) -> Part:
        """What an engine wrote, under its name for good; what a cluster put where machines share stays where it is."""
        depot = self._store.depot
        if written.name in kept:
            depot.settle(written)
            with depot.open(written) as stream:
                rows = pq.read_metadata(stream).num_rows
            return Part(number, written, rows, bytes=kept[written.name], depot=depot)
        path = written.with_name(depot.named(written.name))
        if path != written:
            flush_and_rename(written, path)
        depot.put(path)
        rows = pq.read_metadata(path).num_rows
        return Part(number, path, rows, bytes=path.stat().st_size, depot=depot)

    def _commit(self, parts: Sequence[Part]) -> None:
        with self._store.ledger.begin() as connection:
            self._store.ledger.check_fence(connection)
            for part in parts:
                connection.execute(
                    tables.parts.insert().values(
                        dataset=self.dataset.id, number=part.number, file=part.place.name, rows=part.rows,
                        bytes=part.bytes, cursor=part.cursor, detail=part.detail,
                    )
                )  # fmt: skip
        self._parts |= {part.number: part for part in parts}

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

    def replace(self, number: int, write: Callable[[Path], int]) -> Part:
        """Write another version of a committed part; it takes the old one's place when the dataset completes.

        A crash before that leaves the part as it was committed, so whoever replaces must be able to do it again.
        """
        old = (self._parts | self._replaced)[number]
        part = self._write(write, version_after(old.place.name), number, old.cursor, old.detail)
        self._store.depot.put(part.place)
        boundary(f"{self.dataset.kind.value}.part-replaced")
        if number in self._replaced:
            self._store.remove(old)
        self._replaced[number] = part
        return part

    def truncate(self, number: int) -> None:
        """Take back all parts from `number` on: what they held is to be written again."""
        gone = [part for part in self._parts.values() if part.number >= number]
        if not gone:
            return
        with self._store.ledger.begin() as connection:
            self._store.ledger.check_fence(connection)
            connection.execute(
                tables.parts.delete().where(
                    tables.parts.c.dataset == self.dataset.id, tables.parts.c.number >= number
                )
            )
        boundary(f"{self.dataset.kind.value}.truncated")
        for part in gone:
            self._store.remove(part)
            del self._parts[part.number]
            self._replaced.pop(part.number, None)

    def complete(self, detail: Mapping[str, Any] | None = None, *, fingerprint: str | None = None) -> Dataset:
        """Make this the current dataset of its kind and name, in one transaction with the retirement of the one before.

        `fingerprint`, when given, takes the place of the one it was built under (a live source's content is only
        known now).
        """
        return self._store.complete_all([Finished(self, dict(detail or {}), fingerprint)])[0]

    def _write(
        self,
        write: Callable[[Path], int],
        file: str,
        number: int,
        cursor: str | None,
        detail: Mapping[str, Any] | None,
    ) -> Part:
        path = self.folder / self._store.depot.named(file)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = write(path)
            size = path.stat().st_size
        return Part(number, path, rows, cursor, dict(detail or {}), size, self._store.depot)


@dataclass(frozen=True, slots=True)
class Finished:
    """A building whose parts are all there, with what is to be known of it."""

    building: Building
    detail: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    """Takes the place of the one it was built under, when given."""


class Store:
    """All datasets of a project: files under `root`, and in the `depot` that machines share; truth in the ledger."""

    def __init__(self, root: Path, ledger: Ledger, depot: Depot = ONLY_HERE) -> None:
        self.root = root
        self.ledger = ledger
        self.depot = depot
        self._claimed = False

    def folder(self, kind: Kind, name: str, dataset_id: str) -> Path:
        """Where a dataset's files live."""
        return self.root / kind.value / _safe(name) / dataset_id

    def current(self, kind: Kind, name: str) -> Dataset | None:
        """The complete dataset that stands for `name` now, or None."""
        return self._find(kind, name, "complete")

    def unfinished(self, kind: Kind, name: str) -> Dataset | None:
        """The dataset that a killed step left half built, with the parts that were committed; or None."""
        return self._find(kind, name, "building")

    def need(self, kind: Kind, name: str, *, made_by: str) -> Dataset:
        """`current`, or a `FatalError` that says which command makes it."""
        found = self.current(kind, name)
        if found is None:
            raise FatalError(
                f"there is no {kind.value} data for {name!r} yet", hint=f"run: migrator {made_by}"
            )
        if not found.intact:
            raise FatalError(
                f"files of the {kind.value} data of {name!r} are missing or damaged in {found.parts[0].place.parent}",
                hint=f"put them back, or make them again: migrator {made_by}",
            )
        return found

    def is_current(self, kind: Kind, name: str, fingerprint: str) -> bool:
        """Whether the current dataset was made from exactly these inputs and its files are still there, whole."""
        found = self.current(kind, name)
        return found is not None and found.fingerprint == fingerprint and found.intact

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names that have a complete dataset of this kind, sorted."""
        query = sa.select(tables.datasets.c.name).where(
            tables.datasets.c.kind == kind.value, tables.datasets.c.state == "complete"
        )
        with self.ledger.read() as connection:
            return tuple(sorted(set(connection.execute(query).scalars())))

    def written(self, kinds: Sequence[Kind], since: datetime) -> tuple[int, int]:
        """Datasets of these kinds that were begun since then and are complete: how many, and the bytes of their files."""
        table = tables.datasets
        query = (
            sa.select(sa.func.count(table.c.id.distinct()), sa.func.coalesce(sa.func.sum(tables.parts.c.bytes), 0))
            .join(tables.parts, tables.parts.c.dataset == table.c.id)
            .where(table.c.kind.in_([kind.value for kind in kinds]), table.c.state == "complete", table.c.created_at >= since)
        )  # fmt: skip
        with self.ledger.read() as connection:
            made, size = connection.execute(query).one()
        return int(made), int(size)

    def build(self, kind: Kind, name: str, fingerprint: str, *, resume: bool = False) -> Building:
        """Begin a dataset, or go on with an unfinished one of the same inputs when `resume`.

        Any other unfinished one of this kind and name is dropped.
        """
        self._claim()
        kept = None
        for unfinished in self._find_all(kind, name, "building"):
            fits = unfinished.fingerprint == fingerprint and unfinished.intact
            if resume and fits and kept is None:
                kept = unfinished
            else:
                self._drop(unfinished)
        return Building(self, kept or self._begin(kind, name, fingerprint))

    def _begin(self, kind: Kind, name: str, fingerprint: str) -> Dataset:
        now = self.ledger.clock.now()
        dataset = Dataset(new_id(), kind, name, fingerprint, 0, {}, (), created_at=now, depot=self.depot)
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            connection.execute(
                tables.datasets.insert().values(
                    id=dataset.id, kind=kind.value, name=name, fingerprint=fingerprint, state="building", rows=0,
                    detail={}, run=self.ledger.run, seconds=0.0, created_at=now,
                )
            )  # fmt: skip
        boundary(f"{kind.value}.begun")
        return dataset

    def discard(self, kind: Kind, name: str) -> None:
        """Retire the current dataset, if there is one (its inputs are gone or its effect was undone)."""
        found = self.current(kind, name)
        if found is not None:
            self._drop(found)

    def discard_unfinished(self, kind: Kind, name: str) -> None:
        """Throw away what was begun and not completed, its committed parts included."""
        for found in self._find_all(kind, name, "building"):
            self._drop(found)

    def sweep(self) -> int:
        """Remove files that the ledger does not vouch for; returns how many folders went. Call under the lease.

        Raises `SafetyStop` when the folder belongs to another ledger: then nothing here is anybody's waste.
        """
        self._claim()
        with self.ledger.read() as connection:
            known: dict[str, set[str]] = {
                dataset: set() for dataset in connection.execute(sa.select(tables.datasets.c.id)).scalars()
            }
            for dataset, file in connection.execute(sa.select(tables.parts.c.dataset, tables.parts.c.file)):
                known.setdefault(dataset, set()).add(file)
        self.depot.sweep(known)
        removed = 0
        for folder in self.root.glob("*/*/*"):
            if not folder.is_dir() or folder.parent.parent.name not in _KINDS:
                continue
            if folder.name in known:
                _tidy(folder, known[folder.name])
            else:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        return removed

    def free(self) -> list[int]:
        """Remove files of this machine that the depot has with the same size; returns the bytes of each. Call under the lease."""
        gone = []
        for dataset in self.all():
            here = [part for part in dataset.parts if part.is_here]
            kept = self.depot.sizes(here[0].place.parent) if here else {}
            for part in here:
                if kept.get(part.place.name) == part.bytes:
                    part.place.unlink()
                    gone.append(part.bytes)
        return gone

    def complete_all(self, finished: Sequence[Finished]) -> tuple[Dataset, ...]:
        """`Building.complete` for several datasets in one transaction: all become current, or none does."""
        datasets = tuple(self._final(item) for item in finished)
        boundary(f"{datasets[0].kind.value}.completing")
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            retired = [one for dataset in datasets for one in self._enter(connection, dataset)]
        boundary(f"{datasets[0].kind.value}.completed")
        for folder in retired:
            self._remove_folder(folder)
        for item, dataset in zip(finished, datasets, strict=True):
            for old in item.building.superseded:
                self.remove(old)
            _tidy(
                self.folder(dataset.kind, dataset.name, dataset.id),
                {part.place.name for part in dataset.parts},
            )
        return datasets

    def remove(self, part: Part) -> None:
        """Remove the file of a part that nobody vouches for any more; one that stays where it is, `sweep` takes."""
        part.place.unlink(missing_ok=True)
        with suppress(ConnectorError):
            self.depot.delete(part.place)

    def _remove_folder(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(ConnectorError):  # `sweep` takes what cannot be reached now
            self.depot.delete(folder)

    def _final(self, item: Finished) -> Dataset:
        """The dataset as it will stand once committed."""
        dataset, parts = item.building.dataset, item.building.parts
        if not parts:
            raise ValueError(
                f"{dataset.kind.value}/{dataset.name}: a dataset needs at least one part, if need be an empty one"
            )
        return replace(
            dataset,
            fingerprint=item.fingerprint or dataset.fingerprint,
            rows=item.building.rows,
            detail=dict(item.detail),
            parts=parts,
            seconds=self.ledger.clock.monotonic() - item.building._started,
        )

    def _enter(self, connection: sa.Connection, dataset: Dataset) -> list[Path]:
        """Enter a complete dataset in place of the one before; returns the folders nobody vouches for any more."""
        table = tables.datasets
        before = connection.execute(
            sa.select(table.c.id).where(
                table.c.kind == dataset.kind.value, table.c.name == dataset.name, table.c.state == "complete"
            )
        ).scalars().all()  # fmt: skip
        for old in before:
            _delete_rows(connection, old)
        entered = connection.execute(
            table.update()
            .where(table.c.id == dataset.id, table.c.state == "building")
            .values(
                state="complete", fingerprint=dataset.fingerprint, rows=dataset.rows, detail=dataset.detail,
                seconds=dataset.seconds, run=self.ledger.run, completed_at=self.ledger.clock.now(),
            )
        )  # fmt: skip
        if entered.rowcount != 1:
            raise SafetyStop(
                f"the unfinished {dataset.kind.value} data of {dataset.name!r} was dropped by another command",
                hint="let only one command at a time work on a project, then run again",
            )
        for part in dataset.parts:
            connection.execute(
                tables.parts.update()
                .where(tables.parts.c.dataset == dataset.id, tables.parts.c.number == part.number)
                .where(tables.parts.c.file != part.place.name)
                .values(file=part.place.name, rows=part.rows, bytes=part.bytes)
            )
        return [self.folder(dataset.kind, dataset.name, old) for old in before]

    def _find(self, kind: Kind, name: str, state: str) -> Dataset | None:
        return next(iter(self._find_all(kind, name, state)), None)

    def _find_all(self, kind: Kind, name: str, state: str) -> list[Dataset]:
        """Datasets in one state, newest first."""
        table = tables.datasets
        query = (
            sa.select(table)
            .where(table.c.kind == kind.value, table.c.name == name, table.c.state == state)
            .order_by(table.c.created_at.desc(), table.c.id)
        )
        with self.ledger.read() as connection:
            return [self._load(connection, kind, row) for row in connection.execute(query).all()]

    def _load(self, connection: sa.Connection, kind: Kind, row: sa.Row[Any]) -> Dataset:
        listed = connection.execute(
            sa.select(tables.parts).where(tables.parts.c.dataset == row.id).order_by(tables.parts.c.number)
        ).all()
        return self._dataset(kind, row, listed)

    def all(self) -> Iterator[Dataset]:
        """All that the ledger vouches for, begun ones too."""
        table = tables.datasets
        with self.ledger.read() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.kind, table.c.name, table.c.id)).all()
            parts = connection.execute(sa.select(tables.parts).order_by(tables.parts.c.number)).all()
        mine: dict[str, list[sa.Row[Any]]] = {}
        for part in parts:
            mine.setdefault(part.dataset, []).append(part)
        for row in rows:
            if row.kind in _KINDS:
                yield self._dataset(Kind(row.kind), row, mine.get(row.id, []))

    def _dataset(self, kind: Kind, row: sa.Row[Any], listed: Iterable[sa.Row[Any]]) -> Dataset:
        folder = self.folder(kind, row.name, row.id)
        parts = tuple(
            Part(part.number, folder / part.file, part.rows, part.cursor, part.detail or {}, part.bytes, self.depot)
            for part in listed
        )  # fmt: skip
        return Dataset(
            row.id, kind, row.name, row.fingerprint, row.rows, row.detail or {}, parts, row.seconds, row.created_at,
            self.depot,
        )  # fmt: skip

    def _claim(self) -> None:
        """Make sure that this folder is our ledger's: with another one, everything here would look like waste."""
        if self._claimed:
            return
        mark, identity = self.root / ".ledger", self.ledger.identity
        with writing(mark):
            self.root.mkdir(parents=True, exist_ok=True)
            if not mark.exists():
                temporary = mark.with_name(f".ledger.{new_id()}")
                temporary.write_text(identity, encoding="ascii")
                flush_and_rename(temporary, mark)
            owner = mark.read_text(encoding="ascii", errors="replace").strip()
        if owner != identity:
            raise SafetyStop(
                f"the staged data in {self.root} belongs to another ledger",
                hint="set `ledger` in migration.yaml back to the database it was made with, or start a new project folder",
            )
        self.depot.claim(identity, lambda: [part for dataset in self.all() for part in dataset.parts])
        self._claimed = True

    def _drop(self, dataset: Dataset) -> None:
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            _delete_rows(connection, dataset.id)
        self._remove_folder(self.folder(dataset.kind, dataset.name, dataset.id))


def write_table(rows: pa.Table, path: Path) -> int:
    """Write Arrow rows to one durable Parquet file, whole or not at all; returns the number of rows."""
    temporary = path.with_name(f".{path.name}.writing")
    with writing(path, temporary):
        pq.write_table(rows, temporary, compression="zstd", row_group_size=ROW_GROUP)
        flush_and_rename(temporary, path)
    return int(rows.num_rows)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn trouble with the disk into `FatalError`, and give the room of an unfinished file back."""
    try:
        yield
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise FatalError(
            f"cannot write {path}: {error}", hint="is the disk full, or the project folder read-only?"
        ) from error


def version_after(file: str) -> str:
    """'part-000000.parquet' → 'part-000000.1.parquet', and so on; what a depot added to the name is not part of it."""
    name = file.removesuffix(".parquet").partition("~")[0]
    found = re.fullmatch(r"(.*)\.(\d+)", name)
    return f"{found[1]}.{int(found[2]) + 1}.parquet" if found else f"{name}.1.parquet"


def _delete_rows(connection: sa.Connection, dataset_id: str) -> None:
    connection.execute(tables.parts.delete().where(tables.parts.c.dataset == dataset_id))
    connection.execute(tables.datasets.delete().where(tables.datasets.c.id == dataset_id))


def _safe(name: str) -> str:
    """A folder name for any object name; readable, within 255 bytes, and distinct names stay distinct."""
    text = "".join(
        char
        if char.isalnum() or char in "-_"
        else "".join(f"%{byte:02x}" for byte in char.encode(errors="replace"))
        for char in name
    )
    if len(text.encode()) <= 150:
        return text or "%"
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:12]
    return text.encode()[:120].decode(errors="ignore") + f"%{digest}"


def _tidy(folder: Path, parts: Set[str]) -> None:
    """Remove what is not a part of a dataset: replaced parts, scratch files, leftovers of killed attempts."""
    if not folder.is_dir():  # all its parts were made on another machine
        return
    for path in folder.iterdir():
        if path.name not in parts and path.is_file():
            with suppress(OSError):
                path.unlink()


_KINDS = frozenset(kind.value for kind in Kind)
