"""Records of an object, whole, in the order of their ids: over REST for what is small, by Bulk API 2.0 for what is large.

Both ways go by key: where one is broken off, the other can go on after the last id. A Bulk API job reads so many records
after an id (`ORDER BY Id LIMIT n`), which keeps one job small, its results in order, and a lost job cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.salesforce import soql
from connectors.salesforce.bulk import Jobs
from connectors.salesforce.cells import from_records, from_texts
from connectors.salesforce.client import Client
from connectors.salesforce.described import Described
from connectors.salesforce.paging import always, records
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

BY_PARENT = {"ContentDocumentLink": ("ContentDocumentId", "ContentDocument")}
"""Objects that can only be asked for by their parents' ids → the reference and the parent."""
_PARENTS_A_QUERY = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of one object."""

    client: Client
    jobs: Jobs
    found: Described
    fields: Sequence[FieldSchema]

    def pages(self, *, after: str | None, page_rows: int, rows: int | None) -> Iterator[pa.Table]:
        """Text columns, in pages of at most `page_rows`, of the records after an id; `rows`: about how many there are."""
        threshold = self.client.settings.bulk_read_from
        if self.found.name in BY_PARENT:
            yield from self._by_parent(after)
        elif threshold and rows is not None and rows >= threshold and "Id" in self._names:
            yield from self._bulk(after, page_rows)
        else:
            yield from cut(self._rest(after), page_rows)

    @property
    def _names(self) -> list[str]:
        return [item.name for item in self.fields]

    @property
    def _archived(self) -> bool:
        """Old tasks and events are archived, and only queryAll gives them."""
        return all(self.found.schema.field(name) is not None for name in ("IsDeleted", "IsArchived"))

    def _query(self, after: str | None, limit: int | None = None) -> str:
        conditions = [f"Id > {soql.text_literal(after)}"] if after else []
        conditions += ["IsDeleted = false"] if self._archived else []
        query = soql.select(self._names, self.found.name, *conditions, order=("Id",))
        return f"{query} LIMIT {limit}" if limit else query

    def _rest(self, after: str | None) -> Iterator[pa.Table]:
        found = records(
            self.client,
            lambda last: self._query(str(last["Id"]) if last else after),
            deleted_too=self._archived,
        )
        for page in found:
            yield from_records(page, self.fields)

    def _bulk(self, after: str | None, page_rows: int) -> Iterator[pa.Table]:
        size = self.client.settings.bulk_job_rows
        while True:
            came = 0
            query = self._query(after, size)
            for rows in self.jobs.query(query, deleted_too=self._archived, page_rows=page_rows):
                if not rows.num_rows:
                    continue
                page = from_texts(rows, self.fields)
                before, after = after, str(page.column("Id")[-1].as_py())
                if before and after <= before:
                    raise FatalError(
                        f"{self.found.name}: Salesforce's answer does not go on by id: {after} after {before}",
                        hint="set bulk_read_from: 0 to read this without the Bulk API",
                    )
                came += page.num_rows
                yield page
            if came < size:
                return

    def _by_parent(self, after: str | None) -> Iterator[pa.Table]:
        """Records by the ids of their parents; all of one parent are on one page, so a parent's id is the cursor."""
        link, parent = BY_PARENT[self.found.name]

        def parents(last: Any) -> str:
            known = str(last["Id"]) if last else after
            conditions = [f"Id > {soql.text_literal(known)}"] if known else []
            return soql.select(["Id"], parent, *conditions, order=("Id",))

        for page in records(self.client, parents):
            for start in range(0, len(page), _PARENTS_A_QUERY):
                ids = [soql.text_literal(str(item["Id"])) for item in page[start : start + _PARENTS_A_QUERY]]
                query = soql.select(
                    self._names, self.found.name, f"{link} IN ({','.join(ids)})", order=(link,)
                )
                whole = [from_records(part, self.fields) for part in records(self.client, always(query))]
                if whole:
                    yield pa.concat_tables(whole)

    def cursor(self, page: pa.Table) -> str:
        """What reading goes on after."""
        link = BY_PARENT.get(self.found.name, ("Id", ""))[0]
        return str(page.column(link)[-1].as_py())


def cut(pages: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in pages of `size`, the last one shorter."""
    waiting: list[pa.Table] = []
    count = 0
    for page in pages:
        waiting.append(page)
        count += page.num_rows
        while count >= size:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, size)
            waiting, count = [whole.slice(size)], count - size
    if count:
        yield pa.concat_tables(waiting)


def readable(found: Described) -> list[FieldSchema]:
    """The fields a query may name; binary members are fetched one by one, by REST."""
    return [item for item in found.schema.fields if item.type is not FieldType.FILE]
