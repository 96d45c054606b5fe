"""A project folder: `migration.yaml` parsed strictly, and the workspace (ledger, store, engine) opened from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.commands.engine_settings import parse_engine
from migrator.commands.events import told
from migrator.commands.gates import Gates
from migrator.commands.limits import LimitSettings, parse_limits
from migrator.commands.setting_checks import unknown_keys, wrong_types
from migrator.commands.staging_settings import parse_staging
from migrator.commands.sync_settings import SyncSettings, parse_sync
from migrator.core.connector import Connector, Source, Target, connector
from migrator.core.dialect import Dialect
from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import (
    ConnectorError,
    FatalError,
    Location,
    MigratorError,
    Problem,
    ProjectError,
    raise_errors,
)
from migrator.core.progress import Event, Progress, Quiet
from migrator.core.schema import ObjectSchema, index_schemas, schemas_from_json, schemas_to_json
from migrator.core.secrets import resolve
from migrator.core.twoway import Side
from migrator.staging.engine import DuckSession, EngineSettings, Session, flush_and_rename, open_engine
from migrator.staging.engines import Work, open_session
from migrator.staging.ledger import PLACE, Ledger, open_ledger
from migrator.staging.room import RoomCheck
from migrator.staging.shared import StagingSettings, depot_at
from migrator.staging.store import Store, writing

FILE = "migration.yaml"
QUIET = Quiet()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_KEYS: Mapping[str, type] = {
    "project": str,
    "systems": dict,
    "mappings": str,
    "ledger": str,
    "engine": object,
    "spark": dict,
    "staging": object,
    "batch_rows": int,
    "hooks": bool,
    "sync": dict,
}
_OURS = ("connector", "production", "limits")
"""Keys of a system that are not settings of its connector."""


@dataclass(frozen=True, slots=True)
class System:
    """One system of a project: which connector opens it, and with what settings (secrets not yet resolved)."""

    name: str
    connector: str
    settings: Mapping[str, Any]
    place: Location
    production: bool = False
    """Whether real users work there: it is written to only when a person names it."""
    limits: LimitSettings = field(default_factory=LimitSettings)
    """What of the system's limits this project uses."""


