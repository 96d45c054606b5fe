"""Taking a merge back: the members of a cluster become records of their own again, in the project and in the target.

Nothing of it is special: a person's word that the members are not the same, then the ordinary dedupe, plan and load of
these records and of the children that go back to their own parents. Before the word is recorded, the target is asked
whether somebody has changed what would be written; then nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.production import permit
from migrator.commands.project import Project, Workspace, work_on
from migrator.commands.review import someone
from migrator.commands.steps import dedupe_in, plan_in, send
from migrator.commands.target import flat, target_system
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject, Same
from migrator.core.progress import Progress, Quiet
from migrator.load.edited import Edited, find_edited
from migrator.load.lanes import Lanes
from migrator.load.load import LoadReport
from migrator.load.plan import Groups
from migrator.load.send import Sender
from migrator.mapping.bound import Bound
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.match_decisions import MatchDecision, Way, decisions, ordered, record
from migrator.staging.relation import need_mapped, relation, survivors
from migrator.staging.store import Dataset, Kind, Store

QUIET = Quiet()
MOST_TOLD = 100
"""Edited records that are told one by one."""
_ID = quote(columns.ID)


@dataclass(frozen=True, slots=True)
class Member:
    """One record of the cluster, and the target's record that has its values now."""

    record: str
    survives: bool
    target_key: str | None
    target_id: str | None
    """Of its own record in the target, null for one that is there only through the survivor."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "record": self.record, "survives": self.survives, "target_key": self.target_key, "target_id": self.target_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merge:
    """A cluster as it stands."""

    obj: MappedObject
    cluster: str
    members: tuple[Member, ...]

    @property
    def is_loaded(self) -> bool:
        """Whether the target holds any of it."""
        return any(item.target_id is not None for item in self.members)

    @property
    def records(self) -> list[str]:
        """The `__id`s of its members."""
        return [item.record for item in self.members]


@dataclass(frozen=True, slots=True)
class Unmerged:
    """What taking a merge back did, or would do."""

    merge: Merge
    dry_run: bool
    children: Mapping[str, int] = field(default_factory=dict)
    """Object → records in the target whose links go back to another parent."""
    edited: tuple[Edited, ...] = ()
    """Records that somebody changed since: with any of them, nothing was done."""
    more_edited: int = 0
    decisions: int = 0
    """Pairs that are kept apart from now on."""
    load: LoadReport | None = None
    """None when nothing was to be written."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "object": self.merge.obj.name,
            "cluster": self.merge.cluster,
            "dry_run": self.dry_run,
            "members": [item.to_json() for item in self.merge.members],
            "loaded": self.merge.is_loaded,
            "children": dict(self.children),
            "edited": [item.to_json() for item in self.edited],
            "more_edited": self.more_edited,
            "decisions": self.decisions,
            "load": self.load.to_json() if self.load else None,
        }


def unmerge(
    project: Project,
    named: str,
    *,
    who: str = "",
    why: str = "",
    dry_run: bool,
    confirmed: bool,
    progress: Progress = QUIET,
    production: str = "",
) -> Unmerged:
    """Take the cluster OBJECT/NAME apart (NAME: its name, or a record in it); `production` as for a load.

    Raises `ProjectError` when there is no such cluster, `SafetyStop` when it is neither dry nor `confirmed`.
    """
    if not dry_run and not confirmed:
        raise SafetyStop(
            "this changes records of the target, where the cluster is loaded",
            hint="look first with --dry-run; then say --yes",
        )
    with work_on(project, "dedupe unmerge", progress) as workspace:
        bound = bind_project(workspace)
        with closing(workspace.session()) as session:
            merge = find_merge(workspace.store, session, flat(bound.groups), named)
        if merge.is_loaded and not dry_run:
            permit(project, target_system(bound.groups), production)
        asked = _ask_target(workspace, bound.groups, merge) if merge.is_loaded else Unmerged(merge, dry_run)
        found = Unmerged(merge, dry_run, asked.children, asked.edited, asked.more_edited)
        if dry_run or found.edited:
            return found
        return _take_apart(workspace, bound, found, someone(who), why)


def raise_unless_possible(found: Unmerged) -> None:
    """Raise `SafetyStop` when somebody has changed records that would be written."""
    if found.edited:
        raise SafetyStop(
            f"{len(found.edited) + found.more_edited:,} records were changed in the target since they were loaded:"
            " taking the merge back would overwrite that",
            hint="carry the changes over to the source or undo them in the target, then run the same command again",
        )


def find_merge(store: Store, session: Session, objects: Sequence[MappedObject], named: str) -> Merge:
    """The cluster that is meant by 'OBJECT/NAME', or by NAME where only one object has such a cluster.

    Raises `ProjectError` with the nearest names when there is none, or several.
    """
    asked, slash, name = named.partition("/")
    chosen = [obj for obj in objects if slash and obj.name == asked]
    name = name if chosen else named
    found = [
        (obj, row["cluster"])
        for obj in chosen or objects
        for row in session.fetch(
            f"SELECT DISTINCT cluster FROM {_clusters(store, session, obj)} WHERE cluster = {literal(name)}"
            f" OR {_ID} = {literal(name)} ORDER BY 1"
        ).to_pylist()
    ]
    if not found:
        hint = did_you_mean(name, _near(store, session, chosen or objects, name), noun="clusters")
        if any(name in item.pair for obj in chosen or objects for item in decisions(store.ledger, obj.name)):
            hint = "it was decided upon: if it was taken apart, migrator load brings the target up to it"
        raise ProjectError.at(named, "there is no such cluster", hint or "no records were merged")
    if len(found) > 1:
        listed = ", ".join(f"{obj.name}/{cluster}" for obj, cluster in found)
        raise ProjectError.at(named, "several clusters are called so", f"write one of {listed}")
    obj, cluster = found[0]
    return Merge(obj, cluster, tuple(_members(store, session, obj, cluster)))


