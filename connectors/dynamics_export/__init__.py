"""Dynamics 365 / Dataverse exports of the Configuration Migration Tool: zips or folders of data_schema.xml and data.xml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.dynamics_export.package import find_packages
from connectors.dynamics_export.source import DynamicsExport
from migrator.core.connector import Connector, Recognition
from migrator.core.errors import ProjectError

__all__ = ["CONNECTOR", "DynamicsExport"]


def open_source(settings: Mapping[str, Any]) -> DynamicsExport:
    """A source over the export at `path`; opens nothing yet. Raises `ProjectError` when `path` is missing."""
    path = settings.get("path")
    if not isinstance(path, (str, Path)) or not str(path):
        raise ProjectError.at(
            "migration.yaml",
            "a dynamics-export system needs a path",
            "path: the zip of the Configuration Migration tool, or its folder",
        )
    return DynamicsExport(Path(path))


def recognise(what: str) -> Recognition | None:
    """Whether `what` is such an export: a zip or folder with data_schema.xml, or a folder of several."""
    path = Path(what)
    if "://" in what or not path.exists():
        return None
    found = find_packages(path)
    if not found:
        return None
    several = f"{len(found)} exports with data_schema.xml" if len(found) > 1 else "data_schema.xml in it"
    return Recognition(0.95, f"a Configuration Migration export of Dynamics 365: {several}", {"path": what})


CONNECTOR = Connector(
    name="dynamics-export",
    summary="Dynamics 365 / Dataverse: zip or folder written by the Configuration Migration tool",
    settings={"path": "the zip, the unpacked folder, or a folder with several of them"},
    open_source=open_source,
    recognise=recognise,
)
