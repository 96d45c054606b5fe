"""Bring a ledger to the tables of this program: made whole when new, upgraded by Alembic when old, refused when newer.

All in the one transaction that opens the ledger, on both databases: killed in the middle, the ledger is as it was.
Ledgers from before Alembic carry the version "1" in `migrator_meta` and no revision; they are those of revision v0001.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.core.boundary import boundary
from migrator.core.errors import SafetyStop
from migrator.staging.lease import refuse_if_held
from migrator.staging.ledger_tables import leases, meta
from migrator.staging.sync_tables import TABLES

VERSION_TABLE = "migrator_revision"
FIRST = "v0001"
FORMAT = "2"
"""What `migrator_meta` says under "version" since Alembic looks after the rest: programs from before refuse it."""
MIGRATIONS = Path(__file__).parent / "migrations"
REVISIONS = tuple(sorted(path.stem for path in (MIGRATIONS / "versions").glob("v*.py")))
"""All that this program knows, oldest first; a file is named as its revision."""

_revision = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""As Alembic itself would make it."""


def is_up_to_date(connection: Connection, schema: str | None) -> bool:
    """Whether nothing is left to do; reads only."""
    return _recorded(connection, schema) == REVISIONS[-1]


def bring_up_to_date(connection: Connection, schema: str | None, now: datetime) -> None:
    """Make or upgrade the tables inside the caller's transaction, which is alone in doing so.

    Raises `SafetyStop` when the ledger is newer than this program, or when somebody works with it as it is.
    """
    _be_alone(connection)
    if schema is not None and not sa.inspect(connection).has_schema(schema):
        connection.execute(sa.schema.CreateSchema(schema))
    found = _recorded(connection, schema)
    if found == REVISIONS[-1]:
        return
    if not found:
        # a test holds that the revisions lead to these very tables
        TABLES.create_all(connection)
        _revision.create(connection)
        connection.execute(_revision.insert().values(version_num=REVISIONS[-1]))
        return
    if found not in REVISIONS:
        raise _newer(found)
    _upgrade(connection, schema, now)


def check_revision(connection: Connection) -> None:
    """Inside a transaction: raise `SafetyStop` when a newer program upgraded the ledger since this one opened it."""
    found = connection.execute(sa.select(_revision.c.version_num)).scalar()
    if found != REVISIONS[-1]:
        raise _newer(str(found))


def _newer(found: str) -> SafetyStop:
    return SafetyStop(
        f"this ledger was written by a newer migrator (its revision is {found}, this one knows {REVISIONS[-1]})",
        hint="use that migrator, or a newer one; nothing was changed",
    )


def _recorded(connection: Connection, schema: str | None) -> str:
    """The revision of a ledger; '' when there is no ledger yet."""
    tables = sa.inspect(connection).get_table_names(schema=schema)
    if VERSION_TABLE in tables:
        return str(connection.execute(sa.select(_revision.c.version_num)).scalar())
    if meta.name not in tables:
        return ""
    version = connection.execute(sa.select(meta.c.value).where(meta.c.name == "version")).scalar()
    return FIRST if version == "1" else f"version {version}"


def _be_alone(connection: Connection) -> None:
    """Two first commands at once: the second waits here, then finds everything made. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x6D696772)))


def _upgrade(connection: Connection, schema: str | None, now: datetime) -> None:
    """Alembic's part, while nobody works; whoever was taken for dead is fenced off for good."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
        if schema is not None:
            quoted = connection.dialect.identifier_preparer.quote(schema)
            connection.execute(sa.text(f"SET LOCAL search_path TO {quoted}"))
        # until we commit nobody takes or renews a lease; SQLite lets nobody write anyway
        connection.execute(sa.text(f"LOCK TABLE {leases.name} IN EXCLUSIVE MODE"))
    refuse_if_held(connection, now)
    connection.execute(leases.update().values(fence=leases.c.fence + 1))
    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    boundary("ledger.upgrading")
    if not sa.inspect(connection).has_table(VERSION_TABLE, schema=schema):
        command.stamp(config, FIRST)
    command.upgrade(config, "head")
    boundary("ledger.upgraded")
