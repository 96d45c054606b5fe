"""Who mentions whom: words of every component held against the names of all, bare names by the objects that are spoken of.

A bare field name counts for every object that the component speaks of; where it speaks of none that has such a field, or
reaches it through a variable or a relation, it counts, as possible, for all of them. So "not seen" errs to the safe side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.components import Component, ComponentKind
from migrator.inventory.words import Mentions

MOST_OWNERS = 40
"""Objects that may have a field of one name before mentions without an object are kept once for all of them."""


@dataclass(frozen=True, slots=True)
class Links:
    """Numbers of components: what each one mentions, and whether that is sure."""

    uses: Mapping[int, Mapping[int, bool]]
    """Component → what it mentions → True: named so that nothing else can be meant."""
    used_by: Mapping[int, Mapping[int, bool]] = field(default_factory=dict)
    loose: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Short name that very many objects have ('statecode') → components that mention it without saying of which: they may
    mention any of them. Kept once, because each with each would be millions."""


class _Index:
    """Names of components, in lower case."""

    def __init__(self, components: Sequence[Component]) -> None:
        self.full: dict[str, list[int]] = defaultdict(list)
        self.bare: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.objects: set[str] = set()
        for number, item in enumerate(components):
            name = item.name.lower()
            self.full[name].append(number)
            if item.kind is ComponentKind.OBJECT:
                self.objects.add(name)
            if item.owner and name.startswith(f"{item.owner.lower()}."):
                short = name[len(item.owner) + 1 :]
                self.bare[short][item.owner.lower()].append(number)
        for (
            name
        ) in self.objects:  # what is called like an object (a file of its rules) is never meant by its name
            self.full[name] = [
                number for number in self.full[name] if components[number].kind is ComponentKind.OBJECT
            ]


def links(components: Sequence[Component], mentioned: Sequence[Mentions]) -> Links:
    """Resolve all words; a component does not mention itself."""
    index = _Index(components)
    uses: dict[int, dict[int, bool]] = {}
    used_by: dict[int, dict[int, bool]] = defaultdict(dict)
    loose: dict[str, dict[int, None]] = defaultdict(dict)
    for number, item in enumerate(components):
        found: dict[int, bool] = {}
        spoken = _spoken(item, mentioned[number], index)
        own = item.name.lower().removeprefix(f"{item.owner.lower()}.") if item.owner else ""
        for word in mentioned[number].words - {own}:
            for other, sure in _meant(word, spoken, index):
                if isinstance(other, str):
                    loose[other][number] = None
                elif other != number:
                    found[other] = found.get(other, False) or sure
        if found:
            uses[number] = found
        for other, sure in found.items():
            used_by[other][number] = sure
    return Links(uses, dict(used_by), {name: tuple(numbers) for name, numbers in loose.items()})


def _spoken(item: Component, said: Mentions, index: _Index) -> frozenset[str]:
    """Objects that the component speaks of: its own, and all whose name stands in it."""
    heads = {word.partition(".")[0] for word in said.words}
    return frozenset((heads | said.words) & index.objects) | (
        {item.owner.lower()} if item.owner else frozenset()
    )


def _meant(word: str, spoken: frozenset[str], index: _Index) -> Iterator[tuple[int | str, bool]]:
    """Components that a word may mean, and whether it can mean nothing else; a short name for very many of them."""
    named = index.full.get(word)
    if named is not None:
        yield from ((number, True) for number in named)
    head, dot, last = word.rpartition(".")
    if not dot:
        if word in index.bare:
            yield from _by_context(word, index, spoken, reached=False)
        return
    if named is None and last in index.bare:
        yield from _by_context(last, index, spoken, reached=head not in index.objects)
    for part in word.split("."):
        yield from ((number, False) for number in index.full.get(part, ()))
        if part != last and part in index.bare:
            yield from _by_context(part, index, spoken, reached=True)


def _by_context(
    short: str, index: _Index, spoken: frozenset[str], *, reached: bool
) -> Iterator[tuple[int | str, bool]]:
    """`reached`: through a variable or a relation, so that the object need not be one that is spoken of."""
    owners = index.bare[short]
    here = owners.keys() & spoken
    for name in here:
        yield from ((number, True) for number in owners[name])
    if here and not reached:
        return
    if len(owners) > MOST_OWNERS:
        yield short, False
        return
    for name, numbers in owners.items():
        if name not in here:
            yield from ((number, False) for number in numbers)
