"""What a record can have only once: the identity fields of the rules, and which of a family's namesakes it is.

Two records that claim different values are never in one cluster; one that claims nothing contradicts nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migrator.core.mapped import DedupeRules, Normaliser
from migrator.staging.engine import Session, literal, quote

CLAIMS = "dedupe_claims"
"""Table of `__id`, kind, value."""

_NAMESAKES = {"1": "sr|snr|senior", "2": "jr|jnr|junior|ii", "3": "iii", "4": "iv"}
"""What is written behind a name; `II` is what other people call `Jr.`"""


def make_claims(
    session: Session, relation: str, rules: DedupeRules, persons: Iterable[str] = ()
) -> str | None:
    """Make `CLAIMS` of the records in `relation`; None when no field claims anything.

    `persons` are fields that hold names of persons, besides those that a key compares as names.
    """
    found = [_identity(name, relation) for name in rules.identity]
    found += [_namesake(name, relation) for name in dict.fromkeys((*_names(rules), *persons))]
    if not found:
        return None
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {CLAIMS} AS SELECT * FROM ({' UNION ALL '.join(found)}) WHERE value IS NOT NULL"
    )
    return CLAIMS


def claiming_fields(rules: DedupeRules) -> tuple[str, ...]:
    """All fields that claim something by the rules."""
    return tuple(dict.fromkeys((*rules.identity, *_names(rules))))


def _names(rules: DedupeRules) -> Iterator[str]:
    return (field for key in rules.keys for field, kind in key.fields if kind is Normaliser.NAME)


def _identity(name: str, relation: str) -> str:
    value = f"regexp_replace(upper(CAST({quote(name)} AS VARCHAR)), '[^0-9\\p{{L}}]', '', 'g')"
    return f"SELECT __id, {literal(name)} AS kind, nullif({value}, '') AS value FROM {relation}"


def _namesake(name: str, relation: str) -> str:
    text = f"lower(CAST({quote(name)} AS VARCHAR))"
    words = "|".join(_NAMESAKES.values())
    said = f"regexp_extract({text}, '[\\s,]({words})\\.?\\s*$', 1)"
    cases = " ".join(
        f"WHEN {literal(word)} THEN {literal(number)}"
        for number, listed in _NAMESAKES.items()
        for word in listed.split("|")
    )
    return f"SELECT __id, {literal(name + ' (namesake)')} AS kind, CASE {said} {cases} END AS value FROM {relation}"
