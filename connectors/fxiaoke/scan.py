"""Reading an object whole: by `_id`, ascending, never by offset (which ends at 10,000) and never by totals (which are 0)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.fxiaoke.api import PAGE, Api, where
from connectors.fxiaoke.described import ID
from migrator.core.errors import FatalError

INVALID = "invalid"
MODIFIED = "last_modified_time"


def scan(
    api: Api,
    name: str,
    filters: Sequence[Mapping[str, Any]] = (),
    *,
    fields: Sequence[str] = (),
    after: str | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Records with an `_id` above `after`, 100 at a time, until fewer come.

    Raises `FatalError` when the same records come again: a scan that does not get on would never end.
    """
    last = after
    while True:
        beyond = [where(ID, "GT", [last])] if last is not None else []
        rows = api.query(name, [*filters, *beyond], fields=fields)
        last = _last(name, rows, last)
        yield rows
        if len(rows) < PAGE:
            return


def pages(scanned: Iterator[list[dict[str, Any]]], rows: int) -> Iterator[list[dict[str, Any]]]:
    """What a scan finds, in pages of at least one query and about `rows` records; an empty scan has one empty page."""
    held: list[dict[str, Any]] = []
    given = False
    for some in scanned:
        held += some
        if len(held) >= rows:
            yield held
            given, held = True, []
    if held or not given:
        yield held


def _last(name: str, rows: Sequence[Mapping[str, Any]], before: str | None) -> str | None:
    for row in rows:
        found = row.get(ID)
        if not isinstance(found, str) or not found:
            raise FatalError(f"{name}: a query answered a record without _id", hint="check `host`")
        if before is not None and found <= before:
            raise FatalError(
                f"{name}: a query ordered by _id answered {found!r} after {before!r}: reading on would never end",
                hint="the system does not keep its own order: report it to the vendor",
            )
        before = found
    return before


def is_gone(row: Mapping[str, Any]) -> bool:
    """Whether a record was invalidated: it stands in the recycle bin."""
    return row.get("life_status") == INVALID or row.get("is_deleted") in (True, "true", 1, "1")
