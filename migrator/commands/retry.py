"""Trying quarantined records again: these, those that wait for them, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, work_on
from migrator.commands.quarantine import Wanted
from migrator.commands.steps import plan_in, prepare, send
from migrator.commands.target import flat
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.core.progress import Progress, Quiet
from migrator.load.choice import Choice, choose
from migrator.load.load import LoadReport
from migrator.load.plan import Groups, Plan, Retry
from migrator.staging import columns
from migrator.staging.accounting import Accounting, account
from migrator.staging.engine import Session, quote
from migrator.staging.quarantine import Filter
from migrator.staging.quarantine import chosen as entries
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

QUIET = Quiet()
_ID = quote(columns.ID)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a retry would send, or sent, of one object."""

    name: str
    chosen: int
    """Records that were asked for and can go now."""
    dependants: int
    """Records that wait for one of those."""
    held: int
    """Records that were asked for and are still held, by the mapping or the plan."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did, and how the account stands."""

    objects: tuple[Tried, ...]
    load: LoadReport | None
    """None for a dry run."""
    accounting: Accounting
    left: int
    """Other rows that are planned and were not sent."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dry_run": self.load is None,
            "retried": {
                item.name: {"chosen": item.chosen, "dependants": item.dependants, "held": item.held}
                for item in self.objects
            },
            "load": self.load.to_json() if self.load else None,
            "left": self.left,
            **self.accounting.to_json(),
        }


def retry(
    project: Project,
    wanted: Wanted,
    *,
    progress: Progress = QUIET,
    production: str = "",
    dry_run: bool = False,
) -> Retried:
    """Map again and send again the quarantined records asked for, and what waits for them; with no filter, all of them.

    Everything else that is planned by now stays planned. `production` is the system that a person named.
    """
    with work_on(project, "quarantine retry", progress) as workspace:
        store = workspace.store
        with closing(workspace.session()) as session:
            known = flat(bind_project(workspace).groups)
            asked = _ask(store, session, known, wanted.filter(known))
        groups = prepare(workspace, None if dry_run else production)
        with closing(workspace.session()) as session:
            chosen = _survivors(store, session, flat(groups), asked)
        planned = plan_in(workspace, groups, Retry(chosen=chosen))
        with closing(workspace.session()) as session:
            choice = choose(store, session, groups, chosen, batch_rows=project.batch_rows)
            tried = _reach(session, groups, chosen, choice)
            if not dry_run:
                chosen = _with_dependants(store, session, flat(groups), chosen, choice)
        report = None if dry_run else send(workspace, groups, chosen)
        if dry_run:
            plan_in(workspace, groups)  # what the target refused is refused still
        with closing(workspace.session()) as session:
            accounting = account(store, session, flat(groups))
    return Retried(tried, report, accounting, _left(planned, tried))


def _ask(store: Store, session: Session, known: Sequence[MappedObject], only: Filter) -> dict[str, Dataset]:
    """Put on record which records are asked for: once they are mapped again, quarantine does not know them any more.

    What a killed retry of the same filter had asked for is asked for still.
    """
    made_of = fingerprint("chosen", only.to_json())
    found = {}
    for obj in known:
        before = store.current(Kind.CHOSEN, obj.name)
        if only.objects is not None and obj.name not in only.objects:
            if before is not None and before.fingerprint == made_of:
                found[obj.name] = before  # they wait for what was asked for
            continue
        sql = f"SELECT DISTINCT record AS {_ID} FROM ({entries(store, session, obj, only)}) WHERE record IS NOT NULL"
        if before is not None and before.fingerprint == made_of:
            sql = f"{sql} UNION SELECT {_ID} FROM {relation(session, before)}"
        found[obj.name] = _kept(store, session, obj.name, made_of, sql)
    return found


def _survivors(
    store: Store, session: Session, known: Sequence[MappedObject], asked: Mapping[str, Dataset]
) -> dict[str, Dataset]:
    """The same, a record that was merged replaced by the one that goes in its place."""
    found = {}
    for obj in known:
        if obj.name in asked:
            rows = relation(session, asked[obj.name])
            clusters = relation(session, store.current(Kind.CLUSTERS, obj.name), columns.CLUSTERS)
            sql = (
                f"SELECT {_ID} FROM {rows} UNION SELECT c.survivor FROM {rows} AS r"
                f" JOIN {clusters} AS c ON c.{_ID} = r.{_ID}"
            )
            found[obj.name] = _kept(store, session, obj.name, asked[obj.name].fingerprint, sql)
    return found


def _kept(store: Store, session: Session, name: str, made_of: str, sql: str) -> Dataset:
    building = store.build(Kind.CHOSEN, name, made_of)
    building.add(lambda path: session.write(sql, path))
    return building.complete()


def _with_dependants(
    store: Store,
    session: Session,
    known: Sequence[MappedObject],
    chosen: Mapping[str, Dataset],
    choice: Choice,
) -> dict[str, Dataset]:
    """Put on record what waits for the chosen, before the first is sent: once that has come, nothing waits any more."""
    if not chosen:
        return {}
    made_of = next(iter(chosen.values())).fingerprint
    found = {}
    for obj in known:
        sql = f"SELECT {_ID} FROM {choice.tables[obj.name]}"
        if obj.name in chosen:
            sql = f"{sql} UNION SELECT {_ID} FROM {relation(session, chosen[obj.name])}"
        found[obj.name] = _kept(store, session, obj.name, made_of, sql)
    return found


def _reach(
    session: Session, groups: Groups, chosen: Mapping[str, Dataset], choice: Choice
) -> tuple[Tried, ...]:
    found = []
    for obj in flat(groups):
        counted = session.fetch(
            "SELECT count(*) FILTER (chosen AND sent) AS c, count(*) FILTER (NOT chosen) AS d,"
            f" count(*) FILTER (chosen AND NOT sent) AS came FROM {choice.tables[obj.name]}"
        ).to_pylist()[0]
        asked = chosen[obj.name].rows if obj.name in chosen else 0
        if asked or counted["d"]:
            held = max(0, asked - counted["c"] - counted["came"])
            found.append(Tried(obj.name, counted["c"], counted["d"], held))
    return tuple(found)


def _left(planned: Plan, tried: Sequence[Tried]) -> int:
    return sum(item.to_send for item in planned.objects) - sum(
        item.chosen + item.dependants for item in tried
    )
