"""One run of the two-way sync: settle, look at the schemas, pull both sides, look at holds again, work the queue, report.

Whoever calls it holds the lease of the ledger. A run may be killed anywhere and run again: everything is decided from facts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator.core.errors import ConnectorError, FatalError, MigratorError, RetryableError
from migrator.core.schema import ObjectSchema
from migrator.core.translation import Rule, Translator
from migrator.core.twoway import Side, Which
from migrator.staging.erasures import forgotten
from migrator.staging.sync_tables import reports
from migrator.sync import guard
from migrator.sync.added import note_added
from migrator.sync.batch import process
from migrator.sync.decide import Terms
from migrator.sync.meter import Allowance, BudgetSpent, Meter
from migrator.sync.pull import pull
from migrator.sync.report import RunReport, Status
from migrator.sync.rotation import rotate
from migrator.sync.settle import settle
from migrator.sync.state import Changes, HoldRow, Key, Part, Watermark
from migrator.sync.status import assess
from migrator.sync.store import SyncStore
from migrator.sync.streams import Scene, build_scenes
from migrator.sync.values import to_text
from migrator.sync.work import Settings, Strategy, Work, again_later

_WAITING = frozenset({"conflict", "members-differ", "too-close-to-call", "base-lost", "other-source"})
"""Holds that only a person, or an edit, can change: they are not looked at in every run."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is made of. `chance` is for waits only: no decision depends on it."""

    store: SyncStore
    translator: Translator
    sides: Mapping[str, Side]
    """System → side."""
    settings: Settings = field(default_factory=Settings)
    strategy: Strategy = field(default_factory=Strategy)
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    """System → requests that may be made; a system without one has no limit."""
    chance: Callable[[], float] = random.random
    terms: Mapping[str, Terms] = field(default_factory=dict)
    """Mapping → terms, where its phase asks for others than `settings`."""


def run_once(run: Run, *, full: bool = False) -> RunReport:
    """Do one run; `full`: compare every stream whole. Never raises for trouble of a system: the report says it.

    Raises `SafetyStop` when the lease was taken over, and whatever the ledger raises: without it nothing can be said.
    """
    work = _begin(run)
    try:
        _work(work, full=full)
    except BudgetSpent as error:
        _spent(work, error)
    except ConnectorError as error:
        _trouble(work, "", error)
    return _end(work)


def prepare(run: Run) -> Work:
    """What all steps of a run share; the lease is held."""
    store = run.store
    store.open()
    clock = store.ledger.clock
    meters = {
        system: Meter(side, run.allowances.get(system, Allowance()), clock, run.settings.retry, run.chance)
        for system, side in run.sides.items()
    }
    report = RunReport(store.ledger.run)
    scenes = build_scenes(run.translator, meters)
    return Work(
        store,
        run.translator,
        scenes,
        clock,
        run.settings,
        report,
        forgotten(store.ledger),
        run.strategy,
        terms=dict(run.terms),
    )


def _begin(run: Run) -> Work:
    work = prepare(run)
    store, report, clock = work.store, work.report, work.clock
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(reports.delete().where(reports.c.run == report.run))
        connection.execute(
            reports.insert(),
            [
                {
                    "run": report.run,
                    "started_at": clock.now(),
                    "finished_at": None,
                    "status": "running",
                    "report": "{}",
                }
            ],
        )
    return work


def _work(work: Work, *, full: bool) -> None:
    guard.check_marker(work)
    if work.read_only:
        guard.forget_bases(work.store)
        work.rebuilding = guard.is_forgotten(work.store)
        if work.rebuilding:
            guard.note_rebuilding(work)
        frozen = replace(work.settings.terms, frozen=frozenset(Which), policy=Rule.HOLD)
        work.terms = {scene.mapping: frozen for scene in work.scenes}
    guard.look_when_listed(work)
    guard.release_brakes(work.store)
    _settle(work)
    described = _describe(work)
    guard.check_drift(work, described)
    note_added(work, described)
    _pull(work, full=full)
    if not work.read_only:
        _brakes(work)
    work.resolved, work.asked = work.store.resolutions(), work.store.asked()
    for scene in work.scenes:
        _one(work, scene, lambda scene=scene: _mapping(work, scene))  # type: ignore[misc]  # called at once
    if work.read_only and not work.stopped:
        guard.note_rebuilt(work.store)
    _links(work)
    if work.settings.deletes and not work.read_only:
        for scene in reversed(work.scenes.scenes):
            _one(work, scene, lambda scene=scene: _deletes(work, scene))  # type: ignore[misc]


def _one(work: Work, scene: Scene, step: Callable[[], None]) -> None:
    """One step of one mapping: its trouble is its own, but for a budget that is used up or a ledger that does not answer."""
    if scene.mapping in work.stopped:
        return
    try:
        step()
    except BudgetSpent:
        raise
    except ConnectorError as error:
        work.stopped[scene.mapping] = error.message
        _trouble(work, scene.mapping, error)


def _settle(work: Work) -> None:
    if work.store.intents():
        for scene in work.scenes:
            _one(work, scene, lambda scene=scene: settle(work, scene))  # type: ignore[misc]


def _describe(work: Work) -> Mapping[str, Sequence[ObjectSchema]]:
    sides = {stream.system: stream.side for scene in work.scenes for stream in scene.streams}
    return {system: side.describe() for system, side in sides.items()}


