"""How names read in another script or in a shorter form, as keys that two records may share; once per distinct name.

A table of readings has `raw` (the name, as `source_of` gives it), `h` (whether it is in Chinese characters), `x` (keys of the
whole name) and `y` (keys of the brand alone, for companies), the keys hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core.mapped import Meaning
from migrator.dedupe.company import company_features
from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.person import person_features
from migrator.staging.engine import Session

_KEY, _PART = "\x1e", "\x1d"
"""What stands between keys, and between the parts of what Python hands back; no name holds them."""


def make_readings(session: Session, names: str, meaning: Meaning, table: str, scratch: Path) -> None:
    """Make `table` from the query `names` of distinct names in one column; see the module."""
    call = _companies if meaning is Meaning.COMPANY else _people
    translate_distinct(session, names, call, f"{table}_text", scratch)
    keys = "list_distinct(list_transform(list_filter(string_split(parts[{0}], '{1}'), lambda t: t <> ''), lambda t: hash(t)))"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT raw, parts[1] = '1' AS h, {keys.format(2, _KEY)} AS x, "
        f"{keys.format(3, _KEY)} AS y FROM (SELECT raw, string_split(value, '{_PART}') AS parts FROM {table}_text)"
    )
    session.execute(f"DROP TABLE {table}_text")


def _people(names: pa.Array) -> pa.Array:
    return _joined(
        person_features(names), lambda row: (*(row["pinyin"] or ()), *(row["forms"] or ())), lambda _: ()
    )


def _companies(names: pa.Array) -> pa.Array:
    return _joined(company_features(names), _whole_company, lambda row: row["pinyin"] or ())


def _whole_company(row: Mapping[str, Any]) -> Iterable[str]:
    about = "|".join((*(row["region"] or ()), row["trade"] or "", row["branch"] or ""))
    return (f"{brand}|{about}" for brand in row["pinyin"] or ())


def _joined(
    features: pa.StructArray,
    whole: Callable[[Mapping[str, Any]], Iterable[str]],
    brand: Callable[[Mapping[str, Any]], Iterable[str]],
) -> pa.Array:
    return pa.array(
        [
            _PART.join(("1" if row["han"] else "0", _KEY.join(whole(row)), _KEY.join(brand(row))))
            for row in features.to_pylist()
        ],
        pa.string(),
    )
