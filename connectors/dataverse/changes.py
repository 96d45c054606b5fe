"""What changed in a table: by change tracking where it is on, else by modifiedon with an overlap.

Tracking: a delta link is had by paging through the keys of all rows; it then names rows whose version is newer, and
deletions. The link carries keys only, so rows are read whole afterwards, as they are then: one that is deleted in
between comes as deleted the next time. Without tracking nobody tells deletions.
Sources: "Use change tracking to synchronize data with external systems"; the shape of `$deletedEntity` there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pyarrow as pa

from connectors.dataverse.delivery import empty
from connectors.dataverse.faults import EXPIRED, Fault, fatal, fault
from connectors.dataverse.odata import guid, query
from connectors.dataverse.reading import Reading, by_keys, reading
from connectors.dataverse.service import PAGE_ROWS, RowsPage, Service, shaped
from connectors.dataverse.tables import Table
from migrator.core.connector import ChangePage
from migrator.core.errors import FatalError, WatermarkExpired

_TRACKING = "odata.track-changes"
_MODIFIED = "modifiedon"


@dataclass(frozen=True, slots=True)
class Tracked:
    """Changes of a table whose change tracking is on."""

    service: Service
    table: Table

    def watermark(self) -> str:
        """A delta link; costs one request for every 5,000 rows."""
        link = None
        first = self.table.set_name + query(select=self.table.key)
        for page in self.service.pages(first, prefer=(_TRACKING,), key=self.table.key):
            link = page.delta_link
        if link is None:
            raise FatalError(
                f"{self.service.label}: {self.table.name} gave no delta link at the end of its rows",
                hint="change tracking needs read access to all rows of the organisation: check the security role",
            )
        return json.dumps({"delta": link})

    def changes(self, link: str, page_rows: int) -> Iterator[ChangePage]:
        """Rows changed and keys deleted since the link was given."""
        whole = reading(self.service, self.table)
        wanted = (f"odata.maxpagesize={min(page_rows, PAGE_ROWS)}", _TRACKING)
        following: str | None = link
        seen: set[int] = set()
        while following is not None:
            if hash(following) in seen:
                raise FatalError(f"{self.service.label}: the changes of {self.table.name} do not end")
            seen.add(hash(following))
            page = self._page(following, wanted)
            changed, deleted = self._read(page)
            if page.next_link is None and page.delta_link is None:
                raise page.answer.unexpected("changes that end with a delta link")
            yield ChangePage(
                by_keys(whole, changed, key=self.table.key),
                pa.array(deleted, pa.string()),
                None if page.next_link else json.dumps({"delta": page.delta_link}),
            )
            following = page.next_link

    def _page(self, link: str, wanted: tuple[str, ...]) -> RowsPage:
        answer = self.service.ask("GET", link, prefer=wanted)
        if answer.status != 200:
            found = fault(answer)
            raise self._expired(found) if _is_expired(found) else fatal(answer)
        told = answer.object()
        with shaped(answer, "a page of changes"):
            return RowsPage(
                list(told["value"]), told.get("@odata.nextLink"), told.get("@odata.deltaLink"), answer
            )

    def _read(self, page: RowsPage) -> tuple[list[str], list[str]]:
        changed: list[str] = []
        deleted: list[str] = []
        with shaped(page.answer, "changed rows and deleted ones"):
            for row in page.rows:
                if _is_deletion(row):
                    deleted.append(_id(row.get("id")))
                else:
                    changed.append(_id(row[self.table.key]))
        return changed, deleted

    def _expired(self, found: Fault) -> WatermarkExpired:
        return WatermarkExpired(
            f"{self.service.label}: {self.table.name}: the delta link is no longer known: {found.code}: {found.message[:200]}",
            hint="a full comparison is due; the organisation keeps changes for ExpireChangeTrackingInDays",
        )


@dataclass(frozen=True, slots=True)
class Stamped:
    """Changes of a table without change tracking: by modifiedon, going back by an overlap each time.

    The clock is the service's own (the Date header), so ours may be wrong.
    """

    service: Service
    table: Table

    def watermark(self) -> str:
        """The service's time, less the overlap."""
        answer = self.service.ask("GET", self.table.set_name + query(select=self.table.key, top="1"))
        if answer.status != 200:
            raise fatal(answer)
        with shaped(answer, "its time in the header Date"):
            told = parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
        since = told - timedelta(seconds=self.service.settings.overlap_seconds)
        return json.dumps({"since": since.isoformat()})

    def changes(self, since: datetime, page_rows: int) -> Iterator[ChangePage]:
        """Rows stamped since then, those of the same instant included; the next watermark is taken before they are read."""
        following = self.watermark()
        whole: Reading = reading(self.service, self.table)
        condition = f"{_MODIFIED} ge {since:%Y-%m-%dT%H:%M:%SZ}"
        for rows in whole.filtered(condition, order=f"{_MODIFIED},{self.table.key}", page_rows=page_rows):
            yield ChangePage(rows)
        yield ChangePage(empty(whole.wanted), watermark=following)


def watermark(service: Service, table: Table) -> str:
    """Where changes start from now on."""
    return (Tracked if table.tracked else Stamped)(service, table).watermark()


def changes(service: Service, table: Table, since: str, page_rows: int) -> Iterator[ChangePage]:
    """What changed since a watermark; raises `WatermarkExpired` when it is no longer known, or of the other kind."""
    try:
        told = json.loads(since)
        link, stamp = told.get("delta"), told.get("since")
        moment = datetime.fromisoformat(stamp) if stamp is not None else None
    except (ValueError, AttributeError, TypeError) as error:
        raise FatalError(f"{table.name}: this is no watermark of Dataverse: {since[:60]!r}") from error
    if table.tracked and link is not None:
        return Tracked(service, table).changes(link, page_rows)
    if not table.tracked and moment is not None:
        return Stamped(service, table).changes(moment, page_rows)
    raise WatermarkExpired(
        f"{service.label}: change tracking of {table.name} was switched since the last time",
        hint="a full comparison is due",
    )


def _is_expired(found: Fault) -> bool:
    said = found.message.lower()
    return found.code in EXPIRED or found.status == 410 or ("expired" in said and "version" in said)


def _is_deletion(row: dict[str, Any]) -> bool:
    return str(row.get("@odata.context", "")).endswith("/$deletedEntity") or row.get("reason") == "deleted"


def _id(value: object) -> str:
    found = guid(value)
    if found is None:
        raise ValueError(f"not the id of a record: {value!r}")
    return found
