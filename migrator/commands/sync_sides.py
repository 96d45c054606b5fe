"""Systems of a project opened for the two-way sync: by a side of their connector's own, else made of its source and target."""

from __future__ import annotations

from migrator.commands.project import Project
from migrator.core.connector import ChangingSource
from migrator.core.twoway import Side
from migrator.sync.adapter import ConnectorSide


def open_side(project: Project, name: str) -> Side:
    """One system as a side; raises `ProjectError` where its connector cannot be written to."""
    own = project.open_own_side(name)
    if own is not None:
        return own
    target = project.open_target(name)
    source = project.open_source(name)
    return ConnectorSide(target, source if isinstance(source, ChangingSource) else None)
