"""Systems of a project opened for the two-way sync."""

from __future__ import annotations

from migrator.commands.project import Project
from migrator.core.twoway import Side


def open_side(project: Project, name: str) -> Side:
    """One system as a side."""
    raise NotImplementedError(name)
