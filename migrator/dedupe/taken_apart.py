"""Names, companies and addresses of a relation taken apart, once per distinct text, and ready to join."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from migrator.dedupe.address import ADDRESS, address_features
from migrator.dedupe.agreement import Side
from migrator.dedupe.company import COMPANY, company_features
from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.person import PERSON, person_features
from migrator.staging.engine import Session


class Told(Enum):
    """What a text names."""

    PERSON = "person"
    COMPANY = "company"
    ADDRESS = "address"


_READERS = {
    Told.PERSON: (person_features, PERSON),
    Told.COMPANY: (company_features, COMPANY),
    Told.ADDRESS: (address_features, ADDRESS),
}

_KEYS: dict[Told, tuple[tuple[str, ...], str]] = {
    Told.PERSON: (("spelled", "pinyin", "forms", "shorter"), "han"),
    Told.COMPANY: (("pinyin",), "brand"),
    Told.ADDRESS: (("sound",), "street"),
}
"""The features that are keys: lists of them, and a single one."""


def take_apart(session: Session, texts: str, told: Told, table: str, scratch: Path) -> int:
    """Make `table` (raw, value) of the query `texts` of distinct texts; `value` is a struct of features.

    Returns its rows. Where surname and given name are two columns, the text is `surname || ', ' || given`. The texts
    pass through the file `scratch`, so that memory is bounded by a page.
    """
    features, kind = _READERS[told]
    return translate_distinct(session, texts, features, table, scratch, made=kind)


def block_keys(told: Told, side: Side) -> str:
    """SQL of a list of keys: two texts that agree across scripts, spellings and short forms mostly share one.

    A brand alone, or a surname with an initial, is a key too: blocks must be capped by who uses them.
    """
    lists, single = _KEYS[told]
    every = ", ".join(side(name) for name in lists)
    return f"list_distinct(flatten([{every}, CASE WHEN {side(single)} IS NULL THEN [] ELSE [{side(single)}] END]))"
