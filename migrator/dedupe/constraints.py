"""Decisions that clustering holds to: groups that are one and groups that are not, or an error where they contradict.

'Same' is transitive: A is B and B is C make A and C one, also when B is gone from the data. 'Not same' is between whole
groups. Both hold on every rerun, above every rule, score and limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.core.errors import Location, Problem, raise_errors
from migrator.core.mapped import Judgement, Same
from migrator.dedupe.judged import Judged, chain, together


def settle(judgements: Sequence[Judgement]) -> Judged:
    """Close decisions under 'same'; the last word on each pair is given once, in any order and either way round.

    Raises `ProjectError` when two records that were decided apart are joined by a chain of other decisions; it names the
    decision that parts them and those that join them.
    """
    found = together(judgements)
    raise_errors(_contradictions(judgements, found))
    return found


def _contradictions(judgements: Sequence[Judgement], found: Judged) -> Iterator[Problem]:
    for item in judgements:
        one, other = found.group.get(item.one, item.one), found.group.get(item.other, item.other)
        if item.verdict is Same.NOT_SAME and one == other:
            row = " = ".join(chain(judgements, item.one, item.other))
            yield Problem(
                Location("decisions"),
                f"{item.one} and {item.other} were decided not to be the same, but other decisions make them one: {row}",
                "take one of these decisions back: migrator dedupe decisions",
            )
