"""The real sync in the simulated world: its ledger on an SQLite file, opened anew after every death."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from migrator.core.boundary import observed
from migrator.core.errors import MigratorError
from migrator.core.twoway import Side, Which
from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger, open_ledger
from migrator.sync.carry import StoredCrosswalk
from migrator.sync.guard import RESTORED, accept_restored
from migrator.sync.run import Run, run_once
from migrator.sync.state import Changes, MemberRow, Part
from migrator.sync.store import SyncStore
from migrator.sync.values import row_fingerprints
from migrator.sync.work import Settings as SyncSettings
from migrator.sync.work import Strategy
from migrator.testing.simulation.books import Books
from migrator.testing.simulation.halfyear import MakeSync, Result
from migrator.testing.simulation.shape import NEW, OLD, SHAPES, SOURCE
from migrator.testing.simulation.side import SimSide
from migrator.testing.simulation.translate import TableTranslator
from migrator.testing.simulation.world import World

MEMORY = Path("/dev/shm")  # noqa: S108 (a store on a disk costs ten times as long, and proves nothing more)


_LEFT_ALONE: list[object] = []
"""What a copy of a process must not close."""


def _refuse() -> Any:
    raise sqlite3.OperationalError("the process is dead")


_OUT_OF_REACH = sa.create_engine("sqlite://", creator=_refuse)


@dataclass(frozen=True, slots=True)
class Parts:
    """What of the sync a mutant may give another way."""

    side: Callable[[SimSide], Side] = lambda side: side
    store: Callable[[Ledger], SyncStore] = SyncStore
    strategy: Strategy = field(default_factory=Strategy)
    settings: SyncSettings = field(default_factory=SyncSettings)
    crosswalk: Callable[[SyncStore], Any] = StoredCrosswalk


class Engine:
    """See `migrator.testing.simulation.halfyear.Sync`."""

    def __init__(
        self, world: World, sides: Mapping[str, SimSide], point: Callable[[str], None], parts: Parts
    ) -> None:
        self._world, self._sides, self._point, self._parts = world, sides, point, parts
        self._folder = self._new_folder()
        self._runs = 0
        self._open()
        self.witness = Books(self._ledger)
        with self._ledger.lease():
            self._store.open()
            self._link_what_was_loaded()
        self.back_up()

    def close(self) -> None:
        """Remove the store."""
        self._ledger.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *, full: bool) -> Result:
        """One run, as the command does it."""
        with observed(self._point):
            return self._run(self._ledger, self._store, full=full)

    def rival(self) -> None:
        """See `Sync`."""
        ledger = open_ledger(f"sqlite:///{self._file}", self._world.clock)
        self._run(ledger, self._parts.store(ledger), full=False)
        ledger.close()

    def _run(self, ledger: Ledger, store: SyncStore, *, full: bool) -> Result:
        self._runs += 1
        with ExitStack() as stack:
            try:
                stack.enter_context(ledger.lease())
                ledger.run = f"run{self._runs:06d}"
                report = run_once(self._wiring(store), full=full)
            except MigratorError as error:
                return Result(False, str(error))
        return Result(report.exit_code == 0, ", ".join(cause.code for cause in report.causes))

    def _wiring(self, store: SyncStore) -> Run:
        sides: dict[str, Side] = {name: self._parts.side(side) for name, side in self._sides.items()}
        translator = TableTranslator(self._parts.crosswalk(store))
        return Run(store, translator, sides, self._parts.settings, self._parts.strategy, chance=lambda: 0.5)

    # ---- death and its kin

    def die(self) -> None:
        """Whatever the dying process still does on its way out, the store does not hear of it."""
        self._ledger.engine.dispose()
        self._ledger.engine = _OUT_OF_REACH

    def crash(self) -> None:
        """Begin with what is committed."""
        self._open()
        self.witness.ledger = self._ledger

    def image(self) -> bytes:
        """See `migrator.testing.simulation.twins.Store`."""
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.serialize()

    def move(self, image: bytes) -> None:
        """The old store's connections belong to the process this one was copied from: they are neither used nor closed."""
        _LEFT_ALONE.append((self._ledger, self._ledger.engine, self._ledger.engine.pool))
        self._ledger.engine = _OUT_OF_REACH
        self._folder, before = self._new_folder(), self._folder
        self._file.write_bytes(image)
        backup = before / "backup.db"
        if backup.exists():
            shutil.copy(backup, self._folder / "backup.db")

    def back_up(self) -> None:
        """See `Sync`."""
        self._copy(self._file, self._folder / "backup.db")

    def restore(self) -> None:
        """See `Sync`."""
        self._put(self._folder / "backup.db")

    def operate(self) -> None:
        """A person lifts the brakes of last night, and lets a restored ledger write again, after a look at them."""
        now = self._world.clock.now()
        with self._ledger.begin() as connection:
            for row in connection.execute(sa.select(t.brakes)).mappings().all():
                connection.execute(
                    t.approvals.insert(),
                    [
                        {
                            "mapping": row["mapping"], "kind": row["kind"], "allowed": row["measured"] * 2,
                            "who": "operator", "second": "lead", "why": "looked at", "fingerprint": "simulated",
                            "at": now, "until": now + timedelta(days=3),
                        }
                    ],
                )  # fmt: skip
        if self._store.fact(RESTORED):
            with self._ledger.lease(), suppress(MigratorError):  # another morning, then
                accept_restored(self._store, self._sides.values())

    @staticmethod
    def _new_folder() -> Path:
        return Path(tempfile.mkdtemp(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None))

    @property
    def _file(self) -> Path:
        return self._folder / "ledger.db"

    def _copy(self, source: Path, target: Path) -> None:
        target.unlink(missing_ok=True)
        with sqlite3.connect(source) as one, sqlite3.connect(target) as two:
            one.backup(two)
        one.close()
        two.close()

    def _put(self, source: Path) -> None:
        self._ledger.close()
        for path in self._folder.glob("ledger.db*"):
            path.unlink()
        if source.exists():
            shutil.copy(source, self._file)
        self._open()
        self.witness.ledger = self._ledger

    def _open(self) -> None:
        self._ledger = open_ledger(f"sqlite:///{self._file}", self._world.clock)
        self._store = self._parts.store(self._ledger)

    def _link_what_was_loaded(self) -> None:
        """The crosswalk of the load, with bases as the systems hold the values now, automation settled."""
        changes, groups = Changes(), dict[str, int]()
        for name, old, new in self._world.links:
            leads = new not in groups
            grp = groups.setdefault(new, self._store.next_group() if leads else 0)
            changes.members.append(self._member(OLD, name, old, grp, leads=leads))
            if leads:
                changes.members.append(self._member(NEW, name, new, grp, leads=True))
        self._store.commit(Part.RESULT, changes)

    def _member(self, side: str, name: str, id_: str, grp: int, *, leads: bool) -> MemberRow:
        row = self._world.crms[side].rows[id_]
        shape = next(shape for shape in SHAPES if shape.name == name)
        fields = tuple(pair.name(side) for pair in shape.pairs)
        base = {field: row.values[field] for field in fields}
        stream = f"{name}/{SOURCE}" if side == OLD else name
        return MemberRow(
            stream, id_, Which(side), grp, leads=leads, version=self._sides[side].view.version(row), base=base,
            seen=row_fingerprints([base], fields)[0], since=-1,
        )  # fmt: skip


def engine_with(parts: Parts) -> MakeSync:
    """A way to make the sync with some parts given another way."""

    def make(world: World, sides: Mapping[str, SimSide], point: Callable[[str], None]) -> Engine:
        return Engine(world, sides, point, parts)

    return make


make_engine: MakeSync = engine_with(Parts())
"""The sync as it is."""
