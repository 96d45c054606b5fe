"""What a pair must have to be joined without asking, besides its weight: two kinds of evidence, and no other name.

A weight adds up what fields say as if each said something of its own. Where that is wrong nobody tells, so the automatic
band asks for more than a sum: at least two kinds of fields that speak for a match by themselves, and nothing that says
whose record it is, or where a company is, that speaks against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from migrator.core.mapped import Meaning
from migrator.dedupe.agreement import Agreement, company_levels, is_missing, name_levels, struct
from migrator.dedupe.comparison import Comparison
from migrator.dedupe.contexts import Context, lifted
from migrator.dedupe.features import Feature, naming, naming_persons
from migrator.dedupe.levels import NEARLY_ALL, two_words
from migrator.dedupe.odds import Odds
from migrator.staging.engine import Session

_TELLING = 4.0
"""Bits from which on a kind of evidence speaks by itself: 16 to 1."""
_KINDS = 2
_KIN = 2.0
"""Times that a given name may disagree as often as a surname, before that is put down to relatives."""
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
_OWN = (Meaning.PHONE, Meaning.EMAIL, Meaning.ID)
"""Meanings whose values belong to one record, or to very few."""
_NO_KIND = (Meaning.CATEGORY, Meaning.NAME)
"""Meanings that say what a record is, not which: a post, a country."""


def sure(
    comparisons: Sequence[Comparison], odds: Mapping[str, Odds], contexts: Mapping[str, Context], *, kin: bool
) -> str:
    """SQL over scored pairs `s` (bN, rN) and their features `x`, `y`: whether a pair may be joined without asking.

    `kin` says that relatives are among the records (see `find_kin`), or that nobody can tell. What agrees only as far as
    it does among neighbours (`contexts`) is not the record's own name.
    """
    features = [item.feature for item in comparisons]
    names, persons = naming(features), naming_persons(features)
    number = _speaks(comparisons, Meaning.ID)
    conditions = [f"{_kinds(comparisons)} >= {_KINDS:d}"]
    for item in comparisons:
        n, meaning = item.feature.number, item.feature.meaning
        if n in persons and kin:
            conditions.append(f"s.b{n} >= 0 OR {number}")
        if meaning is Meaning.DATE:
            conditions.append(f"s.b{n} > {_AGAINST} OR {number} OR {_speaks(comparisons, Meaning.EMAIL)}")
        if meaning is Meaning.ID:
            conditions.append(f"s.b{n} > {_AGAINST} OR {_speaks(comparisons, Meaning.DATE)}")
        if n in names - persons:
            # one name in two scripts has no word in common, and is one all the same
            whole = f"s.b{n} > {_as_words(item, odds[item.name])} OR NOT {two_words(item.feature, 'x.{}', 'y.{}')}"
            own = f"s.b{n} >= {lifted(item, comparisons, odds, contexts)}"
            conditions.append(f"({own} AND ({whole})) OR {number}")
        if not persons and meaning is Meaning.ADDRESS:
            conditions.append(f"s.b{n} >= 0 OR {number}")
    return " AND ".join(f"({condition})" for condition in conditions)


def certain(comparisons: Sequence[Comparison]) -> str:
    """SQL over the same: whether records agree so plainly that no sum is asked for. The whole name is the same, and a
    number of its own, or a date and a place; and nothing disagrees. In a few dozen records nothing can be learnt to be
    rare, and where people of one house or firm share much, sums prove little; this proves the same anywhere.
    """
    features = [item.feature for item in comparisons]
    names = naming(features)
    if not names:
        return "false"
    same = {item.number: f"coalesce(x.{item.value} = y.{item.value}, false)" for item in features}
    own = [same[item.number] for item in features if item.meaning in _OWN]
    dates = [same[item.number] for item in features if item.meaning is Meaning.DATE]
    places = [f"s.b{item.number} > 0" for item in features if item.meaning is Meaning.ADDRESS]
    if dates and places:
        own.append(f"(({' OR '.join(dates)}) AND ({' OR '.join(places)}))")
    # a person is found in another town; a company there is another branch
    silent = (*_NO_KIND, Meaning.CITY) if naming_persons(features) else _NO_KIND
    against = [f"s.b{item.number} >= 0" for item in features if item.meaning not in silent]
    whole = " AND ".join(same[number] for number in sorted(names))
    written = [_same_name(item) for item in features if item.number in names and item.apart == item.number]
    told = (f"({' OR '.join((f'({whole})', *written))})", f"({' OR '.join(own) or 'false'})")
    return " AND ".join((*told, *against))


def _same_name(item: Feature) -> str:
    """SQL: the names are one but for notation."""
    levels = company_levels if item.meaning is Meaning.COMPANY else name_levels
    left, right = struct(f"x.a{item.number}"), struct(f"y.a{item.number}")
    said = (level.condition for level in levels(left, right) if level.agreement is Agreement.SAME)
    return f"(NOT ({is_missing(left, right)}) AND ({' OR '.join(said)}))"


def _kinds(comparisons: Sequence[Comparison]) -> str:
    found: dict[str, list[str]] = {}
    for item in comparisons:
        n, meaning = item.feature.number, item.feature.meaning
        if meaning not in _NO_KIND:
            found.setdefault(_ONE_KIND.get(meaning, item.name), []).append(f"greatest(s.b{n} + s.r{n}, 0)")
    told = [f"({' + '.join(bits)} >= {_TELLING})::INTEGER" for bits in found.values()]
    return " + ".join(told) or "0"


def _as_words(item: Comparison, odds: Odds) -> float:
    """Bits of the best level on which two names agree in their words only."""
    bits = (bits for label, bits in zip(item.labels, odds.bits(), strict=True) if label == NEARLY_ALL)
    return next(bits, 0.0) + 1e-6


def _speaks(comparisons: Sequence[Comparison], meaning: Meaning) -> str:
    """SQL: a field of that meaning speaks for a match by itself."""
    told = [item.feature.number for item in comparisons if item.feature.meaning is meaning]
    return f"({' OR '.join(f's.b{n} >= {_TELLING}' for n in told) or 'false'})"


def find_kin(session: Session, comparisons: Sequence[Comparison], scored: str, least: float) -> bool:
    """Whether pairs that weigh `least` bits and more are of one surname and two given names far more often than the other
    way round: slips fall on both alike, and relatives share the surname. True where names are in one field, and it
    cannot be told.
    """
    by_meaning = {item.feature.meaning: item.feature.number for item in comparisons}
    given, family = by_meaning.get(Meaning.GIVEN), by_meaning.get(Meaning.FAMILY)
    if given is None or family is None or Meaning.PERSON in by_meaning:
        return True
    row = session.fetch(
        f"SELECT count(*) FILTER (WHERE b{given} < 0 AND b{family} > 0) AS kin, "
        f"count(*) FILTER (WHERE b{family} < 0 AND b{given} > 0) AS slips FROM {scored} WHERE weight >= {least!r}"
    ).to_pylist()[0]
    return bool(row["kin"] > _KIN * row["slips"])
