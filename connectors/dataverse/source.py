"""A Dataverse environment as a source: tables typed by its metadata, pages by its own links, changes by delta links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from connectors.dataverse import changes as changing
from connectors.dataverse.binary import open_file
from connectors.dataverse.identify import identify
from connectors.dataverse.metadata import Metadata
from connectors.dataverse.odata import encoded, text
from connectors.dataverse.reading import reading
from connectors.dataverse.service import PAGE_ROWS, Service, shaped
from connectors.dataverse.settings import DataverseSettings
from migrator.core.connector import ChangePage, Gate, Identity, Limits, Page, SourceFacts
from migrator.core.schema import ObjectSchema


class DataverseSource:
    """Reads an environment; the first call signs in."""

    def __init__(self, settings: DataverseSettings) -> None:
        self._service = Service(settings)
        self._metadata = Metadata(self._service)

    @property
    def facts(self) -> SourceFacts:
        """Live, typed, and it tells changes and deletions (of tables with change tracking)."""
        return SourceFacts(
            recency_fields=("modifiedon",),
            created_field="createdon",
            live=True,
            typed=True,
            changes=True,
            deleted_feed=True,
            late_seconds=float(self._service.settings.overlap_seconds),
        )

    @property
    def limits(self) -> Limits:
        """What the environment permits."""
        return self._service.limits

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate."""
        self._service.pace(gate)

    def identify(self) -> Identity:
        """Who answers, and as whom."""
        return identify(self._service)

    def describe(self) -> Sequence[ObjectSchema]:
        """The tables that the settings let through, by name; a few requests for each."""
        return [self._metadata.table(name).schema for name in self._metadata.wanted()]

    def notes(self, object_name: str) -> Sequence[str]:
        """What a person should know of a table, or ('') of the choice of tables."""
        if object_name:
            table = self._metadata.table(object_name)
            return (
                ()
                if table.tracked
                else (
                    f"{object_name}: change tracking is off: changes are found by modifiedon, deletions not at all",
                )
            )
        if self._service.settings.tables:
            return ()
        left = len(self._metadata.listed()) - len(self._metadata.wanted())
        return (f"{left} tables of the system itself are not shown; name them under tables to see them",)

    def count(self, object_name: str) -> int | None:
        """What the service knows without counting: up to a day old, for progress only."""
        asked = f"RetrieveTotalRecordCount(EntityNames=@p1)?@p1={encoded('[' + text(object_name).replace(chr(39), chr(34)) + ']')}"
        answer = self._service.ask("GET", asked)
        if answer.status != 200:
            return None
        told = answer.object()
        with shaped(answer, "the number of records"):
            counts = told["EntityRecordCountCollection"]
            return int(counts["Values"][0]) if counts["Values"] else None

    def fingerprint(self, object_name: str) -> str:  # noqa: ARG002 (the contract's)
        """A live system cannot know."""
        return ""

    def read(
        self, object_name: str, *, cursor: str | None = None, page_rows: int = PAGE_ROWS
    ) -> Iterator[Page]:
        """Pages of at most 5,000 rows in the order of the primary key; the cursor is the service's own link."""
        whole = reading(self._service, self._metadata.table(object_name))
        if cursor == _END:
            return
        for rows, link in whole.pages(cursor=cursor, page_rows=page_rows):
            yield Page(rows, cursor=link or _END)

    def watermark(self, object_name: str) -> str:
        """Where changes start from now on; with change tracking it costs a request for every 5,000 rows."""
        return changing.watermark(self._service, self._metadata.table(object_name))

    def changes(self, object_name: str, *, since: str, page_rows: int = PAGE_ROWS) -> Iterator[ChangePage]:
        """What changed since then; see `connectors.dataverse.changes`."""
        return changing.changes(self._service, self._metadata.table(object_name), since, page_rows)

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes of a file column, a note or an attachment."""
        return open_file(self._service, self._metadata.table(object_name), reference)

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._service.close()


_END = "end"
"""The cursor after the last page: there is nothing more."""
