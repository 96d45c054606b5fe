"""Which objects may be loaded before all sources are read: closed sets of mappings, the smallest first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from migrator.core.mapped import MappedObject
from migrator.mapping.bound import Bound
from migrator.mapping.compile import compile_mapping


@dataclass(frozen=True, slots=True)
class Stage:
    """A closed set of objects: nothing that is mapped, planned or sent of them depends on an object outside of it."""

    objects: tuple[str, ...]
    """Names of its mappings in load order, those of the stages before included."""
    staged: frozenset[str]
    """'system/object' of all that must be staged before they are mapped."""


def stages(bound: Bound) -> tuple[Stage, ...]:
    """The stages of a run, each with some objects more than the one before; the last one holds all."""
    objects = [item for group in bound.groups for item in group]
    reads = {item.name: frozenset(compile_mapping(item).relations) for item in bound.mappings}
    found, covered = [], frozenset[str]()
    for closed in closed_sets(objects):
        covered |= closed
        names = tuple(item.name for item in objects if item.name in covered)
        found.append(Stage(names, frozenset().union(*(reads[name] for name in names))))
    return tuple(found)


def closed_sets(objects: Sequence[MappedObject]) -> list[frozenset[str]]:
    """Sets of names; each has all that its objects depend on, and next comes what adds fewest objects to those before."""
    needs = _needs(objects)
    closures = {item.name: _closure(item.name, needs) for item in objects}
    found: list[frozenset[str]] = []
    covered: frozenset[str] = frozenset()
    while len(covered) < len(closures):
        left = [name for name in closures if name not in covered]
        closed = min((closures[name] for name in left), key=lambda one: len(one - covered))
        found.append(closed)
        covered |= closed
    return found


def reading_order(found: Iterable[Stage], known: Sequence[str]) -> tuple[str, ...]:
    """The objects of the sources as the stages want them, within a stage in the order of `known`; each once."""
    wanted = [[name for name in known if name in stage.staged] for stage in found]
    return tuple(dict.fromkeys(name for names in [*wanted, known] for name in names))


def furthest(found: Iterable[Stage], staged: Collection[str]) -> Stage | None:
    """The largest stage of which all is staged; None while there is none."""
    return next((stage for stage in reversed(tuple(found)) if stage.staged <= set(staged)), None)


def cut(
    groups: Iterable[Sequence[MappedObject]], names: Collection[str]
) -> tuple[tuple[MappedObject, ...], ...]:
    """Groups in load order, of the named objects only."""
    kept = (tuple(item for item in group if item.name in names) for group in groups)
    return tuple(group for group in kept if group)


def _needs(objects: Sequence[MappedObject]) -> Mapping[str, frozenset[str]]:
    """Object → the objects that must be in the same plan as it."""
    names = {item.name for item in objects}
    linked = {item.name: {name for link in item.links for name in link.mappings} & names for item in objects}
    needs = {name: set(found) for name, found in linked.items()}
    for item in objects:
        # Records of one target object claim the same external keys, and the target is prepared for all their fields.
        needs[item.name] |= {
            other.name
            for other in objects
            if (other.target_system, other.target_object) == (item.target_system, item.target_object)
        }
        # What is set last (a deal is closed) may forbid links to it: whoever links to it must have been sent by then.
        if item.firsts:
            needs[item.name] |= {name for name, found in linked.items() if item.name in found}
    return {name: frozenset(found) for name, found in needs.items()}


def _closure(name: str, needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found, new = frozenset[str](), frozenset({name})
    while new:
        found |= new
        new = frozenset().union(*(needs[one] for one in new)) - found
    return found
