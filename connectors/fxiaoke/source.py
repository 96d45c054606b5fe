"""Fxiaoke as a source: objects described, scanned by `_id`, and what changed since by the time of last change."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from connectors.fxiaoke.api import Api, where
from connectors.fxiaoke.described import ID, Described, describe
from connectors.fxiaoke.scan import INVALID, MODIFIED, is_gone, pages, scan
from connectors.fxiaoke.settings import FxiaokeSettings
from connectors.fxiaoke.values import staged_column, text_column
from migrator.core.clock import Clock
from migrator.core.connector import ChangePage, Gate, Identity, Limits, Page, SourceFacts
from migrator.core.errors import FatalError, WatermarkExpired
from migrator.core.schema import ObjectSchema

_PAGE_ROWS = 5_000
"""Most records of one page: at 500 a second, what a killed extract reads again is ten seconds' work."""
_EVER = "0"
"""The watermark before the first change."""


class Objects:
    """What the tenant's objects look like, asked once each."""

    def __init__(self, api: Api) -> None:
        self._api, self._lock = api, threading.Lock()
        self._known: dict[str, Described] = {}

    def all(self) -> list[Described]:
        """Every active object that the settings let through."""
        names = sorted(
            str(item.get("describeApiName"))
            for item in self._api.objects()
            if item.get("isActive") is not False
            and self._api.settings.wants(str(item.get("describeApiName")))
        )
        return [self.one(name) for name in names]

    def one(self, name: str) -> Described:
        """One object; raises `FatalError` when there is none of that name."""
        with self._lock:
            found = self._known.get(name)
        if found is None:
            found = describe(self._api.describe(name), name, self._api.settings)
            with self._lock:
                self._known[name] = found
        return found


class FxiaokeSource:
    """Reads one tenant."""

    def __init__(self, settings: FxiaokeSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._api = Api(settings, clock)
        self._objects = Objects(self._api)

    @property
    def facts(self) -> SourceFacts:
        """A live system with types. It names what was invalidated, not what was deleted for good: so no full feed."""
        return SourceFacts(
            recency_fields=(MODIFIED,),
            created_field="create_time",
            live=True,
            typed=True,
            changes=True,
            late_seconds=self._settings.overlap,
        )

    @property
    def limits(self) -> Limits:
        """What the vendor permits, or the settings say."""
        return self._api.limits

    def pace(self, gate: Gate) -> None:
        """Every request asks this gate, by its path."""
        self._api.pace(gate)

    def identify(self) -> Identity:
        """Which company answers."""
        return self._api.identify()

    def describe(self) -> Sequence[ObjectSchema]:
        """All active objects that the settings let through, one request each."""
        return [item.schema for item in self._objects.all()]

    def count(self, object_name: str) -> int | None:
        """Records as the system counts them; None when it does not."""
        return self._api.count(object_name)

    def fingerprint(self, object_name: str) -> str:  # noqa: ARG002 (the contract's)
        """A live system cannot know."""
        return ""

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Records by `_id`; the cursor is the last one's. What stands in the recycle bin comes too, if queries show it."""
        described = self._objects.one(object_name)
        scanned = scan(self._api, object_name, after=cursor)
        for rows in pages(scanned, min(page_rows, _PAGE_ROWS)):
            for some in _cut(rows, page_rows):
                places = pa.array([f"fxiaoke!{object_name}:{row[ID]}" for row in some], pa.string())
                last = str(some[-1][ID]) if some else cursor
                yield Page(self._table(described, some), places, (), last)

    def watermark(self, object_name: str) -> str:
        """The latest time of change the system knows: by its own clock, so ours does not matter."""
        newest = self._api.query(object_name, [], order=MODIFIED, ascending=False, fields=[MODIFIED], limit=1)
        return _EVER if not newest else str(_modified(object_name, newest[0]))

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:
        """What changed since `since` less the overlap, by `_id`, so that no number of records at one instant matters.

        Keys of records in the recycle bin are `deleted`. What was deleted for good leaves no trace here.
        """
        described = self._objects.one(object_name)
        key = described.schema.key
        # Asked before the scan: a record changed meanwhile, behind the scan's back, is later than this.
        until = max(_instant(since), _instant(self.watermark(object_name)))
        start = max(0, _instant(since) - int(self._settings.overlap * 1000))
        changed = [where(MODIFIED, "GTE", [str(start)])]
        binned = [*changed, where("life_status", "EQ", [INVALID])]  # a plain query may or may not show them
        scans = chain(scan(self._api, object_name, changed), scan(self._api, object_name, binned))
        for rows in pages(scans, min(page_rows, _PAGE_ROWS)):
            for some in _cut(rows, page_rows):
                gone = pa.array([str(row.get(key)) for row in some if is_gone(row)], pa.string())
                yield ChangePage(self._table(described, [row for row in some if not is_gone(row)]), gone)
        yield ChangePage(self._table(described, []), watermark=str(until))

    def close(self) -> None:
        """Release the connections."""
        self._api.close()

    def _table(self, described: Described, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        columns = {
            item.name: staged_column(
                [row.get(item.name) for row in rows], item, described.shape(item.name), self._settings.zone
            )
            if rows
            else text_column([])
            for item in described.schema.fields
        }
        return pa.table(columns)


def _cut(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), size) or (0,):
        yield rows[start : start + size]


def _instant(watermark: str) -> int:
    if not watermark.isdigit():
        raise WatermarkExpired(
            f"{watermark[:40]!r} is no watermark of this connector", hint="compare in full"
        )
    return int(watermark)


def _modified(name: str, row: Mapping[str, Any]) -> int:
    found = row.get(MODIFIED)
    if isinstance(found, bool) or not isinstance(found, int):
        raise FatalError(
            f"{name}: a record without {MODIFIED}: changes cannot be told", hint="read it in full"
        )
    return found
