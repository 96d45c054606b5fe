"""The key fields of a mapping made comparable, once each, in one relation that every rule reads: null is no key.

Three layers: a scratch file of everything SQL can normalise; over it a view without the addresses and numbers that too
many rows share; over that a view whose phone numbers are E.164 where another row could have the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from migrator.core.errors import ProjectError
from migrator.core.mapped import DedupeRules, MatchKey, Normaliser
from migrator.dedupe import phone
from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.normalise import Step, normalised, steps
from migrator.dedupe.unicode import compose
from migrator.staging.engine import Session, quote

KeyPart: TypeAlias = tuple[str, Normaliser]

KEYS_FILE = "keys.parquet"
"""The scratch file under the views; it may go once no more edges are wanted."""

_IDENTIFIERS = (Normaliser.EMAIL, Normaliser.PHONE)
"""What belongs to one person or desk: a value that many rows share is a switchboard, a team's mailbox or an invention."""


@dataclass(frozen=True, slots=True)
class SharedValues:
    """Identifiers of one field that were left out because too many rows share them."""

    field: str
    values: int
    rows: int


@dataclass(frozen=True, slots=True)
class KeyRelation:
    """A relation of `__id` and one comparable column per part of any rule."""

    name: str
    parts: tuple[KeyPart, ...]
    shared: tuple[SharedValues, ...] = ()

    def columns(self, key: MatchKey) -> tuple[str, ...]:
        """The columns of one rule, in its order."""
        return tuple(self.column(part) for part in key.fields)

    def column(self, part: KeyPart) -> str:
        """The column of one part."""
        return f"c{self.parts.index(part)}"


def make_keys(
    session: Session, source: str, schema: pa.Schema, rules: DedupeRules, scratch: Path
) -> KeyRelation:
    """Normalise the key fields of relation `source` (Arrow schema `schema`) into views backed by files in `scratch`.

    Raises `ProjectError` when the region of the rules is no country.
    """
    region = _region(rules)
    parts = tuple(dict.fromkeys(part for key in rules.keys for part in key.fields))
    texts = {field for field, kind in parts if kind is not Normaliser.EXACT and _is_text(schema, field)}
    changed = compose(session, source, sorted(texts), "dedupe_composed", scratch / "texts.parquet")
    query = normalised(
        [(f"t{number}", _steps(kind, region)) for number, (_, kind) in enumerate(parts)],
        _as_text(source, parts, texts if changed else set()),
    )
    path = scratch / KEYS_FILE
    session.write(query, path)
    session.view("dedupe_normal", [path])
    keys = _without_shared(session, KeyRelation("dedupe_normal", parts), rules)
    return _with_phones(session, keys, rules, region, scratch)


def _region(rules: DedupeRules) -> phone.Region:
    try:
        return phone.phone_region(rules.region)
    except KeyError as error:
        raise ProjectError.at(
            "dedupe", f"unknown region {rules.region!r}", "give an ISO country code, such as US, CN or MY"
        ) from error


def _is_text(schema: pa.Schema, field: str) -> bool:
    kind = schema.field(field).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _steps(kind: Normaliser, region: phone.Region) -> tuple[Step, ...]:
    if kind is Normaliser.PHONE:
        return (phone.closed_up, lambda x: phone.proven(x, region))
    return steps(kind)


def _as_text(source: str, parts: Sequence[KeyPart], composed: set[str]) -> str:
    """A subquery of `__id` and t0, t1, …: each part's field as text, compatibility forms made one."""
    listed, joins = ["m.__id"], []
    for number, (field, kind) in enumerate(parts):
        text = f"CAST(m.{quote(field)} AS VARCHAR)"
        if kind is not Normaliser.EXACT and field in composed:
            joins.append(f"LEFT JOIN dedupe_composed u{number} ON m.{quote(field)} = u{number}.raw")
            text = f"coalesce(u{number}.value, {text})"
        listed.append(f"{text} AS t{number}")
    return f"(SELECT {', '.join(listed)} FROM {source} m {' '.join(joins)})"


