"""What Alembic runs: the revisions, in the transaction and the schema that `ledger_upgrade` hands it."""

from __future__ import annotations

from alembic import context

from migrator.staging.ledger_tables import metadata
from migrator.staging.ledger_upgrade import VERSION_TABLE

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=given["schema"],
    # the caller's transaction is the only one: all revisions or none, on SQLite too
    transactional_ddl=True,
)
context.run_migrations()
