"""A whole run whose load overlaps its extract: what can be loaded by itself is, while the rest is still being read.

One thread stages the objects of the sources, those first that the first stage needs; the main thread maps, dedupes, plans
and loads stage by stage, and at the end everything, which finds what was loaded unchanged. To the project it is one run of
one process under one lease, and what a kill leaves is what a kill of a load leaves.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.beside import Halt, HaltingClock, HaltingProgress, Stopped, together
from migrator.commands.binding import (
    bind_project,
    merged_schemas,
    read_mappings,
    source_objects,
    staged_types,
)
from migrator.commands.engine_settings import memory_bytes
from migrator.commands.erase_keep_out import keep_out
from migrator.commands.measured import need_room
from migrator.commands.project import Project, Workspace, work_on
from migrator.commands.room import Step, source_bytes
from migrator.commands.stages import Stage, cut, furthest, reading_order, stages
from migrator.commands.steps import (
    RunReport,
    begin,
    dedupe_in,
    finish,
    look_at,
    map_in,
    plan_in,
    prepare,
    prepare_staged,
    send,
    stage,
)
from migrator.commands.target import flat, target_system
from migrator.core.connector import Source
from migrator.core.errors import MigratorError
from migrator.core.mapped import MappedObject
from migrator.core.progress import Event, Progress, Quiet
from migrator.core.schema import ObjectSchema
from migrator.load.load import LoadReport, ObjectLoad
from migrator.load.plan import ObjectPlan, Plan
from migrator.staging.engine import DuckSession

QUIET = Quiet()
LEAST_MB = 400
"""With less memory than this for the engine, two at once would have too little each."""
TO_READ = 4
"""One in so many parts of the engine's memory is for the extract: it was measured to need least of all steps."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a stage was carried, in seconds since the extract began."""

    objects: tuple[str, ...]
    """What it had more than the stage before."""
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Overlapped:
    """What came of the wish that load and extract overlap."""

    plain: str = ""
    """Why the steps went one after the other; '' when they overlapped."""
    stages: tuple[StageTime, ...] = ()
    extract_seconds: float = 0.0
    """From the first page until everything was staged."""

    @property
    def load_seconds(self) -> float:
        """Of all stages: map, dedupe, plan and load."""
        return sum(item.ended - item.began for item in self.stages)

    @property
    def seconds(self) -> float:
        """Of both together, from the first page to the last answer."""
        return max((item.ended for item in self.stages), default=0.0)

    @property
    def at_once_seconds(self) -> float:
        """How long both were at work: so much longer it had taken had neither gone faster without the other."""
        return sum(max(0.0, min(item.ended, self.extract_seconds) - item.began) for item in self.stages)

    def to_json(self) -> dict[str, Any]:
        """For `migrator run --overlap --json`."""
        if self.plain:
            return {"plain": self.plain}
        return {
            "stages": [
                {"objects": list(item.objects), "began": round(item.began, 3), "ended": round(item.ended, 3)}
                for item in self.stages
            ],
            "extract_seconds": round(self.extract_seconds, 3),
            "load_seconds": round(self.load_seconds, 3),
            "seconds": round(self.seconds, 3),
            "at_once_seconds": round(self.at_once_seconds, 3),
        }


def run(project: Project, progress: Progress = QUIET, production: str = "") -> tuple[RunReport, Overlapped]:
    """As `steps.run`, with the load beside the extract where the mappings permit it; what it did, and what that saved.

    Where nothing can overlap the steps go one after the other, and `progress` is told why. Raises what came first of
    the errors of both sides, with the other one noted on it.
    """
    with work_on(project, "run", progress) as workspace:
        with ExitStack() as opened:
            sources, bound = begin(workspace, opened, production)
            found = stages(bound)
            plain = _why_plain(project, found, target_system(bound.groups), sources)
            if not plain:
                return _overlapped(workspace, sources, found)
        workspace.progress.tell(Event.PLAIN, "run", plain, {})
        return finish(workspace, prepare(workspace, production)), Overlapped(plain)


def _why_plain(project: Project, found: Sequence[Stage], target: str, sources: Mapping[str, Source]) -> str:
    """Why load and extract cannot overlap, in words; '' when they can."""
    if len(found) == 1:
        return "all objects depend on one another, so none can be loaded before all are read"
    url = project.settings(target).get("url")
    same = [name for name in sources if name == target or (url and project.settings(name).get("url") == url)]
    if same:
        return f"{same[0]} is read from and {target} is written to, and they are the same: a load would change what is being read"
    if memory_bytes(project.engine.memory_limit) < LEAST_MB * 1e6:
        return f"engine.memory_limit is {project.engine.memory_limit}, and two at once need {LEAST_MB}MB"
    return ""


