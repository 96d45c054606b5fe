"""Records of a query page by page over REST: along the server's own locator, by key where the server has lost it.

A locator lives two days, and ten of them a user: when one is gone, the query is asked again after the last record that
came. Pages are bounded by what the first of them promised, so that an answer without end is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.salesforce.client import Client
from connectors.salesforce.failures import LocatorGone
from migrator.core.errors import FatalError, RetryableError

Records = Sequence[Mapping[str, Any]]
After = Callable[[Mapping[str, Any] | None], str]
"""The query for what comes after a record; after None, for everything."""
_LOSSES = 20
"""How often in a row a locator may be lost without one record in between."""


def always(soql: str) -> After:
    """The same query again where a locator is lost: for a few records, of which some may then come twice."""
    return lambda _: soql


def records(client: Client, after: After, *, deleted_too: bool = False) -> Iterator[Records]:
    """All records of a query in its own order, in the server's pages (2,000 at most, never empty)."""
    last: Mapping[str, Any] | None = None
    losses = 0
    while losses < _LOSSES:
        try:
            for page in _followed(client, after(last), deleted_too=deleted_too):
                losses, last = 0, page[-1]
                yield page
        except LocatorGone:
            losses += 1
        else:
            return
    raise FatalError(
        f"Salesforce lost its place in a query {losses} times in a row",
        hint="other programs of this user keep more than ten queries open: stop them, or use a user of your own",
    )


def _followed(client: Client, soql: str, *, deleted_too: bool) -> Iterator[Records]:
    page = client.query(soql, deleted_too=deleted_too)
    promised, seen, places = page["totalSize"], 0, set[str]()
    while True:
        found: Records = page["records"]
        seen += len(found)
        if seen > promised:
            raise _endless(f"more records ({seen}) than it promised ({promised})")
        if found:
            yield found
        if page["done"]:
            break
        place = page["nextRecordsUrl"]
        if place in places or not found:
            raise _endless("the same page again" if found else "an empty page in the middle")
        places.add(place)
        page = client.more(place)
    if seen != promised:
        raise RetryableError(
            f"Salesforce promised {promised} records and gave {seen}",
            hint="records were deleted meanwhile, or the answer was cut: run again",
        )


def _endless(what: str) -> FatalError:
    return FatalError(f"Salesforce's answer to a query does not end: {what}")
