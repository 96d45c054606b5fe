"""Records counted by what people divide them by (record type, status, stage, owner, year): in, expected and out, each judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import reference, relation
from migrator.staging.store import Kind, Store
from validation.expectations import is_group, year_field
from validation.owners import owner_field
from validation.privacy import Privacy, show
from validation.relations import Column, Family, Sides

GROUPS = 40
"""Most groups shown of one field; the rest is counted."""
_YEARS = (Family.DATE, Family.INSTANT)


@dataclass(frozen=True, slots=True)
class Group:
    """Records of one value: as mapped from the source (whatever became of them), as expected, and in the target."""

    value: str | None
    source: int
    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Records by the values of one field; a date counts by its year."""

    field: str
    groups: tuple[Group, ...]
    different: int
    """Groups whose expected and actual number differ, the ones not listed included."""
    left_out: int = 0


def grouping(mapped: MappedObject) -> tuple[str, ...]:
    """The fields people divide the records of an object by: what evidently is a type, status or stage, the owner, a year."""
    names = [item.name for item in mapped.fields if is_group(mapped, item)]
    return tuple(dict.fromkeys(name for name in (*names, owner_field(mapped), year_field(mapped)) if name))


def counts(session: Session, sides: Sides) -> tuple[Counts, ...]:
    """Records by every grouping field; empty is a value of its own, groups that differ come first."""
    wanted = grouping(sides.mapped)
    return tuple(_count(session, sides, column) for column in sides.columns if column.name in wanted)


def _count(session: Session, sides: Sides, column: Column) -> Counts:
    shape = "strftime({}, '%Y')" if column.family in _YEARS else "CAST({} AS VARCHAR)"
    own = f"s.{quote(column.name)}"
    link = column.family is Family.LINK
    joined = f" LEFT JOIN {quote(sides.refs)} r ON r.ref = {own}" if link else ""
    source = f"coalesce(r.target_id, {own})" if link else own
    rows = session.fetch(
        f"""SELECT *, count(*) OVER () AS groups, count_if(e <> a) OVER () AS different FROM (
              SELECT g, CAST(sum(s) AS BIGINT) AS s, CAST(sum(e) AS BIGINT) AS e, CAST(sum(a) AS BIGINT) AS a FROM (
                SELECT {shape.format(source)} AS g, count(*) AS s, 0 AS e, 0 AS a FROM {quote(sides.source)} s{joined} GROUP BY 1
                UNION ALL
                SELECT {shape.format(column.e)}, 0, count(*), 0 FROM {quote(sides.expected)} GROUP BY 1
                UNION ALL
                SELECT {shape.format(f"a.{column.a}")}, 0, 0, count(*) FROM {quote(sides.actual)} a WHERE a.__ours GROUP BY 1)
              GROUP BY g)
            ORDER BY e = a, e DESC, s DESC, g LIMIT {GROUPS}"""
    ).to_pylist()
    first: Mapping[str, Any] = rows[0] if rows else {"groups": 0, "different": 0}
    found = tuple(Group(row["g"], row["s"], row["e"], row["a"]) for row in rows)
    return Counts(column.name, found, int(first["different"]), first["groups"] - len(found))


def linked_names(
    session: Session,
    store: Store,
    mapped: MappedObject,
    field: str,
    *,
    objects: Mapping[str, MappedObject],
    values: Iterable[str | None],
    privacy: Privacy,
) -> dict[str, str]:
    """What to call the records that a link points to, 'NAME (ID)', by their target id and by their reference of ours.

    Only of the `values` given, and only where the linked object has a field that evidently is its name and was read back.
    """
    link, wanted = mapped.link(field), [value for value in values if value]
    found: dict[str, str] = {}
    for other in (objects[name] for name in (link.mappings if link else ()) if name in objects):
        item = _name_field(other.fields)
        readback, crosswalk = (
            store.current(Kind.READBACK, other.name),
            store.current(Kind.CROSSWALK, other.name),
        )
        if item is None or readback is None or crosswalk is None or not wanted:
            continue
        listed = ", ".join(literal(value) for value in wanted)
        ref = reference(other.name, f"x.{c.ID}")
        rows = session.fetch(
            f"""SELECT x.target_id AS id, {ref} AS ref, CAST(t.{quote(item.name)} AS VARCHAR) AS name
                FROM {relation(session, crosswalk)} x JOIN {relation(session, readback)} t
                  ON CAST(t.{quote(other.key)} AS VARCHAR) = x.target_key
                WHERE x.target_id IN ({listed}) OR {ref} IN ({listed})"""
        ).to_pylist()
        for row in rows:
            for name in (row["id"], row["ref"]):
                if name in wanted and row["name"]:
                    found[name] = f"{show(row['name'], item, privacy)} ({name})"
    return found


def _name_field(fields: Sequence[FieldSchema]) -> FieldSchema | None:
    """The field that evidently names a person: marked so, else called so."""
    texts = [item for item in fields if item.type in (FieldType.STRING, FieldType.TEXT)]
    called = [item for item in texts if "name" in item.name.casefold() or "名" in item.name]
    marked = [item for item in called if item.pii == "name"]
    return next(iter([*marked, *called]), None)