def _overlapped(
    workspace: Workspace, sources: Mapping[str, Source], found: Sequence[Stage]
) -> tuple[RunReport, Overlapped]:
    halt = Halt()
    with _halting(workspace, halt):
        reading = _Reading(
            replace(workspace, progress=HaltingProgress(workspace.progress, halt)), sources, found
        )
        loading = _Loading(reading, found, halt)
        report = together(("extract", reading.read), ("load", loading.load), halt, reading.interrupt)
    return report, Overlapped("", tuple(loading.times), reading.seconds)


@contextmanager
def _halting(workspace: Workspace, halt: Halt) -> Iterator[None]:
    """While this lasts, whoever waits, for a call to be tried again or at a gate, wakes up when both are to end."""
    ledger, gates = workspace.ledger, workspace.project.gates
    of_ledger, of_gates = ledger.clock, gates.clock
    ledger.clock = HaltingClock(of_ledger, halt)
    gates.wait_by(HaltingClock(of_gates, halt))
    try:
        yield
    finally:
        ledger.clock = of_ledger
        gates.wait_by(of_gates)


def _with_memory(workspace: Workspace, part: int) -> Workspace:
    """The same with so many of `TO_READ` parts of the engine's memory."""
    engine = workspace.project.engine
    limit = int(memory_bytes(engine.memory_limit) / 1e6 * part / TO_READ)
    return replace(
        workspace, project=replace(workspace.project, engine=replace(engine, memory_limit=f"{limit}MB"))
    )


