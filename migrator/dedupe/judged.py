"""What people's decisions say together: who is one by way of others, who is not, and where they contradict each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from migrator.core.mapped import Judgement, Same


@dataclass(frozen=True, slots=True)
class Judged:
    """Groups of records that were called the same, and pairs of groups that were called different."""

    group: Mapping[str, str]
    """Record → the smallest record of its group; records that were never called the same as another are not in it."""
    apart: frozenset[tuple[str, str]]
    """Pairs of groups (the smallest record stands for each), the smaller first."""

    def says(self, one: str, other: str) -> Same | None:
        """What follows for two records, by way of others too; None when nothing does. A contradiction follows as NOT_SAME."""
        pair = self._groups(one, other)
        if pair in self.apart:
            return Same.NOT_SAME
        return Same.SAME if pair[0] == pair[1] else None

    def _groups(self, one: str, other: str) -> tuple[str, str]:
        a, b = self.group.get(one, one), self.group.get(other, other)
        return (a, b) if a <= b else (b, a)


def together(said: Iterable[Judgement]) -> Judged:
    """What judgements say together."""
    known = list(said)
    neighbours = _neighbours(known)
    group: dict[str, str] = {}
    for first in sorted(neighbours):
        if first not in group:
            group.update(dict.fromkeys(_reached(neighbours, first), first))
    found = Judged(group, frozenset())
    apart = (found._groups(item.one, item.other) for item in known if item.verdict is Same.NOT_SAME)
    return Judged(group, frozenset(apart))


def chain(said: Iterable[Judgement], one: str, other: str) -> tuple[str, ...]:
    """The shortest row of records from `one` to `other` in which each was called the same as the next; () when there is none."""
    before = _reached(_neighbours(said), one)
    if other not in before:
        return ()
    row = [other]
    while row[-1] != one:
        row.append(before[row[-1]])
    return tuple(reversed(row))


def _neighbours(said: Iterable[Judgement]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in said:
        if item.verdict is Same.SAME:
            found.setdefault(item.one, []).append(item.other)
            found.setdefault(item.other, []).append(item.one)
    return found


def _reached(neighbours: Mapping[str, list[str]], first: str) -> dict[str, str]:
    """Record → the record it was first reached from, of all that can be reached."""
    before, waiting = {first: first}, deque([first])
    while waiting:
        here = waiting.popleft()
        for there in sorted(neighbours.get(here, ())):
            if there not in before:
                before[there] = here
                waiting.append(there)
    return before


def against(said: Iterable[Judgement], word: Judgement) -> tuple[Judgement, ...]:
    """Judgements of `said` that together contradict `word` (which may be among them); () when they do not."""
    others = [item for item in said if (item.one, item.other) != (word.one, word.other)]
    match word.verdict:
        case Same.NOT_SAME:
            return _links(chain(others, word.one, word.other))
        case Same.SAME:
            return _parted(others, word)
        case Same.UNSURE:
            return ()


def _parted(others: Iterable[Judgement], word: Judgement) -> tuple[Judgement, ...]:
    """The way from one record over a 'not the same' to the other record."""
    known = list(others)
    here, there = (_reached(_neighbours(known), record) for record in (word.one, word.other))
    for item in known:
        for a, b in ((item.one, item.other), (item.other, item.one)):
            if item.verdict is Same.NOT_SAME and a in here and b in there:
                return (*_links(chain(known, word.one, a)), item, *_links(chain(known, b, word.other)))
    return ()


def _links(row: tuple[str, ...]) -> tuple[Judgement, ...]:
    return tuple(Judgement(min(pair), max(pair), Same.SAME) for pair in pairwise(row))
