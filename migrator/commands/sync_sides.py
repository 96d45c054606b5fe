"""Systems of a project opened for the two-way sync."""

from __future__ import annotations

from migrator.commands.project import Project
from migrator.core.errors import ProjectError
from migrator.core.twoway import Side


def open_side(project: Project, name: str) -> Side:
    """One system as a side; raises `ProjectError` where its connector cannot be kept in step."""
    system = project.system(name)
    raise ProjectError.at(
        system.place,
        f"the connector {system.connector!r} cannot be kept in step yet",
        "see docs/sync.md, Systems",
    )
