"""Which findings are there only because records were lost: mending those mends them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from validation.trend import OPEN

_DIVIDED = frozenset({"counts.by_group", "totals.sum", "totals.by_group", "dates.months", "links.children"})
"""Counts and sums over the object's records that are there."""
_OTHER = ("records.doubled", "records.superseded", "records.copy", "records.extra")
"""What else makes a count or a sum wrong."""
_TOLD = ("links.orphan", "links.children", "links.unresolved_link")
"""Findings about links that say nothing of a link to a wrong record; an empty one points to nothing at all."""


def follow_from_lost(
    checks: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]]
) -> frozenset[str]:
    """Ids of findings that nothing but lost records explains.

    A count or a sum follows when its object lost records, has none too many, and no value of the fields in it differs;
    a link to nothing follows when the object it points to lost records and no such link points to a wrong record.
    """
    lost = {item["name"] for item in objects if item["records"]["missing"]}
    faults = {(c["object"], c["rule"]) for c in checks if c["rule"] in _OTHER and c["failed"]}
    crowded = {name for name, _ in faults}
    differs = {
        (c["object"], c["subject"])
        for c in checks
        if c["section"] in ("fields", "links") and c["failed"] and c["rule"] not in _TOLD
    }
    leads = {
        (item["name"], field["name"]): set(field["link"]["to"])
        for item in objects
        for field in item["fields"]
        if "link" in field
    }
    return frozenset(
        c["id"] for c in checks if c["status"] in OPEN and _follows(c, lost - crowded, lost, differs, leads)
    )


def _follows(
    check: Mapping[str, Any],
    thinned: set[str],
    lost: set[str],
    differs: set[tuple[str, str]],
    leads: Mapping[tuple[str, str], set[str]],
) -> bool:
    name, field = check["object"], check["subject"]
    if any((name, one) in differs for one in (field, *check["detail"].get("by", ()))):
        return False
    if check["rule"] in _DIVIDED:
        return name in thinned
    return check["rule"] == "links.orphan" and bool(leads.get((name, field), set()) & lost)
