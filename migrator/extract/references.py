"""Which columns point to which objects: told by names, proven by the values that stand in the objects' keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.infer import looks_like_key
from migrator.extract.profile import ColumnProfile, ObjectProfile
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Dataset

CONTAINED = 0.9
"""Share of a column's distinct values that must be keys of the objects it is said to point to."""
SHARE = 0.02
"""Share that an object of several must have of its own."""
TESTED = 10_000
"""Distinct values of a column that are looked up, about; chosen by hash, so the same ones every time."""

_UPWARD = re.compile(r"parent|master|manager|superior|reports.?to|上级|父|主管", re.IGNORECASE)
"""Names that point to a record of the same object."""
_TEXTUAL = frozenset({FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.INTEGER, FieldType.REFERENCE})


@dataclass(frozen=True, slots=True)
class StagedObject:
    """What is known of one object of a system after extract and profile."""

    schema: ObjectSchema
    profile: ObjectProfile
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that may point somewhere; `number` names its values in the engine."""

    number: int
    object: StagedObject
    field: FieldSchema
    profile: ColumnProfile


def infer_references(
    session: Session, objects: Sequence[StagedObject]
) -> tuple[tuple[ObjectSchema, ...], tuple[str, ...]]:
    """The schemas with fields that hold other records' keys made references, and remarks for people.

    A reference the source itself declares with its objects stays; when its values are not among their keys a remark
    says so. All objects belong to one system. Cost: one scan of each column in question and of each key column.
    """
    columns = _candidates(objects)
    tested, shares = _look_up(session, objects, columns)
    found: dict[tuple[str, str], FieldSchema] = {}
    remarks: list[str] = []
    for column in columns:
        total, by_object = tested.get(column.number, 0), shares.get(column.number, {})
        place = (column.object.schema.name, column.field.name)
        if column.field.references:
            remarks += _check(column, total, by_object)
        elif total and (targets := _targets(column, total, by_object, objects)):
            found[place] = replace(
                column.field, type=FieldType.REFERENCE, references=targets, precision=None, scale=None
            )
            remarks += _loose(column, total, by_object, targets)
    return tuple(_with_fields(item.schema, found) for item in objects), tuple(remarks)


def _candidates(objects: Sequence[StagedObject]) -> list[_Column]:
    found: list[_Column] = []
    for item in objects:
        for field in item.schema.fields:
            column = item.profile.column(field.name)
            if field.name != item.schema.key and column is not None and _may_point(field, column, objects):
                found.append(_Column(len(found), item, field, column))
    return found


def _may_point(field: FieldSchema, column: ColumnProfile, objects: Sequence[StagedObject]) -> bool:
    if not column.values or field.type not in _TEXTUAL:
        return False
    if field.type is FieldType.REFERENCE:
        return True
    told = looks_like_key(field.name) or any(_names(field.name, item.schema.name) for item in objects)
    return "long identifier" in column.forms or ("identifier" in column.forms and told)


def _look_up(
    session: Session, objects: Sequence[StagedObject], columns: Sequence[_Column]
) -> tuple[dict[int, int], dict[int, dict[frozenset[str], int]]]:
    """Column → values tested, and column → (objects that have a value as key → how many such values)."""
    session.execute("CREATE OR REPLACE TABLE tested (number INTEGER, v VARCHAR)")
    session.execute("CREATE OR REPLACE TABLE hits (number INTEGER, v VARCHAR, object VARCHAR)")
    for item in objects:
        session.view("pointing", item.dataset.files, item.dataset.schema())
        for column in (column for column in columns if column.object is item):
            every = max(1, column.profile.distinct // TESTED)
            text = f"CAST({quote(column.field.name)} AS VARCHAR)"
            session.execute(
                f"INSERT INTO tested SELECT DISTINCT {column.number:d}, {text} FROM pointing"
                f" WHERE {text} <> '' AND hash({text}) % {every:d} = 0"
            )
    for item in (item for item in objects if item.schema.key):
        session.view("pointed", item.dataset.files, item.dataset.schema())
        key = f"CAST({quote(item.schema.key)} AS VARCHAR)"
        session.execute(
            f"INSERT INTO hits SELECT number, v, {literal(item.schema.name)} FROM tested"
            f" WHERE v IN (SELECT {key} FROM pointed WHERE {key} IS NOT NULL)"
        )
    totals = session.fetch("SELECT number, count(*) AS n FROM tested GROUP BY number").to_pylist()
    shares = session.fetch(
        "SELECT number, objects, count(*) AS n FROM"
        " (SELECT number, v, list_sort(list(object)) AS objects FROM hits GROUP BY number, v) GROUP BY number, objects"
    ).to_pylist()
    found: dict[int, dict[frozenset[str], int]] = {}
    for row in shares:
        found.setdefault(row["number"], {})[frozenset(row["objects"])] = row["n"]
    return {row["number"]: row["n"] for row in totals}, found


def _targets(
    column: _Column, total: int, shares: Mapping[frozenset[str], int], objects: Sequence[StagedObject]
) -> tuple[str, ...]:
    """The objects a column points to: one that is named or alone fits, else several that together fit; () if none."""
    alone = {
        item.schema.name: sum(n for names, n in shares.items() if item.schema.name in names) / total
        for item in objects
    }
    fitting = [name for name, share in alone.items() if share >= CONTAINED]
    named = [name for name in fitting if _names(column.field.name, name)]
    own = column.object.schema.name
    if own in fitting and _UPWARD.search(column.field.name):
        named = named or [own]
    if named:
        return (max(named, key=lambda name: (alone[name], len(name))),)
    # Small numbers are keys of every numbered table: without a name they prove nothing.
    if "decimal" in column.profile.forms:
        return ()
    if fitting:
        return (max(fitting, key=lambda name: alone[name]),)
    together = tuple(name for name, share in alone.items() if share >= SHARE)
    covered = sum(n for names, n in shares.items() if names & set(together)) / total
    return together if covered >= CONTAINED else ()


def _check(column: _Column, total: int, shares: Mapping[frozenset[str], int]) -> list[str]:
    declared = set(column.field.references)
    held = sum(n for names, n in shares.items() if names & declared)
    if not total or held / total >= CONTAINED:
        return []
    return [
        f"{column.object.schema.name}.{column.field.name}: {total - held} of {total} values tested are no key of "
        f"{' or '.join(column.field.references)} in this export"
    ]


def _loose(
    column: _Column, total: int, shares: Mapping[frozenset[str], int], targets: Sequence[str]
) -> list[str]:
    """What becomes of the values that are no key, where the source itself never said that there are only keys."""
    loose = total - sum(n for names, n in shares.items() if names & set(targets))
    if not loose:
        return []
    return [
        f"{column.object.schema.name}.{column.field.name} is taken for a link to {' or '.join(targets)}: {loose} of {total} "
        "values tested are no key there, and such links move empty; make it text in the mapping to keep them"
    ]


def _names(column: str, object_name: str) -> bool:
    """Whether a column's name says the object's: account_id, AccountId, PrimaryAccount, 客户 for 客户…"""
    plain, named = _plain(column), _plain(object_name)
    stems = {named, named.removesuffix("s"), named.removesuffix("es"), re.sub("ies$", "y", named)}
    return any(len(stem) >= 2 and stem in plain for stem in stems)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _with_fields(schema: ObjectSchema, found: Mapping[tuple[str, str], FieldSchema]) -> ObjectSchema:
    return replace(schema, fields=tuple(found.get((schema.name, item.name), item) for item in schema.fields))