def _pull(work: Work, *, full: bool) -> None:
    marks = work.store.watermarks()
    for scene in work.scenes:
        for stream in scene.streams:
            mark = marks.get(stream.name) or Watermark(stream.name)
            _one(
                work,
                scene,
                lambda scene=scene, stream=stream, mark=mark: pull(work, scene, stream, mark, full=full),  # type: ignore[misc]
            )
            if stream.name not in work.report.reconciled and not work.read_only:
                _one(
                    work,
                    scene,
                    lambda scene=scene, stream=stream, mark=mark: rotate(work, scene, stream, mark),  # type: ignore[misc]
                )


def _brakes(work: Work) -> None:
    marks = work.store.watermarks()
    for scene in work.scenes:
        if scene.mapping not in work.stopped:
            guard.check_changes(work, scene, marks)
            guard.check_shrinking(work, scene, marks)


def _mapping(work: Work, scene: Scene) -> None:
    """Everything that is due of one mapping, in batches, and again what moved meanwhile."""
    holds = _holds(work, scene)
    work.look_at_waiting()
    keys = [row.key for row in work.store.queue([stream.name for stream in scene.streams], work.now())]
    keys += _held_keys(work, holds)
    for _ in range(work.settings.rounds):
        keys = _round(work, scene, keys, holds)
        if not keys:
            return
        holds = _holds(work, scene)


def _holds(work: Work, scene: Scene) -> dict[int, dict[str, HoldRow]]:
    found: dict[int, dict[str, HoldRow]] = {}
    for row in work.store.held(scene.mapping):
        found.setdefault(row.grp, {})[row.field] = row
    return found


def _held_keys(work: Work, holds: Mapping[int, Mapping[str, HoldRow]]) -> list[Key]:
    """Groups whose holds new facts can change, and those that a person decided on."""
    due = [
        grp
        for grp, found in holds.items()
        if grp in work.resolved or any(row.kind not in _WAITING for row in found.values())
    ]
    members = work.store.members_of(due)
    return [members[grp][0].key for grp in due if grp in members]


def _round(
    work: Work,
    scene: Scene,
    keys: Sequence[Key],
    holds: Mapping[int, dict[str, HoldRow]],
    *,
    deletes: bool = False,
) -> list[Key]:
    again: list[Key] = []
    for some in _chunks(list(dict.fromkeys(keys)), work.settings.batch):
        again += _isolated(work, scene, some, holds, deletes=deletes)
    return list(dict.fromkeys(again))


def _isolated(
    work: Work,
    scene: Scene,
    keys: Sequence[Key],
    holds: Mapping[int, dict[str, HoldRow]],
    *,
    deletes: bool,
) -> list[Key]:
    """A batch; one that cannot even be decided is halved until the record that is why stands alone."""
    try:
        return process(work, scene, keys, holds, deletes=deletes)
    except ConnectorError:
        raise
    except MigratorError as error:
        if error.exit_code != 1:
            raise
        if len(keys) == 1:
            _poisoned(work, keys[0], error)
            return []
        half = len(keys) // 2
        first = _isolated(work, scene, keys[:half], holds, deletes=deletes)
        return first + _isolated(work, scene, keys[half:], holds, deletes=deletes)


def _poisoned(work: Work, key: Key, error: MigratorError) -> None:
    before = work.store.dirty_rows([key]).get(key)
    row = again_later(work, key, before, "undecidable", error.message)
    work.store.commit(Part.RESULT, Changes(dirty=[row]))


def _chunks(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _links(work: Work) -> None:
    """The second pass: links whose record has a partner now."""
    work.look_at_waiting()
    members = work.store.members_of(list(work.waiting)) if work.waiting else {}
    for scene in work.scenes:
        names = {stream.name for stream in scene.streams}
        keys = [rows[0].key for rows in members.values() if rows[0].stream in names]
        if keys:
            _one(
                work,
                scene,
                lambda scene=scene, keys=keys: _drain(work, scene, keys),  # type: ignore[misc]
            )


def _drain(work: Work, scene: Scene, keys: Iterable[Key]) -> None:
    _round(work, scene, list(keys), _holds(work, scene))


def _deletes(work: Work, scene: Scene) -> None:
    """What was found proven in this run, once all fields have flowed: asked of the brake first, all of it together."""
    groups = list(work.deletions.get(scene.mapping, {}))
    if not groups:
        return
    marks = work.store.watermarks()
    size = max((marks[stream.name].rows for stream in scene.streams if stream.name in marks), default=0)
    brake = guard.deletes_brake(work.settings.limits, len(groups), size)
    if brake is not None and guard.engage(work, scene, brake):
        return
    members = work.store.members_of(groups)
    keys = [members[grp][0].key for grp in groups if grp in members]
    _round(work, scene, keys, _holds(work, scene), deletes=True)


# ---- the end


def _spent(work: Work, error: BudgetSpent) -> None:
    work.report.blame(Status.YELLOW, "budget", error.message, error.hint, exit_code=4)


def _trouble(work: Work, mapping: str, error: ConnectorError) -> None:
    """Trouble of a system: later when it may pass, a person when it will not."""
    place = f"{mapping}: " if mapping else ""
    if isinstance(error, RetryableError):
        work.report.blame(
            Status.YELLOW, "system", place + error.message, error.hint or "the next run tries again",
            mapping=mapping, exit_code=4,
        )  # fmt: skip
    else:
        code = 3 if isinstance(error, FatalError) else error.exit_code
        work.report.blame(
            Status.RED, "system", place + error.message, error.hint or "see what the system says",
            mapping=mapping, exit_code=code,
        )  # fmt: skip


def _end(work: Work) -> RunReport:
    assess(work)
    report, store = work.report, work.store
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(
            reports.update()
            .where(reports.c.run == report.run)
            .values(finished_at=work.now(), status=report.status.value, report=to_text(report.to_dict()))
        )
    return report
