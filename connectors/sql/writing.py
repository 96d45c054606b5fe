"""What all ways of writing share: the batch they are given, and the answers they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import pyarrow as pa
import sqlalchemy as sa

from connectors.sql.catalog import Relation
from connectors.sql.failures import Refusal


class Verb(Enum):
    """What is to be done with the rows of a batch."""

    UPSERT = "upsert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the types of their columns, checked, each key once; `rows` of a delete has the key column only."""

    relation: Relation
    key: str
    rows: pa.Table

    @property
    def others(self) -> tuple[str, ...]:
        """The columns that are not the key."""
        return tuple(name for name in self.rows.column_names if name != self.key)


@dataclass(frozen=True, slots=True)
class Answers:
    """For each row of the batch, by its number: its outcome, or why it was refused."""

    outcomes: Mapping[int, str]
    refused: Mapping[int, Refusal]


class Writer(Protocol):
    """One dialect's way to write a batch, inside a transaction that the caller has begun."""

    def __call__(self, connection: sa.Connection, verb: Verb, batch: Batch) -> Answers:
        """Write all rows that can be written; raises the driver's error when the database itself fails."""
        ...


def isolate(attempt: Callable[[Sequence[int]], Refusal | None], numbers: Sequence[int]) -> dict[int, Refusal]:
    """The rows that cannot be written, found by halving; what can be written has been when this returns.

    `attempt` writes the numbered rows together, or writes nothing and says why.
    """
    refused: dict[int, Refusal] = {}
    pending = [numbers] if numbers else []
    while pending:
        part = pending.pop()
        reason = attempt(part)
        if reason is None:
            continue
        if len(part) == 1:
            refused[part[0]] = reason
        else:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
    return refused


def settle(attempt: Callable[[Sequence[int]], Refusal | None], numbers: Sequence[int]) -> dict[int, Refusal]:
    """As `isolate`, but rows that failed for want of another row of the batch get another chance after it."""
    pending = list(numbers)
    while True:
        refused = isolate(attempt, pending)
        if not refused or len(refused) == len(pending):
            return refused
        pending = sorted(refused)
