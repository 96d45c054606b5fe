"""What each step is going to write, estimated from the bytes that it reads, so that a disk that is too small is told before.

A step whose results are newer than what they are made of has nothing to write.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from migrator.commands.engine_settings import memory_bytes
from migrator.commands.project import Project, Workspace
from migrator.core.mapped import MappedObject
from migrator.core.schema import ObjectSchema
from migrator.staging.room import Claim
from migrator.staging.store import Dataset, Kind


class Step(Enum):
    """A step of the main job."""

    EXTRACT = "extract"
    MAP = "map"
    DEDUPE = "dedupe"
    PLAN = "plan"
    LOAD = "load"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes per byte that a step reads, as measured on contacts, accounts and activities, and a third on top."""

    kept: float
    """Written to staging, with what is replaced only at the end."""
    spilled: float = 0.0
    """Taken by the engine at once: what does not fit its memory goes to disk."""
    target: float = 0.0
    """Written to a target that is a file of this machine."""
    aside: float = 0.0
    """Laid aside beside the spills while the step lasts, however much memory there is."""


SHARES: Mapping[Step, Share] = {
    Step.EXTRACT: Share(0.35, 0.3),
    Step.MAP: Share(1.3),
    Step.DEDUPE: Share(0.6, 4.0),
    Step.PLAN: Share(1.6, 4.0, aside=1.5),
    Step.LOAD: Share(3.5, 4.0, 6.0, aside=1.0),
    Step.VALIDATE: Share(2.0, 4.0, aside=6.0),
}
"""`python -m tests.bench.bench_scale` prints what they are measured by. What is read is text as it stands in the files for
extract, staged rows for map, mapped ones for dedupe, plan and validate, planned ones for load."""
MODEL = Share(3.0, 8.0)
"""A dedupe that compares by a model keeps what it compares, and the pairs."""
STAGED_SHARE = 0.23
"""Bytes staged of a byte of text, as measured."""
_MEMBERS = frozenset({".csv", ".tsv", ".txt", ".xml", ".json", ".jsonl", ".parquet", ".xlsx"})


def claims(
    workspace: Workspace, step: Step, read: int, share: Share | None = None, targets: Iterable[Path] = ()
) -> tuple[Claim, ...]:
    """What a step that reads so many bytes is about to write, and where; `targets` are files that hold the target."""
    found, project = share or SHARES[step], workspace.project
    spilled = max(int(read * found.spilled - memory_bytes(project.engine.memory_limit)), 0)
    spilled += int(read * found.aside)
    spills = Path(project.engine.temp_directory or project.workspace / "spill")
    return (
        Claim("staging", workspace.store.root.resolve(), int(read * found.kept)),
        Claim("spills", spills.resolve(), spilled),
        *(Claim("the target", path, int(read * found.target)) for path in targets if found.target),
    )


def target_files(project: Project, objects: Iterable[MappedObject]) -> Iterator[Path]:
    """Files of this machine that hold what the objects are written to: SQLite databases."""
    for name in sorted({item.target_system for item in objects}):
        url = project.settings(name).get("url")
        if not isinstance(url, str):
            continue
        try:
            parsed = make_url(url)
        except ArgumentError:
            continue
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            yield Path(parsed.database)


def source_bytes(workspace: Workspace, system: str, schemas: Sequence[ObjectSchema]) -> int:
    """Bytes of text in the files of a source; of another source, what was staged of it before; 0 when nothing tells."""
    path = workspace.project.settings(system).get("path")
    if isinstance(path, str):
        return _text_bytes(Path(path), [item.name for item in schemas])
    staged = (workspace.store.current(Kind.STAGED, f"{system}/{item.name}") for item in schemas)
    return sum(round(item.bytes / STAGED_SHARE) for item in staged if item is not None)


def source_files(path: Path) -> list[Path]:
    """The files at a source's path: a file, a folder or a glob."""
    if path.is_file():
        return [path]
    found = path.glob("**/*") if path.is_dir() else path.parent.glob(path.name)
    return sorted(item for item in found if item.is_file())


def _text_bytes(path: Path, names: Sequence[str]) -> int:
    """Of the members called like the wanted objects; of all where none is."""
    members = [one for file in source_files(path) for one in _members(file)]
    wanted = {name.lower() for name in names}
    called = [size for name, size in members if Path(name).stem.lower() in wanted]
    return sum(called or (size for _, size in members))


def _members(file: Path) -> Iterator[tuple[str, int]]:
    if zipfile.is_zipfile(file) and file.suffix.lower() == ".zip":
        with closing(zipfile.ZipFile(file)) as archive:
            for item in archive.infolist():
                if Path(item.filename).suffix.lower() in _MEMBERS:
                    yield item.filename, item.file_size
    elif file.suffix.lower() in _MEMBERS:
        yield file.name, file.stat().st_size


def bytes_read(workspace: Workspace, step: Step, objects: Iterable[MappedObject]) -> int:
    """Bytes of the datasets that a step reads for objects whose results are older than those, or not there."""
    return sum(_stale_bytes(workspace, step, obj) for obj in objects)


def _stale_bytes(workspace: Workspace, step: Step, obj: MappedObject) -> int:
    current = workspace.store.current
    match step:
        case Step.MAP:
            inputs = [current(Kind.STAGED, source.staged) for source in obj.sources]
            made = current(Kind.MAPPED, obj.name)
        case Step.DEDUPE:
            inputs, made = [current(Kind.MAPPED, obj.name)], current(Kind.CLUSTERS, obj.name)
        case Step.PLAN:
            inputs = [current(Kind.MAPPED, obj.name), current(Kind.CLUSTERS, obj.name)]
            made = current(Kind.PLAN, obj.name)
        case Step.LOAD:
            inputs, made = [current(Kind.PLAN, obj.name)], current(Kind.CROSSWALK, obj.name)
        case _:
            inputs, made = [current(Kind.MAPPED, obj.name)], None
    there = [item for item in inputs if item is not None]
    if made is not None and all(_is_older(item, made) for item in there):
        return 0
    return sum(item.bytes for item in there)


def _is_older(one: Dataset, other: Dataset) -> bool:
    return one.created_at is not None and other.created_at is not None and one.created_at <= other.created_at
