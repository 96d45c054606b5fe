"""A part of every source run through all steps, aside: into staging and a database of its own, both thrown away.

Links that lead out of the part are led to records in it, so that as many rows pass each step as will of the whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from migrator.commands.binding import bind_project
from migrator.commands.measured import Took, measured, what_steps_took
from migrator.commands.project import Workspace
from migrator.commands.room import Step, target_files
from migrator.commands.steps import dedupe_in, extract_system, map_in, plan_in
from migrator.commands.target import flat
from migrator.core.connector import Page, Source, SourceFacts, connector
from migrator.core.errors import ProjectError
from migrator.core.progress import Quiet
from migrator.core.schema import ObjectSchema
from migrator.load.load import load
from migrator.mapping.bound import Bound, Column
from migrator.staging.accounting import account
from migrator.staging.engine import Session, quote
from migrator.staging.ledger import open_ledger
from migrator.staging.room import RoomCheck
from migrator.staging.store import Dataset, Kind, Store

FOLDER = "estimate-"
"""How folders of samples are called; those that a killed estimate left go with the next."""
QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class FirstRows:
    """A source that ends after so many rows of each object; binary members are not read."""

    source: Source
    rows: Mapping[str, int]

    @property
    def facts(self) -> SourceFacts:
        """Of the source."""
        return self.source.facts

    def describe(self) -> Sequence[ObjectSchema]:
        """Of the source."""
        return self.source.describe()

    def count(self, object_name: str) -> int | None:
        """What will be read."""
        return self.rows[object_name]

    def fingerprint(self, object_name: str) -> str:
        """Of the source."""
        return self.source.fingerprint(object_name)

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages until there are enough rows."""
        left = self.rows[object_name]
        pages = self.source.read(object_name, cursor=cursor, page_rows=max(min(page_rows, left), 1))
        for page in pages:
            rows = page.rows.slice(0, left)
            places = page.places.slice(0, left) if page.places is not None else None
            left -= rows.num_rows
            yield replace(page, rows=rows, places=places)
            if left <= 0:
                return

    def close(self) -> None:
        """Whoever opened the source closes it."""


def run_sample(
    workspace: Workspace, sources: Mapping[str, Source], objects: Mapping[str, Mapping[str, int]]
) -> dict[Step, Took]:
    """What each step takes for so many rows of each object of each system; nothing of it stays.

    Only the sources are asked; the target is stood for by an SQLite file, so that writing to it is our own part of it. What
    that file takes is counted where the target is such a file as well: any other keeps its rows on a disk of its own.
    """
    with _aside(workspace) as aside:
        with measured(aside, Step.EXTRACT):
            for system, rows in objects.items():
                extract_system(aside, FirstRows(sources[system], rows), system, list(rows), aside.progress)
        bound = bind_project(aside)
        _lead_links_inside(aside, bound)
        map_in(aside, bound, flat(bound.groups))
        dedupe_in(aside, bound, bound.groups)
        plan_in(aside, bound.groups)
        _load_and_validate(aside, bound)
        return what_steps_took(aside.ledger)


@contextmanager
def _aside(workspace: Workspace) -> Iterator[Workspace]:
    """A workspace in a folder of its own below the project's, with a ledger of its own."""
    project = workspace.project
    for left in project.workspace.glob(f"{FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=project.workspace, prefix=FOLDER)))
        ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", workspace.ledger.clock)
        stack.callback(ledger.close)
        fence = stack.enter_context(ledger.lease())
        ledger.run = workspace.ledger.run
        permissive = replace(project, room=RoomCheck.BEGIN)
        yield Workspace(permissive, ledger, Store(folder / "staging", ledger), fence, QUIET)


def _load_and_validate(aside: Workspace, bound: Bound) -> None:
    """Write to an SQLite file in place of the target, and prove what it holds."""
    from migrator.commands.origins import origins
    from migrator.commands.ways import ways
    from validation.validate import validate

    folder, objects = aside.store.root.parent, flat(bound.groups)
    file, sql = folder / "target.db", connector("sql")
    if sql.open_target is None:
        raise ProjectError.at("migration.yaml", "the connector 'sql' cannot be written to", "install this tool whole")  # fmt: skip
    with closing(sql.open_target({"url": f"sqlite:///{file}"})) as target:
        counted = [file] if any(target_files(aside.project, objects)) else []
        with measured(aside, Step.LOAD, objects, targets=counted):
            load(
                aside.store, aside.session, aside.ledger, target, bound.groups, progress=aside.progress, fence=aside.fence
            )  # fmt: skip
        with measured(aside, Step.VALIDATE, objects):
            with closing(aside.session()) as session:
                accounting = account(aside.store, session, objects)
            validate(
                aside.store, partial(aside.session), target, objects, accounting, out=folder / "report",
                progress=aside.progress, clock=aside.ledger.clock, suites=folder / "suites", project=aside.project.name,
                origins=origins(bound), ways=ways(bound),
            )  # fmt: skip


def _lead_links_inside(aside: Workspace, bound: Bound) -> None:
    """Stage every object again with each link that is not empty leading to some record of the sample."""
    leads = _leads(aside, bound)
    with closing(aside.session()) as session:
        for relation, columns in leads.items():
            staged = aside.store.need(Kind.STAGED, relation, made_by="extract")
            _restage(aside.store, session, staged, columns)


def _leads(aside: Workspace, bound: Bound) -> dict[str, dict[str, tuple[str, str]]]:
    """Relation → column that holds a link → relation and column that it leads to."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for mapping in bound.mappings:
        for source in mapping.sources:
            for field in source.fields:
                if field.lookup and isinstance(field.input, Column) and not field.input.of:
                    to = field.lookup[0]
                    if aside.store.current(Kind.STAGED, to.source.staged) is not None:
                        lead = (to.source.staged, to.match.engine)
                        found.setdefault(source.source.staged, {})[field.input.engine] = lead
    return found


def _restage(store: Store, session: Session, staged: Dataset, leads: Mapping[str, tuple[str, str]]) -> None:
    session.view("outside", staged.files, staged.schema())
    columns, joins = [], []
    for number, (column, (relation, match)) in enumerate(leads.items()):
        linked = store.need(Kind.STAGED, relation, made_by="extract")
        session.view(f"linked {number}", linked.files, linked.schema())
        name, key, view = quote(column), quote(match), quote(f"linked {number}")
        table = quote(f"keys {number}")
        numbered = f"SELECT row_number() OVER () - 1 AS n, {key} AS k FROM {view} WHERE {key} IS NOT NULL"
        session.execute(f"CREATE OR REPLACE TABLE {table} AS {numbered}")
        columns.append(
            f"CASE WHEN CAST(o.{name} AS VARCHAR) <> '' THEN k{number}.k ELSE o.{name} END AS {name}"
        )
        joins.append(
            f" LEFT JOIN {table} AS k{number} ON k{number}.n = hash(o.{name}) % greatest((SELECT count(*) FROM {table}), 1)"
        )
    building = store.build(Kind.STAGED, staged.name, f"{staged.fingerprint[:32]} inside")
    sql = f"SELECT o.* REPLACE ({', '.join(columns)}) FROM outside AS o{''.join(joins)}"
    building.add(lambda path: session.write(sql, path))
    building.complete(staged.detail)
