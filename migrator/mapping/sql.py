"""SQL text laid out for people: named steps, one column a line.

Steps are composed as text from quoted identifiers, quoted literals and parsed expressions. Trees for everything would
cost 40 seconds for sixty wide mappings; text costs none. Tests parse every query that comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlglot

from migrator.staging.engine import quote


@dataclass(frozen=True, slots=True)
class Step:
    """One named step (a common table expression)."""

    name: str
    body: str
    shared: bool = False
    """Read by several steps, each of which computes only the columns it needs: nothing is kept in between."""


def select(columns: Iterable[str], source: str, joins: Sequence[str] = ()) -> str:
    """A SELECT, one column and one join a line."""
    listed = ",\n    ".join(columns)
    joined = "".join(f"\n  {join}" for join in joins)
    return f"  SELECT\n    {listed}\n  FROM {source}{joined}"


def readable(sql: str) -> str:
    """The same query laid out deeper, for a person to read; it takes a moment, so that only `show-sql` asks for it."""
    return sqlglot.parse_one(sql, dialect="duckdb").sql(dialect="duckdb", pretty=True)


def query(steps: Iterable[Step], last: str) -> str:
    """All steps, then the SELECT that stands on them; of steps with one name the first is kept."""
    found: dict[str, Step] = {}
    for step in steps:
        found.setdefault(step.name, step)
    named = ",\n".join(
        f"{quote(step.name)} AS {'NOT MATERIALIZED ' if step.shared else ''}(\n{step.body}\n)"
        for step in found.values()
    )
    return f"WITH {named}\n{last}"
