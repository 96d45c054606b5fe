"""What all steps of one run share: store, streams, settings, terms, and the report they fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from migrator.core.clock import Clock
from migrator.core.retry import RetryPolicy
from migrator.core.translation import Translator
from migrator.core.twoway import Value, Which
from migrator.staging.erasures import Forgotten
from migrator.sync.decide import FieldDecision, Terms, decide
from migrator.sync.life import LifeDecision, decide_life
from migrator.sync.report import RunReport
from migrator.sync.state import DirtyRow, Key
from migrator.sync.store import SyncStore
from migrator.sync.streams import Scene, Scenes


@dataclass(frozen=True, slots=True)
class Limits:
    """When a brake stops the writes of one object for a run; floors keep small objects moving."""

    deletes_floor: int = 20
    deletes_share: float = 0.005
    change_floor: int = 20
    change_share: float = 0.05
    """Changed records beyond the trailing median, as a share of the object's records."""
    shrink_floor: int = 2
    shrink_share: float = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves; nothing here is read from data."""

    batch: int = 200
    """Groups that are worked through together: so many records a read, so many a write."""
    rounds: int = 3
    """How often a group is decided again within one run when it changed meanwhile."""
    attempts: int = 5
    """From so many failures on a record is in quarantine: it is tried daily, and stays on the list."""
    backoff: timedelta = timedelta(minutes=10)
    missing_alarm: int = 7
    """A record that was absent in so many runs is told in red."""
    scan_every: timedelta = timedelta(days=7)
    rotation: int = 0
    """Between two full comparisons so many days' parts are compared, one a day; 0: none."""
    limits: Limits = Limits()
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(attempts=3, first=1.0, longest=30.0, patience=60.0)
    )
    terms: Terms = field(default_factory=Terms)
    deletes: bool = True
    """False: no delete is carried out in this phase; proven ones wait."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """The pure decisions of a run, each a function that can be given another way: for rehearsals and for tests of tests."""

    fields: Callable[..., tuple[FieldDecision, ...]] = decide
    life: Callable[..., LifeDecision] = decide_life


@dataclass(slots=True)
class Work:
    """One run while it works."""

    store: SyncStore
    translator: Translator
    scenes: Scenes
    clock: Clock
    settings: Settings
    report: RunReport
    forgotten: Forgotten
    """Persons who were erased: no partner is ever made for them."""
    strategy: Strategy = field(default_factory=Strategy)
    resolved: Mapping[int, Mapping[str, tuple[str, Which]]] = field(default_factory=dict)
    """Group → field → digest of the conflict that a person decided, and the side that stands."""
    asked: frozenset[tuple[int, str, str]] = frozenset()
    """Questions about whole records that stand: group, name of the hold, digest."""
    terms: dict[str, Terms] = field(default_factory=dict)
    """Mapping → terms, with what drifted."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Mapping → why nothing of it is written in this run."""
    deletions: dict[str, dict[int, None]] = field(default_factory=dict)
    """Mapping → groups whose delete is proved and waits for the end of the run."""
    read_only: bool = False
    rebuilding: bool = False
    """The ledger was lost or restored: of a record without a partner nobody knows whether it is new or its partner was deleted."""
    listed: Mapping[str, datetime] = field(default_factory=dict)
    """System → when it was listed to rebuild a lost ledger, by its own clock."""
    waiting: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Group → fields whose links wait, as of the last look."""

    def look_at_waiting(self) -> None:
        """Read which links wait."""
        found: dict[int, tuple[str, ...]] = {}
        for row in self.store.deferred():
            found[row.grp] = (*found.get(row.grp, ()), row.field)
        self.waiting = found

    def terms_of(self, scene: Scene) -> Terms:
        """The terms of one mapping."""
        return self.terms.get(scene.mapping, self.settings.terms)

    def now(self) -> datetime:
        """The injected clock."""
        return self.clock.now()


def again_later(work: Work, key: Key, before: DirtyRow | None, code: str, message: str) -> DirtyRow:
    """A record that failed: it stays in the queue, one attempt older, and waits twice as long as the last time."""
    attempts = (before.attempts if before else 0) + 1
    settings = work.settings
    wait = timedelta(days=1) if attempts >= settings.attempts else settings.backoff * 2 ** (attempts - 1)
    since = before.since if before else work.now()
    why = before.why if before else "failed"
    return DirtyRow(*key, why, since, attempts, work.now() + wait, code, message[:500])


def soon(work: Work, key: Key, before: DirtyRow | None, why: str) -> DirtyRow:
    """A record that is to be decided again as soon as possible, which is no failure."""
    if before is not None:
        return DirtyRow(*key, before.why, before.since, before.attempts, None, before.code, before.message)
    return DirtyRow(*key, why, work.now())


def readable(values: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    """The named values of a record."""
    return {name: values[name] for name in names if name in values}
