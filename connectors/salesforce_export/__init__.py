"""Reads the Data Export that Salesforce makes weekly or monthly: zips of CSV files, attachments and files beside them."""

from __future__ import annotations

import re
from pathlib import Path

from connectors.salesforce_export.source import SETTINGS, SalesforceExport
from migrator.core.connector import Connector, Recognition
from migrator.core.errors import MigratorError

__all__ = ["CONNECTOR", "SalesforceExport"]

_NAMED = re.compile(r"[WM]E_[A-Za-z0-9]{15,18}_\d+\.zip", re.IGNORECASE)
_TELLING = frozenset({"OwnerId", "IsDeleted", "SystemModstamp", "CreatedById", "LastModifiedById"})
_LOOK_AT = 5


def recognise(what: str) -> Recognition | None:
    """Zips named like exports, or CSV files whose headers have Salesforce's own columns."""
    path = Path(what).expanduser()
    if "://" in what or (path.is_file() and path.suffix.lower() != ".zip"):
        return None
    candidates = [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []
    named = [item.name for item in candidates if _NAMED.fullmatch(item.name)]
    if named:
        return Recognition(0.95, f"{named[0]} is named like a Salesforce Data Export", {"path": what})
    source = SalesforceExport(
        {"path": what, "encoding": "latin-1"}
    )  # headers are ASCII: any encoding shows them
    try:
        found = _telling_object(source)
    except MigratorError:
        return None
    finally:
        source.close()
    return Recognition(0.85, f"{found}.csv has Salesforce's columns", {"path": what}) if found else None


def _telling_object(source: SalesforceExport) -> str | None:
    for name in source.object_names()[:_LOOK_AT]:
        columns = set(source.columns(name))
        if "Id" in columns and columns & _TELLING:
            return name
    return None


CONNECTOR = Connector(
    name="salesforce-export",
    summary="Salesforce Data Export (weekly or monthly zips), packed or unpacked.",
    settings=SETTINGS,
    open_source=SalesforceExport,
    recognise=recognise,
)
