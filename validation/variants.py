"""Rules told apart: whichever share object, type and fields get a variant of their own, so that each has an id of its own.

An id must stay when rules are moved, or others are added, since waivers and the trend know a check by it. So a rule that
follows from the mapping keeps the plain id; one that the team wrote beside it has its `name`, or else a few digits over
what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from migrator.core.errors import Problem, raise_errors
from migrator.core.fingerprint import fingerprint
from validation.expectations import Expectation, Suite

_DIGITS = 6


def tell_apart(suites: Sequence[Suite]) -> tuple[Suite, ...]:
    """The suites with a variant for every rule that needs one; raises `ProjectError` when one rule stands twice."""
    alike: dict[tuple[str, str, str], list[Expectation]] = {}
    for suite in suites:
        for rule in suite.expectations:
            alike.setdefault((suite.object, rule.type, rule.subject), []).append(rule)
    variants: dict[int, str] = {}
    for rules in alike.values():
        own = [rule for rule in rules if not _is_derived(rule)]
        for rule in own if len(rules) > 1 else ():
            variants[id(rule)] = rule.name or _digits(rule)
        variants.update({id(rule): rule.name for rule in rules if rule.name})
    _refuse_doubles(alike.values(), variants)
    return tuple(
        replace(
            suite,
            expectations=tuple(
                replace(rule, variant=variants.get(id(rule), "")) for rule in suite.expectations
            ),
        )
        for suite in suites
    )


def _is_derived(rule: Expectation) -> bool:
    return "reason" in rule.meta


def _digits(rule: Expectation) -> str:
    when = rule.when
    asked = [dict(rule.kwargs), [when.column, list(when.values), when.negated] if when else None]
    return fingerprint(asked)[:_DIGITS]


def _refuse_doubles(alike: Iterable[Sequence[Expectation]], variants: Mapping[int, str]) -> None:
    problems = []
    for rules in alike:
        seen: dict[str, Expectation] = {}
        for rule in rules:
            first = seen.setdefault(variants.get(id(rule), ""), rule)
            if first is not rule:
                problems.append(
                    Problem(
                        rule.place,
                        f"{rule.type} on {rule.subject} stands at {first.place} too",
                        "take one of them out, or give each a `name`",
                    )
                )
    raise_errors(problems)
