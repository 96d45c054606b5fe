"""What people decided about pairs, made whole: groups that are one, groups that are not, and decisions that contradict.

'Same' is transitive: A is B and B is C make A and C one, also when B is gone from the data. 'Not same' is between whole
groups. Both hold on every rerun, above every rule, score and limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.core.errors import Location, Problem, raise_errors
from migrator.core.mapped import Judgement, Same

_PLACE = "dedupe decisions"


@dataclass(frozen=True, slots=True)
class Constraints:
    """Decisions as groups: record id → name of its group (the smallest id in it), and pairs of groups that are not one.

    A record that nobody joined to another is in no group; in `apart` it stands for itself.
    """

    groups: Mapping[str, str]
    apart: tuple[tuple[str, str], ...]


def settle(judgements: Sequence[Judgement]) -> Constraints:
    """Close decisions under 'same'; the last word on each pair is given once, in any order and either way round.

    Raises `ProjectError` when two records that were decided apart are joined by a chain of other decisions; it names the
    decision that parts them and those that join them.
    """
    same = sorted({_pair(item) for item in judgements if item.verdict is Same.SAME})
    parted = sorted({_pair(item) for item in judgements if item.verdict is Same.NOT_SAME})
    groups = _groups(same)
    raise_errors(_contradictions(same, parted, groups))
    apart = {tuple(sorted((groups.get(one, one), groups.get(other, other)))) for one, other in parted}
    return Constraints(groups, tuple(sorted((one, other) for one, other in apart)))


def _pair(judgement: Judgement) -> tuple[str, str]:
    return min(judgement.one, judgement.other), max(judgement.one, judgement.other)


def _groups(same: Sequence[tuple[str, str]]) -> dict[str, str]:
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = parent[above]
            name = above
        return name

    for one, other in same:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return {name: root(name) for name in parent}


def _contradictions(
    same: Sequence[tuple[str, str]], parted: Sequence[tuple[str, str]], groups: Mapping[str, str]
) -> Iterator[Problem]:
    for one, other in parted:
        if groups.get(one, one) == groups.get(other, other):
            chain = _chain(same, one, other)
            said = ", ".join(f"{a} is the same as {b}" for a, b in chain) or f"{one} is itself"
            yield Problem(
                Location(_PLACE),
                f"{one} and {other} were decided not to be the same, but other decisions make them one: {said}",
                "take one of these decisions back: migrator dedupe review",
            )


def _chain(same: Sequence[tuple[str, str]], one: str, other: str) -> list[tuple[str, str]]:
    """The shortest way from one record to the other over what was decided to be the same."""
    around: dict[str, list[str]] = {}
    for a, b in same:
        around.setdefault(a, []).append(b)
        around.setdefault(b, []).append(a)
    came_from, waiting = {one: one}, deque([one])
    while waiting and other not in came_from:
        here = waiting.popleft()
        for there in around.get(here, ()):
            if came_from.setdefault(there, here) == here and there not in (one, here):
                waiting.append(there)
    chain = []
    while other != one:
        chain.append((came_from[other], other))
        other = came_from[other]
    return chain[::-1]