@dataclass(frozen=True, slots=True)
class Project:
    """`migration.yaml` as parsed; nothing is opened."""

    folder: Path
    name: str
    systems: Mapping[str, System]
    ledger_url: str
    engine: EngineSettings = field(default_factory=EngineSettings)
    batch_rows: int = 10_000
    mappings: str = "mappings"
    hooks: bool = False
    """Whether functions of the project's own hooks.py may run."""
    ledger_place: Location = PLACE
    sync: SyncSettings = field(default_factory=SyncSettings)
    """How the two-way sync runs, and who is told."""
    gates: Gates = field(default_factory=Gates, compare=False, repr=False)
    """What requests to its systems pass through; shared by all who open them."""
    room: RoomCheck = RoomCheck.REFUSE
    """What becomes of a step whose disk is likely to be too small."""
    staging: StagingSettings = field(default_factory=StagingSettings)
    """Where machines share the files of datasets; secrets not yet resolved."""
    staging_place: Location = PLACE

    @property
    def workspace(self) -> Path:
        """Where the tool keeps its own files; safe to delete only before the first load."""
        return self.folder / ".migrator"

    def on(self, engine: Dialect | None) -> Project:
        """The same project with its heavy work on another engine; None: on the one it names."""
        return self if engine is None else replace(self, engine=replace(self.engine, kind=engine))

    def system(self, name: str) -> System:
        """The system called `name`; raises `ProjectError` with the nearest name."""
        if name not in self.systems:
            hint = did_you_mean(name, self.systems, noun="systems")
            raise ProjectError.at(FILE, f"there is no system {name!r}", hint)
        return self.systems[name]

    def open_source(self, name: str) -> Source:
        """Open a system for reading."""
        system, found = self._connector(name)
        if found.open_source is None:
            raise ProjectError.at(
                system.place,
                f"the connector {system.connector!r} cannot be read from",
                "read from another system, or choose a connector that reads",
            )
        with _placed(system.place):
            opened = found.open_source(self.settings(name))
        self.gates.attach(name, system.connector, opened, system.limits)
        return opened

    def open_target(self, name: str) -> Target:
        """Open a system for writing."""
        system, found = self._connector(name)
        if found.open_target is None:
            raise ProjectError.at(
                system.place,
                f"the connector {system.connector!r} cannot be written to",
                "choose a target such as connector: sql",
            )
        with _placed(system.place):
            opened = found.open_target(self.settings(name))
        self.gates.attach(name, system.connector, opened, system.limits)
        return opened

    def open_own_side(self, name: str) -> Side | None:
        """Open a system for the two-way sync as its connector does; None where it does not, or needs settings for it."""
        system, found = self._connector(name)
        settings = self.settings(name)
        if found.open_side is None or ("sync" in found.settings and not settings.get("sync")):
            return None
        with _placed(system.place):
            opened = found.open_side(settings)
        self.gates.attach(name, system.connector, opened, system.limits)
        return opened

    def _connector(self, name: str) -> tuple[System, Connector]:
        system = self.system(name)
        return system, connector(system.connector, place=str(system.place))

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a system as its connector gets them: secrets looked up, paths from the project's folder."""
        system = self.system(name)
        settings = resolve(system.settings, system.place)
        if isinstance(settings.get("path"), str):
            settings["path"] = str(self.folder / Path(settings["path"]).expanduser())
        if isinstance(settings.get("url"), str):
            settings["url"] = anchor_sqlite(settings["url"], self.folder)
        return settings

    def resolved_staging(self) -> StagingSettings:
        """Where machines share files, secrets looked up."""
        return replace(self.staging, options=resolve(self.staging.options, self.staging_place))

    def schema_file(self, system: str) -> Path:
        """Where the schema of a system is saved, so that `check` needs no connection."""
        return self.folder / "schemas" / f"{system}.json"

    def saved_schema(self, system: str) -> dict[str, ObjectSchema] | None:
        """The saved schema of a system by object name, or None when there is none yet."""
        path = self.schema_file(system)
        try:
            return index_schemas(schemas_from_json(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ProjectError.at(
                str(path), f"cannot read this file: {error.strerror}", "it must be a file that you may read"
            ) from error
        except ValueError as error:
            raise ProjectError.at(
                str(path), str(error), "delete it; `migrator extract` writes it anew"
            ) from error

    def save_schema(self, system: str, schemas: list[ObjectSchema]) -> None:
        """Save the schema of a system; a file that would not change is left alone."""
        path, text = self.schema_file(system), schemas_to_json(schemas)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        temporary = path.with_name(f".{path.name}.writing")
        with writing(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            flush_and_rename(temporary, path)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A project opened for work: the ledger, the store of datasets, and a way to open engine sessions."""

    project: Project
    ledger: Ledger
    store: Store
    fence: int = 0
    """The number of the lease under which this process works; 0 when it only looks."""
    progress: Progress = QUIET
    """Is told what happens, and writes it into the events file of the run."""
    beside: Callable[[], int] | None = None
    """Bytes of the sources that an extract at work beside this step has yet to read; None while nothing is at work beside it."""

    def session(self) -> DuckSession:
        """A fresh session of this machine's engine; close it."""
        return open_engine(self.project.engine, self.project.workspace)

    def session_for(self, work: Work) -> Session:
        """A fresh session for work that reads whole datasets, on the engine that the project names; close it."""
        workspace = self.project.workspace
        return open_session(self.project.engine, workspace, work, self._elsewhere, self.store.depot)

    def _elsewhere(self, step: str, reason: str) -> None:
        self.progress.tell(Event.ELSEWHERE, step, reason, {})


@contextmanager
def open_workspace(project: Project) -> Iterator[Workspace]:
    """Open a project to look at it; changes nothing but creates the ledger when there is none."""
    try:
        (project.workspace / "staging").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FatalError(
            f"cannot write in {project.folder}: {error.strerror}",
            hint="the project folder must be writable: staging and ledger live in its .migrator folder",
        ) from error
    staging = project.resolved_staging()
    ledger = open_ledger(project.ledger_url, project=project.name, place=project.ledger_place)
    try:
        project.gates.count_in(ledger)
        root = project.workspace / "staging"
        yield Workspace(project, ledger, Store(root, ledger, depot_at(staging, root, ledger.clock)))
    finally:
        # a ledger that fails now must not hide how the work ended: it has then counted a few requests too many
        with suppress(ConnectorError):
            project.gates.close()
        ledger.engine.dispose()


@contextmanager
def work_on(project: Project, command: str, progress: Progress = QUIET) -> Iterator[Workspace]:
    """Open a project alone, as one recorded run: under the lease, leftovers of killed runs swept away.

    What happens is told to `progress` and kept in the events file of the run: use `Workspace.progress`.
    """
    with open_workspace(project) as opened, opened.ledger.lease() as fence:
        project.gates.permit_by(lambda: opened.ledger.renew_lease(fence))
        run = opened.ledger.start_run(command, __version__)
        opened.store.sweep()
        try:
            with told(
                project.workspace / "events", run, command,
                listener=progress, budgets=project.gates.left, clock=opened.ledger.clock,
            ) as listener:  # fmt: skip
                yield replace(opened, fence=fence, progress=listener)
        except MigratorError as error:
            # a ledger that fails too (its disk is full) must not hide what happened first
            with suppress(ConnectorError):
                opened.ledger.finish_run("failed", error.message[:2000])
            raise
        opened.ledger.finish_run("done")


def load_project(folder: Path) -> Project:
    """Parse `migration.yaml` in `folder`; raises `ProjectError` with every problem in it."""
    path = folder / FILE
    if not path.exists():
        raise ProjectError.at(
            str(path),
            "no such file",
            "run this in a project folder, or make one with: migrator init DIR --source …",
        )
    return parse_project(Document.read(path), folder)


def parse_project(document: Document, folder: Path) -> Project:
    """A `Project` from its document; all problems at once, each with its place."""
    data = document.data
    if not isinstance(data, dict):
        raise ProjectError.at(
            document.locate(()),
            "migration.yaml must be a mapping of settings",
            f"its keys are: {', '.join(_KEYS)}",
        )
    problems = [
        *unknown_keys(document, (), data, _KEYS),
        *wrong_types(document, (), data, _KEYS),
    ]
    raw_systems = data.get("systems")
    if "systems" not in data:
        problems.append(
            Problem(document.locate(()), "systems is missing", "name the systems you read and write")
        )
    systems: dict[str, System] = {}
    for name, raw in raw_systems.items() if isinstance(raw_systems, dict) else ():
        found = _parse_system(document, str(name), raw, problems)
        if found is not None:
            systems[found.name] = found
    engine = parse_engine(document, data, folder, problems)
    if isinstance(data.get("batch_rows"), int) and data["batch_rows"] < 1:
        problems.append(
            Problem(document.locate(("batch_rows",)), "batch_rows must be at least 1", "for example 10000")
        )
    if data.get("project") == "":
        problems.append(
            Problem(document.locate(("project",)), "project is empty", "name it, or leave the key out")
        )
    sync = parse_sync(document, data.get("sync"), problems)
    staging = parse_staging(document, data, problems)
    raise_errors(problems)
    return Project(
        folder=folder,
        name=str(data.get("project", folder.resolve().name)),
        systems=systems,
        ledger_url=_ledger_url(document, data.get("ledger"), folder),
        engine=engine,
        batch_rows=int(data.get("batch_rows", 10_000)),
        mappings=str(data.get("mappings", "mappings")),
        hooks=bool(data.get("hooks", False)),
        sync=sync,
        staging=staging,
        staging_place=document.locate(("staging",)) if "staging" in data else Location(document.file),
        ledger_place=document.locate(("ledger",)) if "ledger" in data else Location(document.file),
    )


@contextmanager
def _placed(place: Location) -> Iterator[None]:
    """Give what a connector says of its settings the place of its system; a connector knows the file only."""
    try:
        yield
    except ProjectError as error:
        raise ProjectError(
            [replace(item, location=place) if item.location == PLACE else item for item in error.problems]
        ) from error


def anchor_sqlite(url: str, folder: Path) -> str:
    """A relative SQLite URL made to mean the same file wherever the command is run from."""
    prefix = "sqlite:///"
    rest = url.removeprefix(prefix)
    if rest == url or not rest or rest.startswith(("/", ":memory:", "file:")):
        return url
    return f"{prefix}{(folder / rest).resolve()}"


def _ledger_url(document: Document, raw: object, folder: Path) -> str:
    if raw is None:
        return anchor_sqlite("sqlite:///.migrator/ledger.db", folder)
    settings = resolve({"ledger": raw}, document.locate(("ledger",)))
    return anchor_sqlite(str(settings["ledger"]), folder)


def _parse_system(document: Document, name: str, raw: object, problems: list[Problem]) -> System | None:
    path: TreePath = ("systems", name)
    place = document.locate_key(path)
    if not _NAME.fullmatch(name):
        problems.append(
            Problem(place, f"{name!r} cannot name a system", "letters, digits, - and _; a letter first")
        )
    if not isinstance(raw, dict) or not isinstance(raw.get("connector"), str):
        problems.append(
            Problem(
                place,
                f"system {name!r} has no connector",
                "for example {connector: sql, url: 'sqlite:///new.db'}",
            )
        )
        return None
    chosen = document.locate((*path, "connector"))
    try:
        known = connector(raw["connector"], place=str(chosen))
    except ProjectError as error:
        problems.extend(replace(item, location=chosen) for item in error.problems)
        return None
    problems.extend(wrong_types(document, path, raw, {"production": bool}))
    settings = {str(key): value for key, value in raw.items() if key not in _OURS}
    problems.extend(unknown_keys(document, path, settings, {**known.settings, **dict.fromkeys(_OURS, "")}))
    limits = parse_limits(document, (*path, "limits"), raw.get("limits"), problems)
    return System(name, raw["connector"], settings, place, raw.get("production") is True, limits)


SessionFactory = Callable[[], DuckSession]
