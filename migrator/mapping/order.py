"""The order in which objects are loaded: what is linked to comes first; links that close a circle wait for a second pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from migrator.core.errors import Location, Problem, ProjectError
from migrator.core.mapped import Link, MappedObject

Locate = Callable[[str, str], Location]
"""Place of a field of a mapping."""
Graph = Mapping[str, frozenset[str]]


def order(
    objects: Sequence[MappedObject], locate: Locate | None = None
) -> tuple[tuple[MappedObject, ...], ...]:
    """Groups in load order: every link that is not deferred points into an earlier group.

    1. Links to oneself are deferred.
    2. In each strongly connected component, links that are not required and close a circle are deferred.
    3. A circle of required links only cannot be loaded: `ProjectError` names it with its places.
    """
    by_name = {item.name: item for item in objects}
    problems = [
        *_required_self(objects, locate),
        *(
            _circle(part, by_name, locate)
            for part in _components(_graph(objects, _is_fixed))
            if len(part) > 1
        ),
    ]
    if problems:
        raise ProjectError(problems)
    rank = _ranks(objects)
    settled = [_defer(item, rank) for item in objects]
    return _levels(settled)


def _is_fixed(link: Link) -> bool:
    return link.required and not link.deferred


def _graph(objects: Iterable[MappedObject], wanted: Callable[[Link], bool]) -> dict[str, frozenset[str]]:
    """Object → the objects it must come after; self references apart."""
    listed = list(objects)
    names = {item.name for item in listed}
    return {
        item.name: frozenset(
            name
            for link in item.links
            if wanted(link)
            for name in link.mappings
            if name in names and name != item.name
        )
        for item in sorted(listed, key=lambda item: item.name)
    }


def _required_self(objects: Iterable[MappedObject], locate: Locate | None) -> list[Problem]:
    return [
        Problem(
            _place(locate, item.name, link.field),
            f"{item.name}.{link.field} is required and points to {item.name} itself: no record could be first",
            "drop required, so that it can be set in a second pass",
        )
        for item in objects
        for link in item.links
        if _is_fixed(link) and link.mappings == (item.name,)
    ]


def _place(locate: Locate | None, mapping: str, field: str) -> Location:
    return locate(mapping, field) if locate else Location(mapping)


def _circle(part: tuple[str, ...], by_name: Mapping[str, MappedObject], locate: Locate | None) -> Problem:
    path = _walk(part, by_name)
    steps = [f"{start}.{field}" for start, field, _ in path]
    places = "; ".join(f"{start}.{field} at {_place(locate, start, field)}" for start, field, _ in path)
    return Problem(
        _place(locate, path[0][0], path[0][1]),
        f"these required links form a circle: {' → '.join([*steps, path[0][0]])}",
        f"drop required from one of them, or set defer: true where the target allows it ({places})",
    )


def _walk(part: tuple[str, ...], by_name: Mapping[str, MappedObject]) -> list[tuple[str, str, str]]:
    """A closed walk of required links inside a component, as (object, field, next object)."""
    here = part[0]
    seen: dict[str, int] = {}
    path: list[tuple[str, str, str]] = []
    while here not in seen:
        seen[here] = len(path)
        field, there = next(
            (link.field, name)
            for link in by_name[here].links
            if _is_fixed(link)
            for name in link.mappings
            if name in part and name != here
        )
        path.append((here, field, there))
        here = there
    return path[seen[here] :]


def _components(graph: Graph) -> list[tuple[str, ...]]:
    """Strongly connected components, what is linked to first (Tarjan, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, following = work[-1]
            child = next(following, None)
            if child is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    found.append(tuple(sorted(stack[cut:])))
                    del stack[cut:]
            elif child not in index:
                index[child] = low[child] = len(index)
                stack.append(child)
                work.append((child, iter(sorted(graph[child]))))
            elif child in stack:
                low[node] = min(low[node], index[child])
    return found


def _ranks(objects: Sequence[MappedObject]) -> dict[str, int]:
    """A position for each object that no required link contradicts; other links are heeded where they can be."""
    every = _graph(objects, lambda link: not link.deferred)
    fixed = _graph(objects, _is_fixed)
    ranks: dict[str, int] = {}
    for part in _components(every):
        inside = {name: fixed[name] & set(part) for name in part}
        loose = {name: every[name] & set(part) for name in part}
        while inside:
            ready = [name for name, after in inside.items() if not after & inside.keys()]
            chosen = min(ready, key=lambda name: (len(loose[name] & inside.keys()), name))
            ranks[chosen] = len(ranks)
            del inside[chosen]
    return ranks


def _defer(item: MappedObject, rank: Mapping[str, int]) -> MappedObject:
    links = tuple(
        replace(
            link,
            deferred=link.deferred or any(rank.get(name, -1) >= rank[item.name] for name in link.mappings),
        )
        for link in item.links
    )
    return replace(item, links=links)


def _levels(objects: Sequence[MappedObject]) -> tuple[tuple[MappedObject, ...], ...]:
    graph = _graph(objects, lambda link: not link.deferred)
    level: dict[str, int] = {}
    for part in _components(graph):
        level[part[0]] = max((level[name] + 1 for name in graph[part[0]]), default=0)
    groups: dict[int, list[MappedObject]] = {}
    for item in sorted(objects, key=lambda item: item.name):
        groups.setdefault(level[item.name], []).append(item)
    return tuple(tuple(groups[number]) for number in sorted(groups))
