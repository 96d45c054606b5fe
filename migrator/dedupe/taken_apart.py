"""Names of persons and companies of a relation taken apart, once per distinct text, and ready to join."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pyarrow as pa

from migrator.dedupe.agreement import Side
from migrator.dedupe.company import COMPANY, company_features
from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.person import PERSON, person_features
from migrator.staging.engine import Session


class Told(Enum):
    """What a text names."""

    PERSON = "person"
    COMPANY = "company"


_READERS = {
    Told.PERSON: (person_features, PERSON),
    Told.COMPANY: (company_features, COMPANY),
}

_KEYS: dict[Told, tuple[str, ...]] = {
    Told.PERSON: ("pinyin", "forms"),
    Told.COMPANY: ("pinyin",),
}
"""The lists of features that are keys."""

_COMPARED_ONLY = ("han", "latin")
"""Texts that are only ever compared as a whole, and may be numbers as well."""


def take_apart(session: Session, texts: str, told: Told, table: str, scratch: Path) -> int:
    """Make `table` (raw, value) of the query `texts` of distinct texts; `value` is a struct of features.

    Returns its rows. Lists hold hashes, and so do the texts that are compared as a whole: records carry what they are
    compared by. Where surname and given name are two columns, the text is `surname || ', ' || given`. The texts pass
    through the file `scratch`, so that memory is bounded by a page.
    """
    features, kind = _READERS[told]
    rows = translate_distinct(session, texts, features, f"{table}_read", scratch, made=kind)
    fields = ", ".join(f"{field.name} := {_kept(field)}" for field in kind)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT raw, struct_pack({fields}) AS value FROM {table}_read"
    )
    session.execute(f"DROP TABLE {table}_read")
    return rows


def _kept(field: pa.Field) -> str:
    x = f"value.{field.name}"
    if pa.types.is_list(field.type):
        return f"list_transform({x}, lambda t: hash(t))"
    return f"CASE WHEN {x} IS NOT NULL THEN hash({x}) END" if field.name in _COMPARED_ONLY else x


def read_keys(told: Told, side: Side) -> str:
    """SQL of a list of keys: two texts that agree across scripts and spellings mostly share one.

    A brand alone is a key too: blocks must be capped by who uses them.
    """
    lists = [side(name) for name in _KEYS[told]]
    # most names have keys of one kind, and those are distinct as they are
    one_kind = (
        f"WHEN {' AND '.join(f'len({other}) = 0' for other in lists if other != found)} THEN {found}"
        for found in lists
    )
    every = f"list_distinct(flatten([{', '.join(lists)}]))"
    return lists[0] if len(lists) == 1 else f"CASE {' '.join(one_kind)} ELSE {every} END"
