"""An expression carried into another dialect, as its rules hand it on: a text that never fails, and when the engine's would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.staging.dialects.kinds import Type

Columns = Mapping[str, Type]
"""What an expression may read: lower-case name → type."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An expression in the other dialect's SQL that never fails."""

    sql: str
    type: Type
    fails: tuple[str, ...] = ()
    """Conditions, never null, under which the engine's expression fails."""
    constant: str | None = None
    """The value of a text literal."""


def fails_of(*pieces: Piece) -> tuple[str, ...]:
    """When any of them fails."""
    return tuple(dict.fromkeys(item for piece in pieces for item in piece.fails))


def null_fails(sql: str, *operands: Piece) -> str:
    """The condition that a strict piece has no value although all its operands have one."""
    given = " AND ".join(f"{item.sql} IS NOT NULL" for item in operands)
    return f"({given} AND {sql} IS NULL)"


def any_of(conditions: Sequence[str]) -> str:
    """Whether one of them holds."""
    return " OR ".join(conditions) or "FALSE"
