"""A Salesforce organisation as a source: objects by API name, every value as text in one form, changes since a watermark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from connectors.salesforce import binaries
from connectors.salesforce.bulk import Jobs
from connectors.salesforce.catalog import LIMITS, Catalog, identify
from connectors.salesforce.changes import Changes, parse_watermark, watermark_text
from connectors.salesforce.client import Client
from connectors.salesforce.described import Described
from connectors.salesforce.reading import BY_PARENT, Reading, readable
from connectors.salesforce.settings import parse
from migrator.core.clock import Clock
from migrator.core.connector import ChangePage, Gate, Identity, Limits, Page, SourceFacts
from migrator.core.errors import WatermarkExpired
from migrator.core.schema import ObjectSchema


class SalesforceSource:
    """Connects at the first question."""

    def __init__(self, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        """Raises `ProjectError` for wrong settings."""
        self._client = Client(parse(settings), clock)
        self._catalog = Catalog(self._client)
        self._jobs = Jobs(self._client)

    @property
    def facts(self) -> SourceFacts:
        """It is live, its fields are typed, and it tells what changed and what was deleted."""
        return SourceFacts(
            live=True,
            typed=True,
            changes=True,
            deleted_feed=True,
            late_seconds=self._client.settings.late_seconds,
            recency_fields=("SystemModstamp", "LastModifiedDate"),
            created_field="CreatedDate",
        )

    @property
    def limits(self) -> Limits:
        """What the organisation permits."""
        return LIMITS

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        self._client.pace(gate)

    def identify(self) -> Identity:
        """Which organisation answers."""
        return identify(self._client)

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects that the settings let through, by name."""
        return [item.schema for item in self._catalog.every()]

    def count(self, object_name: str) -> int | None:
        """Salesforce's own count, some minutes old."""
        return self._catalog.count(object_name)

    def fingerprint(self, object_name: str) -> str:
        """Not known without reading."""
        self._catalog.object(object_name)
        return ""

    def notes(self, object_name: str) -> Sequence[str]:
        """What a person should know of an object before he moves it."""
        if not object_name:
            return [f"Salesforce at {self._client.address}, API {self._client.settings.version}"]
        found = self._catalog.object(object_name)
        told = []
        if found.schema.field("IsPersonAccount") is not None and object_name == "Contact":
            told.append(
                "contacts of person accounts are here too: leave out those whose IsPersonAccount is true"
            )
        if found.schema.field("CurrencyIsoCode") is not None:
            told.append("amounts are in the currency of their record, CurrencyIsoCode")
        return told

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages in the order of the ids (links of files: of their files), each with a cursor."""
        found = self._catalog.object(object_name)
        reading = Reading(self._client, self._jobs, found, readable(found))
        empty = cursor is None
        for rows in reading.pages(after=cursor, page_rows=page_rows, rows=self._catalog.count(object_name)):
            empty = False
            yield self._page(found, rows, reading.cursor(rows))
        if empty:
            yield self._page(found, _nothing(found), None)

    def watermark(self, object_name: str) -> str:
        """The organisation's own time, now."""
        self._catalog.object(object_name)
        return watermark_text(self._client.now())

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:
        """What changed since; raises `WatermarkExpired` when that is longer ago than Salesforce remembers deletions."""
        found = self._catalog.object(object_name)
        if object_name in BY_PARENT:
            raise WatermarkExpired(f"{object_name} can only be read whole", hint="compare it in full")
        for page in Changes(self._client, found, readable(found)).since(parse_watermark(since), page_rows):
            yield ChangePage(self._with_files(found, page.rows), page.deleted, page.watermark)

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes that a value of a FILE field names, as they come; raises `FatalError` when they are not there."""
        return binaries.download(self._client, object_name, reference)

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._client.close()

    def _page(self, found: Described, rows: pa.Table, cursor: str | None) -> Page:
        rows = self._with_files(found, rows)
        places = pc.binary_join_element_wise(f"salesforce!{found.name}", rows.column("Id"), ":")
        return Page(rows, places, (), cursor)

    def _with_files(self, found: Described, rows: pa.Table) -> pa.Table:
        """The rows with a reference for every binary member, in the order of the schema."""
        for name in found.files():
            rows = rows.append_column(name, binaries.references(rows, name))
        return rows.select(list(found.schema.field_names))


def _nothing(found: Described) -> pa.Table:
    fields = readable(found)
    return pa.table({item.name: pa.array([], pa.string()) for item in fields})
