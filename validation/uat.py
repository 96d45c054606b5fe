"""A sample of records for people to judge: drawn by strata, the raw source values beside what the target holds.

Deterministic: records are drawn in the order of a hash over seed and id, so the same data gives the same sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import RECORD, relation, staged_records
from migrator.staging.store import Kind, Store
from validation.privacy import Privacy, show
from validation.relations import Column, Family, Sides

Show: TypeAlias = Callable[[str | None, FieldSchema | None], str]
Origins: TypeAlias = Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]
"""(mapping, source) → target field → the staged columns that its value is made of."""

MOST_ROWS = 6000
"""Rows (a field of a record each) of the whole sheet, over all objects."""
MOST_RECORDS = 40
"""Records of one object."""
_EACH = 3
_CHOICES = 8
_FIELDS = 2
_CJK = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
_TELLING = ("status", "type", "stage", "state", "category", "recordtype")


@dataclass(frozen=True, slots=True)
class Why:
    """Why a record was drawn: `kind` is a stratum, `value` the field or value that makes it one."""

    kind: str
    value: str = ""


def draw(
    session: Session,
    store: Store,
    sides: Sides,
    origins: Origins,
    *,
    records: int,
    seed: int,
    privacy: Privacy,
) -> list[dict[str, Any]]:
    """One row for every field of every drawn record of an object; at most `records` records."""
    chosen = _choose(_strata(session, store, sides, seed, privacy), records)
    if not chosen:
        return []
    old = _old_values(
        session,
        store,
        sides.mapped,
        origins,
        lambda value, item: show(value, item, privacy),
        ids=tuple(chosen),
    )
    rows = []
    for row in _new_values(session, sides, tuple(chosen)):
        found = row[c.ID]
        reasons = [{"kind": why.kind, "value": why.value} for why in chosen[found]]
        for column in sides.columns:
            rows.append(
                {
                    "object": sides.mapped.name, "record": f"{sides.mapped.name}/{found}", "key": row["__k"],
                    "why": reasons, "field": column.name, "old": old.get((found, column.name)),
                    "new": show(row[column.a], column.schema, privacy) if row["__there"] else None,
                }
            )  # fmt: skip
    return rows


def records_each(objects: Sequence[MappedObject]) -> int:
    """How many records of each object fit into the whole sheet."""
    fields = sum(len(item.fields) for item in objects) or 1
    return max(1, min(MOST_RECORDS, MOST_ROWS // fields))


def _choose(strata: Iterable[tuple[Why, Sequence[str]]], records: int) -> dict[str, list[Why]]:
    """The first record of every stratum, then the second of every, until there are enough."""
    listed = [(why, list(found)) for why, found in strata]
    chosen: dict[str, list[Why]] = {}
    for turn in range(max((len(found) for _, found in listed), default=0)):
        for why, found in listed:
            if turn < len(found) and (found[turn] in chosen or len(chosen) < records):
                chosen.setdefault(found[turn], []).append(why)
    return chosen


def _strata(
    session: Session, store: Store, sides: Sides, seed: int, privacy: Privacy
) -> Iterator[tuple[Why, Sequence[str]]]:
    drawn = f"md5({literal(f'{seed}:')} || {c.ID})"
    yield from _groups(session, sides, drawn, "source", f"regexp_extract({c.ID}, '^[^:]*')")
    golden = store.current(Kind.GOLDEN, sides.mapped.name)
    if golden is not None and golden.rows:
        merged = f"(SELECT {c.ID} FROM {quote(sides.expected)} SEMI JOIN {relation(session, golden)} g USING ({c.ID}))"
        row = session.fetch(f"SELECT arg_min({c.ID}, {drawn}, {_EACH}) AS ids FROM {merged}").to_pylist()[0]
        yield Why("merged"), row["ids"] or ()
    for column in _choices(sides):
        for why, ids in _groups(session, sides, drawn, "choice", f"CAST({column.e} AS VARCHAR)"):
            yield Why("choice", f"{column.name} = {show(why.value, column.schema, privacy)}"), ids
    yield from _extremes(session, sides, drawn)


def _groups(
    session: Session, sides: Sides, drawn: str, kind: str, value: str
) -> Iterator[tuple[Why, Sequence[str]]]:
    rows = session.fetch(
        f"SELECT {value} AS value, arg_min({c.ID}, {drawn}, {_EACH}) AS ids FROM {quote(sides.expected)}"
        f" WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {_CHOICES}"
    ).to_pylist()
    for row in rows:
        yield Why(kind, row["value"]), row["ids"]


def _extremes(session: Session, sides: Sides, drawn: str) -> Iterator[tuple[Why, Sequence[str]]]:
    """Largest amounts, oldest and newest, and text in Chinese, Japanese or Korean: all in one pass."""
    asked: list[tuple[Why, str]] = []
    for column in _first(sides, Family.NUMBER):
        asked.append((Why("largest", column.name), f"arg_max({c.ID}, {column.e}, {_EACH})"))
    for column in (*_first(sides, Family.DATE), *_first(sides, Family.INSTANT))[:_FIELDS]:
        asked.append((Why("oldest", column.name), f"arg_min({c.ID}, {column.e}, 2)"))
        asked.append((Why("newest", column.name), f"arg_max({c.ID}, {column.e}, 2)"))
    texts = [item.e for item in sides.columns if item.family in (Family.TEXT, Family.CHOICE)]
    if texts:
        cjk = " OR ".join(f"regexp_matches({name}, {literal(_CJK)})" for name in texts)
        asked.append((Why("cjk"), f"arg_min({c.ID}, {drawn}, {_EACH}) FILTER (WHERE {cjk})"))
    if not asked:
        return
    selected = ", ".join(f"{sql} AS s{number}" for number, (_, sql) in enumerate(asked))
    row = session.fetch(f"SELECT {selected} FROM {quote(sides.expected)}").to_pylist()[0]
    for number, (why, _) in enumerate(asked):
        yield why, row[f"s{number}"] or ()


def _first(sides: Sides, family: Family) -> list[Column]:
    return [item for item in sides.columns if item.family is family][:_FIELDS]


def _choices(sides: Sides) -> list[Column]:
    """Pick-lists, those named like a record type or status first."""
    listed = [item for item in sides.columns if item.schema.type is FieldType.PICKLIST]
    listed.sort(key=lambda item: not any(word in item.name.casefold().replace("_", "") for word in _TELLING))
    return listed[:_FIELDS]


def _new_values(session: Session, sides: Sides, ids: Sequence[str]) -> list[dict[str, Any]]:
    values = ", ".join(f"CAST(a.{column.a} AS VARCHAR) AS {column.a}" for column in sides.columns)
    rows: list[dict[str, Any]] = session.fetch(
        f"SELECT e.{c.ID}, e.__k, a.__k IS NOT NULL AS __there, {values}"
        f" FROM (SELECT {c.ID}, __k FROM {quote(sides.expected)} WHERE {c.ID} IN ({_listed(ids)})) e"
        f" LEFT JOIN {quote(sides.actual)} a ON a.__k = e.__k AND a.__n = 1 ORDER BY e.{c.ID}"
    ).to_pylist()
    return rows


def _old_values(
    session: Session,
    store: Store,
    mapped: MappedObject,
    origins: Origins,
    show_as: Show,
    *,
    ids: Sequence[str],
) -> dict[tuple[str, str], str]:
    """(record, field) → the raw source value; of a merged record all its members' values that differ."""
    members = _members(session, store, mapped, ids)
    found: dict[tuple[str, str], dict[str, None]] = {}
    for source in mapped.sources:
        staged, made_of = (
            store.current(Kind.STAGED, source.staged),
            origins.get((mapped.name, source.name), {}),
        )
        wanted = [item for item in members if item.startswith(f"{source.name}:")]
        if staged is None or not wanted:
            continue
        columns = sorted({name for names in made_of.values() for name in names} & set(staged.schema().names))
        selected = "".join(f", CAST(s.{quote(name)} AS VARCHAR) AS v{n}" for n, name in enumerate(columns))
        rows = session.fetch(
            f"SELECT {quote(RECORD)} AS id{selected} FROM ({staged_records(session, source, staged)}) s"
            f" WHERE {quote(RECORD)} IN ({_listed(wanted)})"
        ).to_pylist()
        place = {name: f"v{n}" for n, name in enumerate(columns)}
        for row in sorted(rows, key=lambda row: (members[row["id"]] != row["id"], row["id"])):
            for name, made in made_of.items():
                told = _told(
                    row,
                    [(item, place[item]) for item in made if item in place],
                    mapped.schema.field(name),
                    show_as,
                )
                if told is not None:
                    found.setdefault((members[row["id"]], name), {})[told] = None
    return {key: " | ".join(values) for key, values in found.items()}


def _told(
    row: Mapping[str, Any], made: Sequence[tuple[str, str]], item: FieldSchema | None, show_as: Show
) -> str | None:
    if not made:
        return None
    if len(made) == 1:
        return show_as(row[made[0][1]], item)
    return "; ".join(f"{name}: {show_as(row[place], item)}" for name, place in made)


def _members(session: Session, store: Store, mapped: MappedObject, ids: Sequence[str]) -> dict[str, str]:
    """Every record that is part of a drawn one, itself included → the drawn one."""
    clusters = relation(session, store.current(Kind.CLUSTERS, mapped.name), c.CLUSTERS)
    rows = session.fetch(
        f"SELECT {c.ID} AS id, survivor FROM {clusters} WHERE survivor IN ({_listed(ids)})"
    ).to_pylist()
    return {**{row["id"]: row["survivor"] for row in rows}, **{found: found for found in ids}}


def _listed(values: Iterable[str]) -> str:
    return ", ".join(literal(value) for value in values)
