"""What the checks of a runbook share: how a mistake is told with its code and place, the verb of a step, its longest time."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.core.errors import Problem
from migrator.runbook.parse import Placed, Runbook
from migrator.runbook.verbs import Call, parse_call


def call_of(book: Runbook, placed: Placed) -> Call | None:
    """The verb of a step; None for external programs and waits."""
    command = placed.rule.command
    return parse_call(command, book.at(*placed.path, "command")) if isinstance(command, str) else None


def worst_seconds(placed: Placed, rehearsed: Mapping[str, float]) -> float:
    """How long a step takes when it takes long: as planned, or as long as it ever took in a rehearsal."""
    return max(placed.rule.planned, rehearsed.get(placed.id, 0.0))


def mistake(book: Runbook, code: str, placed: Placed, *told: str) -> Problem:
    """`told`: the key it is about ('' for the whole step), what is wrong, and what to do."""
    key, message, hint = told
    path = (*placed.path, key) if key else placed.path
    return Problem(book.at(*path), f"{code} {placed.rule.id}: {message}", hint, code=code)
