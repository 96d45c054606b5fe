"""The requests made to a system, counted in the ledger by the hour, so that the budget of a day holds across commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from migrator.staging.ledger import Ledger
from migrator.staging.ledger_tables import budgets


@dataclass(frozen=True, slots=True)
class LedgerTally:
    """`migrator.core.budget.Tally` of one system of one project."""

    ledger: Ledger
    system: str

    def add(self, hour: datetime, requests: int) -> None:
        """See `Tally.add`; two processes may count at once."""
        try:
            self._add(hour, requests)
        except (
            sa.exc.IntegrityError
        ):  # another process counted the first request of this hour in the same moment
            self._add(hour, requests)

    def by_hour(self, since: datetime) -> Mapping[datetime, int]:
        """See `Tally.by_hour`."""
        query = sa.select(budgets.c.hour, budgets.c.requests).where(
            budgets.c.system == self.system, budgets.c.hour >= since
        )
        with self.ledger.read() as connection:
            return {row.hour: row.requests for row in connection.execute(query)}

    def _add(self, hour: datetime, requests: int) -> None:
        here = (budgets.c.system == self.system, budgets.c.hour == hour)
        with self.ledger.begin() as connection:
            counted = connection.execute(
                budgets.update().where(*here).values(requests=budgets.c.requests + requests)
            )
            if not counted.rowcount:
                connection.execute(budgets.insert().values(system=self.system, hour=hour, requests=requests))
