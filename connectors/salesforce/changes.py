"""What changed in an object since a watermark: by its time stamp with an overlap, and by the log of deletions.

A stamp is set before its transaction commits, so a change can become visible up to `late_seconds` after its stamp: every
read goes back so far. The watermark is the organisation's own time at the start of the read, never ours, and no later than
the delete log says it is complete (its `latestDateCovered` minds transactions that still run). Deletions come from two places, soft ones from the recycle bin (queryAll), all of them from the delete log (getDeleted), which keeps 15
days, counts in whole minutes and says how far it is complete; a record that is back (undeleted) is not among them.
Vendor's "Data Replication", "getDeleted()" and "SystemModstamp".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from connectors.salesforce import soql
from connectors.salesforce.cells import from_records
from connectors.salesforce.client import Client, unexpected
from connectors.salesforce.described import Described
from connectors.salesforce.paging import Records, always, records
from migrator.core.connector import ChangePage
from migrator.core.errors import FatalError, WatermarkExpired
from migrator.core.schema import FieldSchema

LOG_DAYS = 15
"""How long the delete log and the recycle bin reach back."""
_MINUTE = timedelta(minutes=1)
_WATERMARK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_HINT = "only a full comparison finds what changed: read the object anew"


def watermark_text(at: datetime) -> str:
    """A watermark as it is kept between two reads: an instant of the organisation's clock."""
    return soql.instant_literal(at)


def parse_watermark(text: str) -> datetime:
    """The inverse of `watermark_text`; raises `WatermarkExpired` for what we did not write."""
    if not _WATERMARK.fullmatch(text):
        raise WatermarkExpired(f"{text[:60]!r} is no watermark of Salesforce", hint=_HINT)
    return _instant(text)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of one object."""

    client: Client
    found: Described
    fields: Sequence[FieldSchema]
    """What is asked for of every record; Id and the stamp are among them."""

    def since(self, watermark: datetime, page_rows: int) -> Iterator[ChangePage]:
        """Records changed, then keys deleted, then where to go on; raises `WatermarkExpired` beyond the log's memory."""
        now = self.client.now()
        late = timedelta(seconds=self.client.settings.late_seconds)
        if now - watermark > timedelta(days=LOG_DAYS) - late - _MINUTE:
            raise WatermarkExpired(
                f"{self.found.name}: Salesforce remembers deletions for {LOG_DAYS} days,"
                f" the last read was {(now - watermark).days} days ago",
                hint=_HINT,
            )
        gone: dict[str, None] = {}
        for page in self._changed(watermark - late):
            living = [item for item in page if item.get("IsDeleted") is not True]
            gone.update(dict.fromkeys(str(item["Id"]) for item in page if item.get("IsDeleted") is True))
            for start in range(0, len(living), page_rows):
                yield ChangePage(from_records(living[start : start + page_rows], self.fields))
        logged, covered = self._logged(watermark - late, now)
        gone.update(dict.fromkeys(self._still_gone([item for item in logged if item not in gone])))
        keys = list(gone)
        for start in range(page_rows, len(keys), page_rows):
            yield ChangePage(
                from_records([], self.fields), pa.array(keys[start : start + page_rows], pa.string())
            )
        yield ChangePage(
            from_records([], self.fields),
            pa.array(keys[:page_rows], pa.string()),
            watermark_text(min(now, covered)),
        )

    def _changed(self, since: datetime) -> Iterator[Records]:
        stamp = self.found.stamp()
        if stamp is None:
            raise WatermarkExpired(f"{self.found.name} has no field that tells when it changed", hint=_HINT)
        names = [item.name for item in self.fields]
        has_bin = self.found.schema.field("IsDeleted") is not None

        def after(last: Mapping[str, Any] | None) -> str:
            start = soql.instant_literal(since)
            condition = f"{stamp} >= {start}"
            if last is not None:
                at, key = soql.instant_literal(_instant(last.get(stamp))), soql.text_literal(str(last["Id"]))
                condition = f"({stamp} > {at} OR ({stamp} = {at} AND Id > {key}))"
            return soql.select(names, self.found.name, condition, order=(stamp, "Id"))

        return records(self.client, after, deleted_too=has_bin)

    def _logged(self, since: datetime, until: datetime) -> tuple[list[str], datetime]:
        """Ids in the delete log, and until when it is complete."""
        if not self.found.replicateable:
            return [], until
        start, end = since.replace(second=0, microsecond=0), until.replace(second=0, microsecond=0)
        start = min(start, end - 2 * _MINUTE)
        name = self.found.name
        raw = self.client.deleted(name, start, end)
        log = raw if isinstance(raw, Mapping) else {}
        listed = log.get("deletedRecords")
        if not isinstance(listed, list):
            raise unexpected(f"deletions of {name}", "a log of deletions")
        reaches = _instant(log.get("earliestDateAvailable") or soql.instant_literal(start))
        if reaches > start + _MINUTE:
            raise WatermarkExpired(
                f"{name}: Salesforce's log of deletions begins {soql.instant_literal(reaches)}, later than wanted",
                hint=_HINT,
            )
        covered = _instant(log.get("latestDateCovered") or soql.instant_literal(end))
        ids = [item.get("id") if isinstance(item, Mapping) else None for item in listed]
        if not all(isinstance(item, str) for item in ids):
            raise unexpected(f"deletions of {name}", "a log of ids")
        return [str(item) for item in ids], covered

    def _still_gone(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that no living record has: a record may have been brought back since."""
        room = soql.LONGEST - 200
        living: set[str] = set()
        for condition in soql.one_of("Id", [soql.text_literal(item) for item in ids], room):
            query = soql.select(["Id"], self.found.name, condition)
            for page in records(self.client, always(query)):
                living.update(str(item.get("Id")) for item in page)
        return [item for item in ids if item not in living]


def _instant(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError as error:
        raise FatalError(f"{str(text)[:40]!r} is no instant as Salesforce writes them") from error
