"""The command `sync check`: which fields come back and which do not, and whether the values that occur keep the mapping law."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.core.translation import ROW_ID, Pair
from migrator.mapping.laws import LawFinding, hold_laws
from migrator.mapping.pairing import SyncPlan
from migrator.mapping.translator import MappingTranslator
from migrator.staging.engine import Session, quote
from migrator.staging.store import Kind

MOST_VALUES = 5_000
"""Values of a field that are tried, the most frequent first."""


@dataclass(frozen=True, slots=True)
class FieldWay:
    """One field: where it goes, and what its values show."""

    pair: Pair
    finding: LawFinding | None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        found = self.finding
        tried = None if found is None else {
            "tried": found.tried, "exact": found.exact, "kept": found.kept, "lost": found.lost,
            "holds": found.holds, "examples": list(found.examples),
        }  # fmt: skip
        return {
            "field": self.pair.new, "columns": list(self.pair.old), "direction": self.pair.direction.value,
            "policy": self.pair.policy.rule.value, "law": self.pair.law.value, "why": self.pair.why,
            "place": str(self.pair.place), "values": tried,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SyncCheck:
    """All fields of all synced objects."""

    objects: Mapping[str, tuple[FieldWay, ...]]
    unstaged: tuple[str, ...]
    """Objects of which nothing is staged: only their rules were looked at."""

    @property
    def broken(self) -> tuple[LawFinding, ...]:
        """Fields whose values break what their rules promise."""
        ways = (way for found in self.objects.values() for way in found)
        return tuple(way.finding for way in ways if way.finding is not None and not way.finding.holds)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "objects": {name: [way.to_json() for way in found] for name, found in self.objects.items()},
            "unstaged": list(self.unstaged),
            "broken": [f"{item.object}.{item.field}" for item in self.broken],
        }


class _NoLinks:
    """A crosswalk without entries: links are not what is tried here."""

    def new_ids(self, mapping: str, records: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}

    def old_ids(self, mapping: str, ids: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


def sync_check(project: Project) -> SyncCheck:
    """Look at every synced object; the values tried are those that were staged last."""
    objects: dict[str, tuple[FieldWay, ...]] = {}
    unstaged = []
    with open_workspace(project) as workspace, closing(workspace.session()) as session:
        plans = bind_project(workspace, staged=lambda _: None).synced
        translator = MappingTranslator(session, plans, _NoLinks())
        for plan in plans:
            found = _findings(workspace, session, translator, plan)
            if found is None:
                unstaged.append(plan.paired.name)
            objects[plan.paired.name] = tuple(
                FieldWay(pair, (found or {}).get(pair.new)) for pair in plan.paired.pairs
            )
    return SyncCheck(objects, tuple(unstaged))


def _findings(
    workspace: Workspace, session: Session, translator: MappingTranslator, plan: SyncPlan
) -> dict[str, LawFinding] | None:
    """New field → what its staged values show; None when nothing is staged."""
    paired = plan.paired
    staged = workspace.store.current(Kind.STAGED, f"{paired.old_system}/{paired.old_object}")
    if staged is None:
        return None
    relation = f"values of {paired.name}"
    session.view(relation, staged.files, staged.schema())
    found: dict[str, LawFinding] = {}
    for pairs in _apart([pair for pair in paired.pairs if pair.direction.goes_back and not pair.is_link]):
        wanted = {pair.new for pair in pairs}
        rows = _values(session, relation, pairs, staged.schema().names)
        found |= {item.field: item for item in hold_laws(translator, paired, rows) if item.field in wanted}
    return found


def _apart(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Pairs in as few lists as their columns allow: of one list no column stands for two."""
    lists: list[list[Pair]] = []
    for pair in pairs:
        fitting = (one for one in lists if not any(set(pair.old) & set(other.old) for other in one))
        chosen = next(fitting, None)
        if chosen is None:
            lists.append([pair])
        else:
            chosen.append(pair)
    yield from lists


def _values(session: Session, relation: str, pairs: Sequence[Pair], names: Sequence[str]) -> pa.Table:
    """One row for each distinct value, of all pairs side by side."""
    columns: dict[str, list[Any]] = {}
    types: dict[str, pa.DataType] = {}
    for pair in pairs:
        listed = ", ".join(quote(name) for name in pair.old if name in names)
        if not listed:
            continue
        found = session.fetch(
            f"SELECT {listed} FROM {quote(relation)} GROUP BY ALL ORDER BY count(*) DESC, {listed} LIMIT {MOST_VALUES:d}"
        )
        for name in found.column_names:
            columns[name], types[name] = found[name].to_pylist(), found[name].type
    longest = max((len(values) for values in columns.values()), default=0)
    filled = {
        name: pa.array(values + [None] * (longest - len(values)), types[name])
        for name, values in columns.items()
    }
    return pa.table({ROW_ID: pa.array([str(number) for number in range(longest)], pa.string()), **filled})
