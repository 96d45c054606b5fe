"""What a pair must have to be joined without asking, besides its weight: two kinds of evidence, and no other name.

A weight adds up what fields say as if each said something of its own. Where that is wrong nobody tells, so the automatic
band asks for more than a sum: at least two kinds of fields that speak for a match by themselves, and nothing that says
whose record it is, or where a company is, that speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrator.core.mapped import Meaning
from migrator.dedupe.comparison import Comparison
from migrator.dedupe.features import Kind, naming, naming_persons
from migrator.dedupe.levels import two_words

_TELLING = 4.0
"""Bits from which on a kind of evidence speaks by itself: 16 to 1."""
_KINDS = 2
_AGAINST = -1.0
"""Bits from which down a date or a number says no; what hardly ever agrees says nothing by disagreeing."""

_ONE_KIND: dict[Meaning, str] = {
    Meaning.PERSON: "name",
    Meaning.GIVEN: "name",
    Meaning.FAMILY: "name",
    Meaning.ADDRESS: "place",
    Meaning.CITY: "place",
    Meaning.POSTCODE: "place",
    Meaning.PHONE: "phone",
    Meaning.EMAIL: "email",
    Meaning.DATE: "date",
}
"""Meanings whose fields say the same thing: a surname and a given name, a street and its town."""
_NO_KIND = (Meaning.CATEGORY, Meaning.NAME)
"""Meanings that say what a record is, not which: a post, a country."""


def sure(comparisons: Sequence[Comparison]) -> str:
    """SQL over scored pairs `s` (bN, rN) and their features `x`, `y`: whether a pair may be joined without asking."""
    conditions = [f"{_kinds(comparisons)} >= {_KINDS:d}", *_no_other_name(comparisons)]
    conditions += [
        f"s.b{item.feature.number} > {_AGAINST}"
        for item in comparisons
        if item.feature.meaning in (Meaning.DATE, Meaning.ID)
    ]
    return " AND ".join(f"({condition})" for condition in conditions)


def _kinds(comparisons: Sequence[Comparison]) -> str:
    found: dict[str, list[str]] = {}
    for item in comparisons:
        n, meaning = item.feature.number, item.feature.meaning
        if meaning not in _NO_KIND:
            found.setdefault(_ONE_KIND.get(meaning, item.name), []).append(f"s.b{n} + s.r{n}")
    told = [f"({' + '.join(bits)} >= {_TELLING})::INTEGER" for bits in found.values()]
    return " + ".join(told) or "0"


def _no_other_name(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Nothing of a name disagrees; and of a company nor does the address: it is told from its branches by that."""
    features = [item.feature for item in comparisons]
    names, persons = naming(features), naming_persons(features)
    for item in comparisons:
        n = item.feature.number
        if n in names:
            yield f"s.b{n} >= 0"
        if persons:
            continue
        if item.feature.meaning is Meaning.ADDRESS:
            yield f"s.b{n} >= 0"
        if n in names and item.feature.kind is Kind.TEXT:
            yield f"NOT {two_words(item.feature, 'x.{}', 'y.{}')}"
