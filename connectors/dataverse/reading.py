"""Rows of one table, page by page or by key, as Arrow: what both the source and the target read with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors.dataverse.delivery import Delivery, deliveries, empty, page, selection
from connectors.dataverse.odata import guid, in_filter, pieces, query
from connectors.dataverse.service import ANNOTATIONS, PAGE_ROWS, Service
from connectors.dataverse.tables import Table
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError

_PARTY = "$select=participationtypemask,addressused,_partyid_value"


@dataclass(frozen=True, slots=True)
class Reading:
    """Some columns of one table."""

    service: Service
    table: Table
    wanted: tuple[Delivery, ...]
    select: str
    expand: str

    def pages(
        self, *, cursor: str | None = None, page_rows: int = PAGE_ROWS
    ) -> Iterator[tuple[pa.Table, str | None]]:
        """Pages in the order of the primary key, each with the link that goes on after it."""
        first = cursor or self._address(orderby=self.table.key)
        for told in self.service.pages(first, page_rows=page_rows, prefer=(ANNOTATIONS,), key=self.table.key):
            yield page(told.rows, self.wanted, self.table), told.next_link

    def filtered(self, condition: str, *, order: str = "", page_rows: int = PAGE_ROWS) -> Iterator[pa.Table]:
        """Rows for which a condition holds."""
        address = self._address(filter=condition, orderby=order)
        for told in self.service.pages(address, page_rows=page_rows, prefer=(ANNOTATIONS,)):
            yield page(told.rows, self.wanted, self.table)

    def by_values(self, column: str, values: Sequence[str]) -> pa.Table:
        """Rows whose `column` is one of `values`; the order says nothing."""
        found = [empty(self.wanted)]
        for piece in pieces(values):
            found += self.filtered(in_filter(column, piece))
        return pa.concat_tables(found)

    def _address(self, **options: str) -> str:
        return self.table.set_name + query(select=self.select, expand=self.expand, **options)


def reading(service: Service, table: Table, columns: Sequence[str] | None = None) -> Reading:
    """How to read these columns of a table, all of them by default; raises `FatalError` for an unknown one."""
    names = table.schema.field_names if columns is None else tuple(columns)
    for name in names:
        if table.schema.field(name) is None:
            raise FatalError(
                f"{service.label}: {table.name} has no column {name!r}",
                hint=did_you_mean(name, table.schema.field_names, noun="columns"),
            )
    chosen, parties = selection(table, names)
    return Reading(
        service,
        table,
        deliveries(table, names),
        ",".join(chosen),
        f"{table.parties}({_PARTY})" if parties else "",
    )


def by_keys(found: Reading, keys: Sequence[str], *, key: str) -> pa.Table:
    """Rows with these keys, of the primary id or of a column; a key that cannot be one is the key of no row."""
    attribute = found.table.attributes.get(key)
    if attribute is None:
        raise FatalError(f"{found.service.label}: {found.table.name} has no column {key!r}")
    values = list(keys)
    if key == found.table.key or attribute.kind == "uniqueidentifier":
        values = [value for text in keys if (value := guid(text)) is not None]
    elif not attribute.quoted:
        values = [text for text in keys if text.lstrip("-").isdecimal()]
    return found.by_values(key, list(dict.fromkeys(values)))
