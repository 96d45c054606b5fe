"""What mappings say of the functions of the old system: which fields have a place in the new one, and what gets lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migrator.commands.binding import bind_project, read_mappings, staged_fills
from migrator.commands.project import Workspace
from migrator.core.components import ComponentKind
from migrator.core.errors import Problem, ProjectError
from migrator.core.schema import ObjectSchema
from migrator.inventory.kept import Kept
from migrator.inventory.rules import Counterpart, Coverage
from migrator.mapping.bound import Bound, BoundMapping, BoundSource
from migrator.mapping.bound import Column as BoundColumn
from migrator.mapping.columns_used import columns_used
from migrator.mapping.parse import ObjectMapping
from migrator.staging.store import Kind

BY_MAPPING, BY_NAME = "by mapping", "by name"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mappings tell, by ids of components."""

    counterparts: Mapping[str, Counterpart] = field(default_factory=dict)
    losses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Why they tell less than they could."""


def mapped(workspace: Workspace, kept: Iterable[Kept]) -> Mapped:
    """Counterparts and losses; mappings that are missing or wrong are told as a note, and nothing is then known."""
    project = workspace.project
    try:
        mappings = read_mappings(project)
        bound = bind_project(workspace, mappings, full=lambda name: staged_fills(workspace, name))
    except ProjectError as error:
        words = f"counterparts are not known: {error.problems[0]}".replace("\n", " ")
        return Mapped(notes=(words,))
    targets = {
        item.rule.target.system: project.saved_schema(item.rule.target.system) or {} for item in mappings
    }
    told = _Told(bound, mappings, targets, _rows_lost(workspace, bound))
    counterparts, losses = {}, {}
    for one in kept:
        found = told.counterpart(one)
        if found is not None:
            counterparts[one.item.id] = found
        lost = tuple(told.losses(one, found))
        if lost:
            losses[one.item.id] = lost
    return Mapped(counterparts, losses)


class _Told:
    """The mappings, arranged so that a component can be looked up: 'system/object' in lower case, then the column."""

    def __init__(
        self,
        bound: Bound,
        mappings: Iterable[ObjectMapping],
        targets: Mapping[str, Mapping[str, ObjectSchema]],
        lost: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._objects: dict[str, list[tuple[BoundMapping, BoundSource]]] = {}
        for item in bound.mappings:
            for source in item.sources:
                self._objects.setdefault(source.source.staged.casefold(), []).append((item, source))
        self._used = {
            name.casefold(): {column.casefold() for column in columns}
            for name, columns in columns_used(bound.mappings).items()
        }
        self._drops = _drops(mappings)
        self._targets = targets
        self._names = {name.casefold(): name for schema in targets.values() for name in schema}
        self._warnings = _by_object(bound)
        self._lost = lost

    def counterpart(self, one: Kept) -> Counterpart | None:
        """What stands in the place of an object or field; None for what mappings say nothing of."""
        part = one.item.component
        system = one.item.id.partition("/")[0]
        match part.kind:
            case ComponentKind.OBJECT:
                return self._object(f"{system}/{part.name}".casefold(), part.name)
            case ComponentKind.FIELD if part.owner:
                return self._field(f"{system}/{part.owner}".casefold(), part.name[len(part.owner) + 1 :])
            case _:
                return None

    def _object(self, staged: str, name: str) -> Counterpart | None:
        found = self._objects.get(staged, [])
        if found:
            names = list(dict.fromkeys(item.mapped.target_object for item, _ in found))
            known = all(self._schema(item) is not None for item, _ in found)
            coverage = Coverage.STANDARD if known else Coverage.CONFIGURE
            return Counterpart(coverage, "object", ", ".join(names), method=BY_MAPPING, confidence="high")
        same = self._names.get(name.casefold())
        if same is not None:
            return Counterpart(Coverage.CONFIGURE, "object", same, "no mapping reads it", BY_NAME, "low")
        return None

    def _field(self, staged: str, column: str) -> Counterpart | None:
        objects = self._objects.get(staged)
        if not objects:
            return None
        places = [place for item, source in objects for place in _places(item, source, column)]
        if places:
            known = all(self._knows(item, name) for item, name, _ in places)
            names = ", ".join(
                dict.fromkeys(f"{item.mapped.target_object}.{name}" for item, name, _ in places)
            )
            coverage = Coverage.STANDARD if known else Coverage.CONFIGURE
            direct = any(direct for _, _, direct in places)
            return Counterpart(
                coverage, "field", names, method=BY_MAPPING, confidence="high" if direct else "low"
            )
        reason = self._drops.get((staged, column.casefold()))
        if reason is not None:
            return Counterpart(
                Coverage.NONE, differences=f"left behind: {reason}", method=BY_MAPPING, confidence="high"
            )
        if column.casefold() in self._used.get(staged, ()):
            words = "read by a key, a condition or a join only"
            return Counterpart(Coverage.CONFIGURE, differences=words, method=BY_MAPPING, confidence="low")
        return Counterpart(
            Coverage.NONE, differences="no mapping reads it", method=BY_MAPPING, confidence="low"
        )

    def _schema(self, item: BoundMapping) -> ObjectSchema | None:
        return self._targets.get(item.mapped.target_system, {}).get(item.mapped.target_object)

    def _knows(self, item: BoundMapping, name: str) -> bool:
        schema = self._schema(item)
        return schema is not None and schema.field(name) is not None

    def losses(self, one: Kept, there: Counterpart | None) -> Iterator[str]:
        """What of its data gets lost, with the rows it is about."""
        part = one.item.component
        system = one.item.id.partition("/")[0]
        if part.kind is ComponentKind.OBJECT:
            staged = f"{system}/{part.name}".casefold()
            for name in dict.fromkeys(item.name for item, _ in self._objects.get(staged, ())):
                yield from self._lost.get(name, ())
            yield from self._warnings.get(staged, ())
        if (
            part.kind is ComponentKind.FIELD
            and there is not None
            and one.usage is not None
            and one.usage.filled
        ):
            if there.coverage is Coverage.NONE:
                yield f"{one.usage.filled:,} values have no target: {there.differences}"
            yield from self._too_long(
                f"{system}/{part.owner}".casefold(), part.name[len(part.owner) + 1 :], one
            )

    def _too_long(self, staged: str, column: str, one: Kept) -> Iterator[str]:
        longest = one.usage.longest if one.usage is not None else 0
        for item, source in self._objects.get(staged, ()):
            for _, name, direct in _places(item, source, column):
                target = item.mapped.schema.field(name)
                if direct and target is not None and target.length and longest > target.length:
                    where = f"{item.mapped.target_object}.{name}"
                    yield f"values of up to {longest:,} characters, and {where} holds {target.length:,}: they go to quarantine"


def _rows_lost(workspace: Workspace, bound: Bound) -> dict[str, tuple[str, ...]]:
    """Mapping → rows that reach no target, or not as they are, as the last `migrator map` counted them."""
    found = {}
    for item in bound.mappings:
        dataset = workspace.store.current(Kind.MAPPED, item.name)
        detail = dataset.detail if dataset is not None else {}
        left = [
            f"{rows:,} rows of mapping {item.name} excluded: {why}"
            for why, rows in detail.get("excluded", {}).items()
        ]
        wrong = [
            f"{rows:,} rows of mapping {item.name} with {rule}"
            for rule, rows in detail.get("issues", {}).items()
        ]
        found[item.name] = (*left, *wrong)
    return found


def _places(item: BoundMapping, source: BoundSource, column: str) -> Iterator[tuple[BoundMapping, str, bool]]:
    """Target fields that a column of the source's own object goes into, and whether it goes there by itself."""
    for bound in source.fields:
        for read in bound.columns:
            origin = source.origin(read)
            if origin is not None and origin.name.casefold() == column.casefold():
                yield item, bound.name, isinstance(bound.input, BoundColumn) and bound.input == read


def _drops(mappings: Iterable[ObjectMapping]) -> dict[tuple[str, str], str]:
    """Columns that a mapping leaves behind knowingly, with its reason."""
    found = {}
    for mapping in mappings:
        for source in mapping.sources:
            staged = f"{source.system}/{source.rule.object}".casefold()
            for name, reason in source.rule.drop.items():
                found[staged, name.casefold()] = reason
    return found


def _by_object(bound: Bound) -> dict[str, tuple[str, ...]]:
    """Staged object → what the mappings that read it may lose."""
    found: dict[str, dict[str, None]] = {}
    for item in bound.mappings:
        told = [_said(one) for one in bound.warnings if one.location.file == item.place.file]
        for source in item.sources:
            found.setdefault(source.source.staged.casefold(), {}).update(dict.fromkeys(told))
    return {name: tuple(told) for name, told in found.items() if told}


def _said(one: Problem) -> str:
    return f"{one.message} ({one.code or 'warning'}, {one.location})"
