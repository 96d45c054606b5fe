"""What one field adds to each step of the query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from migrator.mapping.issues import Check

Columns: TypeAlias = list[tuple[str, str]]
"""Name → SQL, in order."""


@dataclass(slots=True)
class FieldSteps:
    """Columns, joins and checks by step."""

    filtered: Columns = field(default_factory=list)
    cleaned: Columns = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    looked_up: Columns = field(default_factory=list)
    converted: Columns = field(default_factory=list)
    """Only amounts that are converted have this step."""
    cast: Columns = field(default_factory=list)
    mapped: Columns = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
