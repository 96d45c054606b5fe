"""Quarantined records by the owner they have in the mapping, so that it is known who can mend what."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, quote
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store
from validation.privacy import Privacy, show

MOST = 30


@dataclass(frozen=True, slots=True)
class Owners:
    """How many quarantined records each owner has; `field` is '' when the object has no owner."""

    field: str = ""
    counts: tuple[tuple[str | None, int], ...] = ()
    """Owner → records, the most first; None stands for records without one."""
    left_out: int = 0
    """Owners beyond `MOST`."""


NO_OWNERS = Owners()


def owner_field(mapped: MappedObject) -> str:
    """The link, else the field, whose name says owner; '' when there is none."""
    names = [link.field for link in mapped.links] + [item.name for item in mapped.fields]
    return next(
        (name for name in names if "owner" in name.casefold() or "负责人" in name or "負責人" in name), ""
    )


def owners(session: Session, store: Store, mapped: MappedObject, privacy: Privacy, held: str) -> Owners:
    """Count an object's quarantined records by owner. A link shows its record's id, as `migrator explain` takes it.

    `held` is what `absent.lay_aside_held` returned.
    """
    field, made = owner_field(mapped), store.current(Kind.MAPPED, mapped.name)
    if not field or made is None:
        return NO_OWNERS
    rows = session.fetch(
        f"SELECT CAST(m.{quote(field)} AS VARCHAR) AS owner, count(*) AS n"
        f" FROM (SELECT {c.ID} FROM {held} WHERE state = 'quarantined') d"
        f" JOIN {relation(session, made)} m ON m.{c.ID} = d.{c.ID} GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST"
    ).to_pylist()
    is_link = mapped.link(field) is not None
    item = mapped.schema.field(field)
    shown = [
        (row["owner"] if is_link or row["owner"] is None else show(row["owner"], item, privacy), row["n"])
        for row in rows[:MOST]
    ]
    return Owners(field, tuple(shown), max(len(rows) - MOST, 0))
