"""What links lead to in the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.mapped import Link
from migrator.staging import columns
from migrator.staging.engine import Session, quote
from migrator.staging.in_turn import Join, joined_in_turn
from migrator.staging.relation import reference, relation
from migrator.staging.store import Kind, Store

_ID = quote(columns.ID)


@dataclass(frozen=True, slots=True)
class Ends:
    """The records that a link may lead to."""

    sql: str
    """(ref, target_id), each ref once."""
    rows: int


def parents(store: Store, session: Session, link: Link) -> Ends:
    """Every record in the target that a link may point to."""
    crosswalks = [(name, store.current(Kind.CROSSWALK, name)) for name in link.mappings]
    sql = " UNION ALL ".join(
        f"SELECT {reference(name, _ID)} AS ref, target_id FROM {relation(session, found, columns.CROSSWALK)}"
        " WHERE target_id IS NOT NULL"
        for name, found in crosswalks
    )
    return Ends(sql, sum(found.rows for _, found in crosswalks if found is not None))


def end(number: int) -> str:
    """The column, quoted, that has the target's id of what the link of that number leads to; null: nothing."""
    return quote(f"__end {number}")


def with_ends(
    session: Session, rows: str, links: Sequence[Link], ends: Sequence[Ends], *, joined: int = 0
) -> str:
    """SQL for `rows` (SQL) with the column `end(n)` for each link; see `joined_in_turn`."""
    joins = [
        Join(there.sql, f"j.ref = r.{quote(link.field)}", f"j.target_id AS {end(number)}", there.rows)
        for number, (link, there) in enumerate(zip(links, ends, strict=True))
    ]
    return joined_in_turn(session, rows, joins, joined=joined)
