"""Unique values that pass from one record of ours to another: given up by the one that has them before the other is sent.

A golden record takes over the e-mail of a duplicate that the target holds as a record of its own; after an unmerge it is
given back. Sent in any order, the target would refuse the second holder. So the records that hold such a value and are
not to keep it are written first: with the value that they get instead, or with none while that one too is held by another.
"""

from __future__ import annotations

from migrator.core.mapped import MappedObject
from migrator.load.changes import Comparison
from migrator.load.outbound import TARGET_KEY
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

RELEASED = "released"
"""Fingerprint in the crosswalk of a record that gave a value up: whatever is planned for it differs."""
_ID = quote(columns.ID)


def released(store: Store, session: Session, obj: MappedObject, planned: Dataset, sent: str) -> str:
    """SQL for the records that give a value up, as rows to send; '' when there cannot be any.

    They are written as they were last sent, but for the values in question. `sent`: SQL for the planned rows to be sent.
    """
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    unique = [
        (place, item.name)
        for place, item in enumerate(obj.fields)
        if item.name in obj.unique and obj.link(item.name) is None
    ]
    if crosswalk is None or not unique:
        return ""
    was = Comparison(store, session, obj, planned).last_sent()
    known = f"{relation(session, crosswalk)} AS x ON x.{_ID} = w.{_ID} AND x.target_id IS NOT NULL"
    plan = relation(session, planned)
    given_up = " UNION ALL ".join(_given_up(place, name, plan, sent) for place, name in unique)
    names = dict(unique)
    later = {link.field for link in obj.links if link.deferred}
    shown = ", ".join(
        f"{_value(place, item.name) if place in names else f'w.v{place}'} AS {quote(item.name)}"
        for place, item in enumerate(obj.fields)
        if item.name not in later
    )
    held = ", ".join(f"w.v{place}" for place in names)
    return (
        f"WITH was AS MATERIALIZED (SELECT w.{_ID}, {held} FROM ({was}) AS w JOIN {known}),"
        f" freed AS (SELECT {_ID}, list(place) AS places, list(place) FILTER (WHERE free) AS free FROM ({given_up}) GROUP BY 1)"
        f" SELECT w.{_ID}, {literal(RELEASED)} AS {quote(columns.FINGERPRINT)}, x.target_key AS {quote(TARGET_KEY)}, {shown}"
        f" FROM freed AS f JOIN ({was}) AS w ON w.{_ID} = f.{_ID} JOIN {known}"
        f" LEFT JOIN {plan} AS p ON p.{_ID} = w.{_ID} ORDER BY w.{_ID}"
    )


def _given_up(place: int, name: str, plan: str, sent: str) -> str:
    """(__id, place, free) of the records that have a value of another planned row and are not planned to keep it.

    `free`: nobody holds the value that it gets instead.
    """
    field = quote(name)
    return (
        f"SELECT w.{_ID}, {place:d} AS place, r.{_ID} IS NOT NULL AND h.value IS NULL AS free FROM was AS w"
        f" JOIN (SELECT r.{field} AS value, min(r.{_ID}) AS one, max(r.{_ID}) AS other FROM ({sent}) AS r"
        f" WHERE r.{field} IS NOT NULL GROUP BY 1) AS c"
        f" ON c.value = w.v{place} AND (c.one <> w.{_ID} OR c.other <> w.{_ID})"
        f" LEFT JOIN {plan} AS p ON p.{_ID} = w.{_ID} LEFT JOIN ({sent}) AS r ON r.{_ID} = w.{_ID}"
        f" LEFT JOIN (SELECT DISTINCT v{place} AS value FROM was) AS h ON h.value = r.{field}"
        f" WHERE p.{_ID} IS NULL OR p.{field} IS DISTINCT FROM w.v{place}"
    )


def _value(place: int, name: str) -> str:
    return (
        f"CASE WHEN list_contains(f.free, {place:d}) THEN p.{quote(name)}"
        f" WHEN NOT list_contains(f.places, {place:d}) THEN w.v{place} END"
    )