def _without_shared(session: Session, keys: KeyRelation, rules: DedupeRules) -> KeyRelation:
    found, dropped = [], {}
    for part in keys.parts:
        if part[1] in _IDENTIFIERS:
            column = keys.column(part)
            table = f"dedupe_shared_{column}"
            session.execute(
                f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {column} AS value, count(*) AS n FROM {keys.name} "
                f"WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > {rules.max_cluster:d}"
            )
            count = session.fetch(
                f"SELECT count(*) AS v, coalesce(sum(n), 0)::BIGINT AS n FROM {table}"
            ).to_pylist()[0]
            if count["v"]:
                found.append(SharedValues(part[0], count["v"], count["n"]))
                dropped[column] = table
    if not dropped:
        return keys
    listed, joins = _all_columns(keys), []
    for column, table in dropped.items():
        listed[column] = f"CASE WHEN s_{column}.value IS NULL THEN k.{column} END"
        joins.append(f"LEFT JOIN {table} s_{column} ON k.{column} = s_{column}.value")
    return KeyRelation(_view(session, "dedupe_own", keys, listed, joins), keys.parts, tuple(found))


def _with_phones(
    session: Session, keys: KeyRelation, rules: DedupeRules, region: phone.Region, scratch: Path
) -> KeyRelation:
    listed, joins = _all_columns(keys), []
    for part in keys.parts:
        if part[1] is Normaliser.PHONE:
            column = keys.column(part)
            _resolve_phones(session, keys, rules, part, region=region, scratch=scratch / "phones.parquet")
            listed[column] = f"e_{column}.value"
            joins.append(f"LEFT JOIN dedupe_phone_{column} e_{column} ON k.{column} = e_{column}.raw")
    if not joins:
        return keys
    return KeyRelation(_view(session, "dedupe_keys", keys, listed, joins), keys.parts, keys.shared)


def _resolve_phones(
    session: Session,
    keys: KeyRelation,
    rules: DedupeRules,
    part: KeyPart,
    *,
    region: phone.Region,
    scratch: Path,
) -> None:
    """Make dedupe_phone_COLUMN (raw, value): E.164 of every number that may be equal to another under some rule."""
    column = keys.column(part)
    table, loose = f"dedupe_phone_{column}", phone.loose(column, region)
    odd = f"SELECT DISTINCT {column} AS raw FROM {keys.name} WHERE {column} IS NOT NULL AND {loose} IS NULL"
    translate_distinct(session, odd, lambda texts: phone.to_e164(texts, region), f"{table}_odd", scratch)
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {table}_loose AS SELECT k.*, coalesce({loose}, "
        f"right(split_part(o.value, ';', 1), {phone.LOOSE_DIGITS})) AS loose "
        f"FROM {keys.name} k LEFT JOIN {table}_odd o ON k.{column} = o.raw"
    )
    likely = " UNION ".join(
        _likely_twins(keys, key, part, f"{table}_loose") for key in rules.keys if part in key.fields
    )
    translate_distinct(
        session,
        f"SELECT raw FROM ({likely}) WHERE raw NOT IN (SELECT raw FROM {table}_odd)",
        lambda texts: phone.to_e164(texts, region),
        f"{table}_even",
        scratch,
    )
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM {table}_odd UNION ALL SELECT * FROM {table}_even"
    )


def _likely_twins(keys: KeyRelation, key: MatchKey, part: KeyPart, source: str) -> str:
    """Numbers of rows that agree with another row in the last digits and in every other part SQL can compare."""
    column = keys.column(part)
    exact = [keys.column(other) for other in key.fields if other[1] is not Normaliser.PHONE]
    present = " AND ".join(f"{name} IS NOT NULL" for name in ("loose", *keys.columns(key)))
    group = ", ".join((*exact, "loose"))
    return (
        f"SELECT DISTINCT {column} AS raw FROM {source} WHERE {present} AND ({group}) IN "
        f"(SELECT ({group}) FROM {source} WHERE {present} GROUP BY {group} HAVING count(*) > 1)"
    )


def _all_columns(keys: KeyRelation) -> dict[str, str]:
    return {f"c{number}": f"k.c{number}" for number in range(len(keys.parts))}


def _view(session: Session, name: str, keys: KeyRelation, listed: dict[str, str], joins: list[str]) -> str:
    values = ", ".join(f"{text} AS {column}" for column, text in listed.items())
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT k.__id, {values} FROM {keys.name} k {' '.join(joins)}"
    )
    return name
