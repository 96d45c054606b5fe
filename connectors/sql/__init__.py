"""Any database that SQLAlchemy reaches, as source and as target; PostgreSQL and SQLite by their bulk ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.settings import SETTINGS, parse
from migrator.core.connector import Connector, Recognition, Source, Target
from migrator.core.twoway import Side

_DIALECTS = ("sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql")
_SQLITE_MAGIC = b"SQLite format 3\x00"
_SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def open_source(settings: Mapping[str, Any]) -> Source:
    """A source over the database that `settings` name; connects at the first call."""
    from connectors.sql.source import SqlSource

    return SqlSource(parse(settings))


def open_target(settings: Mapping[str, Any]) -> Target:
    """A target over the database that `settings` name; connects at the first call."""
    from connectors.sql.target import SqlTarget

    return SqlTarget(parse(settings))


def open_side(settings: Mapping[str, Any]) -> Side:
    """The database that `settings` name as a side of the two-way sync: exact, by the columns that `sync` names."""
    from connectors.sql.side import SqlSide, columns

    parsed = parse(settings)
    return SqlSide(parsed, columns(parsed.sync))


def recognise(what: str) -> Recognition | None:
    """A database URL, an SQLite file, or the name of one that is yet to be made."""
    if "://" in what:
        return _recognised_url(what)
    path = Path(what)
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC:
                return Recognition(1.0, "an SQLite database file", _sqlite(path))
    unmade = not path.exists() or (path.is_file() and path.stat().st_size == 0)
    if unmade and path.suffix.lower() in _SQLITE_SUFFIXES:
        return Recognition(0.6, "the name of an SQLite database that is yet to be made", _sqlite(path))
    return None


def _recognised_url(url: str) -> Recognition | None:
    backend = url.partition("://")[0].partition("+")[0]
    if backend not in _DIALECTS:
        return None
    try:
        sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return Recognition(0.3, f"looks like a {backend} URL, but cannot be read", {"url": url})
    return Recognition(0.95, f"a {backend} database URL", {"url": url})


def _sqlite(path: Path) -> dict[str, str]:
    return {"url": f"sqlite:///{path}"}


CONNECTOR = Connector(
    name="sql",
    summary="any database that SQLAlchemy reaches: SQLite, PostgreSQL, MySQL, SQL Server, Oracle, …",
    settings=SETTINGS,
    open_source=open_source,
    open_target=open_target,
    open_side=open_side,
    recognise=recognise,
)