class _Reading:
    """The extract of everything, in one thread; what the other thread may know of it."""

    def __init__(self, workspace: Workspace, sources: Mapping[str, Source], found: Sequence[Stage]) -> None:
        self.workspace = replace(workspace, beside=self.unread)
        self._own = _with_memory(self.workspace, 1)
        self._sources = sources
        self._wanted = source_objects(read_mappings(workspace.project))
        known = [f"{system}/{name}" for system, names in self._wanted.items() for name in names]
        self._order = reading_order(found, known)
        self._changed = threading.Condition()
        self._staged: frozenset[str] = frozenset()
        self._ended, self._interrupted = False, False
        self._session: DuckSession | None = None
        self._began = self._now()
        self.seconds = 0.0
        self._described: dict[str, Mapping[str, ObjectSchema]] = {}
        self._new: dict[str, list[ObjectSchema]] = {}
        self._look()

    def _look(self) -> None:
        """What there is to read, and room for it; the schemas are saved now, for the first stage is bound by them."""
        workspace = self.workspace
        for system, names in self._wanted.items():
            self._described[system], self._new[system] = look_at(
                workspace, self._sources[system], system, names
            )
        need_room(workspace, Step.EXTRACT, 0)  # all that is unread
        for system, source in self._sources.items():
            workspace.project.save_schema(system, merged_schemas(workspace.project, system, source))

    def _now(self) -> float:
        return self.workspace.ledger.clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return self._now() - self._began

    def read(self) -> None:
        """What the thread does: stage everything; ends with `Stopped` when it was interrupted."""
        try:
            for name in self._order:
                system, _, own = name.partition("/")
                schema = self._described[system][own]
                stage(
                    self._own, self._sources[system], system, schema,
                    session_factory=self._open, progress=self._own.progress,
                )  # fmt: skip
                self._tell(name)
            for system, source in self._sources.items():
                self._own.project.save_schema(system, merged_schemas(self._own.project, system, source))
        except MigratorError:
            raise
        except Exception as error:
            if self._interrupted:  # the engine's word for it
                raise Stopped from error
            raise
        self.seconds = self.elapsed
        self._tell("")

    def _tell(self, name: str) -> None:
        with self._changed:
            self._staged |= {name} if name else frozenset()
            self._ended = not name
            self._changed.notify_all()

    def _open(self) -> DuckSession:
        self._session = self._own.session()
        return self._session

    def interrupt(self) -> None:
        """End the query that the thread is in the middle of."""
        self._interrupted = True
        if self._session is not None:
            self._session.interrupt()

    def staged(self, seconds: float, unless: Callable[[frozenset[str]], bool]) -> tuple[frozenset[str], bool]:
        """What is staged so far, and whether that is all; waits so many seconds unless there is enough already."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or unless(self._staged), seconds)
            return self._staged, self._ended

    def unread(self) -> int:
        """Bytes of text that are still to be read."""
        staged = self._staged
        left = {
            system: [item for item in new if f"{system}/{item.name}" not in staged]
            for system, new in self._new.items()
        }
        return sum(source_bytes(self.workspace, system, items) for system, items in left.items() if items)


class _Loading:
    """Stage after stage, in the main thread, as soon as what each needs is staged."""

    def __init__(self, reading: _Reading, found: Sequence[Stage], halt: Halt) -> None:
        self._reading, self._halt = reading, halt
        *self._early, self._last = found
        self._carried: frozenset[str] = frozenset()
        self._reports: list[tuple[Plan, LoadReport]] = []
        self.times: list[StageTime] = []

    def load(self) -> RunReport:
        """Carry the stages, then everything, as a plain run does once all is staged."""
        while (found := self._next()) is not None:
            ready, staged = found
            with self._timed(ready):
                self._reports.append(self._carry(ready, staged))
            self._carried |= set(ready.objects)
        workspace = self._reading.workspace  # with all of the memory: nothing is at work beside it any more
        with self._timed(self._last):
            report = finish(workspace, prepare_staged(workspace))
        self._reports.append((report.plan, report.load))
        return replace(report, plan=_first_plans(self._reports), load=_sum(self._reports))

    def _next(self) -> tuple[Stage, frozenset[str]] | None:
        """The largest stage that is ready and has more than was carried, and what is staged; None when all is staged."""

        def ready(staged: frozenset[str]) -> Stage | None:
            found = furthest(self._early, staged)
            return None if found is None or set(found.objects) <= self._carried else found

        while True:
            self._halt.check()
            staged, ended = self._reading.staged(0.2, lambda names: ready(names) is not None)
            if ended:
                return None
            found = ready(staged)
            if found is not None:
                return found, staged

    def _carry(self, ready: Stage, staged: frozenset[str]) -> tuple[Plan, LoadReport]:
        """Map and dedupe what is new in a stage, plan and load all of it."""
        workspace = _with_memory(self._reading.workspace, TO_READ - 1)
        # The other datasets may be replaced at any moment: nothing of them may be looked at.
        bound = bind_project(
            workspace, staged=lambda name: staged_types(workspace, name) if name in staged else None
        )
        keep_out(workspace, _as_far_as_staged(flat(bound.groups), staged))
        groups = cut(bound.groups, ready.objects)
        new = cut(groups, set(ready.objects) - self._carried)
        map_in(workspace, bound, flat(new), workspace.progress)
        dedupe_in(workspace, bound, new)
        return plan_in(workspace, groups), send(workspace, groups)

    @contextmanager
    def _timed(self, ready: Stage) -> Iterator[None]:
        added = tuple(name for name in ready.objects if name not in self._carried)
        progress, told = self._reading.workspace.progress, ", ".join(added)
        progress.start("stage", told, None)
        began = self._reading.elapsed
        yield
        self.times.append(StageTime(added, began, self._reading.elapsed))
        progress.done(
            "stage", told, f"{len(self._carried) + len(added)} of {len(self._last.objects)} objects"
        )


def _as_far_as_staged(objects: Sequence[MappedObject], staged: frozenset[str]) -> Iterator[MappedObject]:
    """The objects with those of their sources that are staged: others are being written."""
    for item in objects:
        kept = tuple(source for source in item.sources if source.staged in staged)
        if kept:
            yield replace(item, sources=kept)


def _first_plans(reports: Sequence[tuple[Plan, LoadReport]]) -> Plan:
    """What was planned of each object before anything of it was sent, in the order of the last plan."""
    first: dict[str, ObjectPlan] = {}
    for planned, _ in reports:
        for item in planned.objects:
            first.setdefault(item.name, item)
    last = reports[-1][0]
    return replace(last, objects=tuple(first[item.name] for item in last.objects))


def _sum(reports: Sequence[tuple[Plan, LoadReport]]) -> LoadReport:
    """All loads as one."""
    outcomes: dict[str, Counter[str]] = {}
    links: dict[str, Counter[str]] = {}
    others: dict[str, Counter[str]] = {}
    for _, report in reports:
        for item in report.objects:
            outcomes.setdefault(item.name, Counter()).update(item.outcomes)
            links.setdefault(item.name, Counter()).update(item.links)
            others.setdefault(item.name, Counter()).update(waiting=item.waiting, batches=item.batches)
    return LoadReport(
        tuple(
            ObjectLoad(item.name, dict(outcomes[item.name]), dict(links[item.name]), **others[item.name])
            for item in reports[-1][1].objects
        ),
        sum(report.indexes for _, report in reports),
    )
