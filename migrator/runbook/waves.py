"""Waves: what is known of a wave's own mappings alone, and the links that lead from one wave into another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.commands.sync_state import SyncState
from migrator.commands.target import flat
from migrator.core.errors import Problem, Severity
from migrator.core.mapped import MappedObject
from migrator.runbook.facts import Value
from migrator.runbook.parse import Runbook
from migrator.staging import sync_tables as t
from migrator.staging.engine import literal, quote
from migrator.staging.ledger import Ledger
from migrator.staging.phases import Standing, standings, with_waves
from migrator.staging.relation import relation
from migrator.staging.store import Kind


def objects_of(book: Runbook, groups: Iterable[str]) -> tuple[str, ...]:
    """The mappings of these groups together; () for all, which is what a group without any stands for."""
    named = [book.rule.groups[group].objects for group in groups if group in book.rule.groups]
    return tuple(dict.fromkeys(name for objects in named for name in objects)) if all(named) else ()


def narrowed(state: SyncState, ledger: Ledger, objects: Collection[str]) -> SyncState:
    """Where the sync stands as far as these mappings go; as it is for ()."""
    if not objects:
        return state
    with ledger.read() as connection:
        deferred = connection.execute(
            sa.select(sa.func.count()).select_from(t.deferred).where(t.deferred.c.mapping.in_(list(objects)))
        ).scalar()
        streams = connection.execute(
            sa.select(t.mismatches.c.stream, sa.func.count())
            .where(t.mismatches.c.passes > 1)
            .group_by(t.mismatches.c.stream)
        ).all()
    last = state.last
    if last is not None:
        causes = [
            one
            for one in last.report.get("causes", ())
            if not one.get("mapping") or one["mapping"] in objects
        ]
        last = replace(last, report={**last.report, "causes": causes})
    return replace(
        state, last=last, deferred=int(deferred or 0),
        mismatched=sum(number for stream, number in streams if stream.partition("/")[0] in objects),
        streams=tuple(one for one in state.streams if one.name.partition("/")[0] in objects),
        waiting=tuple(one for one in state.waiting if one.mapping in objects),
        open=tuple(one for one in state.open if one.mapping in objects),
        held=tuple(one for one in state.held if one.mapping in objects),
        brakes=tuple(one for one in state.brakes if one.mapping in objects),
    )  # fmt: skip


def undeclared(book: Runbook, mapped: Iterable[MappedObject]) -> Iterator[Problem]:
    """Links from one wave to another that the runbook does not know of: a record cannot come before what it points to.

    R21; and R22 for a mapping that is named and not there.
    """
    objects = {item.name: item for item in mapped}
    home = {name: group for group, rule in book.rule.groups.items() for name in rule.objects}
    for group, rule in book.rule.groups.items():
        for name in rule.objects:
            if name not in objects:
                yield Problem(
                    book.at("groups", group, "objects"), f"R22 there is no mapping {name!r}",
                    f"known: {', '.join(objects)}", code="R22",
                )  # fmt: skip
                continue
            for link, target in _links(objects[name]):
                other = home.get(target, group)
                if other != group and other not in _before(book, group):
                    yield Problem(
                        book.at("groups", group),
                        f"R21 {name}.{link} points to records of {target}, which is of {other}: {group} cannot come first",
                        f"{group}: {{…, after: {other}}}; or put both mappings into one group",
                        severity=Severity.ERROR, code="R21",
                    )  # fmt: skip


def _links(item: MappedObject) -> Iterator[tuple[str, str]]:
    for link in item.links:
        for target in link.mappings:
            yield link.field, target


def _before(book: Runbook, group: str) -> set[str]:
    """The groups that a group comes after, near and far."""
    found: set[str] = set()
    ahead = list(book.rule.groups[group].after)
    while ahead:
        one = ahead.pop()
        if one not in found and one in book.rule.groups:
            found.add(one)
            ahead += book.rule.groups[one].after
    return found


@dataclass(slots=True)
class WaveFacts:
    """What follows from the links between waves, counted in what was mapped."""

    project: Project
    book: Runbook
    _counted: dict[str, Value | None] = field(default_factory=dict)

    def value(self, name: str, group: str) -> Value | None:
        """`references.found`: links of a wave's records to records of waves that stand no further than before it."""
        if name != "references.found" or group not in self.book.rule.groups:
            return None
        with open_workspace(self.project) as workspace:
            with workspace.ledger.read() as connection:
                known = with_waves(standings(connection), self.book.rule.groups)
            return float(
                sum(_count(workspace, item, to) for item, to in self._ahead(workspace, group, known))
            )

    def _ahead(
        self, workspace: Workspace, group: str, known: Mapping[str, Standing]
    ) -> Iterator[tuple[MappedObject, dict[str, set[str]]]]:
        """Mapped objects of a wave, and their link fields with the mappings behind them that have not come as far."""
        own = self.book.rule.groups[group].objects
        home = {name: one for one, rule in self.book.rule.groups.items() for name in rule.objects}
        for item in flat(bind_project(workspace).groups):
            to: dict[str, set[str]] = {}
            for link, target in _links(item) if item.name in own else ():
                other = home.get(target, group)
                if other != group and _place(known.get(other)) <= _place(known.get(group)):
                    to.setdefault(link, set()).add(target)
            if to:
                yield item, to


def _place(standing: Standing | None) -> int:
    return standing.phase.number if standing else -1


def _count(workspace: Workspace, item: MappedObject, to: Mapping[str, Collection[str]]) -> int:
    """Links of one mapped object into these mappings; 0 where nothing is mapped yet."""
    dataset = workspace.store.current(Kind.MAPPED, item.name)
    if dataset is None:
        return 0
    tests = [
        f"count(*) FILTER (WHERE starts_with({quote(name)}, {literal(f'{target}/')}))"
        for name, targets in to.items()
        for target in sorted(targets)
    ]
    with closing(workspace.session()) as session:
        row = session.fetch(f"SELECT {' + '.join(tests)} AS n FROM {relation(session, dataset)}").to_pylist()[
            0
        ]
    return int(row["n"])
