"""Alembic's side of the ledger: how it runs, and every revision there was."""
