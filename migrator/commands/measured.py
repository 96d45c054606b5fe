"""Around each step of the main job: room on disk is asked for before, and what the step took is kept in the ledger after.

The last time that a step had something to do stands; a step that found everything done leaves what is there, and so does one
that another was at work beside.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from migrator.commands.project import Workspace
from migrator.commands.room import MODEL, Share, Step, bytes_read, claims, target_files
from migrator.core.mapped import MappedObject
from migrator.staging.ledger import Ledger
from migrator.staging.room import RoomCheck, refuse_without_room
from migrator.staging.store import Kind

_NOTE = "took 1: {}"
"""The number is of the form: one of another form is as if there were none."""
_MADE: Mapping[Step, tuple[Kind, ...]] = {
    Step.EXTRACT: (Kind.STAGED, Kind.REJECTS),
    Step.MAP: (Kind.MAPPED, Kind.HELD),
    Step.DEDUPE: (Kind.CLUSTERS, Kind.PAIRS, Kind.FEATURES, Kind.EDGES, Kind.GOLDEN, Kind.DONORS, Kind.MERGED),
    Step.PLAN: (Kind.PLAN,),
    Step.LOAD: (Kind.OUTBOUND, Kind.OUTCOMES, Kind.CROSSWALK, Kind.HISTORY, Kind.ANSWERS, Kind.LINKS),
    Step.VALIDATE: (Kind.READBACK, Kind.RECONCILE),
}  # fmt: skip


_TELLS: Mapping[Step, tuple[Kind, ...]] = {Step.LOAD: (Kind.HISTORY,)}
"""Kinds that are only written when there is something to do, where others are written in any case."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a step took when it last had something to do."""

    run: str
    rows: int
    """Rows that it worked on: staged ones, mapped ones, or those that were sent."""
    seconds: float
    cpu: float
    """Seconds of all threads of this process: what else the machine does is not in it."""
    bytes: int
    """Written to staging, and to a target that is a file of this machine."""


@contextmanager
def measured(
    workspace: Workspace,
    step: Step,
    objects: Sequence[MappedObject] = (),
    *,
    targets: Sequence[Path] | None = None,
) -> Iterator[None]:
    """Ask for room for a step that reads datasets of `objects`, and keep what it took.

    `targets` are files that hold what a load writes to; by default those of the project. Raises `FatalError` before anything is done when its disk is likely to be too small.
    """
    ledger = workspace.ledger
    if targets is None:
        targets = tuple(target_files(workspace.project, objects)) if step is Step.LOAD else ()
    if objects:
        need_room(workspace, step, bytes_read(workspace, step, objects), _share(step, objects), targets)
    began, clock, before = ledger.clock.now(), ledger.clock.monotonic(), _size(targets)
    worked = time.process_time()
    yield
    if workspace.beside is not None:
        return  # whose seconds and whose CPU it was, nobody can tell: what an earlier run took stands
    made, _ = workspace.store.written(_TELLS.get(step, _MADE[step]), began)
    if made:
        _, size = workspace.store.written(_MADE[step], began)
        grown = max(_size(targets) - before, 0)
        seconds = round(ledger.clock.monotonic() - clock, 3)
        cpu = round(time.process_time() - worked, 3)
        took = Took(ledger.run, _rows(workspace, step, objects), seconds, cpu, size + grown)
        ledger.note(_NOTE.format(step.value), json.dumps(asdict(took)))


def need_room(
    workspace: Workspace, step: Step, read: int, share: Share | None = None, targets: Sequence[Path] = ()
) -> None:
    """Raise `FatalError` when a step that reads so many bytes is likely to fill a disk, unless the project permits that."""
    if workspace.project.room is RoomCheck.REFUSE:
        unread = workspace.beside() if workspace.beside is not None else 0
        asked = claims(workspace, step, read, share, targets)
        refuse_without_room(step.value, (*asked, *claims(workspace, Step.EXTRACT, unread)))


def what_steps_took(ledger: Ledger) -> dict[Step, Took]:
    """Of every step that ever had something to do."""
    noted = {step: ledger.noted(_NOTE.format(step.value)) for step in Step}
    return {step: Took(**json.loads(text)) for step, text in noted.items() if text}


def _share(step: Step, objects: Sequence[MappedObject]) -> Share | None:
    by_model = any(item.dedupe is not None and item.dedupe.model is not None for item in objects)
    return MODEL if step is Step.DEDUPE and by_model else None


def _size(files: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in files if path.exists())


def _rows(workspace: Workspace, step: Step, objects: Sequence[MappedObject]) -> int:
    store = workspace.store
    match step:
        case Step.EXTRACT:
            kind, names = Kind.STAGED, list(store.names(Kind.STAGED))
        case Step.LOAD:
            kind, names = Kind.CROSSWALK, [item.name for item in objects]
        case _:
            kind, names = Kind.MAPPED, [item.name for item in objects]
    found = (store.current(kind, name) for name in names)
    return sum(item.rows for item in found if item is not None)