def _clusters(store: Store, session: Session, obj: MappedObject) -> str:
    return relation(session, store.current(Kind.CLUSTERS, obj.name), columns.CLUSTERS)


def _near(store: Store, session: Session, objects: Sequence[MappedObject], name: str) -> list[str]:
    found = []
    for obj in objects:
        rows = session.fetch(
            f"SELECT {_ID} AS id FROM {_clusters(store, session, obj)}"
            f" ORDER BY jaro_winkler_similarity({_ID}, {literal(name)}) DESC, 1 LIMIT 3"
        )
        found += [str(row["id"]) for row in rows.to_pylist()]
    return found


def _members(store: Store, session: Session, obj: MappedObject, cluster: str) -> Iterator[Member]:
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    rows = session.fetch(
        f"SELECT c.{_ID} AS record, c.{_ID} = c.survivor AS survives, x.target_key, x.target_id"
        f" FROM {_clusters(store, session, obj)} AS c LEFT JOIN {crosswalk} AS x ON x.{_ID} = c.{_ID}"
        f" WHERE c.cluster = {literal(cluster)} ORDER BY survives DESC, record"
    )
    return (Member(**row) for row in rows.to_pylist())


def _ask_target(workspace: Workspace, groups: Groups, merge: Merge) -> Unmerged:
    """Which children go back, and which of all these records somebody has changed in the target."""
    project, system = workspace.project, target_system(groups)
    with (
        closing(workspace.session()) as session,
        closing(project.open_target(system)) as target,
        Lanes(project.gates.parallel(system)) as lanes,
    ):
        sender = Sender(target, workspace.ledger, workspace.fence, lanes=lanes)
        children = _children(workspace.store, session, flat(groups), merge)
        counts = {obj.name: row_count(session, f"({sql})") for obj, sql in children}
        found = _edited(workspace.store, session, sender, [(merge.obj, _listed(merge)), *children])
        edited = list(islice(found, MOST_TOLD))
        more = sum(1 for _ in found)
    return Unmerged(merge, True, {name: n for name, n in counts.items() if n}, tuple(edited), more)


def _edited(
    store: Store, session: Session, sender: Sender, asked: Sequence[tuple[MappedObject, str]]
) -> Iterator[Edited]:
    for obj, sql in asked:
        yield from find_edited(store, session, sender, obj, sql)


def _listed(merge: Merge) -> str:
    values = ", ".join(literal(one) for one in merge.records)
    return f"SELECT unnest([{values}]) AS {_ID}"


def _children(
    store: Store, session: Session, objects: Sequence[MappedObject], merge: Merge
) -> list[tuple[MappedObject, str]]:
    """SQL for the records in the target that have a link of their own to a member that did not survive, by object."""
    lost = ", ".join(
        literal(f"{merge.obj.name}/{item.record}") for item in merge.members if not item.survives
    )
    members = ", ".join(literal(one) for one in merge.records)
    found = []
    for obj in objects:
        links = [quote(link.field) for link in obj.links if merge.obj.name in link.mappings]
        crosswalk = store.current(Kind.CROSSWALK, obj.name)
        if links and crosswalk is not None:
            rows = survivors(session, need_mapped(store, obj), ", ".join([_ID, *links]))
            there = f"SELECT {_ID} FROM {relation(session, crosswalk)} WHERE target_id IS NOT NULL"
            own = " OR ".join(f"{name} IN ({lost})" for name in links)
            sql = f"SELECT {_ID} FROM ({rows}) WHERE ({own}) AND {_ID} IN ({there})"
            # what is itself taken apart is counted as a member
            found.append((obj, f"{sql} AND {_ID} NOT IN ({members})" if obj.name == merge.obj.name else sql))
    return found


def _take_apart(workspace: Workspace, bound: Bound, found: Unmerged, who: str, why: str) -> Unmerged:
    merge = found.merge
    chosen = _chosen(workspace, bound.groups, merge) if merge.is_loaded else {}
    said = record(workspace.ledger, _decisions(merge, who, why))
    dedupe_in(workspace, bound, [[merge.obj]])
    report = None
    if merge.is_loaded:
        plan_in(workspace, bound.groups)
        report = send(workspace, bound.groups, chosen)
    return Unmerged(merge, False, found.children, decisions=len(said), load=report)


def _decisions(merge: Merge, who: str, why: str) -> list[MatchDecision]:
    pairs = (ordered(one, other) for one, other in combinations(merge.records, 2))
    reason = why or f"the merge {merge.cluster} was taken back"
    return [
        MatchDecision(merge.obj.name, one, other, Same.NOT_SAME, who, reason, Way.COMMAND)
        for one, other in pairs
    ]


def _chosen(workspace: Workspace, groups: Groups, merge: Merge) -> dict[str, Dataset]:
    """Put on record what is to be sent, while the links still tell whose children they are."""
    made_of = fingerprint("unmerge", merge.obj.name, merge.cluster, merge.records)
    store, found = workspace.store, {}
    with closing(workspace.session()) as session:
        children = {obj.name: sql for obj, sql in _children(store, session, flat(groups), merge)}
        asked = {**children, merge.obj.name: _listed(merge)}
        if merge.obj.name in children:
            asked[merge.obj.name] += f" UNION {children[merge.obj.name]}"
        for name, sql in asked.items():
            building = store.build(Kind.CHOSEN, name, made_of)
            building.add(lambda path, sql=sql: session.write(sql, path))  # type: ignore[misc]
            found[name] = building.complete()
    return found
