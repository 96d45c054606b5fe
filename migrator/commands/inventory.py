"""The command `inventory scan`: what a system does, read from its metadata or asked of it, and measured on what is staged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from migrator.commands.project import QUIET, Project, Workspace, work_on
from migrator.core.components import Component, ComponentKind, MetadataReader, Segments, metadata_readers
from migrator.core.errors import DataError, ProjectError
from migrator.core.fingerprint import fingerprint
from migrator.core.progress import Progress
from migrator.core.schema import ObjectSchema
from migrator.inventory.drift import Drift, drift
from migrator.inventory.kept import Kept, to_table
from migrator.inventory.scan import Account, Item, Scan, described, scan, scan_schemas
from migrator.inventory.usage import Measured, Usage, measure
from migrator.staging import functions
from migrator.staging.store import Dataset, Kind

_PART = 2_000
"""Components that one file of the dataset holds: their texts are in memory at once."""
_SHOWN = 500
"""Ids and files that a look keeps by name in the ledger; all are counted."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found."""

    system: str
    source: str
    components: int
    kinds: Mapping[str, int]
    states: Mapping[str, int]
    account: Account
    measured: int
    """Fields whose use was measured."""
    drift: Drift | None
    """What changed since the scan before; None for the first."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "system": self.system, "source": self.source, "components": self.components, "kinds": dict(self.kinds),
            "states": dict(self.states), "measured_fields": self.measured, "files": files_json(self.account),
            "drift": drift_json(self.drift), "notes": list(self.notes),
        }  # fmt: skip


def files_json(account: Account) -> dict[str, Any]:
    """The account of files, file by file where they are not understood."""
    return {
        "in": account.files,
        "in_components": account.in_components,
        "not_understood": len(account.not_understood),
        "closes": account.closes,
        "unaccounted": list(account.unaccounted),
        "list": [
            {"file": one.file, "reason": one.reason, "may_refer": one.refers}
            for one in account.not_understood[:_SHOWN]
        ],
    }


def drift_json(found: Drift | None) -> dict[str, Any] | None:
    """What changed, by id."""
    if found is None:
        return None
    told = {"added": found.added, "changed": found.changed, "vanished": found.vanished}
    counts = {f"{name}_count": len(ids) for name, ids in told.items()}
    return {name: list(ids[:_SHOWN]) for name, ids in told.items()} | counts


def scan_functions(
    project: Project, what: str, *, system: str = "", progress: Progress = QUIET
) -> ScanReport:
    """Scan a folder or zip of metadata, or describe a configured system; the result stands until the next scan.

    Raises `ProjectError` when nothing recognises the path, and `DataError` when the count of files does not close.
    """
    path = Path(what)
    if path.exists():
        reader = recognised(path)
        name = system or _own_name(project, reader)
        with work_on(project, f"inventory scan {what}", progress) as workspace:
            found = scan(reader, path, name, workspace.progress, _in_data(workspace, name))
            return _finish(workspace, found, what, reader.segments)
    if what in project.systems:
        with work_on(project, f"inventory scan {what}", progress) as workspace:
            return _finish(workspace, scan_schemas(what, _describe(project, what)), what, _any_segments())
    known = ", ".join(project.systems) or "none"
    raise ProjectError.at(what, "there is no such file or folder, and no such system", f"systems: {known}")


def recognised(path: Path) -> MetadataReader:
    """The reader that is surest of a path; raises `ProjectError` when none knows it."""
    found = [(said.confidence, reader) for reader in metadata_readers() if (said := reader.recognise(path))]
    if not found:
        names = ", ".join(reader.name for reader in metadata_readers())
        raise ProjectError.at(
            str(path), "no reader of metadata knows what this is",
            f"readers: {names}; for Salesforce give the folder with package.xml or sfdx-project.json, for Dynamics the"
            " solution zip or the folder with Other/Solution.xml",
        )  # fmt: skip
    return max(found, key=lambda pair: pair[0])[1]


def _any_segments() -> Segments:
    """Columns of every CRM that a reader knows: which system a live description is of, only its connector knows."""
    parts = [reader.segments for reader in metadata_readers()]
    return Segments(*(tuple(name for part in parts for name in getattr(part, field)) for field in _SEGMENTS))


_SEGMENTS = ("record_type", "business_unit", "created", "modified")


def _own_name(project: Project, reader: MetadataReader) -> str:
    """The project's system that this is the metadata of, when its connector says so; else the reader's name."""
    found = [name for name, item in project.systems.items() if item.connector.startswith(reader.name)]
    return found[0] if len(found) == 1 else reader.name


def _describe(project: Project, name: str) -> list[ObjectSchema]:
    try:
        with closing(project.open_source(name)) as source:
            return list(source.describe())
    except ProjectError:
        with closing(project.open_target(name)) as target:
            return list(target.describe())


def _in_data(workspace: Workspace, system: str) -> Iterator[Component]:
    """Objects and fields of staged data that the metadata may not describe."""
    schemas = workspace.project.saved_schema(system) or {}
    for _, schema in _staged(workspace, system, schemas):
        if schema is not None:
            for item in described(schema):
                yield replace(item, facts={**item.facts, "seen in": "records only"})


def _staged(
    workspace: Workspace, system: str, schemas: Mapping[str, ObjectSchema]
) -> Iterator[tuple[Dataset, ObjectSchema | None]]:
    for name in workspace.store.names(Kind.STAGED):
        owner, _, obj = name.partition("/")
        dataset = workspace.store.current(Kind.STAGED, name) if owner == system else None
        if dataset is not None:
            yield dataset, schemas.get(obj)


def _finish(workspace: Workspace, found: Scan, source: str, segments: Segments) -> ScanReport:
    if not found.account.closes:
        raise DataError(
            f"the count does not close: {len(found.account.unaccounted)} files are neither in a component nor listed:"
            f" {', '.join(found.account.unaccounted[:5])}",
            hint="this is a fault of the reader: tell its author these names",
        )
    kept = _measured(workspace, found, segments)
    before = workspace.store.current(Kind.FUNCTIONS, found.system)
    changed = _drift(before, found.items) if before is not None else None
    building = workspace.store.build(
        Kind.FUNCTIONS, found.system, fingerprint(found.system, workspace.ledger.run)
    )
    for start in range(0, max(len(kept), 1), _PART):
        building.add_table(to_table(kept[start : start + _PART]))
    detail = {
        "blind": list(found.account.blind), "notes": list(found.notes), "files": files_json(found.account),
        "drift": drift_json(changed), "kinds": dict(found.kinds),
    }  # fmt: skip
    building.complete(detail)
    functions.record_scan(
        workspace.ledger,
        system=found.system,
        source=source,
        files=found.account.files,
        components=len(kept),
        detail=detail,
    )
    states: dict[str, int] = {}
    for item in found.items:
        states[item.component.state.value] = states.get(item.component.state.value, 0) + 1
    measured = sum(1 for one in kept if one.usage and one.item.component.kind is ComponentKind.FIELD)
    return ScanReport(
        found.system, source, len(kept), found.kinds, dict(sorted(states.items())), found.account, measured,
        changed, found.notes,
    )  # fmt: skip


def _drift(before: Dataset, items: Iterable[Item]) -> Drift:
    import pyarrow.parquet as pq

    held: dict[str, str] = {}
    for file in before.files:
        table = pq.read_table(file, columns=["id", "digest"])
        held.update(zip(table["id"].to_pylist(), table["digest"].to_pylist(), strict=True))
    return drift(held, {item.id: item.digest for item in items})


def _measured(workspace: Workspace, found: Scan, segments: Segments) -> list[Kept]:
    """Every component with its use, where its object is staged; objects by the count of their records."""
    fields: dict[str, list[Component]] = {}
    for item in found.items:
        if item.component.kind is ComponentKind.FIELD and item.component.owner:
            fields.setdefault(item.component.owner.casefold(), []).append(item.component)
    schemas = workspace.project.saved_schema(found.system) or {}
    measured: dict[str, Measured] = {}
    counted: dict[str, Usage] = {}
    with closing(workspace.session()) as session:
        for dataset, schema in _staged(workspace, found.system, schemas):
            name = dataset.name.partition("/")[2].casefold()
            counted[name] = Usage(dataset.rows, dataset.rows, dataset.rows, 0)
            if name in fields:
                measured[name] = measure(session, dataset, schema, fields[name], segments)
    return [_kept(item, measured, counted) for item in found.items]


def _kept(item: Item, measured: Mapping[str, Measured], counted: Mapping[str, Usage]) -> Kept:
    part = item.component
    match part.kind:
        case ComponentKind.OBJECT:
            usage = counted.get(part.name.casefold())
            return Kept(item, usage, "" if usage else "its records were not extracted")
        case ComponentKind.FIELD if part.owner:
            of_object = measured.get(part.owner.casefold())
            if of_object is None:
                return Kept(item, None, f"records of {part.owner} were not extracted")
            short = part.name[len(part.owner) + 1 :].casefold()
            return Kept(item, of_object.usage.get(short), of_object.not_measured.get(short, ""))
        case _:
            return Kept(item)


def scanned(workspace: Workspace, systems: Sequence[str] = ()) -> dict[str, Dataset]:
    """System → its last scan; raises `ProjectError` for a system that was never scanned, or when none was."""
    names = workspace.store.names(Kind.FUNCTIONS)
    for name in systems:
        if name not in names:
            raise ProjectError.at(
                "--system", f"{name!r} was not scanned yet", f"scanned: {', '.join(names) or 'none'}"
            )
    chosen = systems or names
    if not chosen:
        raise ProjectError.at("inventory", "nothing was scanned yet", "run: migrator inventory scan PATH")
    return {name: workspace.store.need(Kind.FUNCTIONS, name, made_by="inventory scan") for name in chosen}
