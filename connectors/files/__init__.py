"""Reads folders and files of CSV, TSV, Excel, JSON Lines and Parquet; other connectors read their CSV with its parts."""

from __future__ import annotations

from pathlib import Path

from connectors.files.settings import FILES_SETTINGS
from connectors.files.source import SUFFIXES, FilesSource
from migrator.core.connector import Connector, Recognition
from migrator.core.errors import MigratorError

__all__ = ["CONNECTOR", "FilesSource"]


def recognise(what: str) -> Recognition | None:
    """A path with at least one data file; less sure than the connectors that know a vendor's export."""
    if "://" in what:
        return None
    path = Path(what).expanduser()
    if path.is_file() and path.suffix.lower() in SUFFIXES | {".txt"}:
        return Recognition(0.7, f"{path.name} is a data file", {"path": what})
    source = FilesSource({"path": what})
    try:
        names = source.object_names()
    except MigratorError:
        return None
    finally:
        source.close()
    return Recognition(
        0.4, f"data files: {', '.join(names[:4])}{', …' if len(names) > 4 else ''}", {"path": what}
    )


CONNECTOR = Connector(
    name="files",
    summary="Files of CSV, TSV, Excel, JSON Lines or Parquet: one, a folder, a glob, or a zip of them.",
    settings=FILES_SETTINGS,
    open_source=FilesSource,
    recognise=recognise,
)
