"""The second pass: links of cycles and self references, set once both ends are in the target, and own values of fields
that a record was created without (a won deal is created open).

What a record last got is noted in the crosswalk (`links`), so only what changed is sent, also when a parent comes in
much later than its child, or a load was killed in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import First, Link, MappedObject
from migrator.load.canonical import framed, value_text
from migrator.load.choice import Choice
from migrator.load.ends import Ends, end, parents, with_ends
from migrator.load.outbound import TARGET_KEY
from migrator.load.plan import Cut
from migrator.staging import columns
from migrator.staging.action import SENT, Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import reference, relation
from migrator.staging.store import Dataset, Kind, Store

LINKS = "__links"
_ID, _FP = quote(columns.ID), quote(columns.FINGERPRINT)


def deferred(obj: MappedObject) -> tuple[Link, ...]:
    """The links of an object that are set in the second pass."""
    return tuple(link for link in obj.links if link.deferred)


def has_second_pass(obj: MappedObject) -> bool:
    """Whether anything of an object is set in the second pass."""
    return bool(deferred(obj) or obj.firsts)


def links_fingerprint(store: Store, obj: MappedObject, planned: Dataset) -> str:
    """Of all that the second pass of an object depends on."""
    names = [obj.name, *sorted({name for link in deferred(obj) for name in link.mappings})]
    found = [store.current(Kind.CROSSWALK, name) for name in names]
    return fingerprint("links", planned.id, [item.id if item else "" for item in found])


def write_changed_links(
    store: Store, session: Session, obj: MappedObject, planned: Dataset, choice: Choice, *, path: Path
) -> int:
    """Write to `path`, in the order they are sent, the loaded records whose second pass is not yet as the plan wants it.

    Returns how many they are.

    A link whose other end is not in the target is sent empty; it is told as a warning until that record comes.
    """
    links = deferred(obj)
    asked = _loaded(store, session, obj, planned, choice)
    rows = with_ends(
        session, asked, links, [parents(store, session, link) for link in links], joined=planned.rows
    )
    ends = [f"r.{end(number)}" for number in range(len(links))]
    values = [f"{place} AS {quote(link.field)}" for place, link in zip(ends, links, strict=True)]
    values += [f"r.{quote(item.field)}" for item in obj.firsts]
    found = (
        f"SELECT r.{_ID}, r.{_FP}, r.{quote(TARGET_KEY)}, r.{quote(obj.key)}, {_linked(obj, ends)} AS {quote(LINKS)},"
        f" {', '.join(values)}, r.__before FROM ({rows}) AS r"
    )
    first = f"{quote(links[0].field)} NULLS FIRST" if links and Cut.of(planned).families else quote(obj.key)
    return session.write(
        f"SELECT * EXCLUDE (__before) FROM ({found}) WHERE {quote(LINKS)} IS DISTINCT FROM __before"
        f" ORDER BY {first}, {_ID}",
        path,
    )


def _loaded(store: Store, session: Session, obj: MappedObject, planned: Dataset, choice: Choice) -> str:
    """SQL for the records in the target that have, or had, something to set in the second pass."""
    own = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    later = [f"r.{quote(link.field)}" for link in deferred(obj)]
    later += [f"r.{quote(item.field)}" for item in obj.firsts]
    return (
        f"SELECT r.{_ID}, r.{_FP}, CAST(r.{quote(obj.key)} AS VARCHAR) AS {quote(TARGET_KEY)}, r.{quote(obj.key)},"
        f" {', '.join(later)}, x.links AS __before"
        f" FROM {relation(session, planned)} AS r JOIN {own} AS x ON x.{_ID} = r.{_ID}"
        f" WHERE x.target_id IS NOT NULL AND x.outcome <> 'refused' AND x.{_FP} = r.{_FP}"
        f" AND ({' OR '.join(f'{field} IS NOT NULL' for field in (*later, 'x.links'))})"
        f" AND {choice.links(obj)}"
    )


def expected_links(store: Store, session: Session, obj: MappedObject, planned: Dataset) -> str:
    """SQL for a row for each record whose second pass would be sent once the plans are carried out whole.

    What the target will call a record that is yet to be created does not matter: it is not what was set before.
    """
    links = deferred(obj)
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    later = [link.field for link in links] + [item.field for item in obj.firsts]
    rows = (
        f"SELECT r.{quote(columns.ACTION)}, x.links AS __before, {', '.join(f'r.{quote(name)}' for name in later)}"
        f" FROM {relation(session, planned)} AS r"
        f" LEFT JOIN {relation(session, crosswalk, columns.CROSSWALK)} AS x ON x.{_ID} = r.{_ID}"
        f" WHERE r.{quote(columns.ACTION)} IN ({listed((*SENT, Action.UNCHANGED))})"
    )
    found = with_ends(
        session, rows, links, [ends_of(store, session, link) for link in links],
        joined=crosswalk.rows if crosswalk else 0,
    )  # fmt: skip
    made = f"r.{quote(columns.ACTION)} = {literal(Action.CREATE.value)}"
    return (
        f"SELECT 1 FROM ({found}) AS r"
        f" WHERE {_linked(obj, [f'r.{end(number)}' for number in range(len(links))])}"
        f" IS DISTINCT FROM CASE WHEN NOT ({made}) THEN r.__before END"
    )


def ends_of(store: Store, session: Session, link: Link) -> Ends:
    """Every record in the target, or created by the plans, that a link may point to.

    One that is yet to be created is called by its reference.
    """
    there = parents(store, session, link)
    coming = [(name, store.current(Kind.PLAN, name)) for name in link.mappings]
    made = [
        f"SELECT {reference(name, _ID)} AS ref, {reference(name, _ID)} AS target_id"
        f" FROM {relation(session, planned)} WHERE {quote(columns.ACTION)} = {literal(Action.CREATE.value)}"
        for name, planned in coming
        if planned is not None
    ]
    rows = sum(planned.detail["counts"].get(Action.CREATE.value, 0) for _, planned in coming if planned)
    return Ends(" UNION ALL ".join([there.sql, *made]), there.rows + rows)


def _linked(obj: MappedObject, ends: Sequence[str]) -> str:
    """SQL for the md5 of what the second pass sets, links to `ends`; null when that is nothing."""
    later = [*ends, *(_reached(obj, item) for item in obj.firsts)]
    return f"CASE WHEN coalesce({', '.join(later)}) IS NOT NULL THEN md5({framed(later)}) END"


def _reached(obj: MappedObject, first: First) -> str:
    """SQL for the text of a field's own value where it is not the one that the record was created with; else null."""
    schema = next(item for item in obj.fields if item.name == first.field)
    return f"CASE WHEN r.{quote(first.field)} <> {literal(first.text)} THEN {value_text(schema, 'r')} END"


def nothing_left() -> pa.Table:
    """The one empty part that stands for a second pass with nothing to do."""
    return columns.CROSSWALK.empty_table()
