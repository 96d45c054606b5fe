"""The settings of an SQL system in migration.yaml, checked before anything is opened."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError

SETTINGS: Mapping[str, str] = {
    "url": "SQLAlchemy URL: sqlite:///crm.db, postgresql://user:${env:PASSWORD}@host/database, …",
    "schema": "the schema (namespace) inside the database; default: the database's own default",
    "tables": "patterns of tables and views to see: a list, or {include: [...], exclude: [...]}",
    "keys": "{view or table: column} for those without a primary key",
    "batch_rows": "most rows one write carries; default 10000",
    "create_tables": "false: never create a table in the target, only check; default true",
    "sync": "for the two-way sync: {version: column, stamp: column, created: column, deleted: column, delete_log: table, marker: table}",
    "read_only": "true: refuse every write to this target; default false (sources are always read-only)",
}
PLACE = "migration.yaml"
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_PACKAGES = {"mysql": "pymysql", "mariadb": "pymysql", "oracle": "oracledb", "mssql": "pyodbc"}


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """Where a database is and which of its tables are meant."""

    url: sa.URL
    schema: str | None = None
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    batch_rows: int = 10_000
    create_tables: bool = True
    read_only: bool = False
    sync: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages call this database: no user, no password, no options."""
        place = self.url.host or ""
        if self.url.port:
            place = f"{place}:{self.url.port}"
        return f"{self.url.get_backend_name()}://{place}/{self.url.database or ''}"

    def wants(self, table: str) -> bool:
        """Whether the patterns let a table or view through."""
        return _matches(table, self.include) and not _matches(table, self.exclude)


def parse(settings: Mapping[str, Any], place: str = PLACE) -> SqlSettings:
    """Settings from migration.yaml; raises `ProjectError` with every problem found."""
    where = Location(place)
    problems = [
        Problem(where, f"unknown setting {name!r}", did_you_mean(name, SETTINGS, noun="settings"))
        for name in settings
        if name not in SETTINGS
    ]
    url = _url(settings.get("url"), where, problems)
    include, exclude = _patterns(settings.get("tables"), where, problems)
    keys = _typed(settings, "keys", {}, where, problems)
    batch_rows = _typed(settings, "batch_rows", 10_000, where, problems)
    if batch_rows < 1:
        problems.append(Problem(where, f"batch_rows is {batch_rows}", "give a number from 1 up"))
    parsed = SqlSettings(
        url=url or sa.make_url("sqlite://"),
        schema=_typed(settings, "schema", "", where, problems) or None,
        include=include,
        exclude=exclude,
        keys={str(name): str(column) for name, column in keys.items()},
        batch_rows=batch_rows,
        create_tables=_typed(settings, "create_tables", True, where, problems),
        read_only=_typed(settings, "read_only", False, where, problems),
        sync=_typed(settings, "sync", {}, where, problems),
    )
    if problems:
        raise ProjectError(problems)
    return parsed


def _typed(
    settings: Mapping[str, Any],
    name: str,
    default: Any,
    where: Location,
    problems: list[Problem],
) -> Any:
    """The setting, of the same type as its default; null is the default."""
    kind = type(default)
    value = settings.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        problems.append(Problem(where, f"{name} must be {_SPOKEN[kind]}, not {value!r}", SETTINGS[name]))
        return default
    return value


_SPOKEN = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table of names"}


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _patterns(
    value: Any, where: Location, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    raw = {"include": value} if isinstance(value, list) else ({} if value is None else value)
    fits = isinstance(raw, dict) and all(
        name in ("include", "exclude")
        and isinstance(items, list)
        and all(isinstance(item, str) for item in items)
        for name, items in raw.items()
    )
    if not fits:
        problems.append(Problem(where, f"tables cannot be read: {value!r}", SETTINGS["tables"]))
        return ("*",), ()
    return tuple(raw.get("include") or ("*",)), tuple(raw.get("exclude") or ())


def _url(value: Any, where: Location, problems: list[Problem]) -> sa.URL | None:
    if not isinstance(value, str) or not value:
        problems.append(Problem(where, "the setting url is missing", SETTINGS["url"]))
        return None
    try:
        url = sa.make_url(value)
    except (sa.exc.ArgumentError, ValueError):
        problems.append(Problem(where, "the url cannot be read (not shown: it may hold a password)", _SHAPE))
        return None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    _require_driver(url, where, problems)
    return url


_SHAPE = (
    "it must look like dialect://user:password@host:port/database; write signs such as @ : / as %40 %3A %2F"
)


def _require_driver(url: sa.URL, where: Location, problems: list[Problem]) -> None:
    try:
        url.get_dialect().import_dbapi()
    except sa.exc.NoSuchModuleError:
        problems.append(
            Problem(
                where,
                f"no SQLAlchemy dialect is called {url.drivername!r}",
                did_you_mean(
                    url.get_backend_name(),
                    ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"),
                    noun="dialects",
                ),
            )
        )
    except ImportError as error:
        package = error.name or _PACKAGES.get(url.get_backend_name(), "its driver")
        problems.append(
            Problem(
                where,
                f"the driver for {url.drivername!r} is not installed: {package}",
                f"pip install {package}",
            )
        )
