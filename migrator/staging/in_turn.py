"""Joins that are made one after another where they lead to many rows.

A join holds the rows of one side in memory, and spills what does not fit; several such joins in one query share what
memory there is, and the engine cannot make one spill for another. So rows are laid aside before a join that would be too
much together with those before it: then each has the whole of the memory, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.staging.engine import Session, quote

JOINED_ROWS = 500_000
"""Rows that the joins of one query may lead to in all; a join that leads to more has a query of its own."""
_SO_FAR = "in turn:so far"


def is_much(rows: int) -> bool:
    """Whether joins to so many rows should not stand in one query."""
    return rows > JOINED_ROWS


@dataclass(frozen=True, slots=True)
class Join:
    """One left join of a query, in SQL; `r` is a row so far, `j` a row that it leads to."""

    to: str
    """What is joined: a relation."""
    on: str
    takes: str
    """The columns that a row gets of it, each under a name of its own."""
    rows: int
    """How many rows `to` has, about."""


def joined_in_turn(session: Session, rows: str, joins: Sequence[Join], *, joined: int = 0) -> str:
    """SQL for `rows` (SQL) with what each join takes.

    `joined`: how many rows `rows` itself joins to. What is laid aside on the way goes with the session, or with the next
    call: use what is returned before that.
    """
    for join in joins:
        if joined and is_much(joined + join.rows):
            session.lay_aside(_SO_FAR, rows)
            rows, joined = f"SELECT * FROM {quote(_SO_FAR)}", 0
        rows = f"SELECT r.*, {join.takes} FROM ({rows}) AS r LEFT JOIN ({join.to}) AS j ON {join.on}"
        joined += join.rows
    return rows
